// The door to time: rules are handed milliseconds, and tests hand them their own.

export interface Clock {
  /** Milliseconds since the epoch; may step. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };
