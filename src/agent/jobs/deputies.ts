// Jobs whose home is here, from mosrun to exit status: takes deputies in, has their jobs started somewhere (beginning.ts), and connects the two.
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { beginSomewhere } from './beginning.ts';
import { type Caller, jobMounts, statFields } from './caller.ts';
import { type Deputy, lostStatus, openDeputy } from './deputy.ts';
import { hostGuests } from './guests.ts';
import { type HomeJob, openHomeTable } from './home.ts';
import { sayUnknown } from './home-streams.ts';
import { type JobOptions, parseMosrun } from './mosrun-options.ts';
import { asHeader } from './start.ts';
import { streamsPurpose } from './streams.ts';
import type { Attach, Attached, JobEngine, JobId, JobSpec, Link, RunningJob, StreamPositions } from './types.ts';

const defaultDirectory = '/run/farm-agent/deputies';
/** Who has so many jobs has made a mistake in a loop. Each takes a handful of descriptors of the agent's. */
const deputiesMax = 1000;
/** random(4) of Linux: another one at each boot. */
const bootIdFile = '/proc/sys/kernel/random/boot_id';
/** Ms between looks at deputies that inotify says nothing of. */
const lookInterval = 1000;
/** Ms that a job from before has to show up after the agent was started again: its node tries every few seconds. */
const returnPatience = 30_000;
/** A job of a wholly lost node, and wrong usage: exit statuses of mosrun itself. */
const unable = 2;

export interface DeputiesOptions {
  readonly self: number;
  readonly hostname: string;
  readonly directory?: string;
  readonly link: Link;
  readonly engine: Pick<JobEngine, 'start'>;
  readonly log: Log;
  /** A spec that another agent sent, checked. Throws `WireError`. */
  readonly readSpec: (value: unknown) => JobSpec;
  /** mosrun -b: where this job would do best. By default, here. */
  readonly place?: (spec: JobSpec, options: JobOptions) => Promise<number>;
  /** Mounts of this node that jobs see. By default all that are no kernel's, no /hpc and no /mfs. */
  readonly mounts?: () => Promise<readonly string[]>;
  /** The image that this node has booted, as in JobSpec. Default: not known. */
  readonly image?: string;
  /** A job has been started on this node, for whatever home: from now on it may be moved. */
  readonly started?: (job: RunningJob, attached: Attached, options: JobOptions) => void;
  /** The node of a job is gone. True: it will be run again from a checkpoint (`moved` says where), so its deputy waits. */
  readonly lost?: (job: HomeJob) => boolean;
  /** A job that runs here since before this agent was started. `given`: it was on its way to another node, and it is not known yet where it runs. */
  readonly adopt?: (id: JobId) => Promise<RunningJob | 'given' | undefined>;
  readonly returnPatience?: number;
  /** mosrun -R: makes the job again that had this id, for this caller. Gives it under its new id; it runs, and waits for being attached. Throws `FarmError`. */
  readonly restore?: (old: JobId, fresh: { readonly id: JobId; readonly caller: Caller; readonly window: JobSpec['window'] }) => Promise<Restored>;
  /** A job of this home has ended, of which there are checkpoints. */
  readonly ended?: (job: HomeJob, status: number) => void;
}

/** A job that came out of a checkpoint. */
export interface Restored {
  readonly spec: JobSpec;
  readonly options: JobOptions;
  /** Runs it; its streams connect with their deputy. */
  readonly run: () => Promise<void>;
}

export interface Deputies {
  readonly jobs: ReadonlyMap<JobId, HomeJob>;
  readonly onChange: (listener: () => void) => void;
  /** For jobs that have come to this node. Their home learns of it by this. */
  readonly attach: Attach;
  /** A copy of a job that runs here is not the job any more. */
  discard(id: JobId): Promise<void>;
  /** How far the streams of a job of this home are. */
  positions(id: JobId): StreamPositions | undefined;
  /** Its next life begins at that node: only what comes with this specification is the job. */
  lives(id: JobId, spec: JobSpec, node: number): void;
  /** A checkpoint has been made of it, or is about to be: what goes to the job from there on is kept. */
  keep(id: JobId, from: { readonly input: number; readonly control: number } | undefined, made: HomeJob['checkpoint']): void;
  /** It cannot be made again: its deputy ends as if the job had been killed. */
  give(id: JobId, why: string): void;
  /** A job of this home is at that node now. The job's streams say so, too. */
  moved(id: JobId, node: number): void;
  setOptions(id: JobId, options: Partial<JobOptions>): void;
  signal(id: JobId, signal: NodeJS.Signals): void;
  /** That node is down: its jobs of this home end like a crash, or go on from a checkpoint. */
  nodeGone(node: number): void;
  /** That job is not at its node any more: as with `nodeGone`. */
  jobGone(id: JobId): void;
  /** The home of jobs that run here is down; kills them. */
  homeGone(home: number): Promise<void>;
  close(): Promise<void>;
}

