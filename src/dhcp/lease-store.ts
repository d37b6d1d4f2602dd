// Dynamic leases that survive a crash: the rules of leases.ts with their journal, their clock and their probes. docs/decisions/leases.md says why so.
import type { Ipv4 } from '../base/addresses.ts';
import { fullBudget, spend } from '../base/budget.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence } from '../base/errors.ts';
import { Journal, readJournal } from '../base/journal.ts';
import type { Log } from '../base/log.ts';
import { type LeaseEntry, parseLeaseEntry } from './lease-entry.ts';
import type { LeaseView } from './lease-slot.ts';
import { advanceLeaseTime, type LeaseTime, leaseNow, startLeaseTime } from './lease-time.ts';
import { LeaseTable, quarantine } from './leases.ts';
import type { Prober } from './prober.ts';
import type { LeaseClaim, LeaseGrant, LeaseOffer, Leases, Pool } from './questions.ts';

/** In a farm's state directory. */
export const leasesFile = 'leases';

export interface LeaseStoreOptions {
  readonly path: string;
  readonly log: Log;
  readonly clock: Clock;
  /** Milliseconds since any fixed moment, by a clock that nobody sets: `performance.now`. */
  readonly elapsed: () => number;
  /** Closed with the store. Without it addresses are given unprobed. */
  readonly prober?: Prober;
}

/** The journal is rewritten when it has so many lines for each that counts, and more bytes than the floor. */
const compactGrowth = 4;
const compactFloor = 1 << 20;

/** How often a journal that could not be written is tried again: each try may write all of it. */
const retryMilliseconds = 5_000;

/** Clocks that are compared jitter by a millisecond; only what is more than this is told. */
const toldStep = 1_000;

interface Replayed {
  readonly table: LeaseTable;
  readonly lines: number;
  /** The latest lease time that is mentioned as past. */
  readonly last: number | undefined;
}

/** Reads the journal. Throws `journal.damaged`, and `leases.damaged` for a line that is no lease. */
export function openLeases(options: LeaseStoreOptions): LeaseStore {
  return new LeaseStore(options);
}

export class LeaseStore implements Leases {
  private readonly options: LeaseStoreOptions;
  private readonly table: LeaseTable;
  private readonly journal: Journal<LeaseEntry>;
  private time: LeaseTime;
  private readonly bounded: { readonly log: Log };
  /** In the journal. */
  private lines: number;
  /** Changes of this turn of the event loop: they go into the journal with one write. */
  private pending: LeaseEntry[] = [];
  private rewriting: Promise<void> | undefined;
  /** What is in memory is not all in the file, until it is rewritten. */
  private isBehind = false;
  private retryAt = Number.NEGATIVE_INFINITY;
  private isClosed = false;

  constructor(options: LeaseStoreOptions) {
    const { path, clock, elapsed, prober } = options;
    this.options = options;
    const replay = replayer(path, (pool) => prober?.canProbe(pool) === true);
    this.journal = Journal.open<LeaseEntry>(path, replay.take);
    const { table, lines, last } = replay.result();
    this.table = table;
    this.time = startLeaseTime(clock.now(), elapsed(), last);
    this.bounded = { log: boundedLog(options.log, leaseNow(this.time), () => leaseNow(this.time)) };
    this.lines = lines;
  }

  /** Makes a pool known and has its first free addresses probed, so that the first client need not wait. At the start and when farm.yaml changes. */
  async prepare(pool: Pool): Promise<void> {
    await this.options.prober?.open(pool.name);
    if (!this.isClosed) this.act((now) => this.table.prepare(pool, now));
  }

  offer(claim: LeaseClaim): LeaseOffer {
    return this.act((now) => this.table.offer(claim, now));
  }

  request(claim: LeaseClaim & { readonly address: Ipv4 }): LeaseGrant {
    return this.act((now) => this.table.request(claim, now));
  }

  release(claim: LeaseClaim & { readonly address: Ipv4 }): boolean {
    return this.act((now) => this.table.release(claim, now));
  }

  decline(claim: LeaseClaim & { readonly address: Ipv4 }): boolean {
    return this.act((now) => this.table.decline(claim, now));
  }

  overheard(address: Ipv4, server: Ipv4): void {
    this.act((now) => this.table.overheard(address, server, now));
  }

  /** Settles when all that was granted so far is on disk: no ACK is sent before. Rejects with `leases.unwritten` or `journal.sync`: then none is. */
  stable(): Promise<void> {
    this.flush();
    if (!this.isBehind) return this.journal.stable();
    if (this.rewriting !== undefined) return this.rewriting.then(() => this.stable());
    const hint = 'make room on the disk; clients that have no lease yet get none until then';
    return Promise.reject(new FarmError('leases.unwritten', `leases cannot be written to ${this.options.path}`, hint));
  }

  /** Every address that is or was leased, in the clock's time. */
  list(): readonly LeaseView[] {
    const { time } = this;
    return this.table.book.list(leaseNow(time)).map((view) => inClockTime(view, time.ahead));
  }

