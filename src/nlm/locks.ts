// Who holds which bytes of which file, and who waits for them. C702 11.2, with the semantics of fcntl(2). No I/O, no clock.
import type { Ipv4 } from '../base/addresses.ts';
import { conflict, type HeldRange, overlap, type Range, sameRange, within, withRange } from './ranges.ts';

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

interface OwnerLocks {
  readonly owner: LockOwner;
  readonly ownerHandle: Buffer;
  readonly state: number;
  readonly held: readonly HeldRange[];
}

interface FileLocks<Callback> {
  readonly owners: Map<string, OwnerLocks>;
  /** First come, first served, as far as what is held allows. */
  waiting: Waiter<Callback>[];
  grants: Grant<Callback>[];
}

interface Usage {
  held: number;
  waiting: number;
}

/** `full`: a limit is reached. */
export type LockOutcome = 'granted' | 'denied' | 'blocked' | 'full';

/** Every call that may make room returns the grants that follow from it; the caller tells their clients. */
export class LockTable<Callback> {
  private readonly limits: LockLimits;
  private readonly files = new Map<FileIdentity, FileLocks<Callback>>();
  private readonly usage = new Map<Ipv4, Usage>();
  private held = 0;
  private waiting = 0;

  constructor(limits: LockLimits = defaultLockLimits) {
    this.limits = limits;
  }

  /** Ranges that `client` holds, and requests of it that wait. */
  used(client: Ipv4): Readonly<Usage> {
    return this.usage.get(client) ?? { held: 0, waiting: 0 };
  }

  /** Who holds something, or waits for it. */
  clients(): Iterable<Ipv4> {
    return this.usage.keys();
  }

  /** What of another owner is in the way, or undefined. */
  test(wanted: Wanted): Conflict | undefined {
    const file = this.files.get(wanted.file);
    return file === undefined ? undefined : obstacle(file, wanted);
  }

  /** Sets the range; with `callback` it waits if it cannot. A request that waits already, or was just granted, is the same request. */
  lock(wanted: Wanted, callback?: Callback): { readonly outcome: LockOutcome; readonly grants: readonly Grant<Callback>[] } {
    const file = this.files.get(wanted.file) ?? { owners: new Map(), waiting: [], grants: [] };
    this.files.set(wanted.file, file);
    this.settleOverlapping(file, wanted);
    const outcome = this.tryLock(file, wanted, callback);
    // An exclusive range that becomes shared makes room too.
    const grants = outcome === 'granted' ? this.grantWaiting(file) : [];
    this.forgetIfEmpty(wanted.file, file);
    return { outcome, grants };
  }

  private tryLock(file: FileLocks<Callback>, wanted: Wanted, callback: Callback | undefined): LockOutcome {
    const known = file.waiting.find((waiter) => sameRequest(waiter, wanted));
    if (obstacle(file, wanted) !== undefined) {
      if (callback === undefined) {
        if (known !== undefined) this.dropWaiters(file, (waiter) => waiter === known);
        return 'denied';
      }
      const waiter = { ...wanted, callback };
      if (known !== undefined) file.waiting = file.waiting.map((other) => (other === known ? waiter : other));
      else {
        const { waiting } = this.used(wanted.owner.client);
        if (waiting >= this.limits.waitingPerClient || this.waiting >= this.limits.waitingInAll) return 'full';
        file.waiting.push(waiter);
        this.count(wanted.owner.client, { waiting: 1 });
      }
      return 'blocked';
    }
    if (!this.set(file, wanted, wanted.exclusive ? 'exclusive' : 'shared')) return 'full';
    if (known !== undefined) this.dropWaiters(file, (waiter) => waiter === known);
    return 'granted';
  }

  /** Clears the range; `full` if that would split ranges beyond the limit. */
  unlock(wanted: Wanted): { readonly outcome: 'granted' | 'full'; readonly grants: readonly Grant<Callback>[] } {
    const file = this.files.get(wanted.file);
    if (file === undefined) return { outcome: 'granted', grants: [] };
    this.settleOverlapping(file, wanted);
    if (!this.set(file, wanted, undefined)) return { outcome: 'full', grants: [] };
    const grants = this.grantWaiting(file);
    this.forgetIfEmpty(wanted.file, file);
    return { outcome: 'granted', grants };
  }

  /** Whether there was such a request that waits, or was granted and not told yet. */
  cancel(wanted: Wanted): { readonly found: boolean; readonly grants: readonly Grant<Callback>[] } {
    const file = this.files.get(wanted.file);
    if (file === undefined) return { found: false, grants: [] };
    const grant = file.grants.find(({ waiter }) => sameRequest(waiter, wanted));
    if (grant !== undefined) return { found: true, grants: this.withdraw(grant) };
    const found = this.dropWaiters(file, (waiter) => sameRequest(waiter, wanted)) > 0;
    this.forgetIfEmpty(wanted.file, file);
    return { found, grants: [] };
  }

  /** Whether the client of a grant has yet to hear of it. */
  isPending(grant: Grant<Callback>): boolean {
    return this.files.get(grant.waiter.file)?.grants.includes(grant) ?? false;
  }

  /** The client has taken its lock. */
  settle(grant: Grant<Callback>): void {
    const file = this.files.get(grant.waiter.file);
    if (file !== undefined) file.grants = file.grants.filter((other) => other !== grant);
  }

  /** The client does not want its lock any more: all is as it was before the grant. Nothing if the grant is settled. */
  withdraw(grant: Grant<Callback>): readonly Grant<Callback>[] {
    const { waiter, before } = grant;
    const file = this.files.get(waiter.file);
    if (file === undefined || !file.grants.includes(grant)) return [];
    this.settle(grant);
    this.put(file, waiter, undefined, before);
    const grants = this.grantWaiting(file);
    this.forgetIfEmpty(waiter.file, file);
    return grants;
  }

