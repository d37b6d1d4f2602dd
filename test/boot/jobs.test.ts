// Jobs that move with criu in real kernels: from one engine to another on the same node, and from n1 to n2. What the programs are: test/support/job-scenes.ts.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import type { Lab } from '../../src/lab/lab.ts';
import { bundle } from '../interop/namespaces.ts';
import { farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';

const bootSeconds = 300;
/** Emulated machines start a program in seconds. */
const sceneSeconds = 400;

let directory: string;
let lab: Lab;
let address: string;
const on = (name: string, line: string, seconds?: number) => onConsole(lab, name, line, seconds);

/** What each scene or trial says of itself, by name. */
async function trials(where: string, ...names: readonly string[]): Promise<Readonly<Record<string, Record<string, unknown>>>> {
  const said = await on('n1', `node /root/job-node.mjs move ${where} ${names.join(' ')} 2> /run/jobs.err; cat /run/jobs.err >&2`, sceneSeconds);
  const lines = said.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : []));
  return Object.fromEntries(lines.map((line) => [String(line['name']), line]));
}

const terminated = 143;
const undisturbed = { counts: true, status: terminated, obstacles: [] };

beforeAll(async () => {
  directory = makeFarm('jobs-test');
  for (const mac of ['52-54-00-AB-00-01', '52-54-00-AB-00-02']) farm(directory, 'add-node', mac);
  const config = join(directory, 'farm.yaml');
  const text = parseDocument(readFileSync(config, 'utf8'));
  text.setIn(['profiles'], { default: { console_login: true, shared: [{ path: '/home', squash: 'none' }] } });
  writeFileSync(config, String(text));
  const root = join(directory, 'overlays', 'root', 'root');
  mkdirSync(root, { recursive: true });
  await bundle(new URL('../support/job-node.ts', import.meta.url), join(root, 'job-node.mjs'));
  lab = await labOf(directory, { memoryMiB: 768 });
  await until(directory, ['n1', 'n2'], ({ stage }) => stage === 'up', bootSeconds);
  address = '10.11.0.12';
  await on('n2', 'node /root/job-node.mjs serve 4670 > /run/serve.out 2>&1 & until grep -q ready /run/serve.out; do sleep 0.5; done');
  await on('n1', 'mkdir -p /home/jobs');
});

afterAll(async () => {
  await lab?.down();
});

describe('a job', () => {
  it('has its user, groups, limits, words and status, and ends as sh would', async () => {
    const { ends } = await trials('here', 'ends');
    expect(ends?.['statuses']).toEqual({
      status: [7, ''],
      missing: [127, expect.stringMatching(/^mosrun: .*nonesuch: not found$/)],
      locked: [126, expect.stringMatching(/Permission denied$/)],
      nowhere: [126, 'mosrun: /none: there is no such directory, or it may not be entered'],
      killed: [137, ''],
      named: [0, expect.stringMatching(/^another /)],
    });
  });

  it('stands and runs on without noticing, and what it had not read is there again', async () => {
    const { thaw } = await trials('here', 'thaw');
    expect(thaw).toMatchObject({ text: 'one\ntwo\nthree\nfour\nover\n', status: 3 });
  });

  it('says what it cannot take along, and no attempt harms it', async () => {
    const { obstacles, refused } = await trials('here', 'obstacles', 'refused');
    expect(obstacles?.['seen']).toEqual({
      socket: ['socket: perl # has a tcp socket to the outside: listens at 127.0.0.1:4711'],
      realtime: ['realtime: sh # runs in real time (SCHED_FIFO)'],
      traced: ['traced: perl # is being debugged by #'],
      namespace: ['namespace: sh # made namespaces of its own (uts)'],
      none: [],
    });
    expect(refused).toMatchObject({
      text: 'one\ntwo\n',
      status: 0,
      codes: ['socket', 'socket', 'socket'],
      error: expect.stringMatching(/^the job cannot be moved: /),
    });
  });

  it('is made again from a checkpoint, as often as one likes', async () => {
    const { checkpoint } = await trials('here', 'checkpoint');
    expect(checkpoint).toMatchObject({ statuses: [0, 0, 0], text: '1 one\n2 two\n2 three\n2 four\n' });
  });

  it('survives the agent, and the next finds it', async () => {
    const said = await on('n1', 'node /root/job-node.mjs leave 2> /dev/null; node /root/job-node.mjs find 2> /dev/null');
    expect(said).toContain('{"id":"50","text":"one\\ntwo\\n","status":5}');
  });
});

describe('a job that moves to another node', () => {
  it('counts on, whatever it is made of', async () => {
    const seen = await trials(`${address}:4670`, 'user', 'tree', 'threads', 'shared', 'files');
    expect(seen['user']).toMatchObject({ ...undisturbed, errors: "33:33:33 50:0027:100:/tmp:n1:it's" });
    for (const name of ['tree', 'threads', 'shared', 'files']) expect(seen[name], name).toMatchObject(undisturbed);
  });

  it('takes its terminal along, with the stopped job in it', async () => {
    const { terminal, input } = await trials(`${address}:4670`, 'terminal', 'input');
    expect(terminal).toMatchObject({ status: 9 });
    // More than a pipe holds; its shell may have read some of it by then.
    expect(input).toMatchObject({ status: 0, text: '1000' });
    expect(input?.['unread']).toBeGreaterThan(2 ** 16);
  });

  it('stands for less memory if most of it went ahead', async () => {
    const seen = await trials(`${address}:4670`, 'memory', 'memory++');
    expect(seen['memory']).toMatchObject(undisturbed);
    expect(seen['memory++']).toMatchObject(undisturbed);
    const [first = 0, second = 0] = (seen['memory++']?.['copied'] ?? []) as readonly number[];
    expect(first).toBeGreaterThan(64 * 2 ** 20);
    expect(second).toBeLessThan(first / 10);
  });
});
