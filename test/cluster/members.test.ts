// The membership rules under a virtual clock, and a whole cluster of tables with a seeded network.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Announcement, Heard } from '../../src/cluster/announce.ts';
import { fanout, heardFor, type MemberTable, newTable, patience, type Refusal, someAlive, step, targets } from '../../src/cluster/members.ts';

const interval = 1000;
const sample = { load: 0.5, cpus: 2, memory: { total: 100, available: 50 } };

function table(ids = [1, 2, 3], self = 1): MemberTable {
  return newTable('farm', self, ids, 1000, interval, 0);
}

function from(sender: number, sequence: number, more: Partial<Announcement> = {}): Announcement {
  return { kind: 'announce', cluster: 'farm', sender, recipient: 1, incarnation: 500, sequence, sample, heard: [], ...more };
}

function hear(before: MemberTable, announcement: Announcement, now: number) {
  return step(before, { kind: 'heard', announcement, from: announcement.sender }, now);
}

/** Ticks each interval until `end`; what changed and when. */
function tickUntil(before: MemberTable, end: number) {
  let current = before;
  const changes: [number, number, string][] = [];
  for (let now = before.tickedAt + interval; now <= end; now += interval) {
    const done = step(current, { kind: 'tick' }, now);
    current = done.table;
    for (const { id, to } of done.changes) changes.push([now, id, to]);
  }
  return { table: current, changes };
}

function news(id: number, more: Partial<Heard> = {}): Heard {
  return { id, left: false, age: 0, incarnation: 500, sequence: 1, ...more };
}

describe('a member', () => {
  test('is unknown until somebody heard of it, and stays so', () => {
    expect(tickUntil(table(), 1_000_000).changes).toEqual([]);
    expect([...table().members.values()].map(({ state }) => state)).toEqual(['unknown', 'unknown']);
  });

  test('is alive once heard, then suspect, then dead, at the ages of patience()', () => {
    const { table: heard, changes } = hear(table(), from(2, 1), 0);
    expect(changes).toEqual([{ id: 2, from: 'unknown', to: 'alive' }]);
    const { suspect, dead } = patience(3, interval);
    const late = tickUntil(heard, 60_000);
    const tickAfter = (age: number) => Math.ceil(age / interval) * interval;
    expect(late.changes).toEqual([
      [tickAfter(suspect), 2, 'suspect'],
      [tickAfter(dead), 2, 'dead'],
    ]);
    expect(hear(late.table, from(2, 2), 60_100).changes).toEqual([{ id: 2, from: 'dead', to: 'alive' }]);
  });

  test('that said goodbye has left, for good in this incarnation, and is back in its next', () => {
    const left = hear(hear(table(), from(2, 1), 0).table, from(2, 2, { kind: 'leave' }), 10);
    expect(left.changes).toEqual([{ id: 2, from: 'alive', to: 'left' }]);
    const later = tickUntil(left.table, 100_000);
    expect(later.changes).toEqual([]);
    expect(hear(later.table, from(2, 1, { incarnation: 501 }), 100_001).changes).toEqual([{ id: 2, from: 'left', to: 'alive' }]);
  });

  test('carries what it said of its machine', () => {
    expect(hear(table(), from(2, 1), 0).table.members.get(2)?.sample).toEqual(sample);
  });
});

