// The handshake of a move: what each message leads to, and that no job is lost or doubled, whatever the network does.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Offered } from '../../src/cluster/admission.ts';
import { advance, busyWith, type MoveEffect, type MoveEvent, type MoveMessage, type Moves, noMoves } from '../../src/cluster/handshake.ts';
import { seeded } from '../support/balance-simulation.ts';

function offered(job: string): Offered {
  const source = { id: 1, cpus: 1, speed: 10_000, wanted: 2, memory: { total: 1, usable: 1 } };
  return { job: { id: job, home: 1, cpu: 1, memory: 0, traffic: { node: 1, ratio: 0 } }, source, reason: 'cost', nodes: 3 };
}

const yes = () => undefined;
const no = () => 'load' as const;

/** What a side did, as words. */
function words(effects: readonly MoveEffect[]): string {
  return effects
    .map((effect) =>
      effect.kind === 'send' ? `${effect.message.kind}${effect.message.kind === 'refuse' ? ` ${effect.message.why}` : ''}` : `(${effect.kind})`,
    )
    .join(' ');
}

type Side = 'source' | 'target';

/** What `side` hears from the other, or what happens to it. */
function eventOf(side: Side, what: MoveEvent | MoveMessage['kind'] | 'tick', verdict: () => undefined | 'load'): MoveEvent {
  if (typeof what !== 'string') return what;
  if (what === 'tick') return { kind: 'tick' };
  return { kind: 'heard', from: side === 'source' ? 2 : 1, message: messageOf(what), verdict };
}

function messageOf(kind: MoveMessage['kind']): MoveMessage {
  const move = { from: 1, incarnation: 7, serial: 1 };
  if (kind === 'offer') return { kind, move, offered: offered('j') };
  return kind === 'refuse' ? { kind, move, why: 'late' } : { kind, move };
}

