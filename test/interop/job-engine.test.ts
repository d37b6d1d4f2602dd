// Jobs of the real engine on this machine, which needs no criu for it: namespaces, a cgroup, pipes, a terminal. What moves them: test/boot/jobs.test.ts.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type JobEngineService, startJobEngine } from '../../src/agent/jobs/engine.ts';
import { parseProcessStat } from '../../src/agent/jobs/processes.ts';
import type { JobSpec, RunningJob } from '../../src/agent/jobs/types.ts';
import { plainSpec } from '../support/job-scenes.ts';

const directory = mkdtempSync(join(tmpdir(), 'farm-jobs-'));
const cgroups = join(/^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1] ?? '/sys/fs/cgroup', `farm-jobs-test-${process.pid}`);
let engine: JobEngineService;
let number = 40;

beforeAll(async () => {
  engine = await startJobEngine({ log: () => {}, rootOf: async () => '/', directory, cgroups });
});

afterAll(async () => {
  await engine.close();
  execFileSync('umount', [join(directory, 'dev'), directory]);
  rmSync(directory, { recursive: true });
  for (const path of [join(cgroups, 'holders'), cgroups]) await vi.waitUntil(() => isRemoved(path));
});

function isRemoved(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false; // a process in it is still on its way out
  }
}

async function start(more: Partial<JobSpec>): Promise<{
  readonly job: RunningJob;
  readonly said: () => string;
  readonly shows: (text: string) => Promise<void>;
}> {
  number += 1;
  const job = await engine.start({ ...plainSpec(number, 'n1'), mounts: [], ...more });
  let said = '';
  job.output.on('data', (chunk: Buffer) => {
    said = (said + chunk).slice(-10_000);
  });
  job.errors?.resume();
  return { job, said: () => said, shows: (text) => vi.waitUntil(() => said.includes(text), { timeout: 10_000 }).then(() => {}) };
}

/** The process of that name in the job. */
function processOf(job: RunningJob, name: string) {
  const pids = readFileSync(join(cgroups, job.spec.id, 'cgroup.procs'), 'utf8')
    .trim()
    .split('\n');
  const stats = pids.map((pid) => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  return stats.filter((text) => text.includes(`(${name})`)).map(parseProcessStat)[0];
}

test.each(['merged', 'separate'] as const)('a job whose output nobody reads any more has SIGPIPE (%s)', async (streams) => {
  const { job, shows } = await start({ args: ['yes'], streams });
  await shows('y\n');
  job.output.destroy();
  expect(await job.ended).toMatchObject({ status: 141 });
});

test('a signal is for the group of the program, not for what has one of its own', async () => {
  const script = 'trap "echo told; exit 9" USR1; setsid sh -c "trap \'echo disturbed\' USR1; echo up; sleep 2; echo rested" & while :; do sleep 0.1; done';
  const { job, shows, said } = await start({ args: ['sh', '-c', script] });
  await shows('up\n');
  await job.signal('SIGUSR1');
  await shows('told\n');
  await shows('rested\n');
  expect(await job.ended).toMatchObject({ status: 9 });
  expect(said()).not.toContain('disturbed');
});

test('Ctrl-Z in a terminal stops the program, which goes on when it is told to', async () => {
  const { job, shows } = await start({ args: ['cat'], streams: 'terminal' });
  job.input.write('one\n');
  await shows('one\r\none');
  job.input.write('\x1a');
  await vi.waitUntil(() => processOf(job, 'cat')?.state === 'T');
  const { group, foreground } = processOf(job, 'cat') ?? {};
  expect(foreground).toBe(group);
  await job.signal('SIGCONT');
  job.input.write('two\n');
  await shows('two\r\ntwo');
  await job.signal('SIGINT');
  expect(await job.ended).toMatchObject({ status: 130 });
});