describe('hearsay', () => {
  test('makes a member alive, as old as it was told to be, without a sample', () => {
    const { table: after, changes } = hear(table(), from(2, 1, { heard: [news(3, { age: 300 })] }), 1000);
    expect(changes).toEqual([
      { id: 2, from: 'unknown', to: 'alive' },
      { id: 3, from: 'unknown', to: 'alive' },
    ]);
    expect(after.members.get(3)).toMatchObject({ state: 'alive', heardAt: 700, sample: undefined });
  });

  test('of a long silent member makes it dead at once', () => {
    expect(hear(table(), from(2, 1, { heard: [news(3, { age: 900_000 })] }), 1000).table.members.get(3)?.state).toBe('dead');
  });

  test('that is no newer than what we know changes nothing, however young it claims to be', () => {
    const known = hear(table(), from(3, 7), 0).table;
    for (const old of [news(3, { sequence: 7 }), news(3, { sequence: 6 }), news(3, { incarnation: 499, sequence: 99 })]) {
      expect(hear(known, from(2, 1, { heard: [old] }), 5000).table.members.get(3)).toEqual(known.members.get(3));
    }
  });

  test('of a goodbye counts', () => {
    const known = hear(table(), from(3, 7), 0).table;
    expect(hear(known, from(2, 1, { heard: [news(3, { sequence: 8, left: true })] }), 100).table.members.get(3)?.state).toBe('left');
  });

  test('that ran ahead of a datagram does not make that one a replay', () => {
    const ahead = hear(table(), from(2, 1, { heard: [news(3, { sequence: 9 })] }), 0).table;
    const { refusal, table: after } = hear(ahead, from(3, 9), 1);
    expect(refusal).toBeUndefined();
    expect(after.members.get(3)).toMatchObject({ sequence: 9, direct: 9, sample });
  });

  test('about nodes outside the map is passed over', () => {
    expect(hear(table(), from(2, 1, { heard: [news(99)] }), 0).table.members.has(99)).toBe(false);
  });

  test('about ourselves from the future makes us newer than that', () => {
    expect(hear(table(), from(2, 1, { heard: [news(1, { incarnation: 5000 })] }), 0).table.incarnation).toBe(5001);
    expect(hear(table(), from(2, 1, { heard: [news(1, { incarnation: 1000 })] }), 0).table.incarnation).toBe(1000);
  });
});

describe('a datagram', () => {
  const known = hear(table(), from(2, 7), 0).table;

  test.each<[Refusal | undefined, string, Announcement, number | undefined]>([
    [undefined, 'newer', from(2, 8), 2],
    [undefined, 'of a later incarnation', from(2, 1, { incarnation: 501 }), 2],
    ['stale', 'played again', from(2, 7), 2],
    ['stale', 'from before', from(2, 6), 2],
    ['stale', 'of an earlier incarnation', from(2, 99, { incarnation: 499 }), 2],
    ['stranger', 'of a node outside the map', from(9, 1), undefined],
    ['address', 'from an address that the map does not have', from(3, 1), undefined],
    ['address', 'from the address of another node', from(3, 1), 2],
    ['recipient', 'made for another node', from(3, 1, { recipient: 2 }), 3],
    ['own', 'of our own', from(1, 1), 1],
    ['cluster', 'of another cluster', from(2, 8, { cluster: 'lab' }), 2],
  ])('is refused as %s when it is %s', (expected, _what, announcement, source) => {
    const { refusal, table: after } = step(known, { kind: 'heard', announcement, from: source }, 100);
    expect(refusal).toBe(expected);
    if (expected === undefined) return;
    expect(after.refused[expected]).toBe(1);
    expect(after.members).toBe(known.members);
  });
});

test('a machine that slept does not blame the others', () => {
  const heard = hear(table(), from(2, 1), 500).table;
  const asleep = step(heard, { kind: 'tick' }, 3_600_000);
  expect(asleep.changes).toEqual([]);
  expect(tickUntil(asleep.table, 3_600_000 + patience(3, interval).suspect + interval).changes).toMatchObject([[expect.any(Number), 2, 'suspect']]);
});

test('a new map keeps whom it keeps, forgets whom it drops and adds the others as unknown', () => {
  const heard = hear(hear(table(), from(2, 1), 0).table, from(3, 1), 0).table;
  const { table: after } = step(heard, { kind: 'map', ids: [1, 2, 4] }, 10);
  expect([...after.members].map(([id, { state }]) => [id, state])).toEqual([
    [2, 'alive'],
    [4, 'unknown'],
  ]);
});

