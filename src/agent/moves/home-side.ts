// What a node does for the jobs whose home it is: hears where they are and how they fare, and passes on what their users ask for.
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { JobId, Link } from '../jobs/types.ts';
import { type HomeJob, outcome, type Request, type Requests } from './asked.ts';
import { type JobNews, readNews } from './news.ts';
import { fields } from './shape.ts';
import { readJobId } from './wire.ts';

export interface HomeSideOptions {
  readonly self: number;
  readonly link: Link;
  /** The jobs whose deputies are on this node. */
  readonly home: () => readonly HomeJob[];
  /** Where one of them runs now, and how often it has moved. */
  readonly moved: (job: JobId, node: number, moves: number) => void;
  readonly now: () => number;
  readonly log: Log;
}

export interface HomeSide {
  /** For a job of this home. */
  request(id: JobId, to: number | 'balance'): void;
  lock(id: JobId, locked: boolean): void;
  /** All of this home's that are abroad are to come. */
  bring(): void;
  /** How many of this home's are abroad. */
  abroad(): number;
  /** Says so again to those that have not come. */
  recall(): void;
  homeJobs(): readonly (HomeJob & { readonly news: JobNews | undefined; readonly asked: string })[];
}

export function homeSide(options: HomeSideOptions): HomeSide {
  const { self, link, now, log } = options;
  const requests: Requests = new Map();
  /** What those who run this home's jobs say of them. */
  const heard = new Map<JobId, JobNews>();

  /** Until they are home: the first word may have been lost, and a job may have moved meanwhile. */
  const recalled = new Set<JobId>();
  function recall(): void {
    for (const id of recalled) {
      const job = options.home().find(({ spec }) => spec.id === id);
      if (job === undefined || job.where === self) recalled.delete(id);
      else ask(job.where, 'job.recall', { job: id });
    }
  }

  function ask(node: number, name: string, body: unknown): void {
    link.call(node, name, body).catch((error: unknown) => log('debug', 'job.unasked', { node, name, reason: sentence(error) }));
  }

  link.answer('job.home', (_from, body) => {
    const id = readJobId(fields(body, 'a question'));
    const job = options.home().find(({ spec }) => spec.id === id);
    return Promise.resolve(job === undefined ? { known: false } : { known: true, where: job.where });
  });
  /** What has moved more often is the newer word; the node that it left may speak later. */
  function hear(from: number, job: HomeJob, news: JobNews): void {
    if (news.moves < (heard.get(news.id)?.moves ?? 0)) return;
    heard.set(news.id, news);
    if (job.where !== from) options.moved(news.id, from, news.moves);
  }

  link.answer('job.news', (from, body) => {
    const mine = new Map(options.home().map((job) => [job.spec.id, job]));
    const all = readNews(body);
    for (const news of all) {
      const job = mine.get(news.id);
      // A copy of an earlier life is not the job.
      if (job !== undefined && (job.spec.life ?? 0) !== news.life) mine.delete(news.id);
      else if (job !== undefined) hear(from, job, news);
    }
    const known = new Set(options.home().map(({ spec }) => spec.id));
    for (const memory of [heard, requests]) for (const id of memory.keys()) if (!known.has(id)) memory.delete(id);
    const unknown = all.flatMap(({ id }) => (mine.has(id) ? [] : [id]));
    return Promise.resolve({ unknown });
  });
  function requestMove(id: JobId, to: number | 'balance'): void {
    const job = options.home().find(({ spec }) => spec.id === id);
    if (job === undefined) throw new FarmError('job.unknown', 'this job has ended');
    const news = heard.get(id);
    const request: Request = { to, at: now(), moves: news?.moves ?? 0, attempts: news?.attempts ?? 0 };
    requests.set(id, request);
    link.call(job.where, 'job.go', { job: id, to }).catch((error: unknown) => {
      if (requests.get(id) !== request) return;
      requests.set(id, { ...request, refused: sentence(error) });
    });
  }

  return {
    request: requestMove,
    recall,
    lock(id, locked) {
      const job = options.home().find(({ spec }) => spec.id === id);
      if (job === undefined) throw new FarmError('job.unknown', 'this job has ended');
      ask(job.where, 'job.lock', { job: id, locked });
    },
    bring() {
      for (const { spec, where } of options.home()) if (where !== self) recalled.add(spec.id);
      recall();
    },
    abroad: () => options.home().filter(({ where }) => where !== self).length,
    homeJobs: () =>
      options.home().map((job) => {
        const news = heard.get(job.spec.id);
        return { ...job, news, asked: outcome(requests.get(job.spec.id), job, news, now()) };
      }),
  };
}
