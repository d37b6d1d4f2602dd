// Checkpoints on three machines: one is switched off with a job of another on it, and then the home of a job. The jobs go on, and their users get every byte once.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobsSeen } from '../../src/farm/jobs.ts';
import type { Lab } from '../../src/lab/lab.ts';
import { command, farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';

const bootSeconds = 600;
const names = ['n1', 'n2', 'n3'];
/** A node that is dead is given up after 60 s; then nodes that were only cut off get some seconds to see it. */
const lostSeconds = 240;

let directory: string;
let lab: Lab;
const n1 = (line: string, seconds = 120) => onConsole(lab, 'n1', line, seconds);
/** Its status is 2 while a machine that was switched off is not yet known to be silent. */
const jobs = (): JobsSeen =>
  JSON.parse(spawnSync(process.execPath, [command, '-C', directory, 'job', 'list', '--json'], { encoding: 'utf8', timeout: 60_000 }).stdout);

/** Asks again until the answer is one. */
async function eventually<Value>(ask: () => Value | undefined, seconds: number, what: string): Promise<Value> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await delay(1000)) {
    const value = ask();
    if (value !== undefined) return value;
  }
  throw new Error(`not within ${seconds} s: ${what}; ${JSON.stringify(jobs())}`);
}

const counting = (to: number) => `sh -c "i=0; while [ \\$i -lt ${to} ]; do i=\\$((i+1)); echo \\$i; sleep 0.2; done"`;
const whereFile = 'until [ "$(cat /hpc/jobs/$P/where)" = 2 ]; do sleep 1; done';

beforeAll(async () => {
  directory = makeFarm('checkpoints-test');
  const config = join(directory, 'farm.yaml');
  writeFileSync(config, readFileSync(config, 'utf8').replace('    console_login: true', '    console_login: true\n    openmosix: { home_lost: restart }'));
  farm(directory, 'add-node', ...names.map((_, index) => `52-54-00-AA-09-0${index + 1}`));
  lab = await labOf(directory);
  await until(directory, names, ({ stage }) => stage === 'up', bootSeconds);
  for (const name of names) await onConsole(lab, name, 'until journalctl -u farm-agent | grep -q migration.started; do sleep 1; done', 300);
}, 1000_000);

afterAll(async () => {
  await lab?.down();
});

describe('a job with checkpoints', () => {
  it('goes on from the last one when its node is switched off, and what it writes comes once', async () => {
    expect(
      await n1(`mosrun -A 30 -2 ${counting(400)} > /run/count & P=$!; until [ -e /hpc/jobs/$P/where ]; do sleep 1; done; ${whereFile}; echo there`, 240),
    ).toBe('there');
    const job = await eventually(() => jobs().jobs.find(({ state, node }) => state === 'running' && node === 2), 60, 'the job runs on n2');
    expect(farm(directory, 'job', 'checkpoint', job.id)).toMatch(/^job 1-\d+-\d+: checkpoint 1, \d/);
    expect(farm(directory, 'job', 'show', job.id)).toMatch(/checkpoint +number 1, \d+ s ago, .* made on n2/);
    // More than its home had then: all of this comes once more, and is left out.
    const before = Number(await n1('sleep 5; wc -l < /run/count'));
    expect(before).toBeGreaterThan(3);
    await lab.power('n2', 'off');
    const again = await eventually(() => jobs().jobs.find(({ id, node }) => id === job.id && node !== 2), lostSeconds, 'it runs on another node');
    expect(again.home).toBe(1);
    expect(await n1('wait; echo over; tail -1 /run/count', 600)).toBe('over\n400');
    expect(await n1('seq 400 | cmp - /run/count && echo same')).toBe('same');
    expect(jobs()).toMatchObject({ jobs: [], left: [] });
  }, 1200_000);

  it('goes back when it is told to, and can be ended from the server', async () => {
    await n1(`mosrun -A 30 -h sh -c "read a; echo \\$a; read b; echo \\$b; sleep 1000" < /etc/services > /run/read & echo begun`);
    const job = await eventually(() => jobs().jobs.find(({ state, home }) => state === 'running' && home === 1), 60, 'a job runs');
    farm(directory, 'job', 'checkpoint', job.id);
    expect(farm(directory, 'job', 'restart', job.id, '--node', 'n3')).toBe(`job ${job.id} is made again on n3\n`);
    await eventually(() => jobs().jobs.find(({ id, node, state }) => id === job.id && node === 3 && state === 'running'), 60, 'it runs on n3');
    farm(directory, 'job', 'kill', job.id, '--signal', 'KILL');
    await eventually(() => (jobs().jobs.length === 0 ? true : undefined), 60, 'it has ended');
    expect(await n1('head -2 /etc/services | cmp - /run/read && echo same')).toBe('same');
  }, 600_000);

  it('gets another home when its own is lost, where farm.yaml says so', async () => {
    await n1(`mosrun -A 30 -3 ${counting(100_000)} > /run/count & echo begun`);
    const job = await eventually(() => jobs().jobs.find(({ state, node }) => state === 'running' && node === 3), 90, 'a job runs on n3');
    farm(directory, 'job', 'checkpoint', job.id);
    await lab.power('n1', 'off');
    const adopted = await eventually(() => jobs().jobs.find(({ home, state }) => home === 3 && state === 'running'), lostSeconds, 'n3 is its home');
    expect(adopted.id).not.toBe(job.id);
    const output = join(directory, 'shared', 'var', 'lib', 'farm', 'checkpoints', job.id, 'output');
    const lines = await eventually(
      () => {
        const all = readFileSync(output, 'utf8').split('\n').slice(0, -1).map(Number);
        return all.length > 10 ? all : undefined;
      },
      120,
      'it writes',
    );
    expect(lines.every((line, index) => index === 0 || line === (lines[index - 1] ?? 0) + 1)).toBe(true);
    farm(directory, 'job', 'kill', adopted.id);
    const end = await eventually(() => jobs().left.find(({ state }) => state === 'ended'), 60, 'it has ended');
    expect(end).toMatchObject({ status: 143, output });
    farm(directory, 'job', 'kill', end.id);
    expect(jobs()).toMatchObject({ jobs: [], left: [] });
  }, 600_000);
});
