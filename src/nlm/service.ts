// The lock service of one farm: what each NLM request does, the grace period after a restart, and what is kept for the next. C702 11.2 and 12.
import type { Ipv4 } from '../base/addresses.ts';
import { type Budget, fullBudget, spend } from '../base/budget.ts';
import { sentence } from '../base/errors.ts';
import type { Asker, Callback, LockDoors } from './doors.ts';
import { Grace, graceTime } from './grace.ts';
import { callbackOf, Granting } from './granting.ts';
import type { LockLimits, Wanted } from './lock.ts';
import { LockTable } from './locks.ts';
import type { Monitored } from './monitored.ts';
import type { Holder, LockArguments, NlmStatus, ShareArguments, TestArguments, WantedLock } from './nlm.ts';
import { Notifying } from './notifying.ts';
import { extentOf, rangeOf } from './ranges.ts';
import { type ShareLimits, ShareTable } from './shares.ts';

/** How often it is looked which clients hold nothing any more, and how long they are remembered all the same, ms. */
const sweepTime = 60_000;

const refusals = { stale: 'STALE_FH', denied: 'FAILED', 'read-only': 'ROFS' } as const;

export interface LockServiceOptions {
  readonly doors: LockDoors;
  readonly monitored: Monitored;
  /** Any number; a restarted server should have another. */
  readonly firstCookie: number;
  readonly graceTime?: number;
  readonly limits?: LockLimits;
  readonly shareLimits?: ShareLimits;
}

export class LockService {
  private readonly doors: LockDoors;
  private readonly monitored: Monitored;
  private readonly table: LockTable<Callback>;
  private readonly shares: ShareTable;
  private readonly granting: Granting;
  private readonly notifying: Notifying;
  private readonly grace: Grace;
  /** Clients that held nothing at the last sweep. */
  private idle: ReadonlySet<Ipv4> = new Set();
  private complaints: Budget;
  private readonly cancels = new Set<() => void>();

  /** Begins the grace period if there are clients to be told of a restart, and tells them. */
  constructor({ doors, monitored, firstCookie, graceTime: wait = graceTime, limits, shareLimits }: LockServiceOptions) {
    this.doors = doors;
    this.monitored = monitored;
    this.table = new LockTable(limits);
    this.shares = new ShareTable(shareLimits);
    this.granting = new Granting(this.table, doors, firstCookie);
    this.complaints = fullBudget(doors.timers.now());
    this.notifying = new Notifying(doors, monitored.state, (client) => this.told(client));
    const clients = [...monitored.clients];
    const holders = clients.filter(({ holds }) => holds).map(({ client }) => client);
    this.grace = new Grace(holders);
    if (!this.grace.isOver) {
      doors.log('info', 'nlm.grace', { clients: holders.length, seconds: wait / 1000 });
      this.later(wait, () => this.endGrace());
    }
    for (const { client, server } of clients) this.notifying.notify(client, server);
    this.later(sweepTime, () => this.sweep());
  }

  /** The server's NSM state. */
  get state(): number {
    return this.monitored.state;
  }

  test(asker: Asker, { lock, exclusive }: TestArguments): { readonly status: NlmStatus; readonly holder?: Holder } {
    const wanted = this.wantedOf(asker, lock, exclusive, 0);
    if (typeof wanted === 'string') return { status: wanted };
    const permit = this.doors.questions.permit(lock.handle, asker, exclusive);
    if (permit !== 'yes') return { status: refusals[permit] };
    if (!this.grace.isOver) return { status: 'DENIED_GRACE_PERIOD' };
    const conflict = this.table.test(wanted);
    if (conflict === undefined) return { status: 'GRANTED' };
    const { svid, ownerHandle } = conflict;
    return { status: 'DENIED', holder: { exclusive: conflict.exclusive, svid, ownerHandle, ...extentOf(conflict) } };
  }

  /**
   * LOCK, and with `monitored` false NM_LOCK: of a client that frees its locks itself by FREE_ALL when it restarts. The answer waits for the disk when
   * a client gets its first lock: after a crash it must be told.
   */
  lock(asker: Asker, args: LockArguments, how: { readonly monitored: boolean; readonly asynchronous: boolean }): NlmStatus | Promise<NlmStatus> {
    const { lock, exclusive, block, reclaim, state } = args;
    const wanted = this.wantedOf(asker, lock, exclusive, state);
    if (typeof wanted === 'string') return wanted;
    const permit = this.doors.questions.permit(lock.handle, asker, exclusive);
    if (permit !== 'yes') return refusals[permit];
    const barred = this.grace.barred(asker.client, reclaim);
    if (barred !== undefined) return barred;
    const callback = block && !reclaim ? callbackOf(asker, lock, how.asynchronous) : undefined;
    const { outcome, grants } = this.table.lock(wanted, callback);
    this.granting.tell(grants);
    if (outcome === 'denied') return 'DENIED';
    if (outcome === 'full') return this.full(asker.client);
    const status = outcome === 'granted' ? 'GRANTED' : 'BLOCKED';
    const kept = how.monitored ? this.monitored.hold(asker.client, asker.server) : undefined;
    return kept === undefined ? status : this.whenKept(kept, wanted, status);
  }

  cancel(asker: Asker, { lock, exclusive }: TestArguments): NlmStatus {
    const wanted = this.wantedOf(asker, lock, exclusive, 0);
    if (typeof wanted === 'string') return wanted;
    if (!this.grace.isOver) return 'DENIED_GRACE_PERIOD';
    const { found, grants } = this.table.cancel(wanted);
    this.granting.tell(grants);
    // DENIED makes a Linux client unlock: it has what it cancels if the answer to a LOCK that granted it was lost.
    return found ? 'GRANTED' : 'DENIED';
  }

