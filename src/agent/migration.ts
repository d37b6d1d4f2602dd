// Migration on this node, put together: the link, the engine, the deputies and the moves, and what /hpc asks of them.
import { readFile } from 'node:fs/promises';
import { freemem, hostname, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Ipv4 } from '../base/addresses.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { run } from '../base/processes.ts';
import type { Measures } from '../cluster/entry.ts';
import type { MemberTable } from '../cluster/members.ts';
import type { ClusterMap } from '../cluster/nodes.ts';
import { viewsOf } from '../cluster/view.ts';
import { answerServer } from './checkpoints/asked.ts';
import { startCheckpoints } from './checkpoints/service.ts';
import type { HpcGuest, HpcJob } from './hpc/job-files.ts';
import type { MigrationSource } from './hpc-source.ts';
import { commandOf, savedWords, serverAnswers } from './job-listing.ts';
import { jobMounts } from './jobs/caller.ts';
import { type Deputies, startDeputies } from './jobs/deputies.ts';
import { startJobEngine } from './jobs/engine.ts';
import type { JobEngine, JobId, JobSpec, Link, RootOf, RunningJob, StreamPositions } from './jobs/types.ts';
import { mfsPlace } from './mfs/server.ts';
import { type FoundJobs, takeAdopted } from './moves/adopted.ts';
import { placeOf } from './moves/asked.ts';
import { watchLost } from './moves/lost.ts';
import type { MachineNow } from './moves/own.ts';
import { readSpec } from './moves/spec.ts';
import { type Moves, startMoves } from './moves/start.ts';
import { answerPositions, positionsAtHome } from './moves/taken-up.ts';
import { ownVersions } from './moves/versions.ts';
import { noWishes } from './moves/wire.ts';
import type { Sampler } from './sample.ts';
import type { AgentState } from './state.ts';

/** Criu looks at its own kernel support when it is asked for its version; a busy old machine takes seconds. */
const criuPatience = 30_000;

/** Programs and libraries: nodes of one image have the same, so a job reads those of the node where it is, not its home's over the network. */
const programs = '/usr';

/** What is a node's own business, and no job's. */
const notForJobs = ['/hpc', '/run/farm-agent', '/run/credentials'];

const nowhere = { input: 0, inputEnded: false, output: 0, errors: 0 };

export interface MigrationOptions {
  readonly self: { readonly id: number; readonly address: Ipv4 };
  readonly agentVersion: string;
  readonly incarnation: number;
  readonly map: () => ClusterMap;
  readonly keys: () => readonly [Buffer, ...Buffer[]];
  readonly table: MemberTable;
  readonly state: AgentState;
  readonly sampler: Sampler;
  readonly measures: () => Measures | undefined;
  readonly link: Link;
  readonly rootOf: RootOf;
  /** The farm's image that this node has booted, empty where it has none. */
  readonly image: string;
  /** The farm's server, which has the place for checkpoints. */
  readonly server: string;
  readonly homeLost: 'kill' | 'restart';
  /** Flags or guests have changed: tell the cluster. */
  readonly tell: () => void;
  readonly refuse: (reason: string, from: string, detail: string) => void;
  readonly log: Log;
}

export interface Migration {
  readonly source: MigrationSource;
  guests(): number;
  /** Of the jobs that are here. */
  homes(): ReadonlySet<number>;
  close(): Promise<void>;
}

