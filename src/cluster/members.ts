// Who is in the cluster: a table of heartbeats, merged from what nodes say of themselves and of each other. After van Renesse's gossip-style
// failure detection (Middleware '98): only a higher sequence number makes a member younger, so that talk about a dead node cannot revive it.
import type { Announcement, Heard, Sample } from './announce.ts';
import { heardMax } from './announce.ts';

/** `unknown`: in the map, never heard of. `left`: said goodbye. */
export type MemberState = 'unknown' | 'alive' | 'suspect' | 'dead' | 'left';

export const memberStates: readonly MemberState[] = ['unknown', 'alive', 'suspect', 'dead', 'left'];

interface Member {
  readonly state: MemberState;
  /** When it made the newest of its datagrams that anybody told us of, in ms of our clock; undefined if there is none. */
  readonly heardAt: number | undefined;
  readonly incarnation: number;
  readonly sequence: number;
  /** The sequence of its last datagram to us in this incarnation: what is not above it is a replay. Hearsay may run ahead of it. */
  readonly direct: number | undefined;
  /** From its own last datagram to us; undefined if all we have is hearsay. */
  readonly sample: Sample | undefined;
}

/** Why a datagram was not taken. `stranger`: sender not in the map; `address`: in the map at another address; `recipient`: not made for us. */
export type Refusal = 'cluster' | 'stranger' | 'address' | 'recipient' | 'own' | 'stale';

export interface MemberTable {
  readonly cluster: string;
  readonly self: number;
  /** Ours; raised above what others remember of us, should our clock have gone back since. */
  readonly incarnation: number;
  /** Ms between two rounds of announcements; the same on all nodes. */
  readonly interval: number;
  readonly tickedAt: number;
  /** Every node of the map but ourselves. */
  readonly members: ReadonlyMap<number, Member>;
  readonly refused: Readonly<Record<Refusal, number>>;
}

export type MemberEvent =
  /** `from`: the node that the map has at the datagram's source address, aliases included. */
  | { readonly kind: 'heard'; readonly announcement: Announcement; readonly from: number | undefined }
  | { readonly kind: 'tick' }
  /** The map was read anew; `ids` may include our own. */
  | { readonly kind: 'map'; readonly ids: Iterable<number> };

interface MemberChange {
  readonly id: number;
  readonly from: MemberState;
  readonly to: MemberState;
}

export interface Step {
  readonly table: MemberTable;
  readonly changes: readonly MemberChange[];
  readonly refusal: Refusal | undefined;
}

/** Announcements that a node sends in each round: openMosix's two. */
export const fanout = 2;

/** Rounds without news after which a node is suspect in the smallest cluster: five lost datagrams in a row are no accident on a LAN. */
const suspectRoundsMin = 5;
/** How much slower than the mean the slowest of N heartbeats travels, for each e-fold of N; by simulation (test/cluster/members.test.ts). */
const suspectRoundsPerFold = 2.5;
/** A suspect has twice as long again before it is dead. */
const deadFactor = 3;
/** Rounds that we may be late before it was us who slept (a paused virtual machine), not the others. */
const sleepRounds = 3;

export interface Patience {
  readonly suspect: number;
  readonly dead: number;
}

const nobody: Member = { state: 'unknown', heardAt: undefined, incarnation: 0, sequence: 0, direct: undefined, sample: undefined };

/**
 * Ages in ms from which a member is suspect and dead in a cluster of `nodes`. What a node hears in a round is bounded (two datagrams of 64
 * members), so news takes longer in a larger cluster: with the logarithm of its size while all members fit in a datagram, linearly beyond.
 */
export function patience(nodes: number, interval: number): Patience {
  const crowding = Math.max(1, nodes / heardMax);
  const suspect = (suspectRoundsMin + suspectRoundsPerFold * Math.log(Math.max(1, nodes)) * crowding) * interval;
  return { suspect, dead: suspect * deadFactor };
}

export function newTable(cluster: string, self: number, ids: Iterable<number>, incarnation: number, interval: number, now: number): MemberTable {
  const refused = { cluster: 0, stranger: 0, address: 0, recipient: 0, own: 0, stale: 0 };
  return { cluster, self, incarnation, interval, tickedAt: now, members: members(ids, self, new Map()), refused };
}

/** The table after `event` at `now` (ms of a clock that does not step back), what changed in it, and why the event was refused, if it was. */
export function step(table: MemberTable, event: MemberEvent, now: number): Step {
  switch (event.kind) {
    case 'heard':
      return hear(table, event.announcement, event.from, now);
    case 'tick':
      return tick(table, now);
    case 'map':
      return { table: { ...table, members: members(event.ids, table.self, table.members) }, changes: [], refusal: undefined };
  }
}

function members(ids: Iterable<number>, self: number, known: ReadonlyMap<number, Member>): ReadonlyMap<number, Member> {
  const all = new Map<number, Member>();
  for (const id of ids) if (id !== self) all.set(id, known.get(id) ?? nobody);
  return all;
}

function tick(table: MemberTable, now: number): Step {
  const slept = now - table.tickedAt - table.interval;
  const pardon = slept > sleepRounds * table.interval ? slept : 0;
  const limits = patience(table.members.size + 1, table.interval);
  const changes: MemberChange[] = [];
  const all = new Map<number, Member>();
  for (const [id, member] of table.members) {
    const heardAt = member.heardAt === undefined ? undefined : member.heardAt + pardon;
    const state = stateAt(member.state, heardAt, now, limits);
    if (state !== member.state) changes.push({ id, from: member.state, to: state });
    all.set(id, state === member.state && heardAt === member.heardAt ? member : { ...member, state, heardAt });
  }
  return { table: { ...table, members: all, tickedAt: now }, changes, refusal: undefined };
}

