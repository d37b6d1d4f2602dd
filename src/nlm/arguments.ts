// The arguments of NLM's procedures, as they are on the wire. C702 chapters 10, 11 and 14.
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { readString, writeBool, writeOpaque, writeString } from '../rpc/xdr.ts';
import {
  type CancelArguments,
  type FreeArguments,
  type LockArguments,
  type NlmVersion,
  nameMax,
  readBytes,
  readFlag,
  readObject,
  type ShareArguments,
  shareBits,
  type TestArguments,
  type UnlockArguments,
  type WantedLock,
  writeBytes,
} from './nlm.ts';

function readLock(reader: ByteReader, version: NlmVersion): WantedLock {
  const caller = readString(reader, nameMax);
  const handle = readObject(reader);
  const ownerHandle = readObject(reader);
  const svid = reader.u32();
  return { caller, handle, ownerHandle, svid, ...readBytes(reader, version) };
}

function writeLock(writer: ByteWriter, version: NlmVersion, lock: WantedLock): void {
  writeString(writer, lock.caller);
  writeOpaque(writer, lock.handle);
  writeOpaque(writer, lock.ownerHandle);
  writer.u32(lock.svid);
  writeBytes(writer, version, lock);
}

/** nlm_testargs: of TEST, and of GRANTED. */
export function readTestArguments(reader: ByteReader, version: NlmVersion): TestArguments {
  return { cookie: readObject(reader), exclusive: readFlag(reader), lock: readLock(reader, version) };
}

export function writeTestArguments(writer: ByteWriter, version: NlmVersion, args: TestArguments): void {
  writeOpaque(writer, args.cookie);
  writeBool(writer, args.exclusive);
  writeLock(writer, version, args.lock);
}

export function readCancelArguments(reader: ByteReader, version: NlmVersion): CancelArguments {
  return { cookie: readObject(reader), block: readFlag(reader), exclusive: readFlag(reader), lock: readLock(reader, version) };
}

export function writeCancelArguments(writer: ByteWriter, version: NlmVersion, args: CancelArguments): void {
  writeOpaque(writer, args.cookie);
  writeBool(writer, args.block);
  writeBool(writer, args.exclusive);
  writeLock(writer, version, args.lock);
}

export function readLockArguments(reader: ByteReader, version: NlmVersion): LockArguments {
  return { ...readCancelArguments(reader, version), reclaim: readFlag(reader), state: reader.u32() };
}

export function writeLockArguments(writer: ByteWriter, version: NlmVersion, args: LockArguments): void {
  writeCancelArguments(writer, version, args);
  writeBool(writer, args.reclaim);
  writer.u32(args.state);
}

export function readUnlockArguments(reader: ByteReader, version: NlmVersion): UnlockArguments {
  return { cookie: readObject(reader), lock: readLock(reader, version) };
}

export function writeUnlockArguments(writer: ByteWriter, version: NlmVersion, args: UnlockArguments): void {
  writeOpaque(writer, args.cookie);
  writeLock(writer, version, args.lock);
}

export function readShareArguments(reader: ByteReader): ShareArguments {
  const cookie = readObject(reader);
  const caller = readString(reader, nameMax);
  const handle = readObject(reader);
  const ownerHandle = readObject(reader);
  return { cookie, caller, handle, ownerHandle, mode: readShareBits(reader), access: readShareBits(reader), reclaim: readFlag(reader) };
}

function readShareBits(reader: ByteReader): number {
  const at = reader.offset;
  const bits = reader.u32();
  if (bits > (shareBits.read | shareBits.write)) throw new WireError('nlm.share', at, `${bits} is no share mode`);
  return bits;
}

export function writeShareArguments(writer: ByteWriter, args: ShareArguments): void {
  writeOpaque(writer, args.cookie);
  writeString(writer, args.caller);
  writeOpaque(writer, args.handle);
  writeOpaque(writer, args.ownerHandle);
  writer.u32(args.mode);
  writer.u32(args.access);
  writeBool(writer, args.reclaim);
}

export function readFreeArguments(reader: ByteReader): FreeArguments {
  return { name: readString(reader, nameMax), state: reader.u32() };
}

export function writeFreeArguments(writer: ByteWriter, { name, state }: FreeArguments): void {
  writeString(writer, name);
  writer.u32(state);
}
