// The arguments of the 22 procedures, RFC 1813 3.3. Handles and data are views of the call.
import type { ByteReader } from '../../base/bytes.ts';
import { readEnum, readHyper, readOpaque, readOptional, readString } from '../../rpc/xdr.ts';
import type { AttributeChange, Device, Name, Timestamp } from '../../tree/tree.ts';
import { readAttributeChange, readTime } from '../attributes.ts';

/** NFS3_FHSIZE */
const handleMax = 64;
/** NFS3_CREATEVERFSIZE, NFS3_COOKIEVERFSIZE */
const verifierBytes = 8;

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

const stabilities = ['unstable', 'data', 'file'] as const;
export type Stability = (typeof stabilities)[number];

export interface WriteArguments {
  readonly file: FileHandle;
  readonly offset: number;
  readonly count: number;
  readonly stability: Stability;
  readonly data: Buffer;
}

export type CreateHow =
  | { readonly mode: 'unchecked' | 'guarded'; readonly change: AttributeChange }
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

export interface ReaddirplusArguments {
  readonly directory: FileHandle;
  readonly cookie: number;
  /** Bytes that names, ids and cookies may have. */
  readonly directoryCount: number;
  /** Bytes that the whole result may have. */
  readonly count: number;
}

export interface CommitArguments {
  readonly file: FileHandle;
}

export function readHandle(reader: ByteReader): FileHandle {
  return readOpaque(reader, handleMax);
}

/** Names and paths are as long as they like here; what is too long is NAMETOOLONG, not garbage. */
export function readNameAt(reader: ByteReader): NameAt {
  return { directory: readHandle(reader), name: readString(reader, reader.left) };
}

export function readSetattr(reader: ByteReader): SetattrArguments {
  return { object: readHandle(reader), change: readAttributeChange(reader), guard: readOptional(reader, readTime) };
}

export function readAccess(reader: ByteReader): AccessArguments {
  return { object: readHandle(reader), access: reader.u32() };
}

export function readRead(reader: ByteReader): ReadArguments {
  return { file: readHandle(reader), offset: readHyper(reader), count: reader.u32() };
}

export function readWrite(reader: ByteReader): WriteArguments {
  return {
    file: readHandle(reader),
    offset: readHyper(reader),
    count: reader.u32(),
    stability: readEnum(reader, stabilities),
    data: readOpaque(reader, reader.left),
  };
}

export function readCreate(reader: ByteReader): CreateArguments {
  const at = readNameAt(reader);
  const mode = readEnum(reader, ['unchecked', 'guarded', 'exclusive'] as const);
  const how: CreateHow = mode === 'exclusive' ? { mode, verifier: reader.take(verifierBytes) } : { mode, change: readAttributeChange(reader) };
  return { ...at, how };
}

export function readMkdir(reader: ByteReader): MkdirArguments {
  return { ...readNameAt(reader), change: readAttributeChange(reader) };
}

export function readSymlink(reader: ByteReader): SymlinkArguments {
  return { ...readNameAt(reader), change: readAttributeChange(reader), target: readString(reader, reader.left) };
}

export function readMknod(reader: ByteReader): MknodArguments {
  return { ...readNameAt(reader), what: readMknodWhat(reader) };
}

function readMknodWhat(reader: ByteReader): MknodWhat {
  // ftype3: 0 is none; file, directory and symlink have procedures of their own
  const kind = readEnum(reader, ['other', 'other', 'other', 'block', 'character', 'other', 'socket', 'fifo'] as const);
  if (kind === 'other') return { kind };
  const change = readAttributeChange(reader);
  return kind === 'block' || kind === 'character' ? { kind, change, device: { major: reader.u32(), minor: reader.u32() } } : { kind, change };
}

export function readRename(reader: ByteReader): RenameArguments {
  return { from: readNameAt(reader), to: readNameAt(reader) };
}

export function readLink(reader: ByteReader): LinkArguments {
  return { file: readHandle(reader), link: readNameAt(reader) };
}

export function readReaddir(reader: ByteReader): ReaddirArguments {
  const directory = readHandle(reader);
  const cookie = readHyper(reader);
  reader.skip(verifierBytes); // always the one zero that we gave: cookies stay good while a directory changes
  return { directory, cookie, count: reader.u32() };
}

export function readReaddirplus(reader: ByteReader): ReaddirplusArguments {
  const directory = readHandle(reader);
  const cookie = readHyper(reader);
  reader.skip(verifierBytes);
  return { directory, cookie, directoryCount: reader.u32(), count: reader.u32() };
}

export function readCommit(reader: ByteReader): CommitArguments {
  const file = readHandle(reader);
  readHyper(reader); // offset and count of what is to be committed: all of it is
  reader.u32();
  return { file };
}
