// The jobs that run on this node, with what the balancer has to know of each: what it wants, how fast it writes, where it has been, whether it can move.
import { sentence } from '../../base/errors.ts';
import { decayed, decayKeeps, type Job } from '../../cluster/job.ts';
import type { CheckpointState } from '../checkpoints/due.ts';
import { type Luggage, leftWith } from '../moves/wire.ts';
import type { Attached, JobId, Obstacle, RunningJob } from './types.ts';

/** Limits of one user's memory of a failure, ms: the next try comes 5 s after it, and later with each. */
const retryFirst = 5000;
const retryMax = 600_000;

/** A job that runs here. Changed in place, once a second. */
export interface Hosted {
  readonly job: RunningJob;
  readonly attached: Attached;
  /** Ms of this node's clock: when it came. */
  readonly since: number;
  /** Of processor time it had when it came, ms. */
  readonly usedBefore: number;
  /** What it has had here, ms; bytes; processes. */
  usedHere: number;
  memory: number;
  processes: number;
  /** Processors that it wants, smoothed; `samples` of it so far. */
  cpu: number;
  samples: number;
  /** Bytes a second, of the last pre-copy. */
  dirtyRate: number;
  readonly moves: number;
  left: readonly { readonly node: number; readonly at: number }[];
  wishes: Luggage['wishes'];
  recalled: boolean;
  obstacles: readonly Obstacle[];
  obstaclesAt: number;
  /** Where it is going, while it goes. */
  goingTo: number | undefined;
  /** Moves from here that came to nothing; those of them that failed on the way; the last one's reason; until when the balancer leaves it alone. */
  attempts: number;
  failures: number;
  failure: string | undefined;
  restUntil: number;
  checkpoint: CheckpointState;
}

export function hostedFrom(job: RunningJob, attached: Attached, luggage: Luggage, now: number): Hosted {
  const { moves, used, cpu, dirtyRate, left, wishes, recalled } = luggage;
  return {
    ...{ job, attached, since: now, usedBefore: used, usedHere: 0, memory: 0, processes: 1, cpu, dirtyRate, moves, wishes, recalled },
    left: left.map(({ node, ago }) => ({ node, at: now - ago })),
    // A job that begins counts as one that computes; so forty that begin at once do not all begin here.
    samples: moves === 0 ? 1 : samplesFull,
    ...{ obstacles: [], obstaclesAt: Number.NEGATIVE_INFINITY, goingTo: undefined, attempts: 0, failures: 0, failure: undefined, restUntil: 0 },
    checkpoint: { lastAt: now - (luggage.checkpointed ?? 0), triedAt: undefined, failure: undefined, isBusy: false, last: undefined },
  };
}

/** So many samples make the fading mean; until then it is the plain mean of all. */
const samplesFull = 40;

/** What goes with it, as it leaves `self`. */
export function luggageOf(hosted: Hosted, self: number, now: number): Luggage {
  const left = leftWith(
    hosted.left.map(({ node, at }) => ({ node, ago: now - at })),
    { node: self, ago: 0 },
  );
  const { cpu, dirtyRate, wishes, moves } = hosted;
  return {
    moves: moves + 1,
    used: hosted.usedBefore + hosted.usedHere,
    cpu,
    dirtyRate,
    left,
    wishes,
    recalled: false,
    checkpointed: now - hosted.checkpoint.lastAt,
  };
}

/** How much of its time an `iojob` is taken to spend on its home's files (mosrun -i); what it really does is not measured. */
const ioRatio = 0.5;

/** For the rules. A job that has just failed to move stays a while. */
export function ruleJob(hosted: Hosted, now: number): Job {
  const { job, cpu, memory, dirtyRate, since, moves, left, wishes, recalled } = hosted;
  const { id, home } = job.spec;
  return {
    ...{ id, home, cpu, memory, dirtyRate, since, moves, left, recalled, locked: wishes.locked },
    traffic: { node: home, ratio: wishes.hint === 'io' ? ioRatio : 0 },
    used: hosted.usedBefore + hosted.usedHere,
    cantMove: [...hosted.obstacles.map(({ message }) => message), ...resting(hosted, now)],
    allowed: wishes.allowed === undefined ? undefined : new Set(wishes.allowed),
  };
}

function resting({ failure, restUntil }: Hosted, now: number): readonly string[] {
  return now < restUntil ? [`its last move failed (${failure ?? 'for an unknown reason'}); tried again in ${Math.ceil((restUntil - now) / 1000)} s`] : [];
}

/** What a job has used since the last look becomes what it wants. `contention`: programs that wanted a processor for each that had one. */
export function sampled(
  hosted: Hosted,
  usage: { readonly cpuTime: number; readonly memory: number; readonly processes: number },
  elapsed: number,
  contention: number,
): void {
  const had = elapsed > 0 ? Math.max(0, usage.cpuTime - hosted.usedHere) / elapsed : 0;
  const keep = hosted.wishes.decay?.keep ?? decayKeeps.slow;
  const interval = hosted.wishes.decay?.interval ?? 1;
  const kept = 1000 * (keep / 1000) ** (elapsed / 1000 / interval);
  // Of a young job the mean: else one that computes would take a minute to be seen as one.
  const young = (1000 * hosted.samples) / (hosted.samples + 1);
  hosted.cpu = decayed(hosted.cpu, Math.min(had * contention, Math.max(1, usage.processes)), Math.min(kept, young));
  hosted.samples = Math.min(hosted.samples + 1, 1_000_000);
  Object.assign(hosted, { usedHere: usage.cpuTime, memory: usage.memory, processes: usage.processes });
}

/** A move of it came to nothing: it was refused, or, which it does not try again soon, failed on the way. */
export function stayed(hosted: Hosted, why: string, begun: boolean, now: number): void {
  hosted.attempts += 1;
  hosted.failure = why;
  if (!begun) return;
  hosted.failures += 1;
  hosted.restUntil = now + Math.min(retryMax, retryFirst * 2 ** (hosted.failures - 1));
}

/** Asks the engine again what holds it; an engine that cannot say is a reason, too. */
export async function lookAtObstacles(hosted: Hosted, now: number): Promise<readonly Obstacle[]> {
  hosted.obstaclesAt = now;
  try {
    hosted.obstacles = await hosted.job.obstacles();
  } catch (error) {
    hosted.obstacles = [{ code: 'unknown', message: `it cannot be seen what it uses: ${sentence(error)}`, remedy: 'see journalctl -u farm-agent' }];
  }
  return hosted.obstacles;
}

/** By id. */
export type HostedJobs = Map<JobId, Hosted>;