describe('what a node tells', () => {
  test('begins with what it knows of the recipient and goes on with the freshest', () => {
    const ids = Array.from({ length: 200 }, (_, i) => i + 1);
    let current = table(ids);
    for (let id = 2; id <= 150; id += 1) current = hear(current, from(id, 1), id).table;
    const told = heardFor(current, 5, 1000);
    expect(told).toHaveLength(64);
    expect(told.map(({ id }) => id)).toEqual([5, ...Array.from({ length: 63 }, (_, i) => 150 - i)]);
    expect(told[0]).toEqual(news(5, { age: 995 }));
  });

  test('goes to two distinct nodes, one of them alive if there is any, never to itself', () => {
    const current = hear(table([1, 2, 3, 4, 5]), from(4, 1), 0).table;
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(random, random, (a, b) => {
        const numbers = [a, b];
        const chosen = targets(current, () => numbers.shift() ?? 0);
        expect(new Set(chosen).size).toBe(fanout);
        expect(chosen[0]).toBe(4);
        expect(chosen).not.toContain(1);
      }),
    );
  });

  test.each([
    [[1], []],
    [[1, 2], [2]],
    [
      [1, 2, 3],
      [2, 3],
    ],
  ])('in a map of %j goes to %j', (ids, expected) => {
    expect(targets(table(ids), () => 0)).toEqual(expected);
  });

  test('as a farewell goes to some of the live ones', () => {
    let current = table([1, 2, 3, 4, 5, 6]);
    for (const id of [2, 3, 4]) current = hear(current, from(id, 1), 0).table;
    expect(someAlive(current, 2, () => 0.99)).toHaveLength(2);
    expect(new Set(someAlive(current, 9, () => 0.5))).toEqual(new Set([2, 3, 4]));
    expect(someAlive(table(), 8, () => 0)).toEqual([]);
  });
});

/** The minimal standard generator of Park and Miller. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** A cluster of tables that lose `loss` of their datagrams; who was seen to change into what. */
function simulate(size: number, loss: number, seed: number) {
  const random = seeded(seed);
  const ids = Array.from({ length: size }, (_, i) => i + 1);
  const tables = new Map(ids.map((id) => [id, newTable('farm', id, ids, id, interval, 0)]));
  const phases = ids.map((id) => ({ id, phase: Math.floor(random() * interval) })).sort((a, b) => a.phase - b.phase);
  const silent = new Set<number>();
  let sequence = 0;
  return {
    tables,
    silent,
    rounds(count: number): [number, number, string][] {
      const changes: [number, number, string][] = [];
      const apply = (id: number, event: Parameters<typeof step>[1], now: number) => {
        const done = step(tables.get(id)!, event, now);
        tables.set(id, done.table);
        for (const change of done.changes) changes.push([id, change.id, change.to]);
      };
      for (const end = sequence + count; sequence < end; ) {
        sequence += 1;
        for (const { id, phase } of phases) {
          if (silent.has(id)) continue;
          const now = sequence * interval + phase;
          apply(id, { kind: 'tick' }, now);
          for (const recipient of targets(tables.get(id)!, random)) {
            if (silent.has(recipient) || random() < loss) continue;
            const heard = heardFor(tables.get(id)!, recipient, now);
            const announcement: Announcement = { kind: 'announce', cluster: 'farm', sender: id, recipient, incarnation: id, sequence, sample, heard };
            apply(recipient, { kind: 'heard', announcement, from: id }, now);
          }
        }
      }
      return changes;
    },
  };
}

describe('a whole cluster', () => {
  test.each([
    [3, 0.1, 300],
    [16, 0.1, 200],
    [64, 0.1, 120],
    [100, 0.05, 120],
  ])('of %i nodes that lose %d of their datagrams finds itself and suspects nobody in %i rounds', (size, loss, rounds) => {
    const cluster = simulate(size, loss, size);
    const changes = cluster.rounds(rounds);
    expect(changes.filter(([, , to]) => to !== 'alive')).toEqual([]);
    expect(changes).toHaveLength(size * (size - 1));
  });

  test('agrees within patience on who died, on that only, and on its return', () => {
    const cluster = simulate(20, 0.05, 7);
    cluster.rounds(30);
    cluster.silent.add(13);
    const { dead } = patience(20, interval);
    const changes = cluster.rounds(Math.ceil(dead / interval) + 10);
    expect(
      changes
        .filter(([, , to]) => to === 'dead')
        .map(([witness]) => witness)
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 20 }, (_, i) => i + 1).filter((id) => id !== 13));
    expect(new Set(changes.map(([, subject]) => subject))).toEqual(new Set([13]));
    // It starts again with its clock gone back: an incarnation of 0 where the others remember 13.
    cluster.tables.set(13, newTable('farm', 13, cluster.tables.keys(), 0, interval, 0));
    cluster.silent.delete(13);
    const back = cluster.rounds(40);
    expect(cluster.tables.get(13)?.incarnation).toBe(14);
    const witnesses = back.flatMap(([witness, subject, to]) => (subject === 13 && to === 'alive' ? [witness] : []));
    expect(new Set(witnesses).size).toBe(19);
  });
});
