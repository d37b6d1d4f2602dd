// What locking speaks of: files, owners, who wants which bytes, who waits, what was granted. C702 11.2.
import type { Ipv4 } from '../base/addresses.ts';
import { conflict, type HeldRange, type Range, sameRange } from './ranges.ts';

/** Names a file: the same for every client that sees the same file, different for every other file there ever is. */
export type FileIdentity = string;

/** A process of a client. */
export interface LockOwner {
  readonly client: Ipv4;
  /**
   * Protocol version and transport. A Linux client counts its processes per server, version and transport, so that the same number in two
   * mounts is not the same process.
   */
  readonly via: string;
  readonly svid: number;
}

export interface Wanted extends Range {
  readonly file: FileIdentity;
  readonly owner: LockOwner;
  readonly exclusive: boolean;
  /** Returned to others who ask what is in their way. Kept: no view of a message. */
  readonly ownerHandle: Buffer;
  /** The NSM state of the client. */
  readonly state: number;
}

/** A request that waits. `Callback` is what it takes to tell its client. */
export interface Waiter<Callback> extends Wanted {
  readonly callback: Callback;
}

/** A waiter that has been given its lock, and has not been told yet. */
export interface Grant<Callback> {
  readonly waiter: Waiter<Callback>;
  /** What the owner held of these bytes before: it gets it back if it does not want the lock any more. */
  readonly before: readonly HeldRange[];
}

/** What is in the way of a request. */
export interface Conflict extends HeldRange {
  readonly svid: number;
  readonly ownerHandle: Buffer;
}

export interface LockLimits {
  /** Ranges that one client may hold. */
  readonly perClient: number;
  /** Ranges of all clients. */
  readonly inAll: number;
  /** Requests of one client that may wait. */
  readonly waitingPerClient: number;
  readonly waitingInAll: number;
}

/** A range with its owner costs about 400 bytes, and up to 1 KiB more if a client sends owner handles of that size. */
export const defaultLockLimits: LockLimits = { perClient: 8192, inAll: 65_536, waitingPerClient: 1024, waitingInAll: 16_384 };

/** `full`: a limit is reached. */
export type LockOutcome = 'granted' | 'denied' | 'blocked' | 'full';

/** Of the owner, as a key. */
export function keyOf({ client, via, svid }: LockOwner): string {
  return `${client} ${via} ${svid}`;
}

/** Whether these are one request, sent twice. */
export function sameRequest(one: Wanted, other: Wanted): boolean {
  return one.exclusive === other.exclusive && sameRange(one, other) && keyOf(one.owner) === keyOf(other.owner);
}

/** What one owner holds of a file. */
export interface OwnerLocks {
  readonly owner: LockOwner;
  readonly ownerHandle: Buffer;
  readonly state: number;
  readonly held: readonly HeldRange[];
}

/** What of an owner other than the one who wants it is in the way. */
export function obstacle(owners: ReadonlyMap<string, OwnerLocks>, wanted: Wanted): Conflict | undefined {
  const own = keyOf(wanted.owner);
  for (const [key, { owner, ownerHandle, held }] of owners) {
    if (key === own) continue;
    const range = conflict(held, wanted, wanted.exclusive);
    if (range !== undefined) return { ...range, svid: owner.svid, ownerHandle };
  }
  return undefined;
}
