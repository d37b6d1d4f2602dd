// What the operations give: the results of NFS version 3 (RFC 1813 3.3), of which version 2 says less.
import type { Name, ObjectId, Space } from '../../tree/tree.ts';
import type { FileAttributes, Wcc } from '../attributes.ts';
import type { Outcome } from '../status.ts';
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
/** `data` is padded to a multiple of four; `count` bytes of it are the file's. `sent` wants to know when it is not needed any more. */
interface ReadData {
  readonly count: number;
  readonly endOfFile: boolean;
  readonly data: Buffer;
  readonly sent?: () => void;
}
export type ReadResult = Outcome<WithAttributes & ReadData, WithAttributes>;
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
