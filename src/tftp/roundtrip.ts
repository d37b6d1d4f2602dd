// How long to wait for an ACK: RFC 6298's estimator with Karn's rule, with bounds for a LAN.

/** Times in milliseconds. */
export interface RoundTrip {
  readonly smoothed: number | undefined;
  readonly variation: number;
  /** What to wait for the next ACK. */
  readonly wait: number;
  /** No wait is longer. */
  readonly longest: number;
}

/** Longer than any LAN's round trip, and long enough for a ROM that writes each block to slow memory before it acknowledges. */
const shortestWait = 100;
/** Before the first measurement. RFC 6298 says one second for the Internet; a boot LAN is nearer, and a ROM gives up after a few seconds. */
const firstWait = 500;
/** With a client that does not say: a lost packet must not cost a boot longer than that. */
const longestWait = 2000;
/** So that thousands of transfers share a few timer lists. */
const granularity = 10;

/**
 * `timeout` is the negotiated option in seconds (RFC 2349). It bounds the wait but does not lengthen it to that: curl asks for 6 s,
 * and a transfer that stops 6 s for each lost packet takes minutes. A DATA packet that comes early costs nothing, UDP may double any.
 */
export function firstRoundTrip(timeout: number | undefined): RoundTrip {
  const longest = timeout === undefined ? longestWait : Math.min(longestWait, timeout * 1000);
  return { smoothed: undefined, variation: 0, wait: Math.min(firstWait, longest), longest };
}

/** After a measured round trip of `took` ms; only of packets that were sent once (Karn). */
export function measured(before: RoundTrip, took: number): RoundTrip {
  if (took < 0 || took > 60_000) return before; // the clock stepped
  const smoothed = before.smoothed === undefined ? took : before.smoothed * (7 / 8) + took / 8;
  const variation = before.smoothed === undefined ? took / 2 : before.variation * (3 / 4) + Math.abs(before.smoothed - took) / 4;
  return { ...before, smoothed, variation, wait: bounded(smoothed + 4 * variation, before.longest) };
}

/** After a wait without an answer: twice as long (RFC 6298 5.5). */
export function backedOff(before: RoundTrip): RoundTrip {
  return { ...before, wait: bounded(before.wait * 2, before.longest) };
}

function bounded(wait: number, longest: number): number {
  const rounded = Math.ceil(wait / granularity) * granularity;
  return Math.min(Math.max(rounded, shortestWait), longest);
}
