// Who is in the cluster: what one member knows of all, and the ways in which that changes. Liveness after SWIM (Das, Gupta, Motivala, DSN 2002):
// a claim of a node's state holds for one (incarnation, refutation) of it, and only the node itself can raise that.
import type { Entry, Facts } from './entry.ts';
import { type Claim, type ClaimState, type Gossip, type Kind, overrides } from './gossip.ts';

/** `unknown`: in the map, never heard of. `left`: said goodbye. */
export type MemberState = 'unknown' | ClaimState;

export const memberStates: readonly MemberState[] = ['unknown', 'alive', 'suspect', 'dead', 'left'];

export interface Member {
  readonly id: number;
  state: MemberState;
  /** When it came to this state, in ms of our clock. */
  since: number;
  incarnation: number;
  refutation: number;
  /** Its newest facts, undefined if none have come. */
  facts: Facts | undefined;
  /** Which round of it made them, and when in ms of our clock. */
  beat: number;
  madeAt: number;
  /** Sequence of its last datagram to us in this incarnation: what is not above it is a replay. */
  sequence: number;
  /** When we last had proof that it lives: a datagram from it, or a member's word that there was one. */
  provedAt: number;
}

/** Why a datagram was not taken. `stranger`: sender not in the map; `address`: in the map at another address; `session`: not made for this start of us. */
export type Refusal = 'cluster' | 'stranger' | 'address' | 'recipient' | 'own' | 'session' | 'stale';

export interface MemberChange {
  readonly id: number;
  readonly from: MemberState;
  readonly to: MemberState;
}

/** A node that was asked whether it lives. */
export interface Probe {
  readonly id: number;
  readonly at: number;
  /** Whether others have been asked for help. */
  asked: boolean;
}

/** Somebody wants to know whether `subject` lives. */
export interface Favour {
  readonly subject: number;
  readonly requester: number;
  readonly at: number;
}

export interface Outgoing {
  readonly kind: Kind;
  readonly recipient: number;
  readonly subject?: number;
  /** The recipient's incarnation where it is not the one in the table: the datagram that is answered named it. */
  readonly echo?: number;
}

/**
 * What a member knows. The rules change it in place (a copy of 2,000 members for every datagram would be most of an agent's work); they have no
 * clock and no randomness of their own.
 */
export interface MemberTable {
  readonly cluster: string;
  readonly self: number;
  /** Ours; raised above what others remember of us, should our clock have gone back since. */
  incarnation: number;
  refutation: number;
  beat: number;
  beatAt: number;
  /** Of the last datagram that we made. */
  sequence: number;
  facts: Facts;
  /** Ms between two rounds; the same on all nodes. */
  readonly interval: number;
  tickedAt: number;
  /** Every node of the map but ourselves. */
  readonly members: Map<number, Member>;
  /** Ids of the members with the newest facts, newest first; at most `freshMax`. */
  readonly fresh: number[];
  /** Ids of those alive or suspect, and where each stands in that list. */
  readonly live: number[];
  readonly liveAt: Map<number, number>;
  readonly suspects: Set<number>;
  /** Claims to pass on, as ids with the times each was sent: those that cannot wait, and newcomers. Oldest turn first. */
  readonly urgent: Map<number, number>;
  readonly calm: Map<number, number>;
  /** Live members in the order in which they will be probed. */
  order: number[];
  readonly probes: Probe[];
  readonly favours: Favour[];
  /** Members held for dead of whom there is newer news: to be asked themselves. */
  readonly checks: Set<number>;
  /** Answers that may still be given in this round. */
  answers: number;
  readonly refused: Record<Refusal, number>;
}

export type MemberEvent =
  /** `from`: the node that the map has at the datagram's source address, aliases included. */
  | { readonly kind: 'heard'; readonly gossip: Gossip; readonly from: number | undefined }
  | { readonly kind: 'tick' }
  /** What we say of ourselves from now on. */
  | { readonly kind: 'facts'; readonly facts: Facts }
  /** The map was read anew; `ids` may include our own. */
  | { readonly kind: 'map'; readonly ids: Iterable<number> };

export interface Step {
  readonly send: readonly Outgoing[];
  readonly changes: readonly MemberChange[];
  readonly refusal: Refusal | undefined;
}

/** More than fit into a datagram, for some of them are left out. */
const freshMax = 24;
/** Where many nodes ask one at once it answers so many in a round, 90 KB; the others have other members to ask. */
export const answersMax = 64;

