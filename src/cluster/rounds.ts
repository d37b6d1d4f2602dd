// What a member does in a round and upon a datagram. Probing after SWIM (DSN 2002 4): each member asks one other in turn; who does not answer is asked
// through others, then suspected before all, and may deny it; then it is dead. Load travels in the same datagrams.
import { type Claim, type Gossip, overrides } from './gossip.ts';
import {
  answersMax,
  believe,
  learn,
  type MemberChange,
  type MemberEvent,
  type MemberTable,
  type Outgoing,
  type Refusal,
  replaceMap,
  type Step,
} from './members.ts';

/** Members that are asked to try one that does not answer (SWIM's k). */
const helpers = 3;
/** Nodes that a node tries in a round while it knows nobody alive. */
const searchers = 5;
/** Rounds that we may be late before it was us who slept (a paused virtual machine), not the others. */
const sleepRounds = 3;
/** Rounds a suspicion takes to reach everybody, and its denial to come back: some for bad luck, and one for each doubling of the cluster. */
const suspicionRounds = 3;
/** Of the rounds of a cluster one in so many, divided by its size, goes to a node that is not alive: each such try is an ARP broadcast. */
const revisit = 8;
/** ... and never more often than one round in this many. */
const revisitMin = 5;
/** A favour that has not been returned by then will not be. */
const favourRounds = 2;
/** Datagrams of one round that may ask favours of us. */
const favoursMax = 32;

export interface Patience {
  /** Until a node that never answers is suspect, counted from the probe. */
  readonly suspect: number;
  /** From then until it is dead. */
  readonly dead: number;
}

/** Ms, in a cluster of `nodes` live nodes. */
export function patience(nodes: number, interval: number): Patience {
  return { suspect: 2 * interval, dead: (suspicionRounds + Math.log2(Math.max(1, nodes))) * interval };
}

/** What `event` at `now` (ms of a clock that does not step back) changes in `table`, and what is to be sent. `random` gives numbers in [0, 1). */
export function step(table: MemberTable, event: MemberEvent, now: number, random: () => number): Step {
  switch (event.kind) {
    case 'heard':
      return hear(table, event.gossip, event.from, now);
    case 'tick':
      return tick(table, now, random);
    case 'facts':
      table.facts = event.facts;
      return quiet;
    case 'map':
      replaceMap(table, event.ids, now);
      return quiet;
  }
}

const quiet: Step = { send: [], changes: [], refusal: undefined };

function tick(table: MemberTable, now: number, random: () => number): Step {
  const send: Outgoing[] = [];
  const changes: MemberChange[] = [];
  if (now - table.tickedAt > sleepRounds * table.interval) forgiveAll(table, now);
  table.tickedAt = now;
  table.beat += 1;
  table.beatAt = now;
  table.answers = answersMax;
  while ((table.favours[0]?.at ?? now) < now - favourRounds * table.interval) table.favours.shift();
  followProbes(table, now, random, send, changes);
  bury(table, now, changes);
  const next = nextInTurn(table, random);
  if (next !== undefined) {
    table.probes.push({ id: next, at: now, asked: false });
    send.push({ kind: 'push', recipient: next });
  }
  for (const id of table.checks) {
    table.checks.delete(id);
    send.push({ kind: 'push', recipient: id });
    break;
  }
  const others = table.members.size - table.live.length;
  if (next === undefined) for (const id of someOthers(table, searchers, random)) send.push({ kind: 'push', recipient: id });
  else if (others > 0 && random() < 1 / Math.max(revisitMin, table.live.length / revisit)) {
    for (const id of someOthers(table, 1, random)) send.push({ kind: 'push', recipient: id });
  }
  return { send, changes, refusal: undefined };
}

/** We were away: nobody can be blamed for not having answered. */
function forgiveAll(table: MemberTable, now: number): void {
  table.probes.length = 0;
  for (const id of table.suspects) {
    const member = table.members.get(id);
    if (member !== undefined) member.since = now;
  }
}

function followProbes(table: MemberTable, now: number, random: () => number, send: Outgoing[], changes: MemberChange[]): void {
  const { suspect } = patience(table.live.length + 1, table.interval);
  const open = table.probes.splice(0);
  for (const probe of open) {
    const member = table.members.get(probe.id);
    if (member === undefined || member.provedAt >= probe.at || member.state !== 'alive') continue;
    if (now - probe.at >= suspect) {
      const { id, incarnation, refutation } = member;
      believe(table, { id, state: 'suspect', incarnation, refutation }, now, changes);
      continue;
    }
    table.probes.push(probe);
    if (probe.asked) continue;
    probe.asked = true;
    for (const id of someLive(table, helpers, random, probe.id)) send.push({ kind: 'ask', recipient: id, subject: probe.id });
  }
}

function bury(table: MemberTable, now: number, changes: MemberChange[]): void {
  const { dead } = patience(table.live.length + 1, table.interval);
  for (const id of table.suspects) {
    const member = table.members.get(id);
    if (member === undefined || now - member.since < dead) continue;
    believe(table, { id, state: 'dead', incarnation: member.incarnation, refutation: member.refutation }, now, changes);
  }
}

/** Everybody alive once, in an order of our own, before anybody twice: so the wait for a probe is bounded (SWIM 4.3). */
function nextInTurn(table: MemberTable, random: () => number): number | undefined {
  const next = popLive(table);
  if (next !== undefined) return next;
  table.order = shuffled(table.live, random);
  return popLive(table);
}

function popLive(table: MemberTable): number | undefined {
  for (;;) {
    const id = table.order.pop();
    if (id === undefined || table.liveAt.has(id)) return id;
  }
}

