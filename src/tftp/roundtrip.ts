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

/** Longer than the round trip of a LAN and usual hiccups. A client that is slower raises the measure; a repeat too many costs it one packet. */
const shortestWait = 20;
/** Before the first measurement. RFC 6298 says one second for the Internet; a boot LAN is nearer, and a ROM gives up after a few seconds. */
const firstWait = 500;
/** What most clients wait before they repeat an ACK, if they do not say. Seconds. */
const usualTimeout = 5;
/** Milliseconds. A longer silence, even if the client asks for it, would outlast our patience. */
const longestSilence = 12_000;
/** So that thousands of transfers share a few timer lists. */
const granularity = 10;

/**
 * `timeout` is the negotiated option in seconds (RFC 2349). The first repeats come much sooner: curl asks for 6 s, and a transfer that
 * stops 6 s for each lost packet takes minutes. The last ones come later: atftp answers a repeated block once and then only when its own
 * timer runs out, which every packet starts anew.
 */
export function firstRoundTrip(timeout: number = usualTimeout): RoundTrip {
  return { smoothed: undefined, variation: 0, wait: firstWait, longest: Math.min(timeout * 1200, longestSilence) };
}

/** After a measured round trip of `took` ms; only of packets that were sent once (Karn). */
export function measured(before: RoundTrip, took: number): RoundTrip {
  if (took < 0 || took > 60_000) return before; // the clock stepped
  const smoothed = before.smoothed === undefined ? took : before.smoothed * (7 / 8) + took / 8;
  const variation = before.smoothed === undefined ? took / 2 : before.variation * (3 / 4) + Math.abs(before.smoothed - took) / 4;
  return { smoothed, variation, wait: bounded(smoothed + 4 * variation, before.longest), longest: before.longest };
}

/**
 * After an ACK that came `took` ms after its packet was sent again. It tells nothing about the round trip (Karn), but if it is what the
 * repeat would bring, the packet was lost and not slow: the next wait need not be as long as this one had become.
 */
export function repaired(before: RoundTrip, took: number): RoundTrip {
  if (before.smoothed === undefined) return before;
  const usual = before.smoothed + 4 * before.variation;
  return took < 0 || took > usual + granularity ? before : { ...before, wait: bounded(usual, before.longest) };
}

/** After a wait without an answer: twice as long (RFC 6298 5.5). */
export function backedOff(before: RoundTrip): RoundTrip {
  return { ...before, wait: bounded(before.wait * 2, before.longest) };
}

function bounded(wait: number, longest: number): number {
  const rounded = Math.ceil(wait / granularity) * granularity;
  return Math.min(Math.max(rounded, shortestWait), longest);
}
