// The arguments of the 22 procedures as version 3 writes them, RFC 1813 3.3.
import type { ByteReader } from '../../base/bytes.ts';
import { readEnum, readHyper, readOpaque, readOptional, readString } from '../../rpc/xdr.ts';
import {
  type AccessArguments,
  type CommitArguments,
  type CreateArguments,
  type CreateHow,
  type FileHandle,
  type LinkArguments,
  type MkdirArguments,
  type MknodArguments,
  type MknodWhat,
  type NameAt,
  type ReadArguments,
  type ReaddirArguments,
  type ReaddirplusArguments,
  type RenameArguments,
  type SetattrArguments,
  type SymlinkArguments,
  stabilities,
  type WriteArguments,
} from '../operations/arguments.ts';
import { readAttributeChange, readTime } from './attributes.ts';

/** NFS3_FHSIZE */
const handleMax = 64;
/** NFS3_CREATEVERFSIZE, NFS3_COOKIEVERFSIZE */
const verifierBytes = 8;

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
  const how: CreateHow =
    mode === 'exclusive' ? { mode, verifier: reader.take(verifierBytes) } : { mode, change: readAttributeChange(reader), opensSpecial: false };
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
