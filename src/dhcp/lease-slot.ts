// What is known of one dynamic address: who has or had it, whom it is offered to, whether somebody else uses it.
import { type Ipv4, ipv4FromNumber, type Mac } from '../base/addresses.ts';
import type { Heap, HeapItem } from '../base/heap.ts';
import type { LeaseLine } from './lease-entry.ts';
import type { PoolAddresses } from './lease-pool.ts';

export interface Owner {
  readonly key: string;
  readonly mac: Mac | undefined;
  readonly hostName: string | undefined;
  /** When it got the lease, or renewed it. */
  readonly since: number;
  /** It gave the lease back. */
  readonly released: boolean;
}

/** Why an address is not given although nobody has leased it: its client or a probe found it in use, or another server gave it. */
export type AvoidReason = 'declined' | 'answers' | 'elsewhere';

/** Times in milliseconds; what never was is -Infinity. After each change the pool has to `settle` it. */
export interface Slot extends HeapItem {
  readonly number: number;
  readonly address: Ipv4;
  pool: PoolAddresses;
  /** Who has it, or had it last. */
  owner: Owner | undefined;
  leaseEnd: number;
  /** The client that it was offered to last, and until when it is kept for it. */
  heldBy: string | undefined;
  heldUntil: number;
  avoid: AvoidReason | undefined;
  avoidUntil: number;
  /** When nobody answered at it. */
  probedAt: number;
  isProbing: boolean;
  /** Which of its pool's queues it is in. */
  queue: Heap<Slot> | undefined;
}

const never = Number.NEGATIVE_INFINITY;

export function newSlot(pool: PoolAddresses, number: number): Slot {
  return {
    number,
    address: ipv4FromNumber(number),
    pool,
    owner: undefined,
    leaseEnd: never,
    heldBy: undefined,
    heldUntil: never,
    avoid: undefined,
    avoidUntil: never,
    probedAt: never,
    isProbing: false,
    queue: undefined,
    rank: 0,
    place: 0,
  };
}

/** No offer of it keeps it from anybody. */
export function letGo(slot: Slot): void {
  slot.heldBy = undefined;
  slot.heldUntil = never;
}

/** Until when it is leased or avoided; -Infinity if it never was. */
export function busyUntil(slot: Slot): number {
  return Math.max(slot.leaseEnd, slot.avoidUntil);
}

export function isLeased(slot: Slot, now: number): boolean {
  return slot.owner !== undefined && slot.leaseEnd > now;
}

export function isHeldForOther(slot: Slot, key: string, now: number): boolean {
  return slot.heldUntil > now && slot.heldBy !== key;
}

export function leaseLine({ address, pool, leaseEnd }: Slot, { key, mac, hostName, since, released }: Owner): LeaseLine {
  return {
    lease: address,
    net: pool.name,
    key,
    ...(mac === undefined ? {} : { mac }),
    ...(hostName === undefined ? {} : { host: hostName }),
    at: since,
    end: Number.isFinite(leaseEnd) ? leaseEnd : null,
    ...(released ? { released } : {}),
  };
}

/** One address for people and programs. */
export interface LeaseView {
  readonly address: Ipv4;
  readonly network: string;
  readonly state: 'leased' | 'expired' | 'released' | AvoidReason;
  /** The client identifier in hex, or hardware type and address. */
  readonly key: string | undefined;
  readonly mac: Mac | undefined;
  readonly hostName: string | undefined;
  /** Milliseconds since the epoch. */
  readonly since: number | undefined;
  /** When the lease ends or ended, or the address is used again; `Infinity` for a lease without end. */
  readonly until: number;
}

export function leaseView(slot: Slot, now: number): LeaseView {
  const { address, pool, owner, leaseEnd, avoid, avoidUntil } = slot;
  const common = { address, network: pool.name, key: owner?.key, mac: owner?.mac, hostName: owner?.hostName, since: owner?.since };
  if (isLeased(slot, now)) return { ...common, state: 'leased', until: leaseEnd };
  if (avoid !== undefined && avoidUntil > now) return { ...common, state: avoid, until: avoidUntil };
  return { ...common, state: owner?.released === true ? 'released' : 'expired', until: leaseEnd };
}
