// The results of the procedures of version 2, RFC 1094 2.2 and 2.3: those of version 3 with less in them.
import type { ByteWriter } from '../../base/bytes.ts';
import { padding, writeBool, writeFixedOpaque, writeList, writeString } from '../../rpc/xdr.ts';
import type { Space } from '../../tree/tree.ts';
import type { FileAttributes } from '../attributes.ts';
import type { ListLayout } from '../operations/list.ts';
import type {
  ChangeResult,
  CreateResult,
  FsstatResult,
  GetattrResult,
  ListResult,
  LookupResult,
  ReadlinkResult,
  ReadResult,
  WriteResult,
} from '../operations/results.ts';
import { type Failure, type Outcome, statusNumbers } from '../status.ts';
import { transferMax } from './arguments.ts';
import { writeFileAttributes } from './attributes.ts';
import { filledHandle } from './handle.ts';
import { status2 } from './status.ts';

/** MAXPATHLEN */
const pathMax = 1024;

/** What file systems and clients call a block at least, and the most blocks that a signed word counts. */
const blockBytesMin = 4096;
const blocksMax = 0x7fff_ffff;

/** READDIR: status, the end of the list and eof; and an entry with what precedes it: fileid, name, cookie. */
export const listLayout: ListLayout = {
  frameBytes: 4 + 4 + 4,
  entryBytes: (name) => 4 + 4 + 4 + name.length + padding(name.length) + 4,
  objectBytes: 0,
};

type Status = Outcome<unknown>;

/** `stat`, all that many procedures tell. */
export function writeStatus(writer: ByteWriter, result: Status): void {
  writer.u32(result.status === 'OK' ? statusNumbers.OK : status2(result.status));
}

function writeFailure(writer: ByteWriter, status: Failure): void {
  writer.u32(status2(status));
}

/** attrstat. An object that went away in the moment after it was changed has no attributes any more. */
function writeAttributes(writer: ByteWriter, attributes: FileAttributes | undefined): void {
  if (attributes === undefined) writeFailure(writer, 'STALE');
  else {
    writer.u32(statusNumbers.OK);
    writeFileAttributes(writer, attributes);
  }
}

export function writeGetattr(writer: ByteWriter, result: GetattrResult | ReadResult): void {
  if (result.status === 'OK') writeAttributes(writer, result.attributes);
  else writeFailure(writer, result.status);
}

/** SETATTR and WRITE tell the attributes afterwards. */
export function writeChanged(writer: ByteWriter, result: ChangeResult | WriteResult): void {
  if (result.status === 'OK') writeAttributes(writer, result.wcc.after);
  else writeFailure(writer, result.status);
}

/** diropres, of LOOKUP, CREATE and MKDIR. */
export function writeFound(writer: ByteWriter, result: LookupResult | CreateResult): void {
  writeStatus(writer, result);
  if (result.status !== 'OK') return;
  writeFixedOpaque(writer, filledHandle(result.handle));
  writeFileAttributes(writer, result.object);
}

/** A target that is too long is none: half of it would be another. */
export function writeReadlink(writer: ByteWriter, result: ReadlinkResult): void {
  if (result.status !== 'OK') writeFailure(writer, result.status);
  else if (result.target.length > pathMax) writeFailure(writer, 'NAMETOOLONG');
  else {
    writer.u32(statusNumbers.OK);
    writeString(writer, result.target);
  }
}

/** All but the data, which follows as the body's tail. */
export function writeRead(writer: ByteWriter, result: ReadResult): void {
  writeGetattr(writer, result);
  if (result.status === 'OK') writer.u32(result.count);
}

export function writeReaddir(writer: ByteWriter, result: ListResult): void {
  writeStatus(writer, result);
  if (result.status !== 'OK') return;
  writeList(writer, result.entries, (_, { id, name, cookie }) => {
    writer.u32(id);
    writeString(writer, name);
    writer.u32(cookie);
  });
  writeBool(writer, result.endOfDirectory);
}

export function writeStatfs(writer: ByteWriter, result: FsstatResult): void {
  writeStatus(writer, result);
  if (result.status !== 'OK') return;
  const { space } = result;
  const bytes = blockBytes(space);
  writer.u32(transferMax);
  writer.u32(bytes);
  writer.u32(Math.floor(space.totalBytes / bytes));
  writer.u32(Math.floor(space.freeBytes / bytes));
  writer.u32(Math.floor(space.freeBytes / bytes)); // what a user who is not root may take
}

/** As large as it must be for the number of blocks to fit. */
function blockBytes({ totalBytes }: Space): number {
  let bytes = blockBytesMin;
  while (totalBytes / bytes > blocksMax) bytes *= 2;
  return bytes;
}