  counters(): ReadonlyMap<string, number> {
    return this.table.counters();
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.options.prober?.close();
    this.flush();
    await this.rewriting;
    if (this.isBehind) await this.rewrite();
    await this.journal.close();
  }

  /** Runs a rule in lease time and carries out what it wants done. */
  private act<Result>(rule: (now: number) => Result): Result {
    const now = this.tick();
    const result = rule(now);
    this.write(now);
    for (const { address, network, reason, by } of this.table.takeConflicts()) {
      this.bounded.log('warn', 'lease.conflict', { address, network, reason, by, seconds: quarantine / 1000 });
    }
    for (const { pool, address } of this.table.takeProbes()) void this.probe(pool, address);
    return result;
  }

  private tick(): number {
    const { clock, elapsed } = this.options;
    const { ahead } = this.time;
    this.time = advanceLeaseTime(this.time, clock.now(), elapsed());
    const back = this.time.ahead - ahead;
    if (back > toldStep) this.bounded.log('warn', 'lease.clock-back', { seconds: Math.round(back / 1000) });
    return leaseNow(this.time);
  }

  private async probe(pool: string, address: Ipv4): Promise<void> {
    const verdict = (await this.options.prober?.probe(pool, address)) ?? { kind: 'unknown' };
    if (!this.isClosed) this.act((now) => this.table.probed(address, verdict, now));
  }

  private write(now: number): void {
    const changes = this.table.takeChanges();
    if (changes.length > 0) {
      if (this.pending.length === 0) queueMicrotask(() => this.flush());
      this.pending.push(...changes);
    }
    if (this.isBehind && now >= this.retryAt) void this.rewrite();
  }

  /** Appends what is pending, and sees to it that the file does not grow without end. */
  private flush(): void {
    const { pending: entries, journal } = this;
    if (entries.length === 0) return;
    this.pending = [];
    if (this.isBehind && this.rewriting === undefined) return; // all of it is in memory, from which the file will be rewritten
    const now = leaseNow(this.time);
    try {
      journal.appendAll(entries);
      this.lines += entries.length;
    } catch (error) {
      if (!this.isBehind) this.options.log('error', 'lease.unwritten', { path: this.options.path, error: sentence(error) });
      this.isBehind = true;
      this.retryAt = now + retryMilliseconds;
      return;
    }
    if (journal.size > compactFloor && this.lines > compactGrowth * this.table.book.owned && now >= this.retryAt) void this.rewrite();
  }

  /** Writes the journal anew from memory. If that fails the old one stays, and is all right unless it was behind. Never rejects. */
  private rewrite(): Promise<void> {
    this.rewriting ??= this.compact().finally(() => {
      this.rewriting = undefined;
    });
    return this.rewriting;
  }

  private async compact(): Promise<void> {
    const { log, path } = this.options;
    const { lines } = this;
    try {
      await this.journal.compactInTurns(this.table.book.lines(leaseNow(this.time)));
    } catch (error) {
      if (!this.isBehind) this.bounded.log('error', 'lease.unwritten', { path, error: sentence(error) });
      this.retryAt = leaseNow(this.time) + retryMilliseconds;
      return;
    }
    this.lines += this.table.book.owned - lines;
    if (this.isBehind) log('info', 'lease.written', { path, bytes: this.journal.size });
    this.isBehind = false;
  }
}

/** For what strangers can cause at will. */
function boundedLog(log: Log, start: number, now: () => number): Log {
  let budget = fullBudget(start);
  return (level, event, fields) => {
    const { allowed, suppressed, next } = spend(budget, now());
    budget = next;
    if (allowed) log(level, event, suppressed === 0 ? fields : { ...fields, suppressed });
  };
}

/** The leases of a farm as its journal has them, in the clock's time `now`; a server may be writing it. Throws as `openLeases`. */
export function readLeases(path: string, now: number): readonly LeaseView[] {
  const replay = replayer(path, () => false);
  for (const value of readJournal<unknown>(path)) replay.take(value);
  const { table, last } = replay.result();
  const time = startLeaseTime(now, 0, last);
  return table.book.list(leaseNow(time)).map((view) => inClockTime(view, time.ahead));
}

function inClockTime(view: LeaseView, ahead: number): LeaseView {
  return { ...view, until: view.until - ahead, since: view.since === undefined ? undefined : view.since - ahead };
}

function replayer(path: string, canProbe: (pool: string) => boolean): { readonly take: (value: unknown) => void; readonly result: () => Replayed } {
  const table = new LeaseTable(canProbe);
  let lines = 0;
  let last: number | undefined;
  const take = (value: unknown): void => {
    lines++;
    const entry = parseLeaseEntry(value);
    if (entry === undefined) {
      const remedy = 'an editor or another program damaged it; restore the file, or delete the line to lose that lease only';
      throw new FarmError('leases.damaged', `${path} line ${lines} is no lease`, remedy);
    }
    const past = 'released' in entry ? entry.end : entry.at;
    last = Math.max(last ?? Number.NEGATIVE_INFINITY, past ?? entry.at);
    table.book.replay(entry);
  };
  return { take, result: () => ({ table, lines, last }) };
}