export function newTable(cluster: string, self: number, ids: Iterable<number>, incarnation: number, facts: Facts, interval: number, now: number): MemberTable {
  const table: MemberTable = {
    ...{ cluster, self, incarnation, refutation: 0, beat: 0, beatAt: now, sequence: 0, facts, interval, tickedAt: now },
    ...{ members: new Map(), fresh: [], live: [], liveAt: new Map(), suspects: new Set(), urgent: new Map(), calm: new Map() },
    ...{ order: [], probes: [], favours: [], checks: new Set(), answers: answersMax },
    refused: { cluster: 0, stranger: 0, address: 0, recipient: 0, own: 0, session: 0, stale: 0 },
  };
  replaceMap(table, ids, now);
  return table;
}

/** Members that the map no longer has are forgotten, new ones are unknown. */
export function replaceMap(table: MemberTable, ids: Iterable<number>, now: number): void {
  const wanted = new Set(ids);
  for (const id of table.members.keys()) {
    if (wanted.has(id)) continue;
    setLive(table, id, false);
    table.members.delete(id);
    for (const set of [table.suspects, table.urgent, table.calm, table.checks]) set.delete(id);
    const at = table.fresh.indexOf(id);
    if (at >= 0) table.fresh.splice(at, 1);
  }
  for (const id of wanted) {
    if (id === table.self || table.members.has(id)) continue;
    const never = Number.NEGATIVE_INFINITY;
    const nothing = { incarnation: 0, refutation: 0, facts: undefined, beat: 0, madeAt: never, sequence: 0, provedAt: never };
    table.members.set(id, { id, state: 'unknown', since: now, ...nothing });
  }
}

/** Takes over what `claim` says, if it overrides what we hold of that node. True if it was news of one. */
export function believe(table: MemberTable, claim: Claim, now: number, changes: MemberChange[]): boolean {
  const member = table.members.get(claim.id);
  if (member === undefined || (member.state !== 'unknown' && !overrides(claim, { ...member, state: member.state }))) return false;
  if (claim.incarnation !== member.incarnation) {
    member.sequence = 0;
    member.beat = 0;
  }
  const from = member.state;
  member.incarnation = claim.incarnation;
  member.refutation = claim.refutation;
  if (from !== claim.state) {
    member.state = claim.state;
    member.since = now;
    changes.push({ id: claim.id, from, to: claim.state });
  }
  const isLive = claim.state === 'alive' || claim.state === 'suspect';
  setLive(table, claim.id, isLive);
  if (claim.state === 'suspect') table.suspects.add(claim.id);
  else table.suspects.delete(claim.id);
  if (claim.state === 'alive') table.checks.delete(claim.id);
  tellOthers(table, claim);
  return true;
}

/** News of newcomers can wait, and they come many at once; a rumour of death and its denial cannot. */
function tellOthers(table: MemberTable, { id, state, refutation }: Claim): void {
  table.urgent.delete(id);
  table.calm.delete(id);
  (state === 'alive' && refutation === 0 ? table.calm : table.urgent).set(id, 0);
}

function setLive(table: MemberTable, id: number, live: boolean): void {
  const at = table.liveAt.get(id);
  if ((at !== undefined) === live) return;
  if (at === undefined) {
    table.liveAt.set(id, table.live.length);
    table.live.push(id);
    return;
  }
  const last = table.live.pop();
  table.liveAt.delete(id);
  if (last === undefined || last === id) return;
  table.live[at] = last;
  table.liveAt.set(last, at);
}

/** Takes over an entry, if it is newer than what we have of that node. */
export function learn(table: MemberTable, entry: Entry, now: number, changes: MemberChange[]): void {
  const member = table.members.get(entry.id);
  if (member === undefined) return;
  const madeAt = now - entry.age;
  const { incarnation, refutation } = entry;
  believe(table, { id: entry.id, state: 'alive', incarnation, refutation }, now, changes);
  if (incarnation !== member.incarnation || entry.beat <= member.beat) return;
  member.beat = entry.beat;
  member.facts = entry.facts;
  member.madeAt = madeAt;
  freshen(table, member);
  // It has said something since it was taken for dead: let it deny that itself. An age has the error of the way it came.
  if (member.state === 'dead' && madeAt > member.since + table.interval) table.checks.add(entry.id);
}

/** Keeps the list of the newest in order. */
function freshen(table: MemberTable, member: Member): void {
  const { fresh, members } = table;
  const old = fresh.indexOf(member.id);
  if (old >= 0) fresh.splice(old, 1);
  let at = fresh.length;
  while (at > 0 && (members.get(fresh[at - 1] ?? 0)?.madeAt ?? Number.NEGATIVE_INFINITY) < member.madeAt) at -= 1;
  if (at >= freshMax) return;
  fresh.splice(at, 0, member.id);
  if (fresh.length > freshMax) fresh.pop();
}
