// The rules of membership, one event at a time: who is believed, who is suspected, and how a rumour is denied.
import { describe, expect, test } from 'vitest';
import { claimsMax, compose } from '../../src/cluster/compose.ts';
import { type Claim, type Gossip, gossipBytes, gossipBytesMax } from '../../src/cluster/gossip.ts';
import { type MemberTable, newTable, type Outgoing } from '../../src/cluster/members.ts';
import { patience, step } from '../../src/cluster/rounds.ts';
import { facts } from './facts.ts';

const interval = 1000;
const random = () => 0.999; // no visits to those who are not alive

function table(ids = [1, 2, 3]): MemberTable {
  return newTable('farm', 1, ids, 1000, facts, interval, 0);
}

function from(sender: number, sequence: number, more: Partial<Gossip> = {}): Gossip {
  const incarnation = more.incarnation ?? 500;
  const own = { id: sender, incarnation, refutation: 0, beat: sequence, age: 0, facts };
  return { kind: 'ack', cluster: 'farm', sender, recipient: 1, incarnation, echo: 1000, sequence, subject: sender, claims: [], entries: [own], ...more };
}

function hear(to: MemberTable, gossip: Gossip, now = 0) {
  return step(to, { kind: 'heard', gossip, from: gossip.sender }, now, random);
}

function tick(to: MemberTable, now: number) {
  return step(to, { kind: 'tick' }, now, random);
}

const claim = (id: number, state: Claim['state'], incarnation = 500, refutation = 0): Claim => ({ id, state, incarnation, refutation });
const state = (of: MemberTable, id: number) => of.members.get(id)?.state;

describe('a datagram is refused', () => {
  test.each<[string, Partial<Gossip>, number | undefined]>([
    ['cluster', { cluster: 'other' }, 2],
    ['own', { sender: 1 }, 1],
    ['stranger', { sender: 9 }, 9],
    ['address', {}, 3],
    ['address', {}, undefined],
    ['recipient', { recipient: 3 }, 2],
    ['session', { echo: 999 }, 2],
    ['session', { echo: 0 }, 2],
  ])('as %s: %j from the address of node %s', (refusal, more, address) => {
    const before = table();
    const done = step(before, { kind: 'heard', gossip: from(2, 1, more), from: address }, 0, random);
    expect(done).toMatchObject({ refusal, changes: [] });
    expect(before.refused).toMatchObject({ [refusal]: 1 });
    expect(state(before, 2)).toBe('unknown');
  });

  test('as stale when it comes again, comes late, or is of an earlier start', () => {
    const before = table();
    hear(before, from(2, 5));
    for (const old of [from(2, 5), from(2, 4), from(2, 9, { incarnation: 499 })]) expect(hear(before, old).refusal).toBe('stale');
    expect(hear(before, from(2, 6)).refusal).toBeUndefined();
    expect(hear(before, from(2, 1, { incarnation: 501 })).refusal).toBeUndefined();
  });

  test('as session when it was recorded before we started anew, whatever clocks say', () => {
    const recorded = from(2, 5_000_000);
    const restarted = newTable('farm', 1, [1, 2], 1001, facts, interval, 0);
    expect(hear(restarted, recorded)).toMatchObject({ refusal: 'session', changes: [] });
    // Whoever plays it back hears from us, as anybody may; one answer each, and so many in a round.
    const answers = Array.from({ length: 200 }, () => hear(restarted, recorded).send.length);
    expect(answers.reduce((sum, one) => sum + one, 0)).toBeLessThan(64);
    expect(state(restarted, 2)).toBe('unknown');
  });
});

test('two that know nothing of each other do after two answers', () => {
  const [a, b] = [table([1, 2]), newTable('farm', 2, [1, 2], 500, facts, interval, 0)];
  const tables = new Map([
    [1, a],
    [2, b],
  ]);
  const deliver = (sender: number, outgoing: readonly Outgoing[], depth: number): number =>
    outgoing.reduce((most, one) => {
      const gossip = compose(tables.get(sender)!, one, 0);
      const { send } = step(tables.get(one.recipient)!, { kind: 'heard', gossip, from: sender }, 0, random);
      return Math.max(most, deliver(one.recipient, send, depth + 1));
    }, depth);
  const legs = deliver(1, tick(a, 0).send, 0);
  expect([state(a, 2), state(b, 1)]).toEqual(['alive', 'alive']);
  expect(legs).toBeLessThanOrEqual(4);
});