/** Throws system errors where `directory` cannot be made. */
export async function startDeputies(options: DeputiesOptions): Promise<Deputies> {
  const { self, hostname, link, engine, log, directory = defaultDirectory } = options;
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  chmodSync(directory, 0o1733); // everybody makes one of his own in it, and nobody lists those of others
  const table = openHomeTable(join(dirname(directory), 'homes'));
  const deputies = new Map<string, Deputy | 'opening'>();
  const running = new Map<JobId, Deputy>();
  const boot = bootDigits(await readFile(bootIdFile, 'latin1'));
  let isClosed = false;
  const guests = hostGuests({ self, link, engine, log, readSpec: options.readSpec, ...(options.started === undefined ? {} : { started: options.started }) });

  link.serve(streamsPurpose, (from, value, stream) => {
    const header = asHeader(value);
    const job = header === undefined ? undefined : table.jobs.get(header.id);
    const streams = header === undefined ? undefined : running.get(header.id)?.streams;
    // One that was started twice, because the answer to the first call was lost, is not where it is waited for.
    const isOld = header?.life !== (job?.spec.life ?? 0);
    if (header === undefined || job === undefined || isOld || (header.begins && job.node !== from)) return sayUnknown(stream);
    if (streams === undefined) {
      stream.destroy(); // its deputy is not back yet
      return;
    }
    if (!streams.canFollow(header)) {
      sayUnknown(stream);
      return crash(header.id, 'what it had been given since its checkpoint is not kept any more');
    }
    if (job.node !== from) moved(header.id, from);
    if (job.state === 'starting') table.change(header.id, { state: 'running' });
    streams.connect(stream, header);
  });

  function moved(id: JobId, node: number): void {
    const job = table.jobs.get(id);
    if (job === undefined || job.node === node) return;
    table.change(id, { node, moves: job.moves + 1, since: Date.now() });
    log('info', 'job.moved', { job: id, from: job.node, to: node });
  }

  async function take(name: string): Promise<void> {
    // inotify also tells that one is gone.
    if (isClosed || !/^[1-9]\d{0,9}$/.test(name) || deputies.has(name) || !existsSync(join(directory, name))) return;
    deputies.set(name, 'opening');
    let id: JobId | undefined;
    try {
      const deputy: Deputy = await openDeputy(join(directory, name), Number(name), {
        ready(caller, streams, window) {
          id = `${self}-${caller.pid}-${caller.start}${boot}`;
          void begin(deputy, id, streams, window).catch((error: unknown) => {
            const known = error instanceof FarmError ? error : new FarmError('job.fault', sentence(error));
            log('warn', 'job.failed', { job: id, code: known.code, reason: known.message });
            deputy.fail(known, unable);
            if (id !== undefined) drop(id);
          });
        },
        stopped(isStopped) {
          if (id !== undefined && table.jobs.has(id)) table.change(id, { state: isStopped ? 'stopped' : 'running' });
        },
        ended({ status, cpuTime }) {
          log('info', 'job.ended', { job: id, status, cpuTime });
          const job = id === undefined ? undefined : table.jobs.get(id);
          if (job?.checkpoint !== undefined) options.ended?.(job, status);
          if (id !== undefined) drop(id);
        },
        // Its job is known until it has ended, too: the order to end may have a long way.
        gone: () => void deputies.delete(name),
        fault: (reason) => log('warn', 'job.streams', { job: id, reason }),
      });
      deputies.set(name, deputy);
      if (deputies.size > deputiesMax) deputy.fail(new FarmError('job.many', `this node has ${deputiesMax} jobs already`), unable);
    } catch (error) {
      deputies.delete(name);
      refuseAt(join(directory, name), error);
    }
  }

  /** A directory without a deputy: left over, or not what it should be. */
  function refuseAt(path: string, error: unknown): void {
    log('warn', 'deputy.refused', { file: path, reason: sentence(error) });
    rmSync(path, { recursive: true, force: true });
  }

  function drop(id: JobId): void {
    running.delete(id);
    table.remove(id);
  }

  async function begin(deputy: Deputy, id: JobId, streams: JobSpec['streams'], window: JobSpec['window']): Promise<void> {
    running.set(id, deputy);
    if (table.jobs.has(id)) return await resume(deputy, id);
    const { caller } = deputy;
    for (const [old, { spec }] of table.jobs) if (spec.deputy === caller.pid) drop(old); // of a process that was before
    const run = parseMosrun(caller.name, caller.args);
    if (run.restore !== undefined) return await restore(run.restore, { id, caller, window });
    const { uid, gid, groups, umask, niceness, limits, directory: cwd, environment } = caller;
    const spec: JobSpec = {
      ...{ id, home: self, hostname, deputy: caller.pid, args: run.args, name: run.name, environment: [...environment, `FARM_JOB=${id}`], directory: cwd },
      ...{ umask, uid, gid, groups, niceness, limits, streams, window, mounts: await (options.mounts ?? ownMounts)(), image: options.image ?? '' },
    };
    const began = Date.now();
    await beginSomewhere(spec, run, {
      ...{ self, link, ...(options.place === undefined ? {} : { place: options.place }) },
      startHere: guests.start,
      tried: (node) => table.put({ spec, options: run.options, node, moves: 0, state: 'starting', began, since: began }),
    });
  }

  async function restore(old: JobId, fresh: { readonly id: JobId; readonly caller: Caller; readonly window: JobSpec['window'] }): Promise<void> {
    if (options.restore === undefined) throw new FarmError('migration.absent', 'this node keeps no checkpoints');
    const { spec, options: wishes, run } = await options.restore(old, fresh);
    const now = Date.now();
    table.put({ spec, options: wishes, node: self, moves: 0, state: 'starting', began: now, since: now, checkpoint: 'kept' });
    await run();
  }

  /** A deputy from before this agent: its job is still where it was, or gone. */
  async function resume(deputy: Deputy, id: JobId): Promise<void> {
    const job = table.jobs.get(id);
    if (job?.node === self) {
      const kept = await options.adopt?.(id);
      if (kept === 'given') return; // where it turns out to run, it connects its streams
      if (kept === undefined) return crash(id, 'the agent of this node was started again');
      const attached = guests.attach(kept, { input: 0, inputEnded: false, output: 0, errors: 0 });
      options.started?.(kept, attached, job.options);
      return;
    }
    setTimeout(() => {
      if (running.get(id) === deputy && deputy.streams?.isConnected !== true) crash(id, `node ${table.jobs.get(id)?.node} does not have it any more`);
    }, options.returnPatience ?? returnPatience).unref();
  }

  function crash(id: JobId, why: string): void {
    log('warn', 'job.lost', { job: id, reason: why });
    running.get(id)?.fail(new FarmError('job.lost', `the job is lost: ${why}`), lostStatus);
    drop(id);
  }

  function jobGone(id: JobId): void {
    const job = table.jobs.get(id);
    if (job !== undefined && options.lost?.(job) !== true) crash(id, `node ${job.node}, where it ran, does not have it any more`);
  }

  async function look(): Promise<void> {
    for (const name of await readdir(directory).catch(() => [])) void take(name);
    for (const deputy of deputies.values()) if (deputy !== 'opening') await deputy.look();
  }

  const watcher = watch(directory, (_event, name) => {
    if (name !== null) void take(name);
  });
  watcher.on('error', (error) => log('warn', 'deputy.unwatched', { reason: sentence(error) })); // there are the looks
  const looks = setInterval(() => void look(), lookInterval);
  const agentFile = join(directory, 'agent');
  writeFileSync(`${agentFile}.new`, `${process.pid} ${statFields(readFileSync('/proc/self/stat', 'latin1'))[19]}\n`, { mode: 0o644 });
  renameSync(`${agentFile}.new`, agentFile);
  await look();
  // Deputies that ended while there was no agent.
  for (const [id, { spec }] of table.jobs) if (!deputies.has(String(spec.deputy))) table.remove(id);

  return {
    jobs: table.jobs,
    onChange: table.onChange,
    attach: guests.attach,
    discard: guests.discard,
    moved,
    positions: (id) => running.get(id)?.streams?.positions(),
    lives(id, spec, node) {
      const job = table.jobs.get(id);
      if (job === undefined) throw new FarmError('job.unknown', 'this job has ended');
      table.put({ ...job, spec, node, moves: job.moves + 1, state: 'starting', since: Date.now() });
    },
    keep(id, from, made) {
      const streams = running.get(id)?.streams;
      if (streams === undefined) throw new FarmError('job.unknown', `no job ${id} has its home here`);
      streams.keep(from);
      table.change(id, { checkpoint: made ?? table.jobs.get(id)?.checkpoint ?? 'kept' });
    },
    give: crash,
    setOptions(id, change) {
      const job = table.jobs.get(id);
      table.change(id, job === undefined ? {} : { options: { ...job.options, ...change } });
    },
    signal(id, signal) {
      const streams = running.get(id)?.streams;
      if (streams === undefined) throw new FarmError('job.unknown', `no job ${id} has its home here`, 'mps shows those there are');
      streams.control({ signal });
    },
    nodeGone(node) {
      for (const [id, job] of table.jobs) {
        if (job.node === node && node !== self && options.lost?.(job) !== true) crash(id, `node ${node}, where it ran, is down`);
      }
    },
    homeGone: guests.homeGone,
    jobGone,
    async close() {
      isClosed = true;
      watcher.close();
      clearInterval(looks);
      rmSync(agentFile, { force: true });
      for (const deputy of deputies.values()) if (deputy !== 'opening') deputy.close();
      guests.close();
    },
  };
}

/** Of this boot: a process of the next one may have the same number and the same time since the start, and checkpoints are kept for longer. */
function bootDigits(bootId: string): string {
  return String(Number.parseInt(bootId.slice(0, 8), 16) % 1e6).padStart(6, '0');
}

async function ownMounts(): Promise<readonly string[]> {
  return jobMounts(await readFile('/proc/self/mountinfo', 'utf8'), ['/hpc', '/mfs', '/run/farm-agent']);
}
