// farm job: what the server asks its nodes, over the real link, and what it makes of the answers.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { answerServer } from '../../src/agent/checkpoints/asked.ts';
import { openStore } from '../../src/agent/checkpoints/store.ts';
import { type RunningLink, startLink } from '../../src/agent/link/link.ts';
import { noWishes } from '../../src/agent/moves/wire.ts';
import { ipv4 } from '../../src/base/addresses.ts';
import { FarmError } from '../../src/base/errors.ts';
import type { HttpRequest } from '../../src/boot/http.ts';
import { checkpointsPath, type JobListed } from '../../src/cluster/job-listed.ts';
import { askAgent } from '../../src/farm/agent-call.ts';
import { sharedDirectory } from '../../src/farm/directory.ts';
import type { Farm, Node } from '../../src/farm/farm.ts';
import { findJob, type JobsOptions, onJobs } from '../../src/farm/jobs.ts';
import { jobSpec } from '../support/fake-engine.ts';
import { versions } from '../support/moves-world.ts';

const key = Buffer.from('k'.repeat(64));
const server = ipv4('127.0.78.100');
const addresses = new Map([1, 2].map((id) => [id, ipv4(`127.0.78.${id}`)] as const));
const map = { addresses, ids: new Map([...addresses].map(([id, address]) => [address, id] as const)) };
const port = 24_000 + (process.pid % 20_000);

let directory: string;
let link: RunningLink;
let asked: unknown[];
let refused: string[];

const running: JobListed = {
  ...{ id: '1-100-77', home: 1, node: 2, pid: 100, uid: 0, command: 'awk', args: ['awk'], directory: '/', state: 'running', cpu: 1, memory: 5, used: 7 },
  ...{ moves: 0, locked: false, began: 1, since: 1, cannotMove: [] },
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'farm-jobs-'));
  [asked, refused] = [[], []];
  const self = { id: 1, address: ipv4('127.0.78.1') };
  link = await startLink({ self, port, map: () => map, keys: () => [key], refuse: (reason) => void refused.push(reason), log: () => {}, server: () => server });
  answerServer({
    link,
    list: () => [running],
    checkpoint: (id) => Promise.resolve(asked.push(['checkpoint', id])).then(() => ({ number: 4 })),
    back: (id, node) => {
      asked.push(['back', id, node]);
      return Promise.reject(new FarmError('checkpoint.none', 'there is none'));
    },
    adopt: (id) => Promise.resolve(void asked.push(['adopt', id])),
    signal: (id, signal) => void asked.push(['signal', id, signal]),
  });
  link.serve('other', (_from, _header, stream) => stream.end());
});
afterEach(async () => {
  await link.close();
  rmSync(directory, { recursive: true });
});

const node = (id: number): Node => ({ id, name: `n${id}`, address: ipv4(`127.0.78.${id}`), network: { server } }) as unknown as Node;

function options(up: readonly string[] = ['n1']): JobsOptions {
  const farm = { directory, nodes: [node(1), node(2)] } as unknown as Farm;
  return { farm: () => farm, up: () => new Set(up), ask: (to, question, patience) => askAgent(to, key, question, patience, port) };
}

async function order(question: object, up?: readonly string[]): Promise<unknown> {
  const answer = await onJobs({ method: 'POST', body: Buffer.from(JSON.stringify(question)) } as unknown as HttpRequest, options(up));
  return answer.kind === 'json' ? answer.value : answer;
}

describe('farm job', () => {
  test('lists what homes say, and which of them say nothing', async () => {
    expect(await order({ ask: 'list' }, ['n1', 'n2'])).toEqual({
      ok: { jobs: [running], left: [], silent: [{ node: 'n2', reason: expect.stringMatching(/^the agent of n2 cannot be reached/) }] },
    });
  });

  test('lists what has a checkpoint and no home, and makes it again on a node that is up', async () => {
    const place = sharedDirectory(directory, checkpointsPath);
    mkdirSync(place, { recursive: true });
    const spec = jobSpec(2, 300);
    const luggage = { moves: 1, used: 5, cpu: 1, dirtyRate: 0, left: [], wishes: noWishes, recalled: false };
    const draft = await openStore(() => Promise.resolve(place)).begin(spec.id, 1);
    await draft.publish({ spec, luggage, positions: { input: 0, inputEnded: false, output: 0, errors: 0 }, node: 1, versions, at: 5 });
    expect(await order({ ask: 'list' })).toMatchObject({ ok: { left: [{ id: spec.id, home: 2, state: 'lost', checkpoint: { number: 1, node: 1, at: 5 } }] } });
    expect(await order({ ask: 'restart', job: '2-300' })).toEqual({ ok: { job: spec.id, node: 'n1' } });
    expect(asked).toEqual([['adopt', spec.id]]);
    expect(await order({ ask: 'kill', job: '2-300', signal: 'SIGTERM' })).toEqual({ ok: { job: spec.id, done: 'removed' } });
    expect(await order({ ask: 'list' })).toMatchObject({ ok: { left: [] } });
  });

  test.each([
    ['checkpoint', { ask: 'checkpoint', job: '1-100' }, ['checkpoint', running.id], { ok: { job: running.id, number: 4 } }],
    ['kill', { ask: 'kill', job: '1-100', signal: 'SIGUSR1' }, ['signal', running.id, 'SIGUSR1'], { ok: { job: running.id, done: 'told' } }],
    ['restart', { ask: 'restart', job: '1-100', node: 'n2' }, ['back', running.id, 2], { error: { code: 'checkpoint.none', message: 'there is none' } }],
  ])('%s goes to the home, and what it says comes back', async (_name, question, did, said) => {
    expect(await order(question)).toEqual(said);
    expect(asked).toEqual([did]);
  });

  test('knows no job that there is not', async () => {
    expect(await order({ ask: 'checkpoint', job: '1-10' })).toMatchObject({ error: { code: 'job.unknown' } });
  });

  test('wants a whole id where a beginning is not enough', () => {
    expect(findJob({ jobs: [{ id: '1-2-3' }, { id: '3-5-6', origin: '2-8-9' }], left: [] }, '2-8-9').id).toBe('3-5-6');
    expect(() => findJob({ jobs: [{ id: '1-2-3' }, { id: '1-2-4' }], left: [] }, '1-2')).toThrow('several jobs begin with 1-2: 1-2-3, 1-2-4');
  });
});

describe('the link', () => {
  test('lets nobody ask as the server who has not its address, or not the key', async () => {
    const elsewhere = { ...node(1), network: { server: ipv4('127.0.78.101') } } as unknown as Node;
    await expect(askAgent(elsewhere, key, { ask: 'list', from: 0 }, 1000, port)).rejects.toMatchObject({ code: 'link.down' });
    await expect(askAgent(node(1), Buffer.from('x'.repeat(64)), { ask: 'list', from: 0 }, 1000, port)).rejects.toMatchObject({ code: 'link.down' });
    expect(refused).toContain('link.stranger');
    expect(refused).toContain('link.identity');
  });

  test('lets a node ask nothing that is the server’s to ask', async () => {
    const self = { id: 2, address: ipv4('127.0.78.2') };
    const other = await startLink({ self, port, map: () => map, keys: () => [key], refuse: () => {}, log: () => {} });
    await expect(other.open(1, 'farm.job', { ask: 'list', from: 0 })).rejects.toMatchObject({ code: 'link.refused' });
    (await other.open(1, 'other', {})).destroy();
    await other.close();
  });
});
