// Which job leaves, and where to: one table for each rule, and what holds whatever the nodes say.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { admit } from '../../src/cluster/admission.ts';
import { type Decision, decide, demandAt, nothingUnderWay, type Own, ownMachine, type UnderWay } from '../../src/cluster/balance.ts';
import { cost, type Machine, marginal, minus, plus, released, scaleOf } from '../../src/cluster/cost.ts';
import { type AdminFlags, noFlags } from '../../src/cluster/entry.ts';
import { decayed, decayKeeps, type Job, moveTime } from '../../src/cluster/job.ts';
import { newTable } from '../../src/cluster/members.ts';
import { places } from '../../src/cluster/placement.ts';
import { machineOf, type NodeView, viewAgeMax, viewsOf } from '../../src/cluster/view.ts';
import { facts } from './facts.ts';

const now = 1_000_000;
const gib = 2 ** 30;
const mib = 2 ** 20;
const own: Own = {
  id: 1,
  flags: noFlags,
  cpus: 1,
  speed: 10_000,
  background: 0,
  memory: { total: 8 * gib, usable: 6 * gib },
  memoryPressure: 0,
  bandwidth: 1e8,
};

function job(id: string, some: Partial<Job> = {}): Job {
  const where = { home: 1, since: 0, moves: 0, left: [], locked: false, cantMove: [], allowed: undefined, recalled: false } as const;
  return { id, cpu: 1, memory: 64 * mib, dirtyRate: 1e6, traffic: { node: some.home ?? 1, ratio: 0 }, used: 60_000, ...where, ...some };
}

function view(id: number, some: Partial<NodeView> = {}): NodeView {
  return { id, age: 1000, flags: noFlags, speed: 10_000, cpus: 1, load: 0, memory: { total: 8 * gib, usable: 6 * gib }, ...some };
}

const flags = (...set: (keyof AdminFlags)[]): AdminFlags => ({ ...noFlags, ...Object.fromEntries(set.map((name) => [name, true])) });
const said = (decision: Decision) => (decision.kind === 'move' ? `${decision.job} to ${decision.to}: ${decision.reason}` : decision.why);
const two = [job('a'), job('b')];
const underWay = (some: Partial<UnderWay>): UnderWay => ({ ...nothingUnderWay, ...some });

type Row = readonly [what: string, own: Partial<Own>, jobs: readonly Job[], views: readonly NodeView[], decision: string, underWay?: UnderWay];

function rule(name: string, rows: readonly Row[]): void {
  describe(name, () => {
    for (const [what, some, jobs, views, decision, moves = nothingUnderWay] of rows) {
      test(what, () => {
        expect(said(decide({ ...own, ...some }, jobs, views, moves, now))).toBe(decision);
      });
    }
  });
}

rule('opportunity cost', [
  ['the cheapest node is chosen', {}, two, [view(2, { load: 60 }), view(3)], 'b to 3: cost'],
  ['a job that runs alone stays', {}, [job('a')], [view(2)], 'settled'],
  ['a node that is as loaded is no better', {}, two, [view(2, { load: 100 })], 'settled'],
  ['a faster node is better even for a job that runs alone', {}, [job('a')], [view(2, { speed: 30_000 })], 'a to 2: cost'],
  ['of two idle ones the faster', {}, two, [view(2), view(3, { speed: 20_000 })], 'b to 3: cost'],
  ['free processors here are as good as there', { cpus: 4 }, two, [view(2)], 'settled'],
  ['a large machine with as many jobs as processors is not busy', { cpus: 64 }, Array.from({ length: 64 }, (_, i) => job(`j${i}`)), [view(2)], 'settled'],
  ['a node whose memory does not suffice costs too much', {}, two, [view(2, { memory: { total: gib, usable: 32 * mib } })], 'settled'],
  ['a node whose memory is nearly full costs more', {}, two, [view(2, { memory: { total: 8 * gib, usable: 100 * mib } }), view(3)], 'b to 3: cost'],
]);

rule('the stability factor', [
  ['a load that is lower by one job and a bit is not enough', {}, two, [view(2, { load: 75 })], 'settled'],
  ['lower by more than 1.3 jobs is', {}, two, [view(2, { load: 60 })], 'b to 2: cost'],
]);

