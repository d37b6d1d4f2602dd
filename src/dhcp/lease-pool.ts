// The addresses of one pool in the order in which they are given away: never used before longest unused (RFC 2131 section 4.3.1).
import { ipv4FromNumber, ipv4Number } from '../base/addresses.ts';
import { Heap, type HeapItem } from '../base/heap.ts';
import { busyUntil, isLeased, letGo, newSlot, type Slot } from './lease-slot.ts';
import type { Pool } from './questions.ts';

interface Offer extends HeapItem {
  readonly key: string;
  readonly slot: Slot;
  readonly at: number;
}

/** Addresses that one pool remembers, at some 400 bytes each. A larger pool gives the oldest again before it gives new ones. */
const slotsMax = 262_144;

/** Offers that a pool remembers: sixteen for each of 1,000 machines that boot at once. A flood pushes out the oldest. */
const offersMax = 16_384;

/** How long an offer that was not taken is remembered: a client repeats its REQUEST for a minute (RFC 2131 4.1: 4, 8, 16, 32 s). */
const offerMemory = 120_000;

/** How long it counts that nobody answered at an address. Longer, and more machines with an address of their own come in between. */
const probeMemory = 600_000;

/** Never leased addresses come before all that were: their ranks are negative. */
const freshRank = -(2 ** 32);

/** Every address of every pool that is known, by its number. */
export type Slots = Map<number, Slot>;

export class PoolAddresses {
  readonly name: string;
  /** The slot of each client that has or had an address here. */
  readonly clients = new Map<string, Slot>();
  /** Addresses that are being probed. */
  probing = 0;
  private readonly slots: Slots;
  private size = 0;
  private pool: Pool | undefined;
  private low = 0;
  private high = -1;
  /** Below it every address has a slot or is reserved. */
  private cursor = 0;
  /** Neither in `held` nor in `clean`, by the time at which it is or was free. */
  private readonly free = new Heap<Slot>();
  /** Free but for an offer, by its age. */
  private readonly held = new Heap<Slot>();
  /** Free, and nobody answered there, in the order of `free`. */
  private readonly clean = new Heap<Slot>();
  private readonly offers = new Map<string, Offer>();
  private readonly offersByAge = new Heap<Offer>();
  private offersMade = 0;

  constructor(name: string, slots: Slots) {
    this.name = name;
    this.slots = slots;
  }

  /** Takes over the pool as farm.yaml has it now. What changed costs a pass over all slots; a new `isReserved` tells that. */
  configure(pool: Pool, now: number): void {
    const old = this.pool;
    this.pool = pool;
    if (old !== undefined && old.first === pool.first && old.last === pool.last && old.isReserved === pool.isReserved) return;
    this.low = ipv4Number(pool.first);
    this.high = ipv4Number(pool.last);
    this.cursor = this.low;
    for (const slot of this.slots.values()) {
      if (this.spans(slot.number)) this.adopt(slot);
      if (slot.pool === this) this.settle(slot, now);
    }
  }

  /** The slot of any address, whatever pool it was in, made if there is none: for what a journal says. */
  claim(number: number): Slot {
    const slot = this.slots.get(number) ?? this.open(number);
    this.adopt(slot);
    return slot;
  }

  /** A range went from one network to another. The lease lasts, and its owner is known here unless it has another address here. */
  private adopt(slot: Slot): void {
    const { pool: before, owner } = slot;
    if (before === this) return;
    this.dequeue(slot);
    before.size--;
    this.size++;
    slot.pool = this;
    if (slot.isProbing) {
      before.probing--;
      this.probing++;
    }
    if (owner === undefined) return;
    before.clients.delete(owner.key);
    if (this.clients.has(owner.key)) slot.owner = { ...owner, key: `${owner.key}@${before.name}` };
    this.clients.set(slot.owner?.key ?? owner.key, slot);
  }

  get cleanCount(): number {
    return this.clean.size;
  }

  spans(number: number): boolean {
    return number >= this.low && number <= this.high;
  }

  /** Whether clients of this pool may have the address at all. */
  allows(slot: Slot): boolean {
    return slot.pool === this && this.spans(slot.number) && this.pool?.isReserved(slot.address) === false;
  }

  /** The slot of an address, made if there is none; undefined if it is not of this pool, or no more can be remembered. */
  slot(number: number): Slot | undefined {
    if (!this.spans(number)) return undefined;
    const known = this.slots.get(number);
    if (known !== undefined) return known.pool === this ? known : undefined;
    return this.size < slotsMax ? this.open(number) : undefined;
  }

