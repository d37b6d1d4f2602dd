// The results of the 22 procedures as version 3 writes them, RFC 1813 3.3: the arm of their union for OK, and the one for everything else.
import type { ByteWriter } from '../../base/bytes.ts';
import { padding, writeBool, writeFixedOpaque, writeHyper, writeList, writeOpaque, writeOptional, writeString } from '../../rpc/xdr.ts';
import { handleBytes } from '../handles.ts';
import type { Stability } from '../operations/arguments.ts';
import type { ListLayout } from '../operations/list.ts';
import type {
  AccessResult,
  ChangeResult,
  CommitResult,
  CreateResult,
  FsinfoResult,
  FsstatResult,
  GetattrResult,
  LinkResult,
  ListedEntry,
  ListResult,
  LookupResult,
  PathconfResult,
  ReadlinkResult,
  ReadResult,
  RenameResult,
  WithAttributes,
  WithWcc,
  WriteResult,
} from '../operations/results.ts';
import { type Failure, statusNumbers } from '../status.ts';
import { attributeBytes, writeFileAttributes, writeFileId, writePostAttributes, writeWcc } from './attributes.ts';

const stableHow: Readonly<Record<Stability, number>> = { unstable: 0, data: 1, file: 2 };

/** A cookie verifier that never changes, because cookies stay good (RFC 1813 3.3.16). */
const cookieVerifier = Buffer.alloc(8);

/** READDIR: attributes, verifier, the end of the list and the end-of-directory flag; and entry3 with what precedes it: fileid, name, cookie. */
export const listLayout: ListLayout = {
  frameBytes: 4 + attributeBytes + 8 + 4 + 4,
  entryBytes: (name) => 4 + 8 + 4 + name.length + padding(name.length) + 8,
  // What entryplus3 adds to entry3: post_op_attr and post_op_fh3.
  objectBytes: 4 + attributeBytes + 4 + 4 + handleBytes,
};

function writeStatus(writer: ByteWriter, status: Failure | 'OK'): void {
  writer.u32(statusNumbers[status]);
}

/** The `dir_attributes` or `obj_attributes` that follow the status in both arms. */
function writeWithAttributes(writer: ByteWriter, result: { readonly status: Failure | 'OK' } & WithAttributes): void {
  writeStatus(writer, result.status);
  writePostAttributes(writer, result.attributes);
}

function writeWithWcc(writer: ByteWriter, result: { readonly status: Failure | 'OK' } & WithWcc): void {
  writeStatus(writer, result.status);
  writeWcc(writer, result.wcc);
}

export function writeGetattr(writer: ByteWriter, result: GetattrResult): void {
  writeStatus(writer, result.status);
  if (result.status === 'OK') writeFileAttributes(writer, result.attributes);
}

export function writeLookup(writer: ByteWriter, result: LookupResult): void {
  writeStatus(writer, result.status);
  if (result.status === 'OK') {
    writeOpaque(writer, result.handle);
    writePostAttributes(writer, result.object);
  }
  writePostAttributes(writer, result.attributes);
}

export function writeAccess(writer: ByteWriter, result: AccessResult): void {
  writeWithAttributes(writer, result);
  if (result.status === 'OK') writer.u32(result.access);
}

export function writeReadlink(writer: ByteWriter, result: ReadlinkResult): void {
  writeWithAttributes(writer, result);
  if (result.status === 'OK') writeString(writer, result.target);
}

/** All but the data, which follows as the body's tail. */
export function writeRead(writer: ByteWriter, result: ReadResult): void {
  writeWithAttributes(writer, result);
  if (result.status !== 'OK') return;
  writer.u32(result.count);
  writeBool(writer, result.endOfFile);
  writer.u32(result.count);
}

export function writeWrite(writer: ByteWriter, result: WriteResult): void {
  writeWithWcc(writer, result);
  if (result.status !== 'OK') return;
  writer.u32(result.count);
  writer.u32(stableHow[result.committed]);
  writeFixedOpaque(writer, result.verifier);
}

export function writeCreate(writer: ByteWriter, result: CreateResult): void {
  writeStatus(writer, result.status);
  if (result.status === 'OK') {
    writeOptional(writer, result.handle, writeOpaque);
    writePostAttributes(writer, result.object);
  }
  writeWcc(writer, result.wcc);
}

export function writeChange(writer: ByteWriter, result: ChangeResult): void {
  writeWithWcc(writer, result);
}

export function writeRename(writer: ByteWriter, result: RenameResult): void {
  writeStatus(writer, result.status);
  writeWcc(writer, result.from);
  writeWcc(writer, result.to);
}

export function writeLink(writer: ByteWriter, result: LinkResult): void {
  writeWithAttributes(writer, result);
  writeWcc(writer, result.wcc);
}

export function writeReaddir(writer: ByteWriter, result: ListResult): void {
  writeListing(writer, result, () => {});
}

export function writeReaddirplus(writer: ByteWriter, result: ListResult): void {
  writeListing(writer, result, (entry) => {
    writePostAttributes(writer, entry.object?.attributes);
    writeOptional(writer, entry.object?.handle, writeOpaque);
  });
}

function writeListing(writer: ByteWriter, result: ListResult, writeMore: (entry: ListedEntry) => void): void {
  writeWithAttributes(writer, result);
  if (result.status !== 'OK') return;
  writeFixedOpaque(writer, cookieVerifier);
  writeList(writer, result.entries, (_, entry) => {
    writeFileId(writer, result.attributes?.fsid, entry.id);
    writeString(writer, entry.name);
    writeHyper(writer, entry.cookie);
    writeMore(entry);
  });
  writeBool(writer, result.endOfDirectory);
}

export function writeFsstat(writer: ByteWriter, result: FsstatResult): void {
  writeWithAttributes(writer, result);
  if (result.status !== 'OK') return;
  const { space } = result;
  writeHyper(writer, space.totalBytes);
  writeHyper(writer, space.freeBytes);
  writeHyper(writer, space.freeBytes); // what a user who is not root may take
  writeHyper(writer, space.totalObjects);
  writeHyper(writer, space.freeObjects);
  writeHyper(writer, space.freeObjects);
  writer.u32(0); // invarsec: this may change at any time
}

export function writeFsinfo(writer: ByteWriter, result: FsinfoResult): void {
  writeWithAttributes(writer, result);
  if (result.status !== 'OK') return;
  const { info } = result;
  writer.u32(info.readMax);
  writer.u32(info.readPreferred);
  writer.u32(info.multiple);
  writer.u32(info.writeMax);
  writer.u32(info.writePreferred);
  writer.u32(info.multiple);
  writer.u32(info.directoryPreferred);
  writeHyper(writer, info.fileSizeMax);
  writer.u32(0); // time_delta: one nanosecond
  writer.u32(1);
  writer.u32(info.properties);
}

export function writePathconf(writer: ByteWriter, result: PathconfResult): void {
  writeWithAttributes(writer, result);
  if (result.status !== 'OK') return;
  writer.u32(result.linkMax);
  writer.u32(result.nameMax);
  writeBool(writer, true); // no_trunc: too long a name is an error
  writeBool(writer, true); // chown_restricted: only root gives files away
  writeBool(writer, false); // case_insensitive
  writeBool(writer, true); // case_preserving
}

export function writeCommit(writer: ByteWriter, result: CommitResult): void {
  writeWithWcc(writer, result);
  if (result.status === 'OK') writeFixedOpaque(writer, result.verifier);
}