rule('communication', [
  [
    'a job that talks much to its home stays near it',
    {},
    [job('a', { traffic: { node: 1, ratio: 1 } }), job('b', { traffic: { node: 1, ratio: 1 } })],
    [view(2)],
    'settled',
  ],
  ['a job goes to the node whose files it reads', {}, [job('a', { traffic: { node: 2, ratio: 0.9 } })], [view(2), view(3)], 'a to 2: cost'],
]);

rule('the second most loaded', [
  ['it goes, not the first', {}, [job('a', { cpu: 1 }), job('b', { cpu: 0.8 }), job('c', { cpu: 0.2 })], [view(2)], 'b to 2: cost'],
  ['the first goes if it is alone with the owner', { background: 0.9 }, [job('a')], [view(2)], 'a to 2: cost'],
]);

rule('residency', [
  ['who has just come stays', {}, [job('a', { since: now - 2999 }), job('b', { since: now - 2999 })], [view(2)], 'no-job'],
  ['who has been here for 3 s may go', {}, [job('a', { since: now - 3000 }), job('b', { since: now })], [view(2)], 'a to 2: cost'],
  ['who has moved three times stays 24 s', {}, [job('a', { since: now - 23_999, moves: 3 })], [view(2)], 'no-job'],
  ['nobody has to stay longer than a minute', {}, [job('a', { since: now - 60_000, moves: 50 }), job('b')], [view(2)], 'b to 2: cost'],
]);

rule('no ping-pong', [
  ['a job does not return to a node it has left', {}, [job('a', { left: [{ node: 2, at: now - 299_999 }] })], [view(2, { speed: 30_000 })], 'settled'],
  ['five minutes later it may', {}, [job('a', { left: [{ node: 2, at: now - 300_000 }] })], [view(2, { speed: 30_000 })], 'a to 2: cost'],
]);

rule('a move must pay', [
  ['a job that has had less than a freeze takes is not moved', {}, [job('a', { used: 800 }), job('b', { used: 800 })], [view(2)], 'settled'],
  [
    'nor one that writes faster than the network carries',
    {},
    [job('a', { memory: 6e8, dirtyRate: 1e9, used: 5000 }), job('b', { used: 0 })],
    [view(2)],
    'settled',
  ],
]);

rule('memory ushering', [
  ['comes before load: to a node that is busier', { memory: { total: gib, usable: -1 } }, [job('a')], [view(2, { load: 900 })], 'a to 2: memory'],
  [
    'the smallest job that ends the shortage',
    { memory: { total: gib, usable: -50 * mib } },
    [job('a', { memory: 40 * mib }), job('b', { memory: 300 * mib }), job('c', { memory: 60 * mib })],
    [view(2)],
    'c to 2: memory',
  ],
  [
    'the largest if none does',
    { memory: { total: gib, usable: -500 * mib } },
    [job('a', { memory: 40 * mib }), job('b', { memory: 300 * mib })],
    [view(2)],
    'b to 2: memory',
  ],
  ["a guest before the owner's", { memory: { total: gib, usable: -1 } }, [job('a'), job('g', { home: 2, memory: 200 * mib })], [view(2)], 'g to 2: memory'],
  [
    'the node where it fits best',
    { memory: { total: gib, usable: -1 } },
    [job('a')],
    [view(2), view(3, { memory: { total: gib, usable: 100 * mib } })],
    'a to 3: memory',
  ],
  [
    'that has an eighth of it left after',
    { memory: { total: gib, usable: -1 } },
    [job('a')],
    [view(2), view(3, { memory: { total: gib, usable: 71 * mib } })],
    'a to 2: memory',
  ],
  ['pressure is a shortage too', { memoryPressure: 11 }, [job('a')], [view(2, { load: 900 })], 'a to 2: memory'],
  [
    'what leaves is as good as gone',
    { memory: { total: gib, usable: -1 } },
    [job('a'), job('b')],
    [view(2, { load: 900 }), view(3, { load: 900 })],
    'settled',
    underWay({ leaving: [{ job: 'a', to: 2 }] }),
  ],
  ['with nowhere to go it stays', { memory: { total: gib, usable: -1 } }, two, [view(2, { memory: { total: gib, usable: 0 } })], 'no-node'],
]);

