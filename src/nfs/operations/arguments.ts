// What the operations take: the arguments of NFS version 3 (RFC 1813 3.3), into which those of version 2 fit. Handles and data are views of the call.
import type { AttributeChange, Device, Name, Timestamp } from '../../tree/tree.ts';

/** As the server made it: without the fill of version 2. */
export type FileHandle = Buffer;

/** diropargs3 */
export interface NameAt {
  readonly directory: FileHandle;
  readonly name: Name;
}

export interface SetattrArguments {
  readonly object: FileHandle;
  readonly change: AttributeChange;
  /** Do it only if the object's ctime is this. */
  readonly guard: Timestamp | undefined;
}

export interface AccessArguments {
  readonly object: FileHandle;
  readonly access: number;
}

export interface ReadArguments {
  readonly file: FileHandle;
  readonly offset: number;
  readonly count: number;
}

/** stable_how, in the order of its numbers. */
export const stabilities = ['unstable', 'data', 'file'] as const;
export type Stability = (typeof stabilities)[number];

export interface WriteArguments {
  readonly file: FileHandle;
  readonly offset: number;
  readonly count: number;
  readonly stability: Stability;
  readonly data: Buffer;
}

/** `opensSpecial`: a device, FIFO or socket of that name is opened for writing; else it is EXIST, as everything that is no file. */
export type CreateHow =
  | { readonly mode: 'unchecked' | 'guarded'; readonly change: AttributeChange; readonly opensSpecial: boolean }
  | { readonly mode: 'exclusive'; readonly verifier: Buffer };

export interface CreateArguments extends NameAt {
  readonly how: CreateHow;
}

export interface MkdirArguments extends NameAt {
  readonly change: AttributeChange;
}

export interface SymlinkArguments extends NameAt {
  readonly change: AttributeChange;
  readonly target: string;
}

export type MknodWhat =
  | { readonly kind: 'block' | 'character'; readonly change: AttributeChange; readonly device: Device }
  | { readonly kind: 'socket' | 'fifo'; readonly change: AttributeChange }
  | { readonly kind: 'other' };

export interface MknodArguments extends NameAt {
  readonly what: MknodWhat;
}

export interface RenameArguments {
  readonly from: NameAt;
  readonly to: NameAt;
}

export interface LinkArguments {
  readonly file: FileHandle;
  readonly link: NameAt;
}

export interface ReaddirArguments {
  readonly directory: FileHandle;
  readonly cookie: number;
  /** Bytes that the whole result may have. */
  readonly count: number;
}

export interface ReaddirplusArguments extends ReaddirArguments {
  /** Bytes that names, ids and cookies may have. */
  readonly directoryCount: number;
}

export interface CommitArguments {
  readonly file: FileHandle;
}