  /** Drops what waits of a client. */
  abandon(client: Ipv4): void {
    for (const [identity, file] of this.files) {
      this.dropWaiters(file, (waiter) => waiter.owner.client === client);
      this.forgetIfEmpty(identity, file);
    }
  }

  /** Frees and drops everything of a client but what it asked for in NSM state `except`: it has come back in that state since. */
  free(client: Ipv4, except?: number): { readonly freed: number; readonly grants: readonly Grant<Callback>[] } {
    const leaves = (one: { readonly owner: LockOwner; readonly state: number }) => one.owner.client === client && (one.state === 0 || one.state !== except);
    if (!this.usage.has(client)) return { freed: 0, grants: [] };
    const grants: Grant<Callback>[] = [];
    let freed = 0;
    for (const [identity, file] of this.files) {
      this.dropWaiters(file, leaves);
      file.grants = file.grants.filter(({ waiter }) => !leaves(waiter));
      let here = 0;
      for (const [key, locks] of file.owners) {
        if (!leaves(locks)) continue;
        file.owners.delete(key);
        here += locks.held.length;
      }
      if (here > 0) {
        this.count(client, { held: -here });
        freed += here;
        grants.push(...this.grantWaiting(file));
      }
      this.forgetIfEmpty(identity, file);
    }
    return { freed, grants };
  }

  /** False if a limit forbids it. */
  private set(file: FileLocks<Callback>, wanted: Wanted, kind: 'shared' | 'exclusive' | undefined): boolean {
    const { client } = wanted.owner;
    const old = file.owners.get(keyOf(wanted.owner))?.held ?? [];
    const more = withRange(old, wanted, kind).length - old.length;
    if (more > 0 && (this.used(client).held + more > this.limits.perClient || this.held + more > this.limits.inAll)) return false;
    this.put(file, wanted, kind);
    return true;
  }

  private put(file: FileLocks<Callback>, wanted: Wanted, kind: 'shared' | 'exclusive' | undefined, instead: readonly HeldRange[] = []): void {
    const { owner, ownerHandle, state } = wanted;
    const key = keyOf(owner);
    const old = file.owners.get(key)?.held ?? [];
    let held = withRange(old, wanted, kind);
    for (const part of instead) held = withRange(held, part, part.exclusive ? 'exclusive' : 'shared');
    if (held.length > 0) file.owners.set(key, { owner, ownerHandle, state, held });
    else file.owners.delete(key);
    this.count(owner.client, { held: held.length - old.length });
  }

  /** An owner that goes on with bytes it was granted knows that it has them. */
  private settleOverlapping(file: FileLocks<Callback>, wanted: Wanted): void {
    if (file.grants.length === 0) return;
    file.grants = file.grants.filter(({ waiter }) => keyOf(waiter.owner) !== keyOf(wanted.owner) || !overlap(waiter, wanted));
  }

  /** The limit on ranges does not hold here: each waiter was counted when it came, and adds few. */
  private grantWaiting(file: FileLocks<Callback>): readonly Grant<Callback>[] {
    const granted: Grant<Callback>[] = [];
    for (const waiter of file.waiting) {
      if (obstacle(file, waiter) !== undefined) continue;
      const before = within(file.owners.get(keyOf(waiter.owner))?.held ?? [], waiter);
      this.put(file, waiter, waiter.exclusive ? 'exclusive' : 'shared');
      granted.push({ waiter, before });
    }
    if (granted.length === 0) return granted;
    const waiters = new Set(granted.map(({ waiter }) => waiter));
    this.dropWaiters(file, (waiter) => waiters.has(waiter));
    file.grants.push(...granted);
    return granted;
  }

  private dropWaiters(file: FileLocks<Callback>, leaves: (waiter: Waiter<Callback>) => boolean): number {
    const gone = file.waiting.filter(leaves);
    if (gone.length === 0) return 0;
    file.waiting = file.waiting.filter((waiter) => !leaves(waiter));
    for (const { owner } of gone) this.count(owner.client, { waiting: -1 });
    return gone.length;
  }

  private count(client: Ipv4, { held = 0, waiting = 0 }: Partial<Usage>): void {
    const usage = this.usage.get(client) ?? { held: 0, waiting: 0 };
    usage.held += held;
    usage.waiting += waiting;
    this.held += held;
    this.waiting += waiting;
    if (usage.held === 0 && usage.waiting === 0) this.usage.delete(client);
    else this.usage.set(client, usage);
  }

  private forgetIfEmpty(identity: FileIdentity, file: FileLocks<Callback>): void {
    if (file.owners.size === 0 && file.waiting.length === 0) this.files.delete(identity);
  }
}

function keyOf({ client, via, svid }: LockOwner): string {
  return `${client} ${via} ${svid}`;
}

function sameRequest(one: Wanted, other: Wanted): boolean {
  return one.exclusive === other.exclusive && sameRange(one, other) && keyOf(one.owner) === keyOf(other.owner);
}

function obstacle(file: FileLocks<unknown>, wanted: Wanted): Conflict | undefined {
  const own = keyOf(wanted.owner);
  for (const [key, { owner, ownerHandle, held }] of file.owners) {
    if (key === own) continue;
    const range = conflict(held, wanted, wanted.exclusive);
    if (range !== undefined) return { ...range, svid: owner.svid, ownerHandle };
  }
  return undefined;
}
