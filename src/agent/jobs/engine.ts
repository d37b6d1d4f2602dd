// Starts, freezes, restores and restarts jobs on this node with criu, and finds those that a killed agent left behind.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { run } from '../../base/processes.ts';
import { type Adopted, adoptJobs } from './adoption.ts';
import { Arrival } from './arrival.ts';
import {
  type Body,
  closeEnds,
  closeSides,
  holders,
  makeEnds,
  makePlace,
  namesOf,
  type Places,
  removePlace,
  type Sides,
  sidesOf,
  startHolder,
  writeRecord,
} from './body.ts';
import { launch } from './launch.ts';
import { lookAt } from './look.ts';
import { Job } from './running.ts';
import type { JobEngine, JobSpec, Obstacle, RootOf, RunningJob } from './types.ts';

export interface JobEngineOptions {
  readonly log: Log;
  readonly rootOf: RootOf;
  /** Whether a job gets this mount of spec.mounts from this node, not from its home: the same files, and nearer. Default: never. */
  readonly isOwn?: (spec: JobSpec, mount: string) => boolean;
  /** Whether every node sees the files below this mount of the home node: `/` or one of spec.mounts. Default: of all, as with /mfs. */
  readonly everywhere?: (mount: string) => boolean;
  /** Default /run/farm-agent/jobs: a tmpfs is mounted there. */
  readonly directory?: string;
  /** Default /sys/fs/cgroup/farm-jobs. */
  readonly cgroups?: string;
}

/** Of the machine's memory: the pages of jobs that arrive lie there, and leave it as they are restored. */
const tmpfsSize = '80%';

/** Devices that a job has on every node. The rest of /dev would be another one elsewhere. */
const devices: readonly (readonly [string, number, number])[] = [
  ['null', 1, 3],
  ['zero', 1, 5],
  ['full', 1, 7],
  ['random', 1, 8],
  ['urandom', 1, 9],
  ['tty', 5, 0],
];

export interface JobEngineService extends JobEngine {
  /** What an agent before this one left behind; once, first of all. */
  adopt(): Promise<readonly Adopted[]>;
  /** Jobs run on. */
  close(): Promise<void>;
}

/** Mounts a tmpfs for the images and the /dev of jobs, and makes the cgroup. Throws FarmError `job.cgroup`, `program.failed`. */
export async function startJobEngine(options: JobEngineOptions): Promise<JobEngineService> {
  const jobs = options.directory ?? '/run/farm-agent/jobs';
  const places: Places = {
    jobs,
    cgroups: options.cgroups ?? '/sys/fs/cgroup/farm-jobs',
    devices: `${jobs}/dev`,
    rootOf: options.rootOf,
    isOwn: options.isOwn ?? (() => false),
  };
  await prepare(places);
  const look = (body: Body): Promise<readonly Obstacle[]> => lookAt(body, options.everywhere ?? (() => true));
  const adopt = (body: Body, sides: Sides): Job => new Job(places, body, sides, look);

  const start = async (spec: JobSpec): Promise<RunningJob> => {
    const { directory, cgroup } = await makePlace(places, spec.id);
    let holder: number | undefined;
    let sides: Sides | undefined;
    try {
      const ends = await makeEnds(spec);
      try {
        holder = await startHolder(places, directory, ends);
        sides = sidesOf(ends);
        const pid = await launch(places, spec, directory, cgroup.path, ends);
        const body: Body = { spec, directory, cgroup, pid, holder, pipes: namesOf(ends), cpuTime: 0 };
        await writeRecord(body, 'running');
        return adopt(body, sides);
      } finally {
        closeEnds(ends);
      }
    } catch (error) {
      if (sides !== undefined) closeSides(sides);
      await removePlace(places, spec.id, holder);
      throw error;
    }
  };

  return {
    start,
    receive: (spec) => Arrival.begin(places, spec, adopt),
    async restart(spec, directory) {
      const arrival = await Arrival.begin(places, spec, adopt);
      await arrival.restoreFrom(directory);
      return arrival.run();
    },
    adopt: () => adoptJobs(places, adopt, options.log),
    async close() {},
  };
}

async function prepare({ jobs, cgroups, devices: at }: Places): Promise<void> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  const mounted = (path: string): boolean => mounts.split('\n').some((line) => line.split(' ')[4] === path);
  await mkdir(jobs, { recursive: true, mode: 0o700 });
  if (!mounted(jobs)) await run('mount', ['-t', 'tmpfs', '-o', `mode=0700,nosuid,size=${tmpfsSize}`, 'farm-jobs', jobs]);
  await mkdir(at, { recursive: true });
  if (!mounted(at)) {
    await run('mount', ['-t', 'tmpfs', '-o', 'mode=0755,nosuid,noexec,size=64k', 'farm-dev', at]);
    for (const [name, major, minor] of devices) await run('mknod', ['-m', '0666', join(at, name), 'c', String(major), String(minor)]);
    for (const name of ['pts', 'shm', 'mqueue']) await mkdir(join(at, name));
    const links = { ptmx: 'pts/ptmx', fd: '/proc/self/fd', stdin: '/proc/self/fd/0', stdout: '/proc/self/fd/1', stderr: '/proc/self/fd/2' };
    for (const [name, target] of Object.entries(links)) await run('ln', ['-s', target, join(at, name)]);
  }
  await mkdir(join(cgroups, holders), { recursive: true }).catch((error: unknown) => {
    throw new FarmError('job.cgroup', `${cgroups} cannot be made: ${sentence(error)}`, 'mount cgroup2 at /sys/fs/cgroup', error);
  });
}
