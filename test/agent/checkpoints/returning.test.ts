// Jobs that are made again: by their home on the best node, by another home when theirs is lost; once, whoever tries, and wherever something fails.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { orphanage } from '../../../src/agent/checkpoints/orphans.ts';
import { type Restoring, restorer } from '../../../src/agent/checkpoints/restoring.ts';
import { type Returning, returner } from '../../../src/agent/checkpoints/returning.ts';
import { openStore, type Store } from '../../../src/agent/checkpoints/store.ts';
import type { HomeJob } from '../../../src/agent/jobs/home.ts';
import type { JobSpec } from '../../../src/agent/jobs/types.ts';
import type { Versions } from '../../../src/agent/moves/versions.ts';
import { noWishes } from '../../../src/agent/moves/wire.ts';
import { FarmError } from '../../../src/base/errors.ts';
import { FakeEngine, FakeWorld, fakeAttach, jobSpec } from '../../support/fake-engine.ts';
import { FakeLinks } from '../../support/fake-links.ts';
import { versions } from '../../support/moves-world.ts';

const home = 1;
const first = jobSpec(home, 100, { image: versions.image });
const luggage = { moves: 1, used: 5, cpu: 1, dirtyRate: 0, left: [], wishes: { ...noWishes, checkpoint: 5 }, recalled: false, checkpointed: 0 };
const positions = { input: 0, inputEnded: false, output: 20, errors: 0, control: 0, events: 0 };

let directory: string;
let store: Store;
let links: FakeLinks;
let world: FakeWorld;
let jobs: Map<string, HomeJob>;
let given: string[];
let events: string[];
let waits: (() => void)[];
let bad: Map<number, Partial<Versions>>;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-returning-'));
  store = openStore(() => Promise.resolve(directory));
  [links, world, jobs, given, events, waits, bad] = [new FakeLinks(), new FakeWorld(), new Map(), [], [], [], new Map()];
  jobs.set(first.id, { spec: first, options: luggage.wishes, node: 2, moves: 0, state: 'running', began: 0, since: 0, checkpoint: 'kept' });
});
afterEach(() => rmSync(directory, { recursive: true }));

const others = (self: number) => [1, 2, 3, 4].filter((node) => node !== self && !links.down.has(node));
const log = (_level: string, event: string): void => void events.push(event);

function restorerAt(node: number): Restoring {
  links
    .of(node)
    .answer('job.holds', (_from, body) => Promise.resolve({ holds: world.running.get((body as { readonly job: string }).job) === node ? 'runs' : 'none' }));
  return restorer({
    ...{ self: node, store, engine: new FakeEngine(world, node), link: links.of(node), attach: fakeAttach, others: () => others(node), log },
    versions: { ...versions, ...bad.get(node) },
    ...{ take() {}, admit() {}, isOwn: () => false },
  });
}

function homeReturner(best: number): Returning {
  for (const node of [1, 2, 3, 4]) restorerAt(node);
  return returner({
    ...{ self: home, store, link: links.of(home), others: () => others(home), place: () => best, log },
    after: (_ms, run) => void waits.push(run),
    deputies: {
      jobs,
      lives: (id: string, spec: JobSpec, node: number) => void jobs.set(id, { ...job(id), spec, node }),
      keep() {},
      give: (id: string, why: string) => {
        given.push(why);
        jobs.delete(id);
      },
      discard: () => Promise.resolve(),
    },
  });
}

function job(id: string): HomeJob {
  const found = jobs.get(id);
  if (found === undefined) throw new Error(`no job ${id}`);
  return found;
}

async function checkpointed(): Promise<void> {
  const draft = await store.begin(first.id, 1000);
  await draft.publish({ spec: first, positions, luggage, node: 2, versions, at: 1 });
}

/** The node of the job is lost, and all that follows happens. */
async function lose(returns: Returning): Promise<void> {
  links.down.add(2);
  expect(returns.lost(job(first.id))).toBe(true);
  for (const run of waits.splice(0)) run();
  for (let turn = 0; turn < 200 && given.length === 0 && world.running.size === 0; turn += 1) await new Promise((resolve) => setTimeout(resolve, 2));
  await new Promise((resolve) => setTimeout(resolve, 20));
}

describe('when the node of a job is lost', () => {
  test('its home makes it again where it does best, as its next life', async () => {
    await checkpointed();
    await lose(homeReturner(3));
    expect([...world.running]).toEqual([[first.id, 3]]);
    expect(job(first.id)).toMatchObject({ node: 3, spec: { life: 1 } });
    expect(world.faults).toEqual([]);
  });

  test('a node that cannot restore it is passed over', async () => {
    await checkpointed();
    bad.set(3, { kernel: 'older' });
    await lose(homeReturner(3));
    expect([...world.running.values()]).toEqual([4]);
    expect(events).toContain('job.unrestored');
  });

  test('and no node can restore it, it ends and says why; another may try then', async () => {
    await checkpointed();
    for (const node of [1, 3, 4]) bad.set(node, { criu: '9' });
    await lose(homeReturner(3));
    expect(given).toEqual([expect.stringContaining('criu 9 here, 4.1.1 there')]);
    expect(readdirSync(join(directory, first.id))).toEqual(['1']);
  });

  test('without a checkpoint it ends', async () => {
    await lose(homeReturner(3));
    expect(given).toEqual(['node 2, where it ran, is down, and there is no checkpoint of it yet']);
  });

  test('and the answer of the node that made it is lost, no other life of it is the job', async () => {
    await checkpointed();
    links.fate = (_from, to, what) => (to === 3 && what === 'job.restore' ? 'cut' : 'arrives');
    world.begin = (id, node) => void world.running.set(`${id} ${node}`, node); // for a moment both run
    await lose(homeReturner(3));
    expect([...world.running.values()]).toEqual([3, 4]);
    expect(job(first.id)).toMatchObject({ node: 4, spec: { life: 2 } });
  });

  test('and somebody else has claimed it meanwhile, its home lets it be', async () => {
    await checkpointed();
    const returns = homeReturner(3);
    await store.claim(first.id, { ...first, id: '4-5-6', home: 4, deputy: 5, life: 1, origin: first.id });
    await lose(returns);
    expect(given).toEqual(['another node has made this job again']);
    expect(world.running.size).toBe(0);
  });

  test('a job that neither has nor wants checkpoints is none of its business', () => {
    const { checkpoint: _, ...bare } = job(first.id);
    expect(homeReturner(3).lost({ ...bare, options: noWishes })).toBe(false);
  });
});

