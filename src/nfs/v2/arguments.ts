// The arguments of the procedures of version 2, RFC 1094 2.2, as those of version 3.
import type { ByteReader } from '../../base/bytes.ts';
import { readFixedOpaque, readOpaque, readString } from '../../rpc/xdr.ts';
import type {
  FileHandle,
  LinkArguments,
  MkdirArguments,
  NameAt,
  ReadArguments,
  ReaddirArguments,
  RenameArguments,
  SetattrArguments,
  SymlinkArguments,
  WriteArguments,
} from '../operations/arguments.ts';
import { type NewAttributes, readNewAttributes } from './attributes.ts';
import { bareHandle, filledBytes } from './handle.ts';

/** NFS_MAXDATA */
export const transferMax = 8192;

export function readHandle(reader: ByteReader): FileHandle {
  return bareHandle(readFixedOpaque(reader, filledBytes));
}

/** diropargs. Names and paths are as long as they like here; what is too long is NAMETOOLONG, not garbage. */
export function readNameAt(reader: ByteReader): NameAt {
  return { directory: readHandle(reader), name: readString(reader, reader.left) };
}

export function readSetattr(reader: ByteReader): SetattrArguments {
  return { object: readHandle(reader), change: readNewAttributes(reader).change, guard: undefined };
}

export function readRead(reader: ByteReader): ReadArguments {
  const args = { file: readHandle(reader), offset: reader.u32(), count: reader.u32() };
  reader.u32(); // totalcount: "unused, removed in the next version"
  return args;
}

/** Written to the disk before it is answered (2.2.9). */
export function readWrite(reader: ByteReader): WriteArguments {
  const file = readHandle(reader);
  reader.u32(); // beginoffset, as totalcount
  const offset = reader.u32();
  reader.u32();
  const data = readOpaque(reader, transferMax);
  return { file, offset, count: data.length, stability: 'file', data };
}

export interface Create2Arguments extends NameAt {
  readonly attributes: NewAttributes;
}

export function readCreate(reader: ByteReader): Create2Arguments {
  return { ...readNameAt(reader), attributes: readNewAttributes(reader) };
}

export function readMkdir(reader: ByteReader): MkdirArguments {
  return { ...readNameAt(reader), change: readNewAttributes(reader).change };
}

export function readSymlink(reader: ByteReader): SymlinkArguments {
  return { ...readNameAt(reader), target: readString(reader, reader.left), change: readNewAttributes(reader).change };
}

export function readRename(reader: ByteReader): RenameArguments {
  return { from: readNameAt(reader), to: readNameAt(reader) };
}

export function readLink(reader: ByteReader): LinkArguments {
  return { file: readHandle(reader), link: readNameAt(reader) };
}

export function readReaddir(reader: ByteReader): ReaddirArguments {
  return { directory: readHandle(reader), cookie: reader.u32(), count: reader.u32() };
}
