// What the node where a job runs tells the job's home of it, once a second when it changes: for `where`, `cantmove`, `why` and the like.

import { type Hosted, ruleJob } from '../jobs/hosted.ts';
import type { JobId } from '../jobs/types.ts';
import { amount, fields, list, perhaps, text, whole } from './shape.ts';
import { readJobId, readWishes, type Wishes } from './wire.ts';

export interface JobNews {
  readonly id: JobId;
  readonly moves: number;
  /** Node to which it is going now. */
  readonly goingTo: number | undefined;
  /** Processors it wants; bytes; ms of processor time. */
  readonly cpu: number;
  readonly memory: number;
  readonly used: number;
  readonly wishes: Wishes;
  readonly obstacles: readonly { readonly code: string; readonly message: string; readonly remedy: string }[];
  /** What else keeps it from being moved by the balancer now. */
  readonly holds: readonly string[];
  /** Moves from there that came to nothing, and why the last one did. */
  readonly attempts: number;
  readonly failure: string | undefined;
  /** What the balancer of that node has decided last about its jobs. */
  readonly thinks: string;
  /** Why the last attempt at a checkpoint failed. */
  readonly unsaved: string | undefined;
  /** The life that this copy is. */
  readonly life: number;
}

/** Jobs in one message: 1 MiB of link divided by what one takes. */
export const newsMax = 200;
const obstaclesMax = 20;
const sayMax = 400;

export function newsOf(hosted: Hosted, thinks: string, now: number): JobNews {
  const { job, moves, goingTo, cpu, memory, wishes, obstacles, attempts, failure } = hosted;
  const messages = new Set(obstacles.map(({ message }) => message));
  return {
    ...{ id: job.spec.id, moves, goingTo, cpu: Math.round(cpu * 1000) / 1000, memory, used: hosted.usedBefore + hosted.usedHere, wishes, attempts },
    failure: failure?.slice(0, sayMax),
    unsaved: hosted.checkpoint.failure?.slice(0, sayMax),
    life: job.spec.life ?? 0,
    obstacles: obstacles
      .slice(0, obstaclesMax)
      .map(({ code, message, remedy }) => ({ code: code.slice(0, 64), message: message.slice(0, sayMax), remedy: remedy.slice(0, sayMax) })),
    holds: ruleJob(hosted, now)
      .cantMove.filter((reason) => !messages.has(reason))
      .slice(0, obstaclesMax)
      .map((hold) => hold.slice(0, sayMax)),
    thinks: thinks.slice(0, sayMax),
  };
}

/** Throws `WireError` `shape`. */
export function readNews(value: unknown): readonly JobNews[] {
  return list(fields(value, 'news'), 'jobs', newsMax, (item) => {
    const from = fields(item, 'job');
    return {
      id: readJobId(from, 'id'),
      moves: whole(from, 'moves'),
      goingTo: perhaps(from, 'goingTo', whole),
      cpu: amount(from, 'cpu'),
      memory: amount(from, 'memory'),
      used: amount(from, 'used'),
      wishes: readWishes(from.get('wishes')),
      obstacles: list(from, 'obstacles', obstaclesMax, (one) => {
        const obstacle = fields(one, 'obstacle');
        return { code: text(obstacle, 'code'), message: text(obstacle, 'message'), remedy: text(obstacle, 'remedy') };
      }),
      holds: list(from, 'holds', obstaclesMax, (one) => text(new Map([['hold', one]]), 'hold')),
      attempts: whole(from, 'attempts'),
      failure: perhaps(from, 'failure', text),
      thinks: text(from, 'thinks'),
      unsaved: perhaps(from, 'unsaved', text),
      life: perhaps(from, 'life', whole) ?? 0,
    };
  });
}
