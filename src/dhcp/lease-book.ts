// Which client has which address, in memory and as the lines of the lease journal.
import { ipv4Number } from '../base/addresses.ts';
import type { LeaseEntry } from './lease-entry.ts';
import { PoolAddresses, type Slots } from './lease-pool.ts';
import { busyUntil, type LeaseView, leaseLine, leaseView, letGo, type Owner, type Slot } from './lease-slot.ts';
import type { Pool } from './questions.ts';

export class LeaseBook {
  readonly slots: Slots = new Map();
  readonly pools = new Map<string, PoolAddresses>();

  /** How many addresses have or had an owner that is remembered. */
  get owned(): number {
    let owned = 0;
    for (const { clients } of this.pools.values()) owned += clients.size;
    return owned;
  }

  /** Gives the address to `owner`, who loses any other it has in this pool. */
  assign(slot: Slot, pool: PoolAddresses, owner: Owner, end: number, now: number): void {
    const before = pool.clients.get(owner.key);
    if (before !== undefined && before !== slot) this.vacate(before, now);
    disown(slot);
    slot.owner = owner;
    slot.leaseEnd = end;
    letGo(slot);
    pool.clients.set(owner.key, slot);
    pool.settle(slot, now);
  }

  /** Nobody has the address any more. */
  vacate(slot: Slot, now: number): void {
    disown(slot);
    slot.leaseEnd = Math.min(slot.leaseEnd, now);
    letGo(slot);
    slot.pool.settle(slot, now);
  }

  /** Applies a line of the journal. They come in the order in which they were written, before anything else. */
  replay(entry: LeaseEntry): void {
    const pool = this.named(entry.net);
    if ('declined' in entry) {
      const slot = pool.claim(ipv4Number(entry.declined));
      slot.avoid = 'declined';
      slot.avoidUntil = entry.end;
      this.vacate(slot, entry.at);
      return;
    }
    const { lease, key, mac, host, at, end, released } = entry;
    const owner: Owner = { key, mac, hostName: host, since: at, released: released === true };
    this.assign(pool.claim(ipv4Number(lease)), pool, owner, end ?? Number.POSITIVE_INFINITY, at);
  }

  /**
   * The lines of a journal that says as much as all that were written so far. The book may be changed while they are taken: lines of what changed
   * meanwhile, after them and in their order, settle the rest, since each gives the whole state of its address.
   */
  *lines(now: number): Iterable<LeaseEntry> {
    for (const slot of this.slots.values()) {
      const { owner, address, pool, avoid, avoidUntil } = slot;
      if (owner !== undefined) yield leaseLine(slot, owner);
      else if (avoid === 'declined' && avoidUntil > now) yield { declined: address, net: pool.name, at: now, end: avoidUntil };
    }
  }

  /** Every address that has or had an owner, or is avoided, in their order. */
  list(now: number): readonly LeaseView[] {
    const shown = [...this.slots.values()].filter((slot) => slot.owner !== undefined || busyUntil(slot) > now);
    return shown.sort((a, b) => a.number - b.number).map((slot) => leaseView(slot, now));
  }

  addresses(pool: Pool, now: number): PoolAddresses {
    const addresses = this.named(pool.name);
    addresses.configure(pool, now);
    return addresses;
  }

  private named(name: string): PoolAddresses {
    const known = this.pools.get(name);
    if (known !== undefined) return known;
    const made = new PoolAddresses(name, this.slots);
    this.pools.set(name, made);
    return made;
  }
}

function disown(slot: Slot): void {
  const { owner, pool } = slot;
  if (owner !== undefined && pool.clients.get(owner.key) === slot) pool.clients.delete(owner.key);
  slot.owner = undefined;
}
