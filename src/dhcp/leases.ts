// Who gets which dynamic address, for how long: RFC 2131 sections 3.1, 3.2, 4.3.1 and 4.3.2, RFC 4039 (rapid commit), RFC 1534 (BOOTP).
import { type Ipv4, inNetwork, ipv4Number, type Mac } from '../base/addresses.ts';
import type { ProbeVerdict } from '../base/probe.ts';
import { LeaseBook } from './lease-book.ts';
import type { LeaseEntry } from './lease-entry.ts';
import type { PoolAddresses } from './lease-pool.ts';
import { LeaseProbing, type WantedProbe } from './lease-probing.ts';
import { type AvoidReason, isHeldForOther, isLeased, leaseLine, type Owner, type Slot } from './lease-slot.ts';
import type { LeaseClaim, LeaseGrant, LeaseOffer, Leases, Pool } from './questions.ts';

/** How long an offered address is kept: a boot ROM collects offers for 4 s and repeats a lost REQUEST after 4, 8 and 16 s (RFC 2131 4.1). */
export const offerHold = 30_000;

/** How long an address rests at which somebody else was found. Short, so that a client that declines everything cannot empty a pool for long. */
export const quarantine = 600_000;

/** A REQUEST that comes again so soon is a retransmission: it gets the same answer and costs no line in the journal. */
const repeatMilliseconds = 5_000;

/** A client identifier is an option, which has 255 bytes (RFC 2132 9.14); in hex. */
const keyMax = 510;

const hostNameMax = 64;

/** An address was taken out of use, for people. */
export interface Conflict {
  readonly address: Ipv4;
  readonly network: string;
  readonly reason: AvoidReason;
  /** Who declined it, who answered there, or the other server. */
  readonly by: Mac | Ipv4 | undefined;
}

type AddressClaim = LeaseClaim & { readonly address: Ipv4 };

/** State only. `now` must never go back (lease-time.ts). What is to be written, probed and told has to be taken from it after each call. */
export class LeaseTable implements Leases {
  readonly book = new LeaseBook();
  private readonly probing: LeaseProbing;
  private readonly changes: LeaseEntry[] = [];
  private readonly conflicts: Conflict[] = [];
  private readonly counts = new Map<string, number>();

  /** `canProbe`: whether there is a way to ask for this pool's addresses now. Without it they are given unprobed. */
  constructor(canProbe: (pool: string) => boolean) {
    this.probing = new LeaseProbing(canProbe);
  }

  /** Lines for the journal since the last call. */
  takeChanges(): readonly LeaseEntry[] {
    return this.changes.splice(0);
  }

  takeProbes(): readonly WantedProbe[] {
    return this.probing.takeWanted();
  }

  takeConflicts(): readonly Conflict[] {
    return this.conflicts.splice(0);
  }

  /** How often: `offered`, `granted`, `repeated`, `refused`, `released`, `declined`, `overheard`, `answered`, `waited`, `unprobed`, `full`. */
  counters(): ReadonlyMap<string, number> {
    return new Map(this.counts);
  }

  private count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Makes a pool known and has its first addresses probed, before anybody asks for one. */
  prepare(pool: Pool, now: number): void {
    this.probing.stock(this.book.addresses(pool, now), now);
  }

  offer(claim: LeaseClaim, now: number): LeaseOffer {
    const { key } = claim;
    if (key.length > keyMax) return this.full(`its client identifier is longer than ${keyMax / 2} bytes`);
    const pool = this.book.addresses(claim.pool, now);
    for (const slot of [pool.clients.get(key), pool.offered(key)]) {
      if (slot !== undefined && isOpenTo(slot, pool, key, now)) return this.give(slot, pool, claim, now);
    }
    const chosen = this.wish(pool, claim, now) ?? this.choose(pool, now);
    if (chosen === undefined) return this.full(`every address of ${pool.name} from ${claim.pool.first} to ${claim.pool.last} is in use`);
    if (chosen !== 'wait') return this.give(chosen, pool, claim, now);
    this.count('waited');
    return { kind: 'wait', why: 'the addresses that it could have are being probed' };
  }

  private full(why: string): LeaseOffer {
    this.count('full');
    return { kind: 'full', why };
  }

  private give(slot: Slot, pool: PoolAddresses, claim: LeaseClaim, now: number): LeaseOffer {
    const { address } = slot;
    if (claim.rapid === true) return { kind: 'address', address, seconds: this.lease(slot, pool, claim, now) };
    if (!isLeased(slot, now)) {
      slot.heldBy = claim.key;
      slot.heldUntil = now + offerHold;
    }
    pool.remember(claim.key, slot, now);
    pool.settle(slot, now);
    this.count('offered');
    return { kind: 'address', address, seconds: claim.pool.leaseSeconds };
  }

  /** The address that the client asks for (50), if it can have it. */
  private wish(pool: PoolAddresses, { key, wanted }: LeaseClaim, now: number): Slot | 'wait' | undefined {
    const slot = wanted === undefined ? undefined : pool.slot(ipv4Number(wanted));
    if (slot === undefined) return undefined;
    if (slot.isProbing) return 'wait';
    const verdict = isOpenTo(slot, pool, key, now) && this.probing.check(slot, pool, now);
    if (verdict === true) return slot;
    pool.settle(slot, now);
    return verdict === 'wait' ? 'wait' : undefined;
  }

  private choose(pool: PoolAddresses, now: number): Slot | 'wait' | undefined {
    const slot = this.probing.next(pool, now);
    if (slot !== undefined && slot !== 'wait' && !this.probing.isGood(slot, pool, now)) this.count('unprobed');
    return slot;
  }