describe('a move', () => {
  /** Two nodes and the messages between them in order; returns what was done, source left, target right. */
  function play(steps: readonly (readonly [Side, MoveEvent | MoveMessage['kind'] | 'tick', number?])[], verdict: () => undefined | 'load' = yes): string[] {
    let [source, target] = [noMoves(1, 7), noMoves(2, 7)];
    return steps.map(([side, what, at = 0]) => {
      const step = advance(side === 'source' ? source : target, eventOf(side, what, verdict), at);
      if (side === 'source') source = step.moves;
      else target = step.moves;
      return `${side}: ${words(step.effects)}`;
    });
  }
  const begin = ['source', { kind: 'offer', to: 2, offered: offered('j') }] as const;
  const agreed = [begin, ['target', 'offer'], ['source', 'accept'], ['target', { kind: 'begun', from: 1 }]] as const;
  const stored = [...agreed, ['target', { kind: 'complete', from: 1 }]] as const;

  test('that all goes well with', () => {
    expect(play([...stored, ['source', 'stored'], ['target', 'yours'], ['source', 'running']])).toEqual([
      ...['source: offer', 'target: accept', 'source: (transfer)', 'target: ', 'target: stored', 'source: yours', 'target: (run) running', 'source: (discard)'],
    ]);
  });
  test.each([
    ['that the target refuses leaves the job here', [begin, ['target', 'offer'], ['source', 'refuse']], ['target: refuse load', 'source: (keep)'], no],
    ['that is offered twice is accepted twice', [begin, ['target', 'offer'], ['target', 'offer']], ['target: accept', 'target: accept']],
    ['that nobody answers is offered again', [begin, ['source', 'tick', 9999]], ['source: offer']],
    ['that nobody answers for 10 s is withdrawn', [begin, ['source', 'tick', 10_000]], ['source: (keep) withdraw']],
    ['that was withdrawn is not begun by a late accept', [begin, ['source', 'tick', 10_000], ['source', 'accept']], ['source: withdraw']],
    ['whose transfer does not begin in 30 s lapses', [begin, ['target', 'offer'], ['target', 'tick', 30_000]], ['target: (drop) refuse late']],
    [
      'that failed at the source is withdrawn',
      [...agreed, ['source', { kind: 'failed', to: 2 }], ['target', 'withdraw']],
      ['source: (keep) withdraw', 'target: (drop)'],
    ],
    [
      'that broke at the target stays at the source',
      [...agreed, ['target', { kind: 'broken', from: 1 }], ['source', 'refuse']],
      ['target: (drop) refuse late', 'source: (keep)'],
    ],
    [
      'whose refusal was lost is asked for again',
      [...agreed, ['target', { kind: 'broken', from: 1 }], ['source', 'tick'], ['target', 'offer']],
      ['source: offer', 'target: refuse late'],
    ],
    ['that is stored asks until it is given', [...stored, ['target', 'tick', 99_000]], ['target: stored']],
    [
      'that is given cannot fail any more',
      [...stored, ['source', 'stored'], ['source', { kind: 'failed', to: 2 }], ['source', 'refuse']],
      ['source: ', 'source: '],
    ],
    ['that is given is given until it runs', [...stored, ['source', 'stored'], ['source', 'tick', 99_000]], ['source: yours']],
    ['that runs is not begun twice', [...stored, ['source', 'stored'], ['target', 'yours'], ['target', 'yours']], ['target: running']],
    ['that runs is not withdrawn', [...stored, ['source', 'stored'], ['target', 'yours'], ['target', 'withdraw']], ['target: ']],
    ['whose target is gone stays', [...agreed, ['source', { kind: 'gone', node: 2 }]], ['source: (keep)']],
    [
      'whose target is gone after it was given is left to the policy',
      [...stored, ['source', 'stored'], ['source', { kind: 'gone', node: 2 }]],
      ['source: (orphaned)'],
    ],
    ['whose source is gone before it was given is left to the policy too', [...stored, ['target', { kind: 'gone', node: 1 }]], ['target: (orphaned)']],
    ['whose source is gone while it is copied is dropped', [...agreed, ['target', { kind: 'gone', node: 1 }]], ['target: (drop)']],
  ] as const)('%s', (_what, steps, end, verdict: () => undefined | 'load' = yes) => {
    expect(play(steps, verdict).slice(-end.length)).toEqual(end);
  });

  test('is refused while one goes the other way', () => {
    const { moves } = advance(noMoves(2, 7), { kind: 'offer', to: 1, offered: offered('x') }, 0);
    const message = { kind: 'offer', move: { from: 1, incarnation: 7, serial: 1 }, offered: offered('j') } as const;
    expect(words(advance(moves, { kind: 'heard', from: 1, message, verdict: yes }, 0).effects)).toBe('refuse pair');
  });
  test('of another start of the agent, or in the name of another, is not heard', () => {
    const { moves } = advance(noMoves(1, 8), { kind: 'offer', to: 2, offered: offered('j') }, 0);
    const old = { kind: 'accept', move: { from: 1, incarnation: 7, serial: 1 } } as const;
    expect(advance(moves, { kind: 'heard', from: 2, message: old, verdict: yes }, 0).effects).toEqual([]);
    const foreign = { kind: 'offer', move: { from: 3, incarnation: 7, serial: 1 }, offered: offered('j') } as const;
    expect(advance(moves, { kind: 'heard', from: 2, message: foreign, verdict: yes }, 0).effects).toEqual([]);
  });
});

/** Three nodes, four jobs, and every copy of them: `1` runs on node 1, `1>2` is frozen there on its way to 2, `2<1` has come from 1 and is frozen. */
class World {
  readonly nodes = new Map([1, 2, 3].map((id): [number, Moves] => [id, noMoves(id, 1)]));
  readonly copies = new Map(['a', 'b', 'c', 'd'].map((job, i): [string, Set<string>] => [job, new Set([String((i % 3) + 1)])]));
  mail: { readonly from: number; readonly to: number; readonly message: MoveMessage }[] = [];
  transfers: { readonly from: number; readonly to: number; readonly job: string }[] = [];
  now = 0;
  moved = 0;

  happen(id: number, event: MoveEvent): void {
    const { moves, effects } = advance(this.nodes.get(id)!, event, this.now);
    this.nodes.set(id, moves);
    for (const effect of effects) this.carryOut(id, effect);
    for (const [job, copies] of this.copies) {
      const running = [...copies].filter((copy) => /^\d$/.test(copy));
      if (running.length > 1 || copies.size === 0) throw new Error(`${job} is ${[...copies].join(' and ')}`);
    }
  }