describe('a member', () => {
  test('that does not answer is asked through others, suspected, and then dead', () => {
    const ours = table();
    hear(ours, from(2, 1));
    hear(ours, from(3, 1));
    const { suspect, dead } = patience(3, interval);
    const said: string[] = [];
    for (let now = interval; now <= suspect + dead + 4 * interval; now += interval) {
      hear(ours, from(3, 1 + now), now - 1);
      const { send, changes } = tick(ours, now);
      for (const { kind, subject } of send) if (kind === 'ask') said.push(`ask about ${subject}`);
      for (const { id, to } of changes) said.push(`${id} is ${to}`);
    }
    expect(said).toEqual(['ask about 2', '2 is suspect', '2 is dead']);
  });

  test('stays alive on the word of a helper that it answers him', () => {
    const ours = table();
    hear(ours, from(2, 1));
    hear(ours, from(3, 1));
    for (let now = interval; now <= 30 * interval; now += interval) {
      hear(ours, from(3, 1 + now, { kind: 'relay', subject: 2 }), now + 1);
      expect(tick(ours, now).changes).toEqual([]);
    }
  });

  test('is tried for others, who hear of its answer', () => {
    const ours = table();
    hear(ours, from(2, 1));
    const asked = hear(ours, from(3, 1, { kind: 'ask', subject: 2 }));
    expect(asked.send).toContainEqual({ kind: 'push', recipient: 2 });
    expect(hear(ours, from(2, 2)).send).toContainEqual({ kind: 'relay', recipient: 3, subject: 2 });
  });

  test('that denies a rumour lives on, and the same rumour cannot kill it again', () => {
    const ours = table();
    hear(ours, from(2, 1, { claims: [claim(3, 'suspect')] }));
    expect(state(ours, 3)).toBe('suspect');
    hear(ours, from(2, 2, { claims: [claim(3, 'alive', 500, 1)] }));
    expect(state(ours, 3)).toBe('alive');
    hear(ours, from(2, 3, { claims: [claim(3, 'dead', 500, 0), claim(3, 'suspect', 500, 0)] }));
    expect(state(ours, 3)).toBe('alive');
  });

  test('that is dead is not revived by old news of it, but by its own new start', () => {
    const ours = table();
    hear(ours, from(3, 1));
    hear(ours, from(2, 1, { claims: [claim(3, 'dead')] }), 5000);
    const old = { id: 3, incarnation: 500, refutation: 0, beat: 3, age: 4000, facts };
    hear(ours, from(2, 2, { entries: [...from(2, 2).entries, old] }), 5000);
    expect(state(ours, 3)).toBe('dead');
    hear(ours, from(3, 1, { incarnation: 501 }), 5001);
    expect(state(ours, 3)).toBe('alive');
  });

  test('of whom there is news since its death is asked itself, and told of the rumour', () => {
    const ours = table();
    hear(ours, from(2, 1, { claims: [claim(3, 'dead')] }), 0);
    const fresh = { id: 3, incarnation: 500, refutation: 0, beat: 3, age: 0, facts };
    hear(ours, from(2, 2, { entries: [...from(2, 2).entries, fresh] }), 60_000);
    expect(state(ours, 3)).toBe('dead');
    const { send } = tick(ours, 60_100);
    expect(send).toContainEqual({ kind: 'push', recipient: 3 });
    expect(compose(ours, { kind: 'push', recipient: 3 }, 60_100).claims[0]).toEqual(claim(3, 'dead'));
  });

  test('that said goodbye has left, whatever is said of that start of it', () => {
    const ours = table();
    hear(ours, from(2, 1));
    expect(hear(ours, from(2, 2, { kind: 'leave' })).changes).toEqual([{ id: 2, from: 'alive', to: 'left' }]);
    hear(ours, from(3, 1, { claims: [claim(2, 'dead'), claim(2, 'suspect'), claim(2, 'alive')] }));
    expect(state(ours, 2)).toBe('left');
  });

  test('that the map no longer has is forgotten', () => {
    const ours = table();
    hear(ours, from(2, 1));
    hear(ours, from(3, 1));
    step(ours, { kind: 'map', ids: [1, 3] }, 0, random);
    expect([...ours.members.keys()]).toEqual([3]);
    expect(ours.live).toEqual([3]);
    expect(hear(ours, from(2, 2)).refusal).toBe('stranger');
  });
});

describe('we ourselves', () => {
  test.each([
    ['suspect', claim(1, 'suspect', 1000, 0), 1000, 1],
    ['dead', claim(1, 'dead', 1000, 7), 1000, 8],
    ['gone', claim(1, 'left', 1000, 0), 1000, 1],
    ['dead, in an earlier start', claim(1, 'dead', 999, 0), 1000, 0],
    ['alive, in a later start than this', claim(1, 'alive', 2000, 3), 2001, 0],
    ['dead, as often as can be counted', claim(1, 'dead', 1000, 0xffff), 1001, 0],
  ])('rise above the rumour that we are %s', (_what, rumour, incarnation, refutation) => {
    const ours = table();
    hear(ours, from(2, 1, { claims: [rumour] }));
    expect([ours.incarnation, ours.refutation]).toEqual([incarnation, refutation]);
    if (refutation > 0) expect(compose(ours, { kind: 'push', recipient: 2 }, 0).claims).toContainEqual(claim(1, 'alive', incarnation, refutation));
  });

  test('blame nobody after we slept', () => {
    const ours = table();
    hear(ours, from(2, 1));
    tick(ours, interval);
    expect(tick(ours, 600_000).changes).toEqual([]);
    expect(state(ours, 2)).toBe('alive');
  });
});

describe('a datagram of ours', () => {
  const ids = Array.from({ length: 200 }, (_, i) => i + 1);

  test('has our entry and the freshest others, and fits', () => {
    const ours = table(ids);
    for (const id of ids.slice(1)) hear(ours, from(id, 1), id);
    const gossip = compose(ours, { kind: 'push', recipient: 190 }, 300);
    expect(gossip.entries.map(({ id }) => id)).toEqual([1, 200, 199, 198, 197, 196, 195, 194, 193, 192, 191, 189, 188, 187, 186]);
    expect(gossip.entries[1]?.age).toBe(100);
    expect(gossip.claims).toHaveLength(claimsMax);
    expect(gossipBytes(gossip)).toBeLessThanOrEqual(gossipBytesMax);
  });

  test('passes each claim on some times, and deaths before newcomers', () => {
    const ours = table(ids);
    for (const id of ids.slice(1, 100)) hear(ours, from(id, 1));
    hear(ours, from(2, 2, { claims: [claim(50, 'dead')] }));
    expect(compose(ours, { kind: 'push', recipient: 3 }, 0).claims[0]).toEqual(claim(50, 'dead'));
    let rounds = 0;
    while (compose(ours, { kind: 'push', recipient: 3 }, 0).claims.length > 0 && rounds < 1000) rounds += 1;
    expect(rounds).toBeGreaterThan(50);
    expect(rounds).toBeLessThan(250);
  });
});
