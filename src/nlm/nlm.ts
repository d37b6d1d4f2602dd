// The Network Lock Manager protocol, program 100021, versions 1, 3 (32-bit offsets) and 4 (64-bit). X/Open XNFS C702 chapters 10, 11 and 14.
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { readOpaque, readString, writeBool, writeOpaque, writeString } from '../rpc/xdr.ts';

export const nlmProgram = 100_021;

/** Version 2 was never used. 1 and 3 differ in their procedures only. */
export const nlmVersions = [1, 3, 4] as const;
export type NlmVersion = (typeof nlmVersions)[number];

/** Procedure numbers. `_MSG` and `_RES` are the asynchronous calls and results: every one is a call of its own with an empty reply. */
export const nlmProcedures = {
  TEST: 1,
  LOCK: 2,
  CANCEL: 3,
  UNLOCK: 4,
  GRANTED: 5,
  TEST_MSG: 6,
  LOCK_MSG: 7,
  CANCEL_MSG: 8,
  UNLOCK_MSG: 9,
  GRANTED_MSG: 10,
  TEST_RES: 11,
  LOCK_RES: 12,
  CANCEL_RES: 13,
  UNLOCK_RES: 14,
  GRANTED_RES: 15,
  SHARE: 20,
  UNSHARE: 21,
  NM_LOCK: 22,
  FREE_ALL: 23,
} as const;

/** MAXNETOBJ_SZ: cookies, file and owner handles. */
const objectMax = 1024;
/** LM_MAXSTRLEN, and one more for LM_MAXNAMELEN. */
const nameMax = 1025;

/** nlm4_stats. Those from DEADLCK on do not exist in versions 1 and 3. */
const statuses = ['GRANTED', 'DENIED', 'DENIED_NOLOCKS', 'BLOCKED', 'DENIED_GRACE_PERIOD', 'DEADLCK', 'ROFS', 'STALE_FH', 'FBIG', 'FAILED'] as const;
export type NlmStatus = (typeof statuses)[number];
const narrowStatuses = 5;

/** nlm_lock: bytes of a file as a process of a client wants them. All buffers are views of the message. */
export interface WantedLock {
  readonly caller: string;
  readonly handle: Buffer;
  /** `oh`: opaque to the server, repeated in answers. */
  readonly ownerHandle: Buffer;
  /** Identifies the process on its client; unsigned, though declared `int`. */
  readonly svid: number;
  readonly offset: bigint;
  /** 0 is to the end of the file, however far it will be. */
  readonly length: bigint;
}

export interface TestArguments {
  readonly cookie: Buffer;
  readonly exclusive: boolean;
  readonly lock: WantedLock;
}

export interface CancelArguments extends TestArguments {
  readonly block: boolean;
}

export interface LockArguments extends CancelArguments {
  readonly reclaim: boolean;
  /** The NSM state number of the client. */
  readonly state: number;
}

export interface UnlockArguments {
  readonly cookie: Buffer;
  readonly lock: WantedLock;
}

/** fsh_mode and fsh_access, a set of these bits. */
export const shareBits = { read: 1, write: 2 } as const;

export interface ShareArguments {
  readonly cookie: Buffer;
  readonly caller: string;
  readonly handle: Buffer;
  readonly ownerHandle: Buffer;
  /** What others are denied. */
  readonly mode: number;
  readonly access: number;
  readonly reclaim: boolean;
}

/** nlm_notify of FREE_ALL. */
export interface FreeArguments {
  readonly name: string;
  readonly state: number;
}

/** nlm_holder: who is in the way. */
export type Holder = Omit<WantedLock, 'caller' | 'handle'> & { readonly exclusive: boolean };

export interface StatusResult {
  readonly cookie: Buffer;
  readonly status: NlmStatus;
}

export interface TestResult extends StatusResult {
  /** With DENIED. */
  readonly holder?: Holder | undefined;
}

/** The largest offset that versions 1 and 3 are told: their clients keep it in a signed off_t. */
const narrowMax = 0x7fff_ffffn;

function readObject(reader: ByteReader): Buffer {
  return readOpaque(reader, objectMax);
}

/** Any number but 0: not every client of those days had XDR write its booleans. */
function readFlag(reader: ByteReader): boolean {
  return reader.u32() !== 0;
}

function readBytes(reader: ByteReader, version: NlmVersion): Pick<WantedLock, 'offset' | 'length'> {
  if (version === 4) return { offset: reader.u64(), length: reader.u64() };
  return { offset: BigInt(reader.u32()), length: BigInt(reader.u32()) };
}

/** What versions 1 and 3 have no numbers for becomes what contains it: the highest offset, to the end. */
function writeBytes(writer: ByteWriter, version: NlmVersion, { offset, length }: Pick<WantedLock, 'offset' | 'length'>): void {
  if (version === 4) {
    writer.u64(offset);
    writer.u64(length);
    return;
  }
  writer.u32(Number(offset > narrowMax ? narrowMax : offset));
  writer.u32(length > narrowMax || offset + length > narrowMax ? 0 : Number(length));
}

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

function readStatus(reader: ByteReader): NlmStatus {
  const at = reader.offset;
  const status = statuses[reader.u32()];
  if (status === undefined) throw new WireError('nlm.status', at, 'no such status');
  return status;
}

/** As lockd has it, what versions 1 and 3 have no word for is DENIED_NOLOCKS: the client gives up and does not wait. */
function writeStatus(writer: ByteWriter, version: NlmVersion, status: NlmStatus): void {
  const number = statuses.indexOf(status);
  if (version === 4 || number < narrowStatuses) writer.u32(number);
  else writer.u32(statuses.indexOf(status === 'DEADLCK' ? 'DENIED' : 'DENIED_NOLOCKS'));
}

/** nlm_res: of all but TEST and SHARE, and what a client answers to GRANTED. */
export function readStatusResult(reader: ByteReader): StatusResult {
  return { cookie: readObject(reader), status: readStatus(reader) };
}

export function writeStatusResult(writer: ByteWriter, version: NlmVersion, { cookie, status }: StatusResult): void {
  writeOpaque(writer, cookie);
  writeStatus(writer, version, status);
}

export function readTestResult(reader: ByteReader, version: NlmVersion): TestResult {
  const { cookie, status } = readStatusResult(reader);
  if (status !== 'DENIED') return { cookie, status };
  const exclusive = readFlag(reader);
  const svid = reader.u32();
  const ownerHandle = readObject(reader);
  return { cookie, status, holder: { exclusive, svid, ownerHandle, ...readBytes(reader, version) } };
}

/** DENIED comes with its holder; without one it is written as DENIED_NOLOCKS, which has none. */
export function writeTestResult(writer: ByteWriter, version: NlmVersion, { cookie, status, holder }: TestResult): void {
  if (status !== 'DENIED' || holder === undefined) {
    writeStatusResult(writer, version, { cookie, status: status === 'DENIED' ? 'DENIED_NOLOCKS' : status });
    return;
  }
  writeStatusResult(writer, version, { cookie, status });
  writeBool(writer, holder.exclusive);
  writer.u32(holder.svid);
  writeOpaque(writer, holder.ownerHandle);
  writeBytes(writer, version, holder);
}

/** nlm_shareres. Its sequence number means nothing (C702 11.2.8). */
export function readShareResult(reader: ByteReader): StatusResult {
  const result = readStatusResult(reader);
  reader.u32();
  return result;
}

export function writeShareResult(writer: ByteWriter, version: NlmVersion, result: StatusResult): void {
  writeStatusResult(writer, version, result);
  writer.u32(0);
}