  private carryOut(id: number, effect: MoveEffect): void {
    if (effect.kind === 'send') {
      this.mail.push({ from: id, to: effect.to, message: effect.message });
      return;
    }
    const copies = this.copies.get(effect.job)!;
    if (effect.kind === 'transfer') this.transfers.push({ from: id, to: effect.to, job: effect.job });
    if (effect.kind === 'keep' && copies.delete(`${id}>${effect.to}`)) copies.add(String(id));
    if (effect.kind === 'keep') this.transfers = this.transfers.filter(({ from, to }) => from !== id || to !== effect.to);
    if (effect.kind === 'discard' && !copies.delete(`${id}>${effect.to}`)) throw new Error('nothing to discard');
    if (effect.kind === 'drop') copies.delete(`${id}<${effect.from}`);
    if (effect.kind !== 'run') return;
    if (!copies.delete(`${id}<${effect.from}`)) throw new Error('nothing to run');
    copies.add(String(id));
    this.moved += 1;
  }

  propose(job: string, to: number): void {
    const from = [...this.copies.get(job)!].find((copy) => /^\d$/.test(copy));
    if (from !== undefined && Number(from) !== to) this.happen(Number(from), { kind: 'offer', to, offered: offered(job) });
  }

  /** The image arrives, if both sides still want it. */
  transfer(breaks: boolean): void {
    const one = this.transfers.shift();
    if (one === undefined) return;
    const { from, to, job } = one;
    const out = this.nodes.get(from)!.outgoing.get(to);
    this.happen(to, { kind: 'begun', from });
    const come = this.nodes.get(to)!.incoming.get(from);
    if (breaks || come?.state !== 'begun' || come.move.serial !== out?.move.serial) {
      this.happen(to, { kind: 'broken', from });
      this.happen(from, { kind: 'failed', to });
      return;
    }
    const copies = this.copies.get(job)!;
    copies.delete(String(from));
    copies.add(`${from}>${to}`).add(`${to}<${from}`);
    this.happen(to, { kind: 'complete', from });
  }

  deliver(index: number, keep: boolean, verdict: () => undefined | 'load'): void {
    const letter = this.mail[index];
    if (letter === undefined) return;
    if (!keep) this.mail.splice(index, 1);
    this.happen(letter.to, { kind: 'heard', from: letter.from, message: letter.message, verdict });
  }

  tick(millis: number): void {
    this.now += millis;
    for (const id of this.nodes.keys()) this.happen(id, { kind: 'tick' });
  }
}

/** Proposals, transfers that may break, ticks, and letters that are lost, doubled and late. */
function disturb(world: World, random: () => number): void {
  const some = (count: number) => Math.floor(random() * count);
  for (let step = 0; step < 300; step += 1) {
    const choice = some(100);
    if (choice < 15) world.propose('abcd'[some(4)] ?? 'a', 1 + some(3));
    else if (choice < 30) world.transfer(some(5) === 0);
    else if (choice < 40) world.tick(1000 + some(3000));
    else if (choice < 55) world.mail.splice(some(world.mail.length), 1);
    else world.deliver(some(world.mail.length), some(5) === 0, some(6) === 0 ? no : yes);
  }
}

/** A network that carries everything, for long enough. */
function settle(world: World): void {
  for (let round = 0; round < 40; round += 1) {
    while (world.mail.length > 0) world.deliver(0, false, yes);
    while (world.transfers.length > 0) world.transfer(false);
    world.tick(1000);
  }
}

test('no job is lost or doubled, and each runs in the end, whatever is lost, doubled, reordered or breaks', () => {
  let moved = 0;
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const world = new World();
      disturb(world, seeded(seed));
      settle(world);
      for (const copies of world.copies.values()) expect([...copies].join()).toMatch(/^\d$/);
      for (const moves of world.nodes.values()) expect([1, 2, 3].filter((id) => busyWith(moves, id))).toEqual([]);
      moved += world.moved;
    }),
    { numRuns: 150, seed: 1 },
  );
  expect(moved).toBeGreaterThan(500);
});