/** Throws `FarmError` `migration.absent` where there is no criu, and what the engine and the link throw. */
export async function startMigration(options: MigrationOptions): Promise<Migration> {
  const { self, log, table, state, sampler, link, image } = options;
  const now = () => performance.now();
  const versions = await ownVersions(options.agentVersion, await criuVersion(), image);
  const isOwn = (spec: JobSpec, mount: string): boolean => mount === mfsPlace || (mount === programs && image !== '' && spec.image === image);
  const engine = await startJobEngine({ log, rootOf: options.rootOf, isOwn });
  const found = await engine.adopt();
  let moves: Moves | undefined;
  let deputies: Deputies | undefined;
  let before: FoundJobs | undefined;
  /** Jobs from before that wait for their home's word. */
  const asking = new Set<JobId>();
  const starting = (): FarmError => new FarmError('migration.absent', 'the agent is still starting', 'ask again in a second');
  const current = (): Deputies => {
    if (deputies === undefined) throw starting();
    return deputies;
  };

  const machine = (): MachineNow => {
    const measures = options.measures();
    const memory = measures?.memory ?? { total: totalmem(), free: freemem() };
    const { flags, speed } = state.get();
    return { flags, cpus: sampler.cpus(), speed: speed?.value ?? 1, ...sampler.work(), memory, memoryPressure: measures?.pressure.memory ?? 0 };
  };
  const started = startMoves({
    ...{ self: self.id, incarnation: options.incarnation, link, engine, versions, machine, now, log },
    attach: (job, from) => current().attach(job, from),
    views: () => viewsOf(table, now()),
    member(node) {
      const member = table.members.get(node);
      return member === undefined ? undefined : { incarnation: member.incarnation, alive: member.state === 'alive' };
    },
    before(id) {
      // Who is told "none" runs its own copy, so it has to be true.
      if (before === undefined || deputies === undefined) throw starting();
      return asking.has(id) ? 'runs' : before.holds(id);
    },
    home: () => [...current().jobs.values()].map(({ spec, node }) => ({ spec, where: node })),
    moved: (job, node) => deputies?.moved(job, node),
    onGuests() {
      const { flags } = state.get();
      if (flags.expel && moves?.guests() === 0) state.set({ flags: { ...flags, expel: false } });
      options.tell();
    },
    timers: {
      after(milliseconds, act) {
        const timer = setTimeout(act, milliseconds);
        return () => clearTimeout(timer);
      },
    },
  });
  moves = started;
  const early: RunningJob[] = [];
  /** A job from before: its home says how far its streams are. Where that is here, it has forgotten it as well. */
  const goOn = (job: RunningJob): void => {
    if (deputies === undefined) early.push(job);
    else if (job.spec.home === self.id) goOnFrom(deputies, job, nowhere);
    else void goOnAsked(deputies, job);
  };
  const goOnFrom = (all: Deputies, job: RunningJob, from: StreamPositions): void =>
    started.take(job, all.attach(job, from), all.jobs.get(job.spec.id)?.options ?? noWishes);
  const goOnAsked = async (all: Deputies, job: RunningJob): Promise<void> => {
    asking.add(job.spec.id);
    try {
      const at = await positionsAtHome(job.spec, { link, wait: (milliseconds) => delay(milliseconds, undefined, { ref: false }), log });
      goOnFrom(all, job, at ?? nowhere);
    } finally {
      asking.delete(job.spec.id);
    }
  };
  const adopted = await takeAdopted(found, { self: self.id, link, runs: goOn, after: (ms, act) => void setTimeout(act, ms).unref(), log });
  before = adopted;
  const checkpoints = startCheckpoints({
    ...{ self: self.id, server: options.server, homeLost: options.homeLost, link, engine, versions, now, log, jobs: started.jobs, deputies: current },
    admit: (spec) => started.admit(spec),
    take: (job, attached, luggage) => started.takeBack(job, attached, luggage),
    best: ({ spec, options: wishes }) => started.place(spec, wishes),
    others: () => [...table.members.values()].filter(({ id, state: is }) => id !== self.id && is === 'alive').map(({ id }) => id),
    changed: (id) => started.tellAgain(id),
  });
  const gated: Pick<JobEngine, 'start'> = {
    async start(spec) {
      started.admit(spec);
      return await engine.start(spec);
    },
  };
  try {
    deputies = await startDeputies({
      ...{ self: self.id, hostname: hostname(), link, engine: gated, log, readSpec },
      place: (spec, wishes) => Promise.resolve(started.place(spec, wishes)),
      started: (job, attached, wishes) => started.take(job, attached, wishes),
      adopt: (id) => Promise.resolve(adopted.holds(id) === 'given' ? 'given' : adopted.take(id)),
      restore: checkpoints.restore,
      lost: checkpoints.lost,
      ended: checkpoints.ended,
      ...{ mounts: () => mountsOf(image), image },
    });
    answerPositions(link, deputies.positions);
    for (const job of early) goOn(job);
    for (const { spec } of [...adopted.running.values()]) {
      const job = spec.home !== self.id || !deputies.jobs.has(spec.id) ? adopted.take(spec.id) : undefined;
      if (job === undefined) continue; // its deputy takes it, when it is back
      if (spec.home !== self.id) goOn(job);
      else {
        log('warn', 'job.unwanted', { job: spec.id, home: spec.home });
        await job.signal('SIGKILL');
      }
    }
  } catch (error) {
    checkpoints.close();
    await started.close();
    throw error;
  }
  answerServer({ link, ...serverAnswers(started, deputies, checkpoints) });
  const stopWatching = watchLost({ self: self.id, table, deputies, homeLost: checkpoints.homeLost, link, now, log });
  log('info', 'migration.started', { criu: versions.criu, kernel: versions.kernel });
  return {
    source: sourceOf(self.id, started, deputies),
    guests: () => started.guests(),
    homes: () => new Set([...started.jobs.values()].map(({ job }) => job.spec.home)),
    async close() {
      stopWatching();
      checkpoints.close();
      await started.close();
      await deputies?.close();
      await engine.close();
    },
  };
}

