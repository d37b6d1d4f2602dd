// A job, as the node on which it runs sees it: what it wants, whether it may move, and what a move would take. Facts sheet 5.3 to 5.6 (openMosix).

/** Where a job's system calls and messages go: to its home, or to the node whose files it reads. */
export interface Traffic {
  readonly node: number;
  /** Part of its time that it would spend on them if they were next to it, 0..1. */
  readonly ratio: number;
}

export interface Job {
  /** The same on all nodes, as long as the job lives. */
  readonly id: string;
  /** Its unique home node. */
  readonly home: number;
  /** Processors it wants: 1 for a program that always computes. The smoothed statistic (`decayed`). */
  readonly cpu: number;
  /** Bytes that a move has to carry. */
  readonly memory: number;
  /** Bytes a second that it writes to, counted in whole pages. */
  readonly dirtyRate: number;
  readonly traffic: Traffic;
  /** Ms of processor time it has had, everywhere. */
  readonly used: number;
  /** When it came to this node (or began), ms of this node's clock. */
  readonly since: number;
  readonly moves: number;
  /** Nodes that it has left and when, ms of this node's clock; the driver translates as the job arrives and drops what is old. */
  readonly left: readonly { readonly node: number; readonly at: number }[];
  /** mosrun -L, nomig, or its `lock` file. */
  readonly locked: boolean;
  /** Why it cannot move now (`why PID`), in the words for people. */
  readonly cantMove: readonly string[];
  /** Nodes it may run on (mosrun -j), undefined: all. */
  readonly allowed: ReadonlySet<number> | undefined;
  /** Its home wants it back: `mosctl bring`, `migrate PID home`. */
  readonly recalled: boolean;
}

/** How much of a statistic is left after one interval of `setdecay`, thousandths: openMosix's slow and fast. nodecay keeps all of it. */
export const decayKeeps = { none: 1000, slow: 975, fast: 926 } as const;

/** A job's statistic after one more interval's `sample`. */
export function decayed(old: number, sample: number, keep: number): number {
  return (keep * old + (1000 - keep) * sample) / 1000;
}

/** How long a move takes and for how much of that the job stands still, ms. */
export interface MoveTime {
  readonly total: number;
  readonly frozen: number;
}

/** Freezing and thawing alone: criu dumped and restored a small job in 0.45 s each under emulation (issue 8). */
const fixedMillis = 900;

/** One round of pre-copy, then a freeze for what was written meanwhile. `bandwidth` in bytes a second. */
export function moveTime({ memory, dirtyRate }: Pick<Job, 'memory' | 'dirtyRate'>, bandwidth: number): MoveTime {
  const copy = (1000 * memory) / bandwidth;
  const again = Math.min(copy, (copy * dirtyRate) / bandwidth);
  return { total: fixedMillis + copy + again, frozen: fixedMillis + again };
}