rule('one move at a time for each pair', [
  ['none to a node that one is leaving for', {}, [...two, job('c')], [view(2)], 'no-node', underWay({ leaving: [{ job: 'a', to: 2 }] })],
  ['none to a node that one is coming from', {}, two, [view(2)], 'no-node', underWay({ arriving: [{ from: 2, cpu: 1, memory: 0 }] })],
  ['another node may be asked', {}, [...two, job('c')], [view(2), view(3)], 'c to 3: cost', underWay({ leaving: [{ job: 'a', to: 2 }] })],
  ['what leaves is not counted', {}, two, [view(2), view(3)], 'settled', underWay({ leaving: [{ job: 'a', to: 2 }] })],
  ['what arrives is', {}, [job('a')], [view(2), view(3)], 'a to 3: cost', underWay({ arriving: [{ from: 2, cpu: 1, memory: 0 }] })],
  ['who has refused is left alone', {}, two, [view(2)], 'no-node', underWay({ refused: new Map([[2, now + 1]]) })],
  ['and asked again later', {}, two, [view(2)], 'b to 2: cost', underWay({ refused: new Map([[2, now]]) })],
]);

const guest = job('g', { home: 2 });
rule('admin flags', [
  ['stay: nobody moves by himself', { flags: flags('stay') }, [guest, ...two], [view(3)], 'no-job'],
  ['lstay: only guests do', { flags: flags('lstay') }, [...two, guest], [view(3)], 'g to 3: cost'],
  ['block there: no guest goes there', {}, two, [view(2, { flags: flags('block') })], 'settled'],
  ['block there: its own jobs come home', {}, [job('a'), guest], [view(2, { flags: flags('block') })], 'g to 2: cost'],
  ['expel there: no guest goes there', {}, two, [view(2, { flags: flags('expel') })], 'settled'],
  [
    'expel: guests leave at once, even those that have just come',
    { flags: flags('expel', 'stay') },
    [job('g', { home: 2, since: now })],
    [view(2, { load: 300 }), view(3)],
    'g to 3: expel',
  ],
  ['expel: home if nobody is known', { flags: flags('expel') }, [guest], [], 'g to 2: expel'],
  ["expel: one's own jobs stay", { flags: flags('expel') }, [job('a')], [view(3)], 'settled'],
  [
    'bring: its home has called it',
    { flags: flags('stay') },
    [job('g', { home: 2, recalled: true, since: now })],
    [view(2, { load: 900, flags: flags('block') })],
    'g to 2: bring',
  ],
]);

rule('the owner before guests', [
  ['a guest goes first', {}, [job('a'), job('b', { cpu: 0.9 }), job('g', { home: 2, cpu: 0.5 })], [view(3)], 'g to 3: cost'],
  ['the owner fills the processor: guests go to where they cost less', { background: 1 }, [guest], [view(2, { load: 300 }), view(3)], 'g to 3: owner'],
  ['or home', { background: 2 }, [guest], [view(2, { load: 300 }), view(3, { load: 400 })], 'g to 2: owner'],
]);

rule('jobs that stay', [
  ['locked', {}, [job('a', { locked: true }), job('b', { locked: true })], [view(2)], 'no-job'],
  ['that cannot move', {}, [job('a', { cantMove: ['a socket'] }), job('b', { cantMove: ['a device'] })], [view(2)], 'no-job'],
  ['beside one that may', {}, [job('a', { locked: true }), job('b')], [view(2)], 'b to 2: cost'],
  ['that may run on certain nodes only', {}, two.map((one) => ({ ...one, allowed: new Set([1, 3]) })), [view(2), view(3, { load: 50 })], 'b to 3: cost'],
]);

rule('the age of information', [
  ['what is too old is not known', {}, two, [view(2, { age: viewAgeMax + 1 })], 'no-node'],
  ['of equals the freshest', {}, two, [view(2, { age: 3000 }), view(3, { age: 1000 })], 'b to 3: cost'],
  ['an old idle one is doubted where others are busy', {}, two, [view(2, { age: 29_000 }), view(3, { load: 300 }), view(4, { load: 300 })], 'settled'],
]);

