// What goes into a datagram: claims that are to be passed on, our own entry, and the freshest of the others', as far as there is room.
import { type Entry, entryBytes } from './entry.ts';
import { type Claim, claimsBytes, type Gossip, roomFor } from './gossip.ts';
import type { MemberTable, Outgoing } from './members.ts';

/** Ten claims leave room for fourteen or fifteen entries, none for sixteen. */
export const claimsMax = 10;
/** How often a claim is passed on for each doubling of the cluster: enough that all hear of it (SWIM 4.1, lambda = 2). */
const repeats = 2;

/** The datagram for `outgoing` at `now`. Counts claims as sent. */
export function compose(table: MemberTable, outgoing: Outgoing, now: number): Gossip {
  const { cluster, self } = table;
  const { kind, recipient } = outgoing;
  const member = table.members.get(recipient);
  table.sequence += 1;
  const claims = claimsFor(table, recipient);
  const entries = window(table, recipient, roomFor(cluster) - claimsBytes(claims.length), now);
  const head = { kind, cluster, sender: self, recipient, incarnation: table.incarnation, sequence: table.sequence };
  return { ...head, echo: outgoing.echo ?? member?.incarnation ?? 0, subject: outgoing.subject ?? self, claims, entries };
}

/** First what we hold of the recipient itself, if that is wrong it can deny it. */
function claimsFor(table: MemberTable, recipient: number): Claim[] {
  const claims: Claim[] = [];
  const about = table.members.get(recipient);
  if (about !== undefined && about.state !== 'alive' && about.state !== 'unknown') claims.push(claimOf(about, about.state));
  const limit = Math.ceil(repeats * Math.log2(table.live.length + 2));
  for (const queue of [table.urgent, table.calm]) {
    for (const id of [...first(queue, claimsMax - claims.length)]) {
      const sent = (queue.get(id) ?? 0) + 1;
      queue.delete(id);
      if (sent < limit) queue.set(id, sent);
      const member = table.members.get(id);
      if (id === table.self) claims.push({ id, state: 'alive', incarnation: table.incarnation, refutation: table.refutation });
      else if (id !== recipient && member !== undefined && member.state !== 'unknown') claims.push(claimOf(member, member.state));
    }
  }
  return claims;
}

function* first(queue: ReadonlyMap<number, number>, count: number): Generator<number> {
  let left = count;
  for (const id of queue.keys()) {
    if (left <= 0) return;
    left -= 1;
    yield id;
  }
}

function claimOf({ id, incarnation, refutation }: Omit<Claim, 'state'>, state: Claim['state']): Claim {
  return { id, state, incarnation, refutation };
}

/** Our own entry and the freshest of the others that fit into `room` bytes; the recipient knows its own best, and the dead have no load. */
function window(table: MemberTable, recipient: number, room: number, now: number): Entry[] {
  const { self: id, incarnation, refutation, beat, facts } = table;
  const entries: Entry[] = [{ id, incarnation, refutation, beat, age: Math.max(0, now - table.beatAt), facts }];
  let left = room - entryBytes(facts);
  for (const other of table.fresh) {
    const member = table.members.get(other);
    if (member?.facts === undefined || other === recipient || !table.liveAt.has(other)) continue;
    left -= entryBytes(member.facts);
    if (left < 0) break;
    const age = Math.max(0, Math.ceil(now - member.madeAt));
    entries.push({ id: other, incarnation: member.incarnation, refutation: member.refutation, beat: member.beat, age, facts: member.facts });
  }
  return entries;
}