  probed(address: Ipv4, verdict: ProbeVerdict, now: number): void {
    const slot = this.book.slots.get(ipv4Number(address));
    if (slot === undefined || !slot.isProbing) return;
    // Who answers at a leased address is its owner, who came back meanwhile.
    if (verdict.kind === 'answered' && !isLeased(slot, now)) {
      this.count('answered');
      this.avoid(slot, 'answers', verdict.by, now);
    }
    this.probing.done(slot, verdict, now);
  }

  private avoid(slot: Slot, reason: AvoidReason, by: Mac | Ipv4 | undefined, now: number): void {
    const isNews = slot.avoidUntil <= now;
    slot.avoid = reason;
    slot.avoidUntil = now + quarantine;
    slot.probedAt = Number.NEGATIVE_INFINITY;
    if (isNews) this.conflicts.push({ address: slot.address, network: slot.pool.name, reason, by });
  }

  request(claim: AddressClaim, now: number): LeaseGrant {
    const { address } = claim;
    const pool = this.book.addresses(claim.pool, now);
    const slot = pool.spans(ipv4Number(address)) ? this.book.slots.get(ipv4Number(address)) : undefined;
    const why = this.obstacle(pool, slot, claim, now);
    if (why !== undefined) {
      this.count('refused');
      return { kind: 'refused', why };
    }
    if (slot === undefined || (slot !== pool.clients.get(claim.key) && slot !== pool.offered(claim.key))) return { kind: 'unknown' };
    return { kind: 'granted', address, seconds: this.lease(slot, pool, claim, now) };
  }

  /** Why the client must not use the address, as far as we can know (RFC 2131 4.3.2). */
  private obstacle(pool: PoolAddresses, slot: Slot | undefined, { key, address, pool: asked }: AddressClaim, now: number): string | undefined {
    if (!inNetwork(asked.subnet, address)) return `${address} is not in the network ${pool.name}`;
    if (asked.isReserved(address)) return `${address} belongs to a registered machine`;
    const own = pool.clients.get(key);
    const offered = pool.offered(key);
    if (slot !== undefined && isLeased(slot, now)) return slot === own ? undefined : `${address} is leased to another client`;
    if (slot === undefined || (slot !== own && slot !== offered)) {
      const known = own ?? offered;
      return known === undefined ? undefined : `it was given ${known.address}`;
    }
    if (slot.avoidUntil > now) return `${address} is used by somebody else`;
    if (slot !== offered && isHeldForOther(slot, key, now)) return `its lease has ended and ${address} is offered to another client`;
    return undefined;
  }

  /** Makes `slot` the client's only lease in this pool. Returns its seconds. */
  private lease(slot: Slot, pool: PoolAddresses, { key, mac, hostName, pool: { leaseSeconds } }: LeaseClaim, now: number): number {
    const { owner: before } = slot;
    const end = now + leaseSeconds * 1000;
    if (before?.key === key && now - before.since < repeatMilliseconds && slot.leaseEnd === before.since + leaseSeconds * 1000 && isLeased(slot, now)) {
      this.count('repeated');
      return Math.floor((slot.leaseEnd - now) / 1000);
    }
    pool.forget(key);
    const owner: Owner = { key, mac, hostName: hostName === undefined ? undefined : printable(hostName), since: now, released: false };
    this.book.assign(slot, pool, owner, end, now);
    this.changes.push(leaseLine(slot, owner));
    this.count('granted');
    return leaseSeconds;
  }

  /** The address is free at once, and kept in mind for its owner. */
  release({ key, address, pool }: AddressClaim, now: number): boolean {
    const slot = this.book.slots.get(ipv4Number(address));
    if (slot?.owner?.key !== key || slot.pool.name !== pool.name || !isLeased(slot, now)) return false;
    slot.owner = { ...slot.owner, released: true };
    slot.leaseEnd = now;
    slot.pool.settle(slot, now);
    this.changes.push(leaseLine(slot, slot.owner));
    this.count('released');
    return true;
  }

  decline({ key, address, mac, pool: { name } }: AddressClaim, now: number): boolean {
    const slot = this.book.slots.get(ipv4Number(address));
    if (slot === undefined || slot.pool.name !== name) return false;
    const { pool } = slot;
    const isIts = isLeased(slot, now) ? slot.owner?.key === key : pool.offered(key) === slot;
    if (!isIts) return false;
    pool.forget(key);
    this.avoid(slot, 'declined', mac, now);
    this.book.vacate(slot, now);
    this.changes.push({ declined: address, net: name, at: now, end: slot.avoidUntil });
    this.count('declined');
    return true;
  }

  overheard(address: Ipv4, server: Ipv4, now: number): void {
    for (const pool of this.book.pools.values()) {
      const slot = pool.slot(ipv4Number(address));
      if (slot === undefined) continue;
      this.avoid(slot, 'elsewhere', server, now);
      pool.settle(slot, now);
      this.count('overheard');
    }
  }
}

/** Whether the client may be offered this address. */
function isOpenTo(slot: Slot, pool: PoolAddresses, key: string, now: number): boolean {
  const isTaken = isLeased(slot, now) && slot.owner?.key !== key;
  return pool.allows(slot) && !isTaken && slot.avoidUntil <= now && !isHeldForOther(slot, key, now);
}

/** A host name comes from anybody and is shown to people. */
function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?').slice(0, hostNameMax);
}
