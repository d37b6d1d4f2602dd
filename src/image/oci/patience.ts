// Tries again what broke on the way to a registry, and waits in between as long as it asks for.
import { FarmError } from '../../base/errors.ts';
import { Broken } from './http.ts';

export interface Patience {
  /** Milliseconds. Throws the signal's reason. */
  readonly wait: (time: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Attempts without a byte more: together they wait for half a minute. */
const attempts = 6;
const firstWait = 1000;
/** A server may ask for more, and does not get it. */
const longestWait = 60_000;

/** Tries again what broke, each time after twice the wait; as many times more whenever `further` has grown. */
export async function patiently<T>({ wait, signal }: Patience, attempt: () => Promise<T>, further: () => number = () => 0): Promise<T> {
  let reached = further();
  for (let failed = 1; ; failed += 1) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Broken)) throw error;
      if (further() > reached) {
        reached = further();
        failed = 1;
      }
      if (failed === attempts) throw new FarmError('registry.unreachable', error.message, 'is the registry reachable from here? Try again later', error);
      await wait(Math.min(longestWait, error.retryAfter === undefined ? firstWait * 2 ** (failed - 1) : error.retryAfter * 1000), signal);
    }
  }
}