/** Mounts of this node that a job sees. */
async function mountsOf(image: string): Promise<readonly string[]> {
  const mounts = jobMounts(await readFile('/proc/self/mountinfo', 'utf8'), notForJobs);
  return image === '' || mounts.includes(programs) ? mounts : [programs, ...mounts];
}

async function criuVersion(): Promise<string> {
  try {
    const said = await run('criu', ['--version'], { signal: AbortSignal.timeout(criuPatience) });
    return /^Version: (\S+)/m.exec(said.toString())?.[1] ?? 'unknown';
  } catch (error) {
    throw new FarmError('migration.absent', `criu does not run on this node: ${sentence(error)}`, 'build the image with criu: packages: [criu]', error);
  }
}

function sourceOf(self: number, moves: Moves, deputies: Deputies): MigrationSource {
  const idOf = (pid: number): string => {
    const found = [...deputies.jobs.values()].find(({ spec }) => spec.deputy === pid);
    if (found === undefined) throw new FarmError('job.unknown', `job ${pid} has ended`);
    return found.spec.id;
  };
  return {
    bring: () => moves.bring(),
    abroad: () => moves.abroad(),
    jobs: () =>
      moves.homeJobs().map(({ spec, where, news, asked }): HpcJob => {
        const { moves: moved = 0, cpu = 0, memory = 0, used = 0, obstacles = [], holds = [], thinks = '', goingTo, unsaved } = news ?? {};
        const { checkpoint, options: wishes } = deputies.jobs.get(spec.id) ?? {};
        const locked = news?.wishes.locked ?? deputies.jobs.get(spec.id)?.options.locked ?? false;
        const { deputy: pid, uid } = spec;
        const common = { pid, uid, command: commandOf(spec.args), node: where, atHome: where === self, moves: moved, locked };
        return { ...common, goingTo, cpu, memory, used, obstacles, holds, thinks, asked, saved: savedWords(wishes?.checkpoint, checkpoint, unsaved) };
      }),
    guests: () =>
      [...moves.jobs.values()]
        .filter(({ job }) => job.spec.home !== self)
        .map(({ job, memory, usedBefore, usedHere, moves: moved }): HpcGuest => {
          const { home, deputy, uid, gid, args } = job.spec;
          return { pid: job.pid, home, deputy, uid, gid, command: commandOf(args), memory, used: usedBefore + usedHere, moves: moved };
        }),
    send: (pid, place) => moves.request(idOf(pid), placeOf(place, self)),
    lock(pid, locked) {
      const id = idOf(pid);
      deputies.setOptions(id, { locked });
      moves.lock(id, locked);
    },
    sendGuest(pid, place) {
      const guest = [...moves.jobs.values()].find(({ job }) => job.pid === pid);
      if (guest === undefined) throw new FarmError('job.unknown', `guest ${pid} has gone`);
      moves.send(guest.job.spec.id, placeOf(place, guest.job.spec.home));
    },
  };
}
