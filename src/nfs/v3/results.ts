// The results of the 22 procedures, RFC 1813 3.3: the arm of their union for OK, and the one for everything else.
import type { ByteWriter } from '../../base/bytes.ts';
import { padding, writeBool, writeFixedOpaque, writeHyper, writeOpaque, writeOptional, writeString } from '../../rpc/xdr.ts';
import type { Name, ObjectId, Space } from '../../tree/tree.ts';
import { attributeBytes, type FileAttributes, type Wcc, writeFileAttributes, writePostAttributes, writeWcc } from '../attributes.ts';
import { handleBytes } from '../handles.ts';
import { type Failure, type Outcome, statusNumbers } from '../status.ts';
import type { FileHandle, Stability } from './arguments.ts';

/** post_op_attr of the object asked about, absent if it could not be found. */
export interface WithAttributes {
  readonly attributes: FileAttributes | undefined;
}

/** wcc_data of the object that was to be changed. */
export interface WithWcc {
  readonly wcc: Wcc;
}

export type GetattrResult = Outcome<{ readonly attributes: FileAttributes }>;
export type LookupResult = Outcome<WithAttributes & { readonly handle: FileHandle; readonly object: FileAttributes }, WithAttributes>;
export type AccessResult = Outcome<WithAttributes & { readonly access: number }, WithAttributes>;
export type ReadlinkResult = Outcome<WithAttributes & { readonly target: string }, WithAttributes>;
/** `data` is padded to a multiple of four; `count` bytes of it are the file's. */
export type ReadResult = Outcome<WithAttributes & { readonly count: number; readonly endOfFile: boolean; readonly data: Buffer }, WithAttributes>;
export type WriteResult = Outcome<WithWcc & { readonly count: number; readonly committed: Stability; readonly verifier: Buffer }, WithWcc>;
/** CREATE, MKDIR, SYMLINK, MKNOD; the wcc is the directory's. */
export type CreateResult = Outcome<WithWcc & { readonly handle: FileHandle; readonly object: FileAttributes }, WithWcc>;
/** SETATTR of the object, REMOVE and RMDIR of the directory. */
export type ChangeResult = Outcome<WithWcc, WithWcc>;
interface RenameWcc {
  readonly from: Wcc;
  readonly to: Wcc;
}
export type RenameResult = Outcome<RenameWcc, RenameWcc>;
export type LinkResult = Outcome<WithAttributes & WithWcc, WithAttributes & WithWcc>;
export type ListResult = Outcome<WithAttributes & { readonly entries: readonly ListedEntry[]; readonly endOfDirectory: boolean }, WithAttributes>;
export type FsstatResult = Outcome<WithAttributes & { readonly space: Space }, WithAttributes>;
export type FsinfoResult = Outcome<WithAttributes & { readonly info: ServerInfo }, WithAttributes>;
export type PathconfResult = Outcome<WithAttributes & { readonly linkMax: number; readonly nameMax: number }, WithAttributes>;
export type CommitResult = Outcome<WithWcc & { readonly verifier: Buffer }, WithWcc>;

export interface ListedEntry {
  readonly name: Name;
  readonly id: ObjectId;
  readonly cookie: number;
  /** What READDIRPLUS adds. */
  readonly object: { readonly attributes: FileAttributes; readonly handle: FileHandle } | undefined;
}

/** Of FSINFO; sizes in bytes. */
export interface ServerInfo {
  readonly readMax: number;
  readonly readPreferred: number;
  readonly writeMax: number;
  readonly writePreferred: number;
  readonly multiple: number;
  readonly directoryPreferred: number;
  readonly fileSizeMax: number;
  readonly properties: number;
}

const stableHow: Readonly<Record<Stability, number>> = { unstable: 0, data: 1, file: 2 };

/** A cookie verifier that never changes, because cookies stay good (RFC 1813 3.3.16). */
const cookieVerifier = Buffer.alloc(8);

/** What a listing takes beside its entries: attributes, verifier, the end of the list and the end-of-directory flag. */
export const listBytes = 4 + attributeBytes + 8 + 4 + 4;

/** entry3: what precedes it, fileid, name, cookie. */
export function entryBytes(name: Name): number {
  return 4 + 8 + 4 + name.length + padding(name.length) + 8;
}

/** What entryplus3 adds to entry3: post_op_attr and post_op_fh3. */
export const entryObjectBytes = 4 + attributeBytes + 4 + 4 + handleBytes;

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
  writeList(writer, result, () => {});
}

export function writeReaddirplus(writer: ByteWriter, result: ListResult): void {
  writeList(writer, result, (entry) => {
    writePostAttributes(writer, entry.object?.attributes);
    writeOptional(writer, entry.object?.handle, writeOpaque);
  });
}

function writeList(writer: ByteWriter, result: ListResult, writeMore: (entry: ListedEntry) => void): void {
  writeWithAttributes(writer, result);
  if (result.status !== 'OK') return;
  writeFixedOpaque(writer, cookieVerifier);
  for (const entry of result.entries) {
    writeBool(writer, true);
    writeHyper(writer, entry.id);
    writeString(writer, entry.name);
    writeHyper(writer, entry.cookie);
    writeMore(entry);
  }
  writeBool(writer, false);
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
