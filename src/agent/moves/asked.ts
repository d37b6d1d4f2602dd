// What users ask of single jobs at their home: where to, and what became of it. `migrate`, `goto` and `mosctl bring` are these.
import { FarmError } from '../../base/errors.ts';
import type { JobId, JobSpec } from '../jobs/types.ts';
import type { JobNews } from './news.ts';

/** A job whose deputy is on this node. */
export interface HomeJob {
  readonly spec: JobSpec;
  /** The node on which it runs. */
  readonly where: number;
}

/** A request for a move: to a node, or wherever the balancer wants it (`balance`). */
export interface Request {
  readonly to: number | 'balance';
  /** Ms. */
  readonly at: number;
  /** Moves and vain moves that it had then. */
  readonly moves: number;
  readonly attempts: number;
  /** Why it was refused at once. */
  readonly refused?: string;
  /** It was found to be where it is wanted, or nowhere is better. */
  readonly settled?: string;
}

/** The longest that somebody waits for a move, ms: 2 GB at 20 MB/s. */
const patience = 120_000;

/** `done`, `moving`, or `failed: ...`: what the file `asked` of a job says. */
export function outcome(request: Request | undefined, job: HomeJob, news: JobNews | undefined, now: number): string {
  if (request === undefined) return '';
  if (request.refused !== undefined) return `failed: ${request.refused}`;
  if (request.settled !== undefined) return `done: ${request.settled}`;
  if (request.to === 'balance' ? news !== undefined && news.moves > request.moves : job.where === request.to) return 'done';
  if (news !== undefined && news.attempts > request.attempts && news.moves === request.moves) return `failed: ${news.failure ?? 'for an unknown reason'}`;
  return now - request.at > patience ? 'failed: no word of it' : 'moving';
}

/** A node's id, `home` or 0, `balance` or -1, as `goto` takes it. Throws `FarmError` `job.place`. */
export function placeOf(text: string, home: number): number | 'balance' {
  const word = text.trim();
  if (word === 'home' || word === '0') return home;
  if (word === 'balance' || word === '-1') return 'balance';
  if (/^[1-9]\d{0,4}$/.test(word)) return Number(word);
  throw new FarmError(
    'job.place',
    `"${word.replace(/[^\x20-\x7e]/g, '?').slice(0, 40)}" is no place for a job`,
    "write the id of a node, 0 for home, -1 for the balancer's choice",
  );
}

export type Requests = Map<JobId, Request>;
