// Time that leases are counted in: it never goes back, whatever the clock does. docs/decisions/leases.md has the cases.

export interface LeaseTime {
  /** The clock, in milliseconds since the epoch, when it was looked at last. */
  readonly wall: number;
  /** Milliseconds since any fixed moment, by a clock that nobody sets, at the same moment. */
  readonly elapsed: number;
  /** How far lease time is ahead of the clock: the clock was set back by so much, in sum. Never negative. */
  readonly ahead: number;
}

/** A server starts. `last` is the latest lease time in its journal; undefined: there is none. What passed since may be lost: leases last longer then. */
export function startLeaseTime(wall: number, elapsed: number, last: number | undefined): LeaseTime {
  return { wall, elapsed, ahead: last === undefined ? 0 : Math.max(0, last - wall) };
}

/**
 * A look at both clocks. A step back is added to `ahead`, so lease time goes on at its pace. A step forward takes from `ahead` first: it is mostly
 * the correction of a step back. What is left of it counts as time that has passed: after a suspension it has.
 */
export function advanceLeaseTime(time: LeaseTime, wall: number, elapsed: number): LeaseTime {
  const step = wall - time.wall - Math.max(0, elapsed - time.elapsed);
  return { wall, elapsed, ahead: Math.max(0, time.ahead - step) };
}

/** Lease time in milliseconds; the time since the epoch if the clock was never set back. */
export function leaseNow({ wall, ahead }: LeaseTime): number {
  return wall + ahead;
}
