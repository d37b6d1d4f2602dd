// Checkpoints of jobs that run here: what keeps one from being made, and that nothing of that harms the job or the checkpoint before.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkpointMaker } from '../../../src/agent/checkpoints/making.ts';
import { openStore, type Store } from '../../../src/agent/checkpoints/store.ts';
import { type HostedJobs, hostedFrom } from '../../../src/agent/jobs/hosted.ts';
import type { Attached, RunningJob } from '../../../src/agent/jobs/types.ts';
import { noWishes } from '../../../src/agent/moves/wire.ts';
import { FarmError } from '../../../src/base/errors.ts';
import { FakeEngine, FakeWorld, fakeAttach, jobSpec } from '../../support/fake-engine.ts';
import { FakeLinks } from '../../support/fake-links.ts';
import { versions } from '../../support/moves-world.ts';

const minute = 60_000;
const spec = jobSpec(1, 100);

let directory: string;
let store: Store;
let world: FakeWorld;
let jobs: HostedJobs;
let kept: unknown[];
let events: string[];
let time: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-making-'));
  store = openStore(() => Promise.resolve(directory));
  [world, jobs, kept, events, time] = [new FakeWorld(), new Map(), [], [], 0];
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A job with -A 1 on node 2, whose home is node 1. */
async function maker(job: Partial<RunningJob> = {}, attached: Partial<Attached> = {}) {
  const links = new FakeLinks();
  links.of(1).answer('job.keep', (_from, body) => Promise.resolve(void kept.push(body)).then(() => ({})));
  const running = await new FakeEngine(world, 2).start(spec);
  const standing: RunningJob['checkpoint'] = (_directory, call) => Promise.resolve(call?.());
  const positions = { input: 3, inputEnded: false, output: 9, errors: 0, control: 0, events: 0 };
  const streams = { ...fakeAttach(running, undefined), standing: () => positions, ...attached };
  const luggage = { moves: 0, used: 0, cpu: 1, dirtyRate: 0, left: [], wishes: { ...noWishes, checkpoint: 1 }, recalled: false };
  jobs.set(spec.id, hostedFrom({ ...running, checkpoint: standing, ...job }, streams, luggage, time));
  return checkpointMaker({
    ...{ self: 2, store, jobs, link: links.of(2), versions, now: () => time, wall: () => 1_700_000_000_000, changed() {} },
    log: (_level, event) => void events.push(event),
  });
}

const state = () => jobs.get(spec.id)?.checkpoint;

describe('a job with -A 1', () => {
  test('gets one each minute, and its home keeps what goes to the job from the older one on', async () => {
    const { round } = await maker();
    for (time = 0; time <= 3 * minute; time += 1000) await round();
    expect((await store.checkpoints(spec.id)).map(({ number, positions }) => [number, positions.output])).toEqual([
      [3, 9],
      [2, 9],
    ]);
    expect(kept[0]).toEqual({ job: spec.id, life: 0 });
    expect(kept.at(-1)).toMatchObject({ job: spec.id, from: { input: 3, control: 0 }, made: { number: 3 } });
    expect(state()).toMatchObject({ failure: undefined, last: { number: 3 } });
  });

  test.each<[string, Partial<RunningJob>, Partial<Attached>, RegExp]>([
    ['uses what cannot be saved', { obstacles: async () => [{ code: 'socket', message: 'it has a socket', remedy: 'close it' }] }, {}, /it has a socket/],
    ['is refused by criu', { checkpoint: () => Promise.reject(new FarmError('job.immovable', 'criu refuses')) }, {}, /criu refuses/],
    ['does not stand', { checkpoint: () => Promise.resolve() }, {}, /did not stand still/],
    ['has a home that does not take what it wrote', {}, { delivered: () => Promise.reject(new FarmError('job.streams', 'its home is slow')) }, /is slow/],
  ])('that %s runs on, says so, and nothing half is left', async (_name, job, attached, why) => {
    const { round } = await maker(job, attached);
    for (time = 0; time <= minute; time += 1000) await round();
    expect(state()?.failure).toMatch(why);
    expect(events).toEqual(['checkpoint.failed']);
    expect(world.running.get(spec.id)).toBe(2);
    expect(await store.checkpoints(spec.id)).toEqual([]);
    expect(readdirSync(directory).flatMap((key) => readdirSync(join(directory, key)))).toEqual([]);
  });

  test('keeps the last good one when the disk is full', async () => {
    const { make } = await maker();
    await make(spec.id);
    Object.assign(jobs.get(spec.id) ?? {}, { memory: Number.MAX_SAFE_INTEGER });
    await expect(make(spec.id)).rejects.toMatchObject({ code: 'checkpoint.full' });
    expect((await store.checkpoints(spec.id)).map(({ number }) => number)).toEqual([1]);
  });

  test('goes on hearing from its home after one that failed', async () => {
    const calls: string[] = [];
    const { make } = await maker(
      { checkpoint: () => Promise.reject(new FarmError('job.immovable', 'no')) },
      { pause: () => void calls.push('pause'), unpause: () => void calls.push('unpause') },
    );
    await expect(make(spec.id)).rejects.toThrow('no');
    expect(calls).toEqual(['pause', 'unpause']);
  });

  test('waits while it moves', async () => {
    const { make, round } = await maker();
    Object.assign(jobs.get(spec.id) ?? {}, { goingTo: 3 });
    time = 2 * minute;
    await round();
    await expect(make(spec.id)).rejects.toMatchObject({ code: 'job.moving' });
    expect(kept).toEqual([]);
  });
});

test('a copy of a job that another node has claimed is ended', async () => {
  const { make, round } = await maker();
  await make(spec.id);
  await store.claim(spec.id, { ...spec, id: '3-7-8', home: 3, deputy: 7, life: 1, origin: spec.id });
  time = 11_000;
  await round();
  expect(events).toContain('job.superseded');
  expect(world.running.size).toBe(0);
});
