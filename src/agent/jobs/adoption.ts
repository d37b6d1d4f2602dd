// The jobs that an agent before this one left behind: they run on without it, and so do the shells that keep their pipes.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Arrival } from './arrival.ts';
import { type Body, cgroupOf, dumperOf, endProcess, holders, isJobId, type Places, readRecord, removePlace, type Sides, sidesOfHolder } from './body.ts';
import { Cgroup } from './cgroup.ts';
import type { Job } from './running.ts';
import type { ArrivingJob, FrozenJob, JobSpec, RunningJob } from './types.ts';

/** How it was when the agent ended. Whether one that was given, or has arrived, runs here is for the move's protocol to say. */
export type Adopted =
  | { readonly kind: 'running'; readonly job: RunningJob }
  | { readonly kind: 'given'; readonly to: number; readonly job: RunningJob; readonly frozen: FrozenJob }
  | { readonly kind: 'arrived'; readonly spec: JobSpec; readonly arriving: ArrivingJob };

/** Ms until a criu that does not end is ended: better a damaged job than none that could ever be looked at. */
const criuPatience = 30_000;

/** All of them; to be called once, before anything is started. What was only half here is taken away. */
export async function adoptJobs(places: Places, run: (body: Body, sides: Sides) => Job, log: Log): Promise<readonly Adopted[]> {
  const found: Adopted[] = [];
  for (const id of (await readdir(places.jobs)).filter(isJobId)) {
    const directory = join(places.jobs, id);
    const record = await readRecord(directory).catch(() => undefined);
    const whole = record !== undefined && (await holds(record.holder, directory));
    if (!whole) {
      log('warn', 'job.lost', { job: id, reason: record === undefined ? 'it was not here yet' : 'its pipes are gone' });
      await endHolders(places, directory);
      await removePlace(places, id, undefined);
      continue;
    }
    const body: Body = { ...record, directory, cgroup: cgroupOf(places, id) };
    await criuEnded(body);
    const sides = sidesOfHolder(record.holder, record.spec.streams === 'separate');
    log('info', 'job.adopted', { job: id, stage: record.stage });
    if (record.stage === 'arrived') found.push({ kind: 'arrived', spec: record.spec, arriving: await Arrival.found(places, body, sides, run) });
    else {
      const job = run(body, sides);
      if (record.to !== undefined) found.push({ kind: 'given', to: record.to, job, frozen: await job.stillFrozen() });
      else {
        // Nobody was told that it may run elsewhere.
        if (record.stage === 'frozen') await (await job.stillFrozen()).thaw();
        else await job.ensureRunning();
        found.push({ kind: 'running', job });
      }
    }
  }
  return found;
}

/** A criu that still holds its processes ends by itself, because the agent to which it spoke is gone. */
async function criuEnded(body: Body): Promise<void> {
  const dumper = dumperOf(body);
  const late = setTimeout(() => void dumper.kill(), criuPatience);
  await dumper.empty();
  clearTimeout(late);
  await dumper.remove();
}

/** Those of a job that is not whole, known or not: an agent that was killed as it started one has not written it down. */
async function endHolders({ cgroups }: Places, directory: string): Promise<void> {
  for (const pid of await new Cgroup(join(cgroups, holders)).pids()) if (await holds(pid, directory)) endProcess(pid);
}

/** Whether that process is still the holder of the job in `directory`: its number may have another owner by now. */
async function holds(holder: number, directory: string): Promise<boolean> {
  try {
    const words = (await readFile(`/proc/${holder}/environ`, 'utf8')).split('\0');
    return words.includes(`FARM_JOB=${directory}`);
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '')) return false;
    throw error;
  }
}