  unlock(asker: Asker, lock: WantedLock): NlmStatus {
    const wanted = this.wantedOf(asker, lock, false, 0);
    if (typeof wanted === 'string') return wanted;
    if (!this.grace.isOver) return 'DENIED_GRACE_PERIOD';
    const { outcome, grants } = this.table.unlock(wanted);
    this.granting.tell(grants);
    return outcome === 'full' ? this.full(asker.client) : 'GRANTED';
  }

  share(asker: Asker, args: ShareArguments): NlmStatus {
    const { client } = asker;
    const file = this.fileOf(client, args.handle);
    if (file === undefined) return 'STALE_FH';
    const permit = this.doors.questions.permit(args.handle, asker, false);
    if (permit !== 'yes') return refusals[permit];
    if (!this.grace.isOver && !args.reclaim) return 'DENIED_GRACE_PERIOD';
    const outcome = this.shares.share({ file, client, ownerHandle: Buffer.from(args.ownerHandle), mode: args.mode, access: args.access });
    if (outcome === 'full') return this.full(client);
    return outcome === 'granted' ? 'GRANTED' : 'DENIED';
  }

  /** GRANTED also if there is nothing to undo (C702 11.2.9). */
  unshare({ client }: Asker, { handle, ownerHandle }: ShareArguments): NlmStatus {
    const file = this.fileOf(client, handle);
    if (file === undefined) return 'STALE_FH';
    if (!this.grace.isOver) return 'DENIED_GRACE_PERIOD';
    this.shares.unshare({ file, client, ownerHandle });
    return 'GRANTED';
  }

  /** GRANTED_RES. */
  grantedResult(client: Ipv4, cookie: Buffer, status: NlmStatus): void {
    this.granting.result(client, cookie, status);
  }

  /** The client says that it has restarted and is in NSM state `state` since: what it had before is free. */
  restarted(client: Ipv4, state: number): void {
    this.release(client, 'it restarted', state);
  }

  /** Frees everything of a client that is known to hold nothing any more: it is booting, or has left the farm. `why` is a clause for the log. */
  release(client: Ipv4, why: string, except?: number): void {
    const shares = this.shares.free(client);
    const { freed, grants } = this.table.free(client, except);
    if (freed + shares > 0) this.doors.log('info', 'nlm.freed', { client, locks: freed, shares, why });
    this.notifying.stop(client);
    if (this.table.used(client).held === 0) this.forget(client);
    this.granting.tell(grants);
  }

  close(): void {
    for (const cancel of this.cancels) cancel();
    this.granting.close();
    this.notifying.close();
  }

  private wantedOf({ client, version, transport }: Asker, lock: WantedLock, exclusive: boolean, state: number): Wanted | NlmStatus {
    const file = this.fileOf(client, lock.handle);
    if (file === undefined) return 'STALE_FH';
    const range = rangeOf(lock);
    if (range === undefined) return 'FBIG';
    const owner = { client, via: `${version === 4 ? 'wide' : 'narrow'}/${transport}`, svid: lock.svid };
    return { file, owner, exclusive, ownerHandle: Buffer.from(lock.ownerHandle), state, ...range };
  }

  private fileOf(client: Ipv4, handle: Buffer): string | undefined {
    const { admits, identify } = this.doors.questions;
    return admits(client) ? identify(handle, client) : undefined;
  }

  private async whenKept(kept: Promise<void>, wanted: Wanted, status: NlmStatus): Promise<NlmStatus> {
    try {
      await kept;
      return status;
    } catch (error) {
      this.unkept(wanted.owner.client, error);
      const { grants } = status === 'BLOCKED' ? this.table.cancel(wanted) : this.table.unlock(wanted);
      this.granting.tell(grants);
      return 'DENIED_NOLOCKS';
    }
  }

  private full(client: Ipv4): NlmStatus {
    const { allowed, suppressed, next } = spend(this.complaints, this.doors.timers.now());
    this.complaints = next;
    if (allowed) this.doors.log('warn', 'nlm.full', { client, ...this.table.used(client), shares: this.shares.held(client), suppressed });
    return 'DENIED_NOLOCKS';
  }

  private told(client: Ipv4): void {
    if (!this.monitored.holds(client)) this.forget(client);
  }

  private endGrace(): void {
    const holders = this.grace.end();
    const others = holders.filter((client) => this.table.used(client).held === 0);
    this.doors.log('info', 'nlm.grace-over', { reclaimed: holders.length - others.length, others });
    for (const client of others) {
      if (this.notifying.isUnderWay(client)) this.write(client, () => this.monitored.lose(client));
      else this.forget(client);
    }
  }

  /** A client that comes and goes costs no line each time: it is forgotten when it holds nothing twice in a row. */
  private sweep(): void {
    const idle = [...this.monitored.clients].filter(({ client, holds }) => {
      const { held, waiting } = this.table.used(client);
      return holds && held + waiting === 0 && !this.grace.awaits(client);
    });
    for (const { client } of idle) if (this.idle.has(client)) this.forget(client);
    this.idle = new Set(idle.map(({ client }) => client));
    this.later(sweepTime, () => this.sweep());
  }

  private forget(client: Ipv4): void {
    this.write(client, () => this.monitored.forget(client));
  }

  /** A line that cannot be written costs a client a notice too many after the next restart. */
  private write(client: Ipv4, write: () => void): void {
    try {
      write();
    } catch (error) {
      this.unkept(client, error);
    }
  }

  private unkept(client: Ipv4, error: unknown): void {
    this.doors.log('error', 'nlm.unkept', { client, error: sentence(error) });
  }

  private later(wait: number, run: () => void): void {
    const cancel = this.doors.timers.after(wait, () => {
      this.cancels.delete(cancel);
      run();
    });
    this.cancels.add(cancel);
  }
}