  private open(number: number): Slot {
    const slot = newSlot(this, number);
    this.slots.set(number, slot);
    this.size++;
    return slot;
  }

  /** Puts a slot where it belongs. To be called after every change of it. */
  settle(slot: Slot, now: number): void {
    this.dequeue(slot);
    if (slot.isProbing || !this.spans(slot.number)) return;
    const busy = busyUntil(slot);
    if (busy <= now && slot.heldUntil > now) this.enqueue(slot, this.held, slot.heldUntil);
    else this.enqueue(slot, this.free, busy > now ? Math.max(busy, slot.heldUntil) : freeRank(slot));
  }

  private enqueue(slot: Slot, queue: Heap<Slot>, rank: number): void {
    slot.queue = queue;
    queue.push(slot, rank);
  }

  dequeue(slot: Slot): void {
    slot.queue?.remove(slot);
    slot.queue = undefined;
  }

  /** Keeps a free slot at hand at which nobody answered. */
  keepClean(slot: Slot): void {
    this.dequeue(slot);
    this.enqueue(slot, this.clean, freeRank(slot));
  }

  isClean(slot: Slot, now: number): boolean {
    return slot.probedAt + probeMemory > now;
  }

  /** Takes a free address at which nobody answered lately. Whoever takes one settles it. */
  takeClean(now: number): Slot | undefined {
    for (let slot = this.clean.first(); slot !== undefined; slot = this.clean.first()) {
      if (!this.isClean(slot, now)) this.settle(slot, now);
      else if (this.take(slot)) return slot;
    }
    return undefined;
  }

  /** Takes the free address that was unused for longest, not one of those kept clean. */
  takeFree(now: number): Slot | undefined {
    for (let slot = this.held.first(); slot !== undefined && slot.heldUntil <= now; slot = this.held.first()) this.settle(slot, now);
    for (let slot = this.free.first(); slot !== undefined && slot.rank <= now; slot = this.free.first()) {
      const untouched = slot.rank < 0 ? undefined : this.takeUntouched();
      if (untouched !== undefined) return untouched;
      if (this.take(slot)) return slot;
    }
    return this.takeUntouched();
  }

  private takeUntouched(): Slot | undefined {
    while (this.cursor <= this.high && this.size < slotsMax) {
      const number = this.cursor++;
      if (!this.slots.has(number) && this.pool?.isReserved(ipv4FromNumber(number)) === false) return this.open(number);
    }
    return undefined;
  }

  /** Takes the free address whose offer is the oldest that was not taken: in a flood of DISCOVERs there is no other. */
  takeHeld(): Slot | undefined {
    for (let slot = this.held.first(); slot !== undefined; slot = this.held.first()) {
      if (this.take(slot)) return slot;
    }
    return undefined;
  }

  /** False if it is reserved now: then it stays out of every queue until farm.yaml changes. */
  private take(slot: Slot): boolean {
    this.dequeue(slot);
    return this.allows(slot);
  }

  /** The address that the client was offered. Good until somebody leases it, even if it was offered to others since. */
  offered(key: string): Slot | undefined {
    return this.offers.get(key)?.slot;
  }

  /** Notes an offer, and forgets those that are too old or too many. */
  remember(key: string, slot: Slot, now: number): void {
    this.forget(key);
    const offer: Offer = { key, slot, at: now, rank: 0, place: 0 };
    this.offers.set(key, offer);
    this.offersByAge.push(offer, this.offersMade++);
    for (let oldest = this.offersByAge.first(); oldest !== undefined; oldest = this.offersByAge.first()) {
      if (this.offers.size <= offersMax && oldest.at + offerMemory > now) break;
      this.forget(oldest.key);
      if (oldest.slot.heldBy !== oldest.key || isLeased(oldest.slot, now)) continue;
      letGo(oldest.slot);
      oldest.slot.pool.settle(oldest.slot, now);
    }
  }

  forget(key: string): void {
    const offer = this.offers.get(key);
    if (offer === undefined) return;
    this.offers.delete(key);
    this.offersByAge.remove(offer);
  }
}

function freeRank(slot: Slot): number {
  const busy = busyUntil(slot);
  return busy === Number.NEGATIVE_INFINITY ? freshRank + slot.number : busy;
}
