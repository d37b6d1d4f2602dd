// Makes checkpoints of the jobs that run on this node: of those that want one every so often (mosrun -A), and of any that somebody asks for.
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { type Hosted, type HostedJobs, lookAtObstacles, luggageOf } from '../jobs/hosted.ts';
import type { JobId, Link, StreamPositions } from '../jobs/types.ts';
import type { Versions } from '../moves/versions.ts';
import { nextDue } from './due.ts';
import { type Checkpoint, keyOf } from './record.ts';
import type { Draft, Store } from './store.ts';

/** Between two looks whether a job that has checkpoints was made again elsewhere, ms. */
const lookEvery = 10_000;

export interface MakingOptions {
  readonly self: number;
  readonly store: Store;
  readonly jobs: Pick<HostedJobs, 'get' | 'values'>;
  readonly link: Pick<Link, 'call'>;
  readonly versions: Versions;
  /** Ms of a clock that does not step, and ms since the epoch. */
  readonly now: () => number;
  readonly wall: () => number;
  /** What was said of the job is not true any more. */
  readonly changed: (id: JobId) => void;
  readonly log: Log;
}

export interface Making {
  /** Once a second: the one that is due, if there is one, and a look at who else has them. */
  round(): Promise<void>;
  /** Now. Throws `FarmError` `job.elsewhere`, `job.moving`, `job.immovable`, `checkpoint.*`. */
  make(id: JobId): Promise<Checkpoint>;
}

export function checkpointMaker(options: MakingOptions): Making {
  const { self, store, jobs, link, now, wall, log } = options;
  let lookedAt = now();

  async function round(): Promise<void> {
    const candidates = [...jobs.values()].map((hosted) => ({
      id: hosted.job.spec.id,
      minutes: hosted.wishes.checkpoint,
      isMoving: hosted.goingTo !== undefined,
      state: hosted.checkpoint,
    }));
    const due = nextDue(candidates, now());
    if (due !== undefined) {
      await make(due).catch((error: unknown) => {
        const known = error instanceof FarmError ? error : undefined;
        log('warn', 'checkpoint.failed', { job: due, code: known?.code, reason: sentence(error), hint: known?.hint });
      });
    }
    if (now() - lookedAt < lookEvery) return;
    lookedAt = now();
    await leaveOthers();
  }

  /** A job of which another node has claimed a later life is that node's: this side was cut off from the others. */
  async function leaveOthers(): Promise<void> {
    for (const hosted of jobs.values()) {
      if (hosted.wishes.checkpoint === undefined && hosted.checkpoint.last === undefined) continue;
      const { spec } = hosted.job;
      try {
        if (await isOthers(hosted)) {
          log('warn', 'job.superseded', { job: spec.id });
          await hosted.job.signal('SIGKILL');
        }
      } catch (error) {
        log('debug', 'checkpoint.unseen', { job: spec.id, reason: sentence(error) });
      }
    }
  }

  async function isOthers({ job: { spec } }: Hosted): Promise<boolean> {
    return ((await store.current(keyOf(spec)))?.life ?? 0) > (spec.life ?? 0);
  }

  async function make(id: JobId): Promise<Checkpoint> {
    const hosted = jobs.get(id);
    if (hosted === undefined) throw new FarmError('job.elsewhere', `node ${self} does not run this job`, 'it is on its way; say it again in a second');
    if (hosted.goingTo !== undefined) throw new FarmError('job.moving', `it is on its way to node ${hosted.goingTo}`, 'say it again in a second');
    if ([...jobs.values()].some(({ checkpoint }) => checkpoint.isBusy)) {
      throw new FarmError('checkpoint.busy', `node ${self} is making a checkpoint already`, 'say it again when that is done');
    }
    const began = now();
    hosted.checkpoint = { ...hosted.checkpoint, triedAt: began, isBusy: true };
    try {
      const made = await save(hosted);
      const { number, at, bytes } = made;
      hosted.checkpoint = { lastAt: began, triedAt: began, failure: undefined, isBusy: false, last: { number, at, bytes } };
      return made;
    } catch (error) {
      hosted.checkpoint = { ...hosted.checkpoint, failure: sentence(error), isBusy: false };
      throw error;
    } finally {
      options.changed(id);
    }
  }

  async function save(hosted: Hosted): Promise<Checkpoint> {
    const { job } = hosted;
    const { spec } = job;
    const { id, life = 0, home } = spec;
    const began = now();
    const obstacles = await lookAtObstacles(hosted, now());
    const [first] = obstacles;
    if (first !== undefined) throw new FarmError('job.immovable', obstacles.map(({ message }) => message).join('; '), first.remedy);
    await link.call(home, 'job.keep', { job: id, life });
    const draft = await store.begin(keyOf(spec), hosted.memory);
    try {
      const { positions, stood } = await standing(hosted, draft);
      // Else what it had written and nobody has yet would be lost with this node.
      await hosted.attached.delivered(positions);
      if (await isOthers(hosted)) throw new FarmError('job.superseded', 'another node has made this job again');
      if (jobs.get(id) !== hosted) throw new FarmError('job.ended', 'it has ended meanwhile');
      const { node, ...luggage } = { ...luggageOf(hosted, self, now()), checkpointed: 0, node: self };
      const made = await draft.publish({ spec, positions, luggage, node, versions: options.versions, at: wall() });
      await tellHome(made);
      log('info', 'checkpoint.made', { job: id, number: made.number, bytes: made.bytes, ms: Math.round(now() - began), frozen: Math.round(stood) });
      return made;
    } catch (error) {
      await draft.drop().catch((fault: unknown) => log('debug', 'checkpoint.unswept', { job: id, reason: sentence(fault) })); // by the next one, then
      throw error;
    }
  }

  async function standing({ job, attached }: Hosted, draft: Draft): Promise<{ readonly positions: StreamPositions; readonly stood: number }> {
    let positions: StreamPositions | undefined;
    const began = now();
    attached.pause();
    try {
      await job.checkpoint(draft.directory, () => {
        positions = attached.standing();
      });
    } finally {
      attached.unpause();
    }
    if (positions === undefined) throw new FarmError('job.immovable', 'the job did not stand still');
    return { positions, stood: now() - began };
  }

  /** From the older one of those that are kept its home keeps what goes to the job. If it does not hear that it keeps more. */
  async function tellHome({ spec, number, at, bytes }: Checkpoint): Promise<void> {
    const { id, life = 0, home } = spec;
    try {
      const oldest = (await store.checkpoints(keyOf(spec))).at(-1);
      const { input = 0, control = 0 } = oldest?.positions ?? {};
      await link.call(home, 'job.keep', { job: id, life, from: { input, control }, made: { number, at, bytes } });
    } catch (error) {
      log('debug', 'checkpoint.untold', { job: id, reason: sentence(error) });
    }
  }

  return { round, make };
}
