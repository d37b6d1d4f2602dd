// Who holds which bytes of which file, and who waits for them. C702 11.2, with the semantics of fcntl(2). No I/O, no clock.
import type { Ipv4 } from '../base/addresses.ts';
import {
  type Conflict,
  defaultLockLimits,
  type FileIdentity,
  type Grant,
  keyOf,
  type LockLimits,
  type LockOutcome,
  type LockOwner,
  type OwnerLocks,
  obstacle,
  sameRequest,
  type Waiter,
  type Wanted,
} from './lock.ts';
import { type HeldRange, overlap, within, withRange } from './ranges.ts';

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
    return file === undefined ? undefined : obstacle(file.owners, wanted);
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
    if (obstacle(file.owners, wanted) !== undefined) {
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
      if (obstacle(file.owners, waiter) !== undefined) continue;
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
