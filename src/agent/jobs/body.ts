// What there is of a job on this node: a directory, a cgroup, a first process, and a shell that keeps its pipes. It outlives the agent, which finds it again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FarmError, systemCode } from '../../base/errors.ts';
import { Cgroup } from './cgroup.ts';
import { holderScript } from './init.ts';
import { makePipes, type Pipe, reopen } from './pipes.ts';
import type { JobId, JobSpec, RootOf } from './types.ts';

/** Where the engine keeps what it has. */
export interface Places {
  /** A tmpfs of root's; a directory a job. */
  readonly jobs: string;
  /** A cgroup with one for each job in it. */
  readonly cgroups: string;
  /** The /dev of jobs. */
  readonly devices: string;
  readonly rootOf: RootOf;
  /** Mounts that are this node's own for every job: the same files, and nearer. */
  readonly isOwn: (spec: JobSpec, mount: string) => boolean;
}

/** What is bound over spec.mounts, in their order. `root`: the home's, as this node sees it. */
export function mountSources({ isOwn }: Places, spec: JobSpec, root: string): readonly string[] {
  const below = root.replace(/\/$/, '');
  return spec.mounts.map((path) => (isOwn(spec, path) ? path : below + path));
}

/** Its pipes as criu calls them. A job that moved has others than it began with. */
export interface PipeNames {
  readonly input: string;
  readonly output: string;
  readonly errors: string | undefined;
  readonly status: string;
}

/** `running`: also one that has ended since. `frozen`: it stands, to go elsewhere; `given`: and may run there. `arrived`: it stands and has not run here. */
export type Stage = 'running' | 'frozen' | 'given' | 'arrived';

export interface Body {
  readonly spec: JobSpec;
  readonly directory: string;
  readonly cgroup: Cgroup;
  readonly pid: number;
  readonly holder: number;
  readonly pipes: PipeNames;
  /** Ms that it has used on other nodes. */
  readonly cpuTime: number;
}

/** Both ends of all its pipes, in the agent for a moment. */
export interface Ends {
  readonly input: Pipe;
  readonly output: Pipe;
  readonly errors: Pipe | undefined;
  readonly status: Pipe;
}

const idForm = /^\d{1,10}-\d{1,10}-\d{1,20}$/;

export function isJobId(text: string): boolean {
  return idForm.test(text);
}

/** The directory and the cgroup of a job that is not here yet. Throws FarmError `job.id`, `job.exists`. */
export async function makePlace(places: Places, id: JobId): Promise<{ readonly directory: string; readonly cgroup: Cgroup }> {
  if (!isJobId(id)) throw new FarmError('job.id', `"${id.slice(0, 80)}" is no job's id`);
  const directory = join(places.jobs, id);
  const cgroup = cgroupOf(places, id);
  const made = await mkdir(directory, { mode: 0o700 }).then(
    () => true,
    () => false,
  );
  if (!made) throw new FarmError('job.exists', `job ${id} is here already`, 'a job has one copy');
  await mkdir(join(directory, 'root'), { mode: 0o700 });
  await cgroup.make();
  return { directory, cgroup };
}

export function cgroupOf(places: Places, id: JobId): Cgroup {
  return new Cgroup(join(places.cgroups, id));
}

/** With pauses of 20 ms, 40 ms ...: four seconds in all. What is left of a job here keeps it from ever coming back. */
const removalRetries = 20;

/** Everything of a job that does not run here (any more): its processes if there are any, its holder, its files. */
export async function removePlace(places: Places, id: JobId, holder: number | undefined): Promise<void> {
  if (holder !== undefined) endProcess(holder);
  const cgroup = cgroupOf(places, id);
  await cgroup.kill();
  await cgroup.remove();
  // The holder, or a page server, may have made one more file before the signal reached it: rmdir then says ENOTEMPTY.
  await rm(join(places.jobs, id), { recursive: true, force: true, maxRetries: removalRetries, retryDelay: 20 });
}

/** Also one that has ended by itself. */
export function endProcess(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH: that is what is wanted
  }
}

export async function makeEnds(spec: JobSpec): Promise<Ends> {
  const separate = spec.streams === 'separate';
  const [input, output, status, errors] = await makePipes(separate ? 4 : 3);
  if (input === undefined || output === undefined || status === undefined) throw new FarmError('job.pipes', 'there are no pipes');
  return { input, output, errors, status };
}