describe('farm job restart', () => {
  /** What runs on node 2 is ended when its home says so. */
  function running(): void {
    world.running.set(first.id, 2);
    links.of(2).answer('job.discard', (_from, body) => {
      world.running.delete((body as { readonly job: string }).job);
      return Promise.resolve({});
    });
  }

  test('takes a job back to its checkpoint, on the node that is named', async () => {
    await checkpointed();
    const returns = homeReturner(3);
    running();
    expect(await returns.back(first.id, 4)).toBe(4);
    expect([...world.running]).toEqual([[first.id, 4]]);
    expect(world.faults).toEqual([]);
  });

  test('to a node that cannot restore it ends nothing', async () => {
    await checkpointed();
    bad.set(4, { criu: '9' });
    const returns = homeReturner(3);
    running();
    await expect(returns.back(first.id, 4)).rejects.toMatchObject({ code: 'checkpoint.version' });
    expect([...world.running]).toEqual([[first.id, 2]]);
    expect(given).toEqual([]);
  });

  test('goes on elsewhere if the node that is named fails after all', async () => {
    await checkpointed();
    const returns = homeReturner(3);
    running();
    world.begin = (id, node) => {
      if (node === 4) throw new FarmError('job.unrestorable', 'criu refuses');
      world.running.set(id, node);
    };
    expect(await returns.back(first.id, 4)).toBe(3);
    expect(given).toEqual([]);
  });

  test('makes the job again though nobody knows whether what ran has ended', async () => {
    await checkpointed();
    const returns = homeReturner(3);
    running();
    links.fate = (_from, to, what) => (to === 2 && what === 'job.discard' ? 'cut' : 'arrives');
    expect(await returns.back(first.id, undefined)).toBe(3);
    expect(job(first.id)).toMatchObject({ node: 3, spec: { life: 1 } });
  });
});

describe('when the home of a job is lost', () => {
  const fresh = (node: number) => ({ id: `${node}-50-60`, caller: { uid: first.uid, pid: 50 }, window: undefined });

  test('one of those that try at once makes it again, and has it as its own', async () => {
    await checkpointed();
    links.down.add(home).add(2);
    const tries = await Promise.allSettled([3, 4].map((node) => restorerAt(node).again(first.id, fresh(node))));
    const won = tries.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(won).toHaveLength(1);
    await won[0]?.run();
    const [[id, node] = []] = [...world.running];
    expect(id).toBe(`${node}-50-60`);
    expect(await store.current(first.id)).toMatchObject({ id, home: node, life: 1, origin: first.id });
  });

  test('it is not made again while it runs somewhere', async () => {
    await checkpointed();
    links.down.add(home);
    for (const node of [2, 3]) restorerAt(node);
    world.running.set(first.id, 2);
    await expect(restorerAt(3).again(first.id, fresh(3))).rejects.toMatchObject({ code: 'job.runs' });
  });

  test('nobody makes it again but its user and root', async () => {
    await checkpointed();
    links.down.add(home).add(2);
    await expect(restorerAt(3).again(first.id, { ...fresh(3), caller: { uid: 4321, pid: 50 } })).rejects.toMatchObject({ code: 'job.others' });
  });

  test('it is made again by the id that it had first, or has now, and what failed is free again', async () => {
    await checkpointed();
    links.down.add(home).add(2);
    const node = restorerAt(3);
    world.begin = () => {
      throw new FarmError('job.unrestorable', 'criu refuses');
    };
    const { run } = await node.again(first.id, fresh(3));
    await expect(run()).rejects.toThrow('criu refuses');
    expect(events).toContain('checkpoint.bad');
    expect((await node.again(first.id, fresh(3))).spec.life).toBe(1);
    expect((await node.again('3-50-60', fresh(4))).spec).toMatchObject({ life: 2, origin: first.id });
  });

  test('the nodes that are left try one after the other, and not for a home that has come back', async () => {
    await checkpointed();
    const adopted: number[] = [];
    const delays = new Map<number, number>();
    let alive = [2, 3, 4];
    const runs: (() => void)[] = [];
    for (const self of [2, 3, 4]) {
      orphanage({
        ...{ self, store, alive: () => alive, log },
        adopt: () => Promise.resolve(void adopted.push(self)),
        after(ms, run) {
          delays.set(self, ms);
          runs.push(run);
        },
      })(home);
    }
    for (let turn = 0; turn < 100 && delays.size < 3; turn += 1) await new Promise((resolve) => setTimeout(resolve, 2));
    expect([...delays.values()].sort((one, other) => one - other)).toEqual([15_000, 35_000, 55_000]);
    runs[0]?.();
    await new Promise((resolve) => setTimeout(resolve, 30));
    alive = [1, 2, 3, 4];
    runs[1]?.();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(adopted).toHaveLength(1);
  });
});
