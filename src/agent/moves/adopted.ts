// What an agent before this one left behind on its node. What runs goes on; what had only arrived is dropped, for it never ran here; what stands frozen may run
// elsewhere by now, so it stands until every node has said that it has nothing of it.
import { sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Adopted } from '../jobs/adoption.ts';
import type { FrozenJob, JobId, Link, RunningJob } from '../jobs/types.ts';
import { fields, text } from './shape.ts';

/** Between two times that all are asked, ms. */
const pause = 5000;

export interface AdoptedOptions {
  readonly link: Link;
  /** Every other node of the map, also those that do not answer: these may have it. */
  readonly others: () => readonly number[];
  /** It runs on here. */
  readonly runs: (job: RunningJob) => void;
  readonly after: (milliseconds: number, run: () => void) => void;
  readonly log: Log;
}

/** The jobs that run, by id; the frozen ones follow through `runs`. */
export async function takeAdopted(found: readonly Adopted[], options: AdoptedOptions): Promise<ReadonlyMap<JobId, RunningJob>> {
  const running = new Map<JobId, RunningJob>();
  for (const one of found) {
    if (one.kind === 'running') running.set(one.job.spec.id, one.job);
    else if (one.kind === 'arrived') await one.arriving.drop();
    else void settle(one.job, one.frozen, options);
  }
  return running;
}

async function settle(job: RunningJob, frozen: FrozenJob, options: AdoptedOptions): Promise<void> {
  const { id } = job.spec;
  try {
    const answers = await Promise.all(
      options.others().map(async (node) => text(fields(await options.link.call(node, 'job.holds', { job: id }), 'an answer'), 'holds')),
    );
    if (answers.includes('runs')) return await frozen.discard();
    if (answers.every((holds) => holds === 'none')) {
      await frozen.thaw();
      options.runs(job);
      return;
    }
  } catch (error) {
    options.log('info', 'job.undecided', { job: id, reason: sentence(error) });
  }
  options.after(pause, () => void settle(job, frozen, options));
}