function shuffled(ids: readonly number[], random: () => number): number[] {
  const all = [...ids];
  for (let i = all.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [all[i], all[j]];
    if (a !== undefined && b !== undefined) [all[i], all[j]] = [b, a];
  }
  return all;
}

/** Up to `count` different live members. */
export function someLive(table: MemberTable, count: number, random: () => number, except = 0): number[] {
  const found = new Set<number>();
  for (let tries = 0; tries < 4 * count && found.size < count; tries += 1) {
    const id = table.live[Math.floor(random() * table.live.length)];
    if (id !== undefined && id !== except) found.add(id);
  }
  return [...found];
}

/** Up to `count` members that are not alive; those that said goodbye are left alone for as long as there are others. */
function someOthers(table: MemberTable, count: number, random: () => number): number[] {
  const others = [...table.members.values()].filter(({ state }) => state === 'unknown' || state === 'dead');
  const candidates = others.length > 0 ? others : [...table.members.values()].filter(({ state }) => state === 'left');
  const found = new Set<number>();
  for (let tries = 0; tries < 4 * count && found.size < Math.min(count, candidates.length); tries += 1) {
    const member = candidates[Math.floor(random() * candidates.length)];
    if (member !== undefined) found.add(member.id);
  }
  return [...found];
}

function hear(table: MemberTable, gossip: Gossip, from: number | undefined, now: number): Step {
  const send: Outgoing[] = [];
  const changes: MemberChange[] = [];
  const refusal = refuse(table, gossip, from);
  if (refusal !== undefined) {
    table.refused[refusal] += 1;
    // It does not know this start of us yet. What it says is not believed, but it may hear of us; a replay gains nothing by that.
    if (refusal === 'session') answer(table, send, { kind: 'ack', recipient: gossip.sender, echo: gossip.incarnation });
    return { send, changes, refusal };
  }
  const { sender, incarnation } = gossip;
  const member = table.members.get(sender);
  if (member === undefined) return { send, changes, refusal: 'stranger' };
  const isNews = incarnation > member.incarnation;
  takeNews(table, gossip, now, changes);
  member.sequence = gossip.sequence;
  member.provedAt = now;
  if (gossip.kind === 'leave') {
    const [own] = gossip.entries;
    believe(table, { id: sender, state: 'left', incarnation, refutation: own?.refutation ?? member.refutation }, now, changes);
    return { send, changes, refusal: undefined };
  }
  if (gossip.kind === 'relay') prove(table, gossip.subject, now);
  if (gossip.kind === 'ask') takeFavour(table, gossip, now, send);
  payFavours(table, sender, send);
  // A newcomer is answered so that it knows us too, and one who is taken for dead so that it can deny it.
  if (gossip.kind === 'push') answer(table, send, { kind: 'ack', recipient: sender });
  else if (isNews || member.state === 'suspect' || member.state === 'dead') answer(table, send, { kind: 'push', recipient: sender });
  return { send, changes, refusal: undefined };
}

function takeNews(table: MemberTable, gossip: Gossip, now: number, changes: MemberChange[]): void {
  for (const entry of gossip.entries) if (entry.id !== table.self) learn(table, entry, now, changes);
  for (const claim of gossip.claims) {
    if (claim.id === table.self) deny(table, claim);
    else believe(table, claim, now, changes);
  }
}

function takeFavour(table: MemberTable, { subject, sender }: Gossip, now: number, send: Outgoing[]): void {
  if (!table.members.has(subject) || table.favours.length >= favoursMax) return;
  table.favours.push({ subject, requester: sender, at: now });
  answer(table, send, { kind: 'push', recipient: subject });
}

function refuse(table: MemberTable, gossip: Gossip, from: number | undefined): Refusal | undefined {
  const { sender } = gossip;
  if (gossip.cluster !== table.cluster) return 'cluster';
  if (sender === table.self) return 'own';
  const known = table.members.get(sender);
  if (known === undefined) return 'stranger';
  if (from !== sender) return 'address';
  if (gossip.recipient !== table.self) return 'recipient';
  if (gossip.echo !== table.incarnation) return 'session';
  if (gossip.incarnation !== known.incarnation) return gossip.incarnation > known.incarnation ? undefined : 'stale';
  return gossip.sequence > known.sequence ? undefined : 'stale';
}

function answer(table: MemberTable, send: Outgoing[], outgoing: Outgoing): void {
  if (table.answers <= 0) return;
  table.answers -= 1;
  send.push(outgoing);
}

function prove(table: MemberTable, id: number, now: number): void {
  const member = table.members.get(id);
  if (member !== undefined) member.provedAt = now;
}

function payFavours(table: MemberTable, subject: number, send: Outgoing[]): void {
  for (let i = table.favours.length - 1; i >= 0; i -= 1) {
    const favour = table.favours[i];
    if (favour === undefined || favour.subject !== subject) continue;
    table.favours.splice(i, 1);
    answer(table, send, { kind: 'relay', recipient: favour.requester, subject });
  }
}

/** Somebody says of us that we are not alive, or remembers a later start of us: rise above it. */
function deny(table: MemberTable, claim: Claim): void {
  const { incarnation, refutation } = table;
  if (!overrides(claim, { state: 'alive', incarnation, refutation })) return;
  if (claim.incarnation > incarnation) {
    table.incarnation = claim.incarnation + 1;
    table.refutation = 0;
  } else if (claim.refutation < 0xffff) table.refutation = claim.refutation + 1;
  else {
    table.incarnation = incarnation + 1;
    table.refutation = 0;
  }
  table.urgent.set(table.self, 0);
}
