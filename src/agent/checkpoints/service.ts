// Checkpoints on one node, put together: made of the jobs that run here, and used for the jobs whose home this is and for those whose home is lost.
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Deputies } from '../jobs/deputies.ts';
import type { HomeJob } from '../jobs/home.ts';
import type { HostedJobs } from '../jobs/hosted.ts';
import type { Attached, JobEngine, JobId, JobSpec, Link, RunningJob } from '../jobs/types.ts';
import { fields } from '../moves/shape.ts';
import type { Versions } from '../moves/versions.ts';
import { type Luggage, readJobId } from '../moves/wire.ts';
import { adoptByService } from './adopt.ts';
import { checkpointMaker } from './making.ts';
import { mountedStore } from './mount.ts';
import { orphanage } from './orphans.ts';
import { keyOf } from './record.ts';
import { type Restoring, type RestoringOptions, restorer } from './restoring.ts';
import { type Returning, returner } from './returning.ts';
import { openStore, type Store } from './store.ts';

const roundEvery = 1000;

export interface CheckpointsOptions {
  readonly self: number;
  /** The farm's, by name or address. */
  readonly server: string;
  readonly homeLost: 'kill' | 'restart';
  readonly link: Link;
  readonly engine: Pick<JobEngine, 'restart'>;
  readonly versions: Versions;
  readonly jobs: HostedJobs;
  /** Asked when all is there. */
  readonly deputies: () => Deputies;
  readonly admit: (spec: JobSpec) => void;
  readonly take: (job: RunningJob, attached: Attached, luggage: Luggage) => void;
  readonly best: (job: HomeJob) => number;
  readonly others: () => readonly number[];
  readonly changed: (id: JobId) => void;
  readonly now: () => number;
  readonly log: Log;
}

export interface Checkpoints {
  readonly restore: Restoring['again'];
  readonly lost: Returning['lost'];
  readonly back: Returning['back'];
  /** A home is lost, and with it its deputies. */
  homeLost(home: number): void;
  /** Of a job of this home, wherever it runs. Throws `FarmError`. */
  make(id: JobId): Promise<unknown>;
  /** Makes one again of which nobody has the terminal. */
  adopt(id: JobId): Promise<void>;
  /** It has ended for good. */
  ended(job: HomeJob, status: number): void;
  close(): void;
}

/** Nothing is mounted before something is wanted. */
export function startCheckpoints(options: CheckpointsOptions): Checkpoints {
  const { self, link, deputies, others, now, log } = options;
  const store: Store = openStore(mountedStore(options.server));
  const after = (milliseconds: number, act: () => void) => void setTimeout(act, milliseconds).unref();
  const maker = checkpointMaker({ self, store, jobs: options.jobs, link, versions: options.versions, now, wall: Date.now, changed: options.changed, log });
  const restoring: RestoringOptions = {
    ...{ self, store, engine: options.engine, link, versions: options.versions, take: options.take, admit: options.admit, others, log },
    attach: (job, from) => deputies().attach(job, from),
    isOwn: (id) => deputies().jobs.has(id),
  };
  const { again } = restorer(restoring);
  const returns = returner({
    ...{ self, store, link, others, after, log, place: options.best },
    deputies: {
      get jobs() {
        return deputies().jobs;
      },
      lives: (id, spec, node) => deputies().lives(id, spec, node),
      keep: (id, from, made) => deputies().keep(id, from, made),
      give: (id, why) => deputies().give(id, why),
      discard: (id) => deputies().discard(id),
    },
  });
  const orphans = orphanage({ self, store, alive: () => [self, ...others()], adopt: (spec, key) => adoptByService(store, spec, key), after, log });

  link.answer('job.checkpoint', async (from, body) => {
    const id = readJobId(fields(body, 'a request'));
    if (!id.startsWith(`${from}-`)) throw new FarmError('job.home', `node ${from} asks for a checkpoint of another home's job`);
    const { number, at, bytes } = await maker.make(id);
    return { number, at, bytes, node: self };
  });

  let isBusy = false;
  const timer = setInterval(() => {
    if (isBusy) return; // criu, or the server, takes longer than a second
    isBusy = true;
    maker
      .round()
      .catch((error: unknown) => log('error', 'checkpoint.round', { reason: sentence(error) }))
      .finally(() => {
        isBusy = false;
      });
  }, roundEvery);

  return {
    restore: again,
    lost: returns.lost,
    back: returns.back,
    homeLost: (home) => (options.homeLost === 'restart' ? orphans(home) : undefined),
    async make(id) {
      const job = deputies().jobs.get(id);
      if (job === undefined) throw new FarmError('job.unknown', 'this job has ended');
      return await link.call(job.node, 'job.checkpoint', { job: id });
    },
    async adopt(id) {
      for (const key of new Set([id, ...(await store.keys())])) {
        const spec = await store.current(key);
        if (spec !== undefined && (spec.id === id || key === id)) return await adoptByService(store, spec, key);
      }
      throw new FarmError('checkpoint.none', `there is no checkpoint of job ${id}`, 'mosrun -A MINUTES makes some');
    },
    ended({ spec }, status) {
      store.ended(keyOf(spec), status).catch((error: unknown) => log('warn', 'checkpoint.left', { job: spec.id, reason: sentence(error) }));
    },
    close: () => clearInterval(timer),
  };
}
