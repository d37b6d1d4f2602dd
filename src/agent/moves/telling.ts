// Tells the homes of the jobs that run here how they are, and ends jobs that their home does not know any more: `job.news` over the link.
import { sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { HostedJobs } from '../jobs/hosted.ts';
import type { JobId, Link } from '../jobs/types.ts';
import { type JobNews, newsMax, newsOf } from './news.ts';
import { fields } from './shape.ts';

/** A home hears of a job at least this often, ms. */
const newsAge = 5000;
/** Times that a home denies a job, and for how long, ms, before it is believed. */
const deniedTimes = 3;
const deniedFor = 10_000;

export interface TellingOptions {
  readonly jobs: HostedJobs;
  readonly link: Link;
  /** Ms of a clock that does not step. */
  readonly now: () => number;
  /** Whether a job runs here, and does not stand during a move. */
  readonly runsHere: (id: JobId) => boolean;
  readonly log: Log;
}

export interface Telling {
  /** What is new. `thinks`: what the balancer of this node thinks. */
  tell(thinks: string): Promise<void>;
  /** What was said of a job is not true any more: say it again. */
  forget(id: JobId): void;
}

export function homesToTell({ jobs, link, now, runsHere, log }: TellingOptions): Telling {
  const told = new Map<JobId, { readonly text: string; readonly at: number }>();
  const denied = new Map<JobId, { readonly times: number; readonly since: number }>();

  /** Each home hears of its jobs, in messages of at most `newsMax`. */
  async function tell(thinks: string): Promise<void> {
    const news = new Map<number, JobNews[]>();
    for (const [id, hosted] of jobs) {
      if (!runsHere(id)) continue;
      const one = newsOf(hosted, thinks, now());
      const text = JSON.stringify({ ...one, used: 0, cpu: Math.round(one.cpu * 10), memory: 0 });
      const before = told.get(id);
      if (before !== undefined && before.text === text && now() - before.at < newsAge) continue;
      told.set(id, { text, at: now() });
      const { home } = hosted.job.spec;
      news.set(home, [...(news.get(home) ?? []), one]);
    }
    for (const id of told.keys()) if (!jobs.has(id)) told.delete(id);
    await Promise.all([...news].map(([home, all]) => tellOne(home, all)));
  }

  async function tellOne(home: number, all: readonly JobNews[]): Promise<void> {
    try {
      for (let from = 0; from < all.length; from += newsMax) {
        const part = all.slice(from, from + newsMax);
        const answer = fields(await link.call(home, 'job.news', { jobs: part }), 'an answer');
        const unknown = answer.get('unknown');
        const missing = new Set(Array.isArray(unknown) ? unknown : []);
        for (const { id } of part) await heed(id, missing.has(id));
      }
    } catch (error) {
      for (const { id } of all) told.delete(id);
      log('debug', 'job.untold', { home, reason: sentence(error) });
    }
  }

  /** A home that lives and has no deputy for it: nobody waits for this job any more. */
  async function heed(id: JobId, isDenied: boolean): Promise<void> {
    if (!isDenied) return void denied.delete(id);
    told.delete(id);
    const { times, since } = denied.get(id) ?? { times: 0, since: now() };
    denied.set(id, { times: times + 1, since });
    const hosted = jobs.get(id);
    if (times + 1 < deniedTimes || now() - since < deniedFor || hosted === undefined) return;
    denied.delete(id);
    log('warn', 'job.homeless', { job: id, home: hosted.job.spec.home });
    await hosted.job.signal('SIGKILL');
  }

  return { tell, forget: (id) => void told.delete(id) };
}
