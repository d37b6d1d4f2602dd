// Which free addresses are probed before they are given, so that no client waits for a probe: RFC 2131 section 2.2 and 3.1 (step 2).
import type { Ipv4 } from '../base/addresses.ts';
import type { ProbeVerdict } from '../base/probe.ts';
import type { PoolAddresses } from './lease-pool.ts';
import { busyUntil, type Slot } from './lease-slot.ts';

/** Free addresses kept at hand of which it is known that nobody answers there: a rack that is switched on at once. */
const stockMax = 256;

/** Probes under way in one pool: what an Ethernet does not notice in half a second. */
const probesMax = 256;

/** Clients that may be told to ask again: so many at once, and so many a second. In a flood the others get an address that was not probed. */
const waitsMax = 512;
const waitsPerSecond = 16;

/** An address to be probed. Its verdict has to come, whatever happens. */
export interface WantedProbe {
  readonly pool: string;
  readonly address: Ipv4;
}

export class LeaseProbing {
  private readonly canProbe: (pool: string) => boolean;
  private readonly wanted: WantedProbe[] = [];
  private waits: { readonly tokens: number; readonly at: number } = { tokens: waitsMax, at: 0 };

  /** `canProbe`: whether there is a way to ask for this pool's addresses now. Without it they are given unprobed. */
  constructor(canProbe: (pool: string) => boolean) {
    this.canProbe = canProbe;
  }

  /** What is to be probed since the last call. */
  takeWanted(): readonly WantedProbe[] {
    return this.wanted.splice(0);
  }

  /** Takes the next address to be given; `wait`: it is being probed; undefined: there is none. Whoever takes one settles it. */
  next(pool: PoolAddresses, now: number): Slot | 'wait' | undefined {
    const clean = pool.takeClean(now);
    this.stock(pool, now);
    if (clean !== undefined) return clean;
    const slot = pool.takeFree(now);
    if (slot === undefined) return pool.probing > 0 ? 'wait' : pool.takeHeld();
    if (this.isGood(slot, pool, now) || !this.mayWait(now)) return slot;
    if (!this.probe(slot, pool)) pool.settle(slot, now);
    return 'wait';
  }

  /** Whether a free address that a client wishes for may be given: `wait` if it is being probed now, false if it cannot be. */
  check(slot: Slot, pool: PoolAddresses, now: number): boolean | 'wait' {
    if (this.isGood(slot, pool, now)) return true;
    return this.mayWait(now) && this.probe(slot, pool) ? 'wait' : false;
  }

  /** Whether it need not be probed. */
  isGood(slot: Slot, pool: PoolAddresses, now: number): boolean {
    return !this.canProbe(pool.name) || pool.isClean(slot, now);
  }

  private mayWait(now: number): boolean {
    const tokens = Math.min(waitsMax, this.waits.tokens + ((now - this.waits.at) * waitsPerSecond) / 1000);
    this.waits = { tokens: tokens < 1 ? tokens : tokens - 1, at: now };
    return tokens >= 1;
  }

  /** Sees to it that free addresses are at hand at which nobody answers. */
  stock(pool: PoolAddresses, now: number): void {
    if (!this.canProbe(pool.name)) return;
    while (pool.cleanCount + pool.probing < stockMax && pool.probing < probesMax) {
      const slot = pool.takeFree(now);
      if (slot === undefined) return;
      if (pool.isClean(slot, now)) pool.keepClean(slot);
      else this.probe(slot, pool);
    }
  }

  private probe(slot: Slot, pool: PoolAddresses): boolean {
    if (pool.probing >= probesMax) return false;
    pool.dequeue(slot);
    slot.isProbing = true;
    pool.probing++;
    this.wanted.push({ pool: pool.name, address: slot.address });
    return true;
  }

  /** The verdict on an address other than that it is in use: then it is avoided first. */
  done(slot: Slot, verdict: ProbeVerdict, now: number): void {
    const { pool } = slot;
    slot.isProbing = false;
    pool.probing--;
    if (verdict.kind === 'silent') slot.probedAt = now;
    pool.settle(slot, now);
    const isFree = busyUntil(slot) <= now && slot.heldUntil <= now;
    if (verdict.kind === 'silent' && isFree && pool.allows(slot)) pool.keepClean(slot);
  }
}
