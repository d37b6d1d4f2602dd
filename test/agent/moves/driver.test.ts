// Jobs that change their node: the real driver and balancer on several nodes, with losses and failures at every step of a move.
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { type Step, steps } from '../../../src/agent/moves/departure.ts';
import { FarmError } from '../../../src/base/errors.ts';
import { MovesWorld, versions, type WorldOptions } from '../../support/moves-world.ts';

let made: MovesWorld[] = [];

function worldOf(count: number, options: WorldOptions = {}): MovesWorld {
  const world = new MovesWorld(count, options);
  made.push(world);
  return world;
}

afterEach(async () => {
  const all = made;
  made = [];
  await Promise.all(all.map((world) => world.close()));
});

describe('a job', () => {
  test('that is sent to another node goes on there, where it was, and its home knows', async () => {
    const world = worldOf(2);
    const job = await world.job(1, 100);
    await world.seconds(2);
    world.node(1).moves.request(job, 2);
    await world.seconds(4);
    expect(world.world.running.get(job)).toBe(2);
    expect(world.homes.get(job)?.where).toBe(2);
    expect(world.node(1).moves.homeJobs()[0]?.asked).toBe('done');
    expect(world.node(1).engine.standing + world.node(2).engine.standing).toBe(0);
    expect(world.world.faults).toEqual([]);
  });

  test('comes home again', async () => {
    const world = worldOf(2);
    const job = await world.job(1, 100);
    world.node(1).moves.request(job, 2);
    await world.seconds(4);
    world.node(1).moves.request(job, 1);
    await world.seconds(4);
    expect([world.world.running.get(job), world.homes.get(job)?.where]).toEqual([1, 1]);
    expect(world.world.faults).toEqual([]);
  });

  test('of a large memory is copied while it runs, before it is frozen', async () => {
    const world = worldOf(2);
    world.world.memory = 9 * 2 ** 20;
    const copies: string[] = [];
    const other = worldOf(2, { fault: (step) => void copies.push(step) });
    other.world.memory = 9 * 2 ** 20;
    const job = await other.job(1, 100);
    await other.seconds(1);
    other.node(1).moves.request(job, 2);
    await other.seconds(6);
    expect(copies.filter((step) => step === 'copy').length).toBeGreaterThan(0);
    expect(other.world.running.get(job)).toBe(2);
  });

  test('that cannot move stays, and says why', async () => {
    const world = worldOf(2);
    const job = await world.job(1, 100);
    world.world.obstacles = [{ code: 'socket', message: 'it has a connection to 10.0.0.9:80', remedy: 'end it' }];
    world.node(1).moves.request(job, 2);
    await world.seconds(2);
    expect(world.node(1).moves.homeJobs()[0]?.asked).toBe('failed: it has a connection to 10.0.0.9:80');
    expect(world.world.running.get(job)).toBe(1);
  });

  test('stays where another kernel runs elsewhere, with the reason in words', async () => {
    const world = worldOf(2, { versions: (node) => (node === 2 ? { ...versions, kernel: '5.10.0' } : versions) });
    const job = await world.job(1, 100);
    await world.seconds(1);
    world.node(1).moves.request(job, 2);
    await world.seconds(3);
    expect(world.node(1).moves.homeJobs()[0]?.asked).toBe('failed: node 2 cannot take it: kernel 5.10.0 here, 6.12.1 there');
    expect(world.world.running.get(job)).toBe(1);
  });

  test('whose home has no deputy for it any more is ended', async () => {
    const world = worldOf(2);
    const job = await world.job(1, 100);
    world.node(1).moves.request(job, 2);
    await world.seconds(4);
    world.homes.delete(job);
    await world.seconds(30);
    expect(world.world.running.has(job)).toBe(false);
    expect(world.events).toContain('job.homeless');
  });

  test('that begins on the best node does not begin on the busy one', async () => {
    const world = worldOf(2);
    await world.job(1, 100);
    await world.seconds(2);
    const job = await world.job(1, 101, 'best');
    expect(world.world.running.get(job)).toBe(2);
  });
});

describe('the balancer', () => {
  test('spreads the jobs of one node over all, and then leaves them', async () => {
    const world = worldOf(3);
    for (let deputy = 100; deputy < 106; deputy += 1) await world.job(1, deputy);
    await world.seconds(60);
    const perNode = [1, 2, 3].map((node) => [...world.world.running.values()].filter((at) => at === node).length);
    expect(perNode).toEqual([2, 2, 2]);
    expect(world.world.faults).toEqual([]);
    const moved = world.events.filter((event) => event === 'move.done').length;
    await world.seconds(60);
    expect(world.events.filter((event) => event === 'move.done').length).toBe(moved);
  });

  test('sends guests away from a node that expels them', async () => {
    const world = worldOf(2);
    const job = await world.job(1, 100, 2);
    await world.seconds(1);
    expect(world.node(2).moves.guests()).toBe(1);
    world.flags.set(2, { expel: true, block: true });
    await world.seconds(8);
    expect(world.world.running.get(job)).toBe(1);
    expect(world.node(2).moves.guests()).toBe(0);
  });

  test('does not move a job that its user has locked', async () => {
    const world = worldOf(2);
    for (const deputy of [100, 101, 102]) await world.job(1, deputy, 1, { locked: true });
    await world.seconds(30);
    expect([...world.world.running.values()]).toEqual([1, 1, 1]);
  });

  test('brings home what its owner calls', async () => {
    const world = worldOf(2);
    const job = await world.job(1, 100);
    world.node(1).moves.request(job, 2);
    await world.seconds(4);
    world.node(1).moves.bring();
    await world.seconds(6);
    expect([world.world.running.get(job), world.node(1).moves.abroad()]).toEqual([1, 0]);
  });
});

