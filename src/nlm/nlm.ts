// The Network Lock Manager protocol, its numbers, values and smallest parts: program 100021, versions 1, 3 (32-bit offsets) and 4 (64-bit). X/Open XNFS C702 chapters 10, 11 and 14.
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import { readOpaque } from '../rpc/xdr.ts';

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
export const nameMax = 1025;

/** nlm4_stats. Those from DEADLCK on do not exist in versions 1 and 3. */
export const statuses = ['GRANTED', 'DENIED', 'DENIED_NOLOCKS', 'BLOCKED', 'DENIED_GRACE_PERIOD', 'DEADLCK', 'ROFS', 'STALE_FH', 'FBIG', 'FAILED'] as const;
export type NlmStatus = (typeof statuses)[number];
/** How many of them versions 1 and 3 have. */
export const narrowStatuses = 5;

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

export function readObject(reader: ByteReader): Buffer {
  return readOpaque(reader, objectMax);
}

/** Any number but 0: not every client of those days had XDR write its booleans. */
export function readFlag(reader: ByteReader): boolean {
  return reader.u32() !== 0;
}

export function readBytes(reader: ByteReader, version: NlmVersion): Pick<WantedLock, 'offset' | 'length'> {
  if (version === 4) return { offset: reader.u64(), length: reader.u64() };
  return { offset: BigInt(reader.u32()), length: BigInt(reader.u32()) };
}

/** What versions 1 and 3 have no numbers for becomes what contains it: the highest offset, to the end. */
export function writeBytes(writer: ByteWriter, version: NlmVersion, { offset, length }: Pick<WantedLock, 'offset' | 'length'>): void {
  if (version === 4) {
    writer.u64(offset);
    writer.u64(length);
    return;
  }
  writer.u32(Number(offset > narrowMax ? narrowMax : offset));
  writer.u32(length > narrowMax || offset + length > narrowMax ? 0 : Number(length));
}