describe('views', () => {
  const table = newTable('farm', 1, [2, 3, 4, 5, 6], 1, facts, 1000, 0);
  for (const [id, state] of [
    [2, 'alive'],
    [3, 'dead'],
    [4, 'suspect'],
    [5, 'alive'],
    [6, 'left'],
  ] as const) {
    const member = table.members.get(id)!;
    member.state = state;
    member.madeAt = 4000;
    member.facts = id === 5 ? { ...facts, measures: undefined } : facts;
  }
  test('are of the living that tell their load: not of dead, suspect, quiet ones, nor of those that have left', () => {
    expect(viewsOf(table, 5000).map(({ id, age }) => [id, age])).toEqual([[2, 1000]]);
  });
  test('offer less memory as they age', () => {
    expect(machineOf(view(2, { age: 15_000 }), 0).memory.usable).toBe(3 * gib);
  });
});

test.each([
  ['nodecay', decayKeeps.none, 1],
  ['slowdecay', decayKeeps.slow, 0.975],
  ['fastdecay', decayKeeps.fast, 0.926],
])('%s keeps so much of a job that has stopped computing', (_name, keep, left) => {
  expect(decayed(1, 0, keep)).toBe(left);
});

test('a move takes a fixed time, the pages, and again those that were written meanwhile, for which the job stands still', () => {
  expect(moveTime({ memory: 1e8, dirtyRate: 1e7 }, 1e8)).toEqual({ total: 2000, frozen: 1000 });
  expect(moveTime({ memory: 1e8, dirtyRate: 1e9 }, 1e8)).toEqual({ total: 2900, frozen: 1900 });
});

const admitRows = [
  ['an idle node takes a job', {}, [], {}, 'cost', undefined],
  ['a blocked one does not', { flags: flags('block') }, [], {}, 'cost', 'blocked'],
  ['nor one that expels', { flags: flags('expel') }, [], {}, 'memory', 'blocked'],
  ['one that is busier than it was thought does not', {}, two, {}, 'cost', 'load'],
  ['for memory it does', {}, two, {}, 'memory', undefined],
  ['without memory it does not', { memory: { total: gib, usable: 63 * mib } }, [], {}, 'cost', 'memory'],
  ['where the owner fills the processor, no guest', { background: 1 }, [], {}, 'memory', 'owner'],
  ['a second from the same node must wait', {}, [], { arriving: [{ from: 2, cpu: 0, memory: 0 }] }, 'cost', 'pair'],
  ['one from where ours is going, too', {}, [], { leaving: [{ job: 'x', to: 2 }] }, 'cost', 'pair'],
  ['four arrivals are enough', {}, [], { arriving: [3, 4, 5, 6].map((from) => ({ from, cpu: 0, memory: 0 })) }, 'cost', 'full'],
  ['what arrives counts', {}, [], { arriving: [{ from: 3, cpu: 1, memory: 0 }] }, 'cost', 'load'],
] as const;
test.each(admitRows)('admission: %s', (_what, some, jobs, moves, reason, verdict) => {
  const source: Machine = { id: 2, cpus: 1, speed: 10_000, wanted: 2, memory: own.memory };
  expect(admit({ ...own, ...some }, jobs, underWay(moves), 2, { job: job('n', { home: 2 }), source, reason, nodes: 3 })).toBe(verdict);
});
test('admission: its own job comes home, blocked, full and busy as it may be', () => {
  const source: Machine = { id: 2, cpus: 1, speed: 10_000, wanted: 0, memory: own.memory };
  const offered = { job: job('n'), source, reason: 'bring', nodes: 3 } as const;
  expect(admit({ ...own, flags: flags('block'), background: 9 }, two, nothingUnderWay, 2, offered)).toBeUndefined();
});

test.each([
  ['here if all are idle', [], [view(2), view(3)], [1]],
  ['elsewhere if this node is busy, cheapest first, here last', two, [view(2, { load: 50 }), view(3)], [3, 2, 1]],
  ['not on blocked nodes', two, [view(2, { flags: flags('block') }), view(3)], [3, 1]],
  ['on a faster one although this one is idle', [], [view(2, { speed: 40_000 })], [2, 1]],
])('mosrun -b begins %s', (_what, jobs, views, order) => {
  expect(places(own, jobs, job('new'), views, nothingUnderWay, now)).toEqual(order);
});