export function closeEnds({ input, output, errors, status }: Ends): void {
  for (const pipe of [input, output, errors, status]) {
    if (pipe === undefined) continue;
    closeSync(pipe.reader);
    closeSync(pipe.writer);
  }
}

export function namesOf({ input, output, errors, status }: Ends): PipeNames {
  return { input: input.name, output: output.name, errors: errors?.name, status: status.name };
}

/** The agent's own descriptions of its side of the pipes, which do not block. */
export interface Sides {
  /** Undefined: it has ended. */
  readonly input: number | undefined;
  /** Undefined: nobody reads it any more. */
  readonly output: number | undefined;
  readonly errors: number | undefined;
}

export function sidesOf({ input, output, errors }: Ends): Sides {
  return {
    input: reopen('self', input.writer, 'write'),
    output: reopen('self', output.reader, 'read'),
    errors: errors === undefined ? undefined : reopen('self', errors.reader, 'read'),
  };
}

/** Of a job that an agent before this one started or took over. */
export function sidesOfHolder(holder: number, separate: boolean): Sides {
  return {
    input: reopened(holder, held.input, 'write'),
    output: reopened(holder, held.output, 'read'),
    errors: separate ? reopened(holder, held.errors, 'read') : undefined,
  };
}

/** ENXIO: nobody reads the input. ENOENT: the holder has let go of it. */
function reopened(holder: number, fd: number, side: 'read' | 'write'): number | undefined {
  try {
    return reopen(holder, fd, side);
  } catch (error) {
    if (['ENXIO', 'ENOENT'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

export function closeSides({ input, output, errors }: Sides): void {
  for (const fd of [input, output, errors]) if (fd !== undefined) closeSync(fd);
}

/** Descriptors of the holder, as its script has them. */
const held = { input: 3, output: 4, errors: 5 } as const;

/** Starts the shell that keeps the agent's side of the pipes. */
export async function startHolder(places: Places, directory: string, ends: Ends): Promise<number> {
  const holder = spawn('/bin/sh', ['-c', holderScript, 'farm-job-pipes', directory, join(places.cgroups, holders)], {
    stdio: ['ignore', 'ignore', 'ignore', ends.input.writer, ends.output.reader, ends.errors?.reader ?? 'ignore', ends.status.reader],
    detached: true,
    env: { PATH: systemPath, FARM_JOB: directory },
  });
  holder.unref();
  return spawned(holder);
}

/** The cgroup of all holders. */
export const holders = 'holders';
/** The cgroup in which there is one for each job that criu looks at. */
const dumpers = 'criu';

/** Where criu runs while it holds the processes of a job. Not in the agent's: a criu that is killed at that moment leaves them with its own code in them. */
export function dumperOf({ cgroup, spec }: Pick<Body, 'cgroup' | 'spec'>): Cgroup {
  return new Cgroup(join(dirname(cgroup.path), dumpers, spec.id));
}

export const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin';

export async function spawned(child: ChildProcess): Promise<number> {
  await once(child, 'spawn');
  if (child.pid === undefined) throw new FarmError('job.start', 'a process that was started has no number');
  return child.pid;
}

/** What a restarted agent reads. */
export interface Record {
  readonly stage: Stage;
  readonly spec: JobSpec;
  readonly pid: number;
  readonly holder: number;
  readonly pipes: PipeNames;
  readonly cpuTime: number;
  /** With `given`: the node that may run it. */
  readonly to?: number;
}

const recordName = 'job.json';

/** At once or not at all. */
export async function writeRecord(body: Body, stage: Stage, to?: number): Promise<void> {
  const { spec, pid, holder, pipes, cpuTime } = body;
  const record: Record = { stage, spec, pid, holder, pipes, cpuTime, ...(to === undefined ? {} : { to }) };
  const path = join(body.directory, recordName);
  await writeFile(`${path}.new`, JSON.stringify(record));
  await rename(`${path}.new`, path);
}

export async function readRecord(directory: string): Promise<Record> {
  return JSON.parse(await readFile(join(directory, recordName), 'utf8')) as Record;
}
