// openMosix's units of load and speed, and how load is smoothed. Facts sheet 5.1 and 5.2 (Kerrighed's re-implementation of MOSIX).

/**
 * Speed of the standard processor. Ours is one that deflates the yardstick's text at 10 MB/s (agent/yardstick.ts), about a Pentium III of 1 GHz:
 * openMosix's own manuals name two different processors.
 */
export const standardSpeed = 10_000;

/** Load of a machine on whose `cpus` processors `runnable` processes want to run on average: 100 = one that always does, on the standard processor. */
export function loadUnits(runnable: number, cpus: number, speed: number): number {
  return (100 * runnable * standardSpeed) / (cpus * speed);
}

export interface SmoothedLoad {
  /** What a node takes for its own load: rises slowly, falls at once. */
  readonly mean: number;
  /** What it tells others: rises at once, falls slowly. So many do not flock to one that has just become idle. */
  readonly upper: number;
}

export const noLoad: SmoothedLoad = { mean: 0, upper: 0 };

/** After one more second's `sample`, in any unit. */
export function smooth({ mean, upper }: SmoothedLoad, sample: number): SmoothedLoad {
  return {
    mean: sample > mean ? (5 * mean + 3 * sample) / 8 : sample,
    upper: sample > upper ? sample : (7 * upper + sample) / 8,
  };
}

/** Part of the memory that is kept for the node's own use: guests must not be the reason for paging. */
const ownPart = 1 / 20;

/** Memory by openMosix's view: what a guest may take of `free` bytes on a machine with `total`. */
export function usableMemory(total: number, free: number): number {
  return Math.max(0, Math.floor(free - total * ownPart));
}