function stateAt(state: MemberState, heardAt: number | undefined, now: number, limits: Patience): MemberState {
  if (state === 'left' || heardAt === undefined) return state;
  const age = now - heardAt;
  return age < limits.suspect ? 'alive' : age < limits.dead ? 'suspect' : 'dead';
}

function hear(table: MemberTable, announcement: Announcement, from: number | undefined, now: number): Step {
  const refusal = refuse(table, announcement, from);
  if (refusal !== undefined) {
    return { table: { ...table, refused: { ...table.refused, [refusal]: table.refused[refusal] + 1 } }, changes: [], refusal };
  }
  const { sender, sample, kind, sequence } = announcement;
  const all = new Map(table.members);
  const limits = patience(all.size + 1, table.interval);
  const changes: MemberChange[] = [];
  let { incarnation } = table;
  const first: Heard = { id: sender, left: kind === 'leave', age: 0, incarnation: announcement.incarnation, sequence };
  for (const news of [first, ...announcement.heard]) {
    // Whoever remembers us from the future knew us before our clock went back (a PC with an empty CMOS battery): be newer than that.
    if (news.id === table.self && news.incarnation > incarnation) incarnation = news.incarnation + 1;
    const known = all.get(news.id);
    if (known === undefined || !isNewer(news, known)) continue;
    const member = merge(known, news, now, limits);
    all.set(news.id, member);
    if (member.state !== known.state) changes.push({ id: news.id, from: known.state, to: member.state });
  }
  const spoken = all.get(sender);
  if (spoken !== undefined) all.set(sender, { ...spoken, direct: sequence, sample });
  return { table: { ...table, incarnation, members: all }, changes, refusal: undefined };
}

function merge(known: Member, news: Heard, now: number, limits: Patience): Member {
  const heardAt = now - news.age;
  return {
    ...known,
    state: news.left ? 'left' : stateAt('alive', heardAt, now, limits),
    heardAt,
    incarnation: news.incarnation,
    sequence: news.sequence,
    direct: news.incarnation === known.incarnation ? known.direct : undefined,
  };
}

function refuse(table: MemberTable, announcement: Announcement, from: number | undefined): Refusal | undefined {
  const { sender } = announcement;
  if (announcement.cluster !== table.cluster) return 'cluster';
  if (sender === table.self) return 'own';
  const known = table.members.get(sender);
  if (known === undefined) return 'stranger';
  if (from !== sender) return 'address';
  if (announcement.recipient !== table.self) return 'recipient';
  if (announcement.incarnation !== known.incarnation) return announcement.incarnation > known.incarnation ? undefined : 'stale';
  return known.direct === undefined || announcement.sequence > known.direct ? undefined : 'stale';
}

function isNewer(news: Heard, known: Member): boolean {
  if (known.heardAt === undefined) return true;
  return news.incarnation === known.incarnation ? news.sequence > known.sequence : news.incarnation > known.incarnation;
}

/** What to tell `recipient` of the others: first what we know of itself, so that it can overtake it; then the freshest, at most 64 in all. */
export function heardFor(table: MemberTable, recipient: number, now: number): Heard[] {
  const entries: Heard[] = [];
  for (const [id, member] of table.members) {
    if (member.heardAt === undefined) continue;
    const age = Math.max(0, Math.ceil(now - member.heardAt));
    entries.push({ id, left: member.state === 'left', age, incarnation: member.incarnation, sequence: member.sequence });
  }
  entries.sort((a, b) => Number(b.id === recipient) - Number(a.id === recipient) || a.age - b.age || a.id - b.id);
  return entries.slice(0, heardMax);
}

/**
 * Whom to tell in a round: a random live member and a random one of the whole map, so that newcomers and the dead are tried as well;
 * distinct where the map allows it. `random` gives numbers in [0, 1).
 */
export function targets(table: MemberTable, random: () => number): number[] {
  const alive = liveMembers(table);
  const first = pick(alive, random);
  const others = [...table.members.keys()].filter((id) => id !== first);
  const chosen = first === undefined ? [] : [first];
  while (chosen.length < fanout && others.length > 0) {
    const next = pick(others, random);
    if (next === undefined) break;
    others.splice(others.indexOf(next), 1);
    chosen.push(next);
  }
  return chosen;
}

/** Up to `count` random live members, for news that should not wait for its turn. */
export function someAlive(table: MemberTable, count: number, random: () => number): number[] {
  const alive = liveMembers(table);
  for (let i = 0; i < Math.min(count, alive.length); i += 1) {
    const j = i + Math.floor(random() * (alive.length - i));
    const [a, b] = [alive[i], alive[j]];
    if (a !== undefined && b !== undefined) [alive[i], alive[j]] = [b, a];
  }
  return alive.slice(0, count);
}

function liveMembers(table: MemberTable): number[] {
  return [...table.members].flatMap(([id, member]) => (member.state === 'alive' || member.state === 'suspect' ? [id] : []));
}

function pick(ids: readonly number[], random: () => number): number | undefined {
  return ids[Math.floor(random() * ids.length)];
}
