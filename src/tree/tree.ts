// The Tree: one client's view of a served root, as the NFS server asks for it. RFC 1813's model of objects and names, without its bytes.

/**
 * Names an object within one tree: 1..2^32-1, because NFSv2 and 32-bit programs have no room for more.
 * Stable across renames, copy-on-write and restarts; never used again for another object of the same generation.
 */
export type ObjectId = number;

/** One component of a path, each character one byte (latin1), so that any bytes survive. Never empty, `.` or `..`, no `/` or NUL. */
export type Name = string;

export type Kind = 'file' | 'directory' | 'symlink' | 'block' | 'character' | 'fifo' | 'socket';

/** Seconds since the epoch (may be negative) and nanoseconds 0..999,999,999. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface Device {
  readonly major: number;
  readonly minor: number;
}

export interface Attributes {
  readonly id: ObjectId;
  readonly kind: Kind;
  /** Permission, set-id and sticky bits: 0..0o7777. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes; for a symlink the length of its target. */
  readonly size: number;
  /** Bytes on disk, where holes make it less than the size rounded up to blocks; absent otherwise. */
  readonly allocated?: number | undefined;
  readonly device: Device | undefined;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
}

/** What SETATTR and the create calls may set; absent means leave alone. */
export interface AttributeChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  /** `now` is the server's clock. */
  readonly atime?: Timestamp | 'now';
  readonly mtime?: Timestamp | 'now';
}

/** What a new object is to be. Owner and mode arrive in the `AttributeChange` beside it. */
export type NewObject =
  | { readonly kind: 'file' }
  | { readonly kind: 'directory' }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'block' | 'character'; readonly device: Device }
  | { readonly kind: 'fifo' | 'socket' };

export interface DirectoryEntry {
  readonly name: Name;
  readonly id: ObjectId;
  /** Where reading resumes after this entry: at least 3 (1 and 2 are for `.` and `..`), stable while the directory changes. */
  readonly cookie: number;
}

/** Bytes and objects: of the whole tree, and what is still free. */
export interface Space {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly totalObjects: number;
  readonly freeObjects: number;
}

/** Why a tree refused. The names are errno(3)'s; `STALE` means that no such object is left. */
export type TreeErrorCode =
  | 'ACCES'
  | 'BADNAME'
  | 'DQUOT'
  | 'EXIST'
  | 'FBIG'
  | 'INVAL'
  | 'IO'
  | 'ISDIR'
  | 'MLINK'
  | 'NAMETOOLONG'
  | 'NOENT'
  | 'NOSPC'
  | 'NOTDIR'
  | 'NOTEMPTY'
  | 'PERM'
  | 'ROFS'
  | 'STALE'
  | 'XDEV';

export class TreeError extends Error {
  readonly code: TreeErrorCode;

  constructor(code: TreeErrorCode, message: string = code, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TreeError';
    this.code = code;
  }
}

/** A path component's limit in bytes, as on every Linux file system. */
export const nameMax = 255;

/**
 * Calls are synchronous, so each is atomic to every other: no locks. What must reach the disk is waited for apart (`stable`, `commit`).
 * A tree does not check permissions; whoever asks on behalf of a user does (nfs/access.ts).
 * All calls throw `TreeError`; STALE for an id that names nothing.
 */
export interface Tree {
  /** Tells this tree and its history from any other in a file handle; 32 bits. */
  readonly generation: number;
  readonly root: ObjectId;
  attributes(id: ObjectId): Attributes;
  /** NOENT if there is none, NOTDIR if `directory` is not one. */
  lookup(directory: ObjectId, name: Name): ObjectId;
  /** The directory that `directory` is in; the root's is the root. */
  parent(directory: ObjectId): ObjectId;
  /** Entries after `cookie` (0 or 2 = from the start) in cookie order, without `.` and `..`; the caller stops when it has enough. */
  entries(directory: ObjectId, cookie: number): Iterable<DirectoryEntry>;
  /** A symlink's target, one character a byte. INVAL if it is none. */
  readlink(id: ObjectId): string;
  /** Reads up to `target.length` bytes at `offset` into `target`; returns how many. Less only at the end of the file. */
  read(id: ObjectId, offset: number, target: Buffer): number;
  /** Writes all of `bytes` at `offset`, growing the file. Not yet on disk: see `commit`. */
  write(id: ObjectId, offset: number, bytes: Buffer): void;
  /** EXIST if the name is taken. */
  create(directory: ObjectId, name: Name, object: NewObject, change: AttributeChange): ObjectId;
  change(id: ObjectId, change: AttributeChange): void;
  /** A further name for an object that is no directory. */
  link(id: ObjectId, directory: ObjectId, name: Name): void;
  /** Removes a name of anything but a directory (ISDIR). */
  remove(directory: ObjectId, name: Name): void;
  /** Removes an empty directory (NOTEMPTY, NOTDIR). */
  removeDirectory(directory: ObjectId, name: Name): void;
  /** As rename(2): replaces a target of the same kind, does nothing between two names of one object. */
  rename(from: ObjectId, name: Name, to: ObjectId, newName: Name): void;
  space(): Space;
  /** Settles when every change of names and attributes made so far is on disk. */
  stable(): Promise<void>;
  /** Settles when all bytes written to `id` so far are on disk; rejects with IO if that failed. */
  commit(id: ObjectId): Promise<void>;
}