describe('a move that fails', () => {
  test.each(steps.filter((step) => step !== 'discard' && step !== 'copy'))('at the step "%s" leaves the job where it was', async (failing) => {
    const world = worldOf(2, {
      fault: (step) => {
        if (step === failing) throw new FarmError('test.fault', `it breaks at ${step}`);
      },
    });
    const job = await world.job(1, 100);
    await world.seconds(1);
    world.node(1).moves.request(job, 2);
    await world.seconds(8);
    expect(world.world.running.get(job)).toBe(1);
    expect(world.world.faults).toEqual([]);
    expect(world.node(1).engine.standing + world.node(2).engine.standing).toBe(0);
    expect(world.node(1).moves.homeJobs()[0]?.asked).toMatch(/^failed: .*(breaks|gave up|did not answer|ended)/);
  });

  test('while a round of pre-copy runs leaves it, too', async () => {
    const world = worldOf(2, {
      fault: (step) => {
        if (step === 'copy') throw new FarmError('test.fault', 'it breaks');
      },
    });
    world.world.memory = 9 * 2 ** 20;
    const job = await world.job(1, 100);
    await world.seconds(1);
    world.node(1).moves.request(job, 2);
    await world.seconds(4);
    expect(world.world.running.get(job)).toBe(1);
    expect(world.world.faults).toEqual([]);
  });

  test('of a job that then rests before the balancer tries it again', async () => {
    let tries = 0;
    const world = worldOf(2, {
      fault: (step) => {
        if (step !== 'freeze') return;
        tries += 1;
        throw new FarmError('test.fault', 'it breaks');
      },
    });
    for (const deputy of [100, 101, 102, 103]) await world.job(1, deputy);
    await world.seconds(60);
    // Without rest: one a second.
    expect(tries).toBeGreaterThan(2);
    expect(tries).toBeLessThan(25);
  });
});

describe('whatever is lost or breaks', () => {
  const fates = ['arrives', 'arrives', 'arrives', 'lost', 'cut'] as const;

  test('each job runs exactly once in the end, and never twice', { timeout: 30_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 4 }),
        fc.array(fc.nat(fates.length - 1), { minLength: 20, maxLength: 60 }),
        fc.array(fc.record({ step: fc.constantFrom<Step>(...steps.filter((step) => step !== 'discard')), on: fc.nat(6) }), { maxLength: 6 }),
        fc.array(fc.record({ job: fc.nat(3), to: fc.nat(3), wait: fc.nat(3), cut: fc.boolean() }), { minLength: 1, maxLength: 6 }),
        async (count, losses, faults, orders) => {
          let calls = 0;
          const reached = new Map<Step, number>();
          const world = worldOf(count, {
            fault: (step) => {
              const nth = reached.get(step) ?? 0;
              reached.set(step, nth + 1);
              if (faults.some((one) => one.step === step && one.on === nth)) throw new FarmError('test.fault', `it breaks at ${step}`);
            },
          });
          const jobs = [await world.job(1, 100), await world.job(1, 101), await world.job(2, 102), await world.job(2, 103)];
          world.links.fate = () => {
            const fate = fates[losses[calls % losses.length] ?? 0] ?? 'arrives';
            calls += 1;
            return fate;
          };
          for (const { job, to, wait, cut } of orders) {
            const id = jobs[job] ?? '';
            world.node(Number(id.split('-')[0])).moves.request(id, (to % count) + 1);
            await world.seconds(wait);
            if (cut) world.links.cut((to % count) + 1);
          }
          world.links.fate = () => 'arrives';
          world.flags = new Map([...world.nodes.keys()].map((id) => [id, { stay: true }] as const));
          await world.seconds(15);
          expect(world.world.faults).toEqual([]);
          expect([...world.world.running.keys()].sort()).toEqual([...jobs].sort());
          for (const id of jobs) expect([id, world.homes.get(id)?.where]).toEqual([id, world.world.running.get(id)]);
          for (const { engine } of world.nodes.values()) expect(engine.standing).toBe(0);
          await world.close();
        },
      ),
      { numRuns: 12 },
    );
  });
});