describe('whatever the nodes say', () => {
  const seldom = fc.nat(9).map((n) => n === 0);
  const someFlags = fc.record({ stay: seldom, lstay: seldom, block: fc.boolean(), quiet: seldom, nomfs: seldom, expel: seldom });
  const memory = fc
    .tuple(fc.integer({ min: 1, max: 64 }), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([all, part]) => ({ total: all * gib, usable: all * gib * part }));
  const speed = fc.constantFrom(5000, 10_000, 30_000);
  const cpus = fc.constantFrom(1, 4, 64);
  const someView = (id: number) => fc.record({ id: fc.constant(id), age: fc.nat(60_000), flags: someFlags, speed, cpus, load: fc.nat(2000), memory });
  const someJob = fc.record({
    ...{
      home: fc.integer({ min: 1, max: 5 }),
      cpu: fc.double({ min: 0, max: 4, noNaN: true }),
      memory: fc.nat(4 * gib),
      used: fc.nat(100_000),
      moves: fc.nat(8),
    },
    ...{ since: fc.integer({ min: now - 100_000, max: now }), locked: fc.boolean(), recalled: fc.nat(50).map((n) => n === 0) },
    traffic: fc.record({ node: fc.integer({ min: 1, max: 5 }), ratio: fc.double({ min: 0, max: 1, noNaN: true }) }),
  });
  const jobs = fc.array(someJob, { minLength: 1, maxLength: 8 }).map((all) => all.map((some, i) => job(`j${i}`, some)));
  const someOwn = fc.record({ flags: someFlags, cpus, speed, memory, background: fc.double({ min: 0, max: 8, noNaN: true }) });
  const situation = fc.tuple(someOwn, jobs, fc.tuple(someView(2), someView(3), someView(4)));

  test('no job goes to a node that is unknown, too old or blocked, before its time, or where the cluster would cost more', () => {
    const reasons = new Set<string>();
    fc.assert(
      fc.property(situation, ([some, all, views]) => {
        const self = { ...own, ...some };
        const decision = decide(self, all, views, nothingUnderWay, now);
        if (decision.kind !== 'move') return;
        reasons.add(decision.reason);
        const chosen = all.find(({ id }) => id === decision.job)!;
        expect(chosen.locked).toBe(false);
        expect(decision.to).not.toBe(1);
        const target = views.find(({ id }) => id === decision.to);
        if (decision.to !== chosen.home) expect([target!.flags.block, target!.flags.expel, target!.age <= viewAgeMax]).toEqual([false, false, true]);
        if (decision.reason === 'bring' || decision.reason === 'expel') return;
        expect(self.flags.stay).toBe(false);
        expect(now - chosen.since).toBeGreaterThanOrEqual(3000);
        if (decision.reason !== 'cost') return;
        const mean = views.reduce((total, { load }) => total + load, 0) / views.length;
        const here = ownMachine(self, all);
        const there = machineOf(target!, mean);
        const scale = scaleOf(4, [here, ...views.filter(({ age }) => age <= viewAgeMax).map((one) => machineOf(one, mean))]);
        const after = cost(minus(here, demandAt(chosen, 1)), scale) + cost(plus(there, demandAt(chosen, target!.id)), scale);
        expect(after).toBeLessThan(cost(here, scale) + cost(there, scale));
      }),
      { numRuns: 2000, seed: 1 },
    );
    expect([...reasons].sort()).toEqual(['bring', 'cost', 'expel', 'owner']);
  });

  test('the cost of a job rises with the load that it comes to, and what leaves frees what it had cost', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 50, noNaN: true }), fc.double({ min: 0.01, max: 4, noNaN: true }), (wanted, cpu) => {
        const machine: Machine = { id: 1, cpus: 2, speed: 10_000, wanted, memory: own.memory };
        const scale = scaleOf(100, [plus(machine, { cpu: 9, memory: 0 })]);
        const demand = { cpu, memory: mib };
        expect(marginal(plus(machine, demand), demand, scale)).toBeGreaterThan(marginal(machine, demand, scale));
        expect(released(plus(machine, demand), demand, scale)).toBeCloseTo(marginal(machine, demand, scale), 6);
      }),
    );
  });
});
