// When a job is to be checkpointed (mosrun -A), which of a node's jobs is the next, and which node makes a job again whose home is lost. Rules.
import { createHash } from 'node:crypto';
import type { JobId } from '../jobs/types.ts';

const minute = 60_000;
/** After one that failed the next is tried so soon, ms, if the job's own interval is longer. */
const retryAfter = 60_000;

/** What a node knows of the checkpoints of a job that it runs. Times are ms of its own clock. */
export interface CheckpointState {
  /** When the last one was made, or else when the job began; elsewhere, too. */
  readonly lastAt: number;
  /** When one was last tried here. */
  readonly triedAt: number | undefined;
  /** Why that failed. */
  readonly failure: string | undefined;
  /** One is being made. */
  readonly isBusy: boolean;
  /** The last one that was made here. */
  readonly last: { readonly number: number; readonly at: number; readonly bytes: number } | undefined;
}

export interface Candidate {
  readonly id: JobId;
  /** mosrun -A; undefined: none are wanted. */
  readonly minutes: number | undefined;
  readonly isMoving: boolean;
  readonly state: CheckpointState;
}

/** When it is due; undefined: not by itself. */
export function dueAt({ minutes, state }: Pick<Candidate, 'minutes' | 'state'>): number | undefined {
  if (minutes === undefined) return undefined;
  const regular = state.lastAt + minutes * minute;
  if (state.triedAt === undefined || state.failure === undefined) return regular;
  return Math.max(regular, state.triedAt + Math.min(minutes * minute, retryAfter));
}

/** The job that has waited longest; none while another is at it, for both would stand longer. */
export function nextDue(jobs: readonly Candidate[], now: number): JobId | undefined {
  if (jobs.some(({ state }) => state.isBusy)) return undefined;
  const waiting = jobs.flatMap((job) => {
    const at = dueAt(job);
    return at === undefined || at > now || job.isMoving ? [] : [{ id: job.id, at }];
  });
  return waiting.sort((one, other) => one.at - other.at)[0]?.id;
}

/** The place of `node` in the order in which the nodes that live try to make a job again: the same for all that see the same nodes, another for each job. */
export function rank(key: JobId, node: number, alive: readonly number[]): number {
  const score = (id: number) => createHash('sha256').update(`${key} ${id}`).digest('hex');
  const own = score(node);
  return alive.filter((id) => id !== node && score(id) < own).length;
}
