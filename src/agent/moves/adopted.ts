// What an agent before this one left behind on its node. What runs goes on, and so does what was frozen and not given away; what had only arrived is dropped, for
// it never ran here; what was given may run elsewhere by now, so it stands until that is known.
import { sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Adopted } from '../jobs/adoption.ts';
import type { JobId, Link, RunningJob } from '../jobs/types.ts';
import { fateAt } from './fate.ts';

/** Between two times that it is asked, ms. */
const pause = 2000;

/** What this node has of a job: `given` stands here, and runs only if it turns out that it does not elsewhere. */
export type Holds = 'runs' | 'stands' | 'given' | 'none';

export interface AdoptedOptions {
  readonly self: number;
  readonly link: Link;
  /** It runs on here. */
  readonly runs: (job: RunningJob) => void;
  readonly after: (milliseconds: number, run: () => void) => void;
  readonly log: Log;
}

export interface FoundJobs {
  /** One that runs and nobody has taken yet, once; given ones follow through `runs`. */
  take(id: JobId): RunningJob | undefined;
  readonly running: ReadonlyMap<JobId, RunningJob>;
  /** Of those that nobody has taken yet. */
  holds(id: JobId): Exclude<Holds, 'stands'>;
}

export async function takeAdopted(found: readonly Adopted[], options: AdoptedOptions): Promise<FoundJobs> {
  const running = new Map<JobId, RunningJob>();
  const given = new Set<JobId>();
  for (const one of found) {
    if (one.kind === 'running') running.set(one.job.spec.id, one.job);
    else if (one.kind === 'arrived') await one.arriving.drop();
    else {
      given.add(one.job.spec.id);
      void settle(one, given, options);
    }
  }
  for (const [id, job] of running) void job.ended.then(() => running.delete(id));
  return {
    running,
    take(id) {
      const job = running.get(id);
      running.delete(id);
      return job;
    },
    holds: (id) => (given.has(id) ? 'given' : running.has(id) ? 'runs' : 'none'),
  };
}

async function settle(one: Adopted & { readonly kind: 'given' }, given: Set<JobId>, options: AdoptedOptions): Promise<void> {
  const { job, frozen, to } = one;
  const { id } = job.spec;
  try {
    const fate = await fateAt(to, id, options.self, options.link, options.log);
    if (fate !== undefined) {
      if (fate === 'gone') await frozen.thaw();
      else await frozen.discard();
      if (fate === 'gone') options.runs(job);
      given.delete(id);
      return;
    }
    options.log('info', 'job.undecided', { job: id, to });
  } catch (error) {
    options.log('error', 'move.stuck', { reason: sentence(error) });
  }
  options.after(pause, () => void settle(one, given, options));
}
