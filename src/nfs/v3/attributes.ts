// Attributes as version 3 writes them: fattr3, wcc_data and sattr3 of RFC 1813 2.6.
import type { ByteReader, ByteWriter } from '../../base/bytes.ts';
import { WireError } from '../../base/errors.ts';
import { readEnum, readHyper, readOptional, writeHyper, writeOptional } from '../../rpc/xdr.ts';
import type { AttributeChange, Kind, ObjectId, Timestamp } from '../../tree/tree.ts';
import { allocatedBytes, type FileAttributes, type Fsid, permissionBits, type Wcc, wireSeconds } from '../attributes.ts';

/** ftype3 */
const kindNumbers: Readonly<Record<Kind, number>> = { file: 1, directory: 2, block: 3, character: 4, symlink: 5, socket: 6, fifo: 7 };

/** Of fattr3. */
export const attributeBytes = 84;

const nanosecondsMax = 999_999_999;

export function writeFileAttributes(writer: ByteWriter, { fsid, attributes }: FileAttributes): void {
  writer.u32(kindNumbers[attributes.kind]);
  writer.u32(attributes.mode);
  writer.u32(attributes.links);
  writer.u32(attributes.uid);
  writer.u32(attributes.gid);
  writeHyper(writer, attributes.size);
  writeHyper(writer, allocatedBytes(attributes));
  writer.u32(attributes.device?.major ?? 0);
  writer.u32(attributes.device?.minor ?? 0);
  writer.u32(fsid.joined ?? fsid.owner);
  writer.u32(fsid.joined === undefined ? fsid.generation : 0);
  writeFileId(writer, fsid, attributes.id);
  writeTime(writer, attributes.atime);
  writeTime(writer, attributes.mtime);
  writeTime(writer, attributes.ctime);
}

/** fileid3 */
export function writeFileId(writer: ByteWriter, fsid: Fsid | undefined, id: ObjectId): void {
  writer.u32(fsid?.joined === undefined ? 0 : fsid.owner);
  writer.u32(id);
}

/** nfstime3 */
function writeTime(writer: ByteWriter, time: Timestamp): void {
  writer.u32(wireSeconds(time));
  writer.u32(time.nanoseconds);
}

export function readTime(reader: ByteReader): Timestamp {
  const seconds = reader.u32();
  const at = reader.offset;
  const nanoseconds = reader.u32();
  if (nanoseconds > nanosecondsMax) throw new WireError('nfs.time', at, `${nanoseconds} ns in a second`);
  return { seconds, nanoseconds };
}

/** post_op_attr */
export function writePostAttributes(writer: ByteWriter, attributes: FileAttributes | undefined): void {
  writeOptional(writer, attributes, writeFileAttributes);
}

/** wcc_data */
export function writeWcc(writer: ByteWriter, wcc: Wcc): void {
  writeOptional(writer, wcc.before, (_, before) => {
    writeHyper(writer, before.size);
    writeTime(writer, before.mtime);
    writeTime(writer, before.ctime);
  });
  writePostAttributes(writer, wcc.after);
}

/** sattr3. A size that no number holds comes out above `Number.MAX_SAFE_INTEGER`. */
export function readAttributeChange(reader: ByteReader): AttributeChange {
  const mode = readOptional(reader, (from) => from.u32() & permissionBits);
  const uid = readOptional(reader, (from) => from.u32());
  const gid = readOptional(reader, (from) => from.u32());
  const size = readOptional(reader, readHyper);
  const atime = readTimeChange(reader);
  const mtime = readTimeChange(reader);
  return {
    ...(mode !== undefined && { mode }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(size !== undefined && { size }),
    ...(atime !== undefined && { atime }),
    ...(mtime !== undefined && { mtime }),
  };
}

/** set_atime and set_mtime */
function readTimeChange(reader: ByteReader): Timestamp | 'now' | undefined {
  const how = readEnum(reader, ['keep', 'now', 'given'] as const);
  if (how === 'keep') return undefined;
  return how === 'now' ? 'now' : readTime(reader);
}
