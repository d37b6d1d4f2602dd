// The one timer of a transfer. It is set anew for every ACK, so that must cost next to nothing.
import type { Clock } from '../base/clock.ts';

export interface OneTimer {
  /** In `after` milliseconds; replaces the time set before. */
  start(after: number): void;
  stop(): void;
}

/** Lets the timer of Node run on and looks, when it fires, whether it should have been later: that spares two list operations a packet. */
export function oneTimer(clock: Clock, fire: () => void): OneTimer {
  let timer: NodeJS.Timeout | undefined;
  let overdue: NodeJS.Immediate | undefined;
  /** When to fire, and when the timer of Node will. */
  let due = 0;
  let firesAt = 0;
  let last = 0;

  function set(after: number, now: number): void {
    clearTimeout(timer);
    firesAt = now + after;
    timer = setTimeout(expired, after);
  }

  function expired(): void {
    timer = undefined;
    const now = clock.now();
    const left = Math.min(due - now, last); // the clock may have stepped
    if (left > 0) set(left, now);
    // Timers come before datagrams in Node's loop: after a hiccup of this process, ACKs that have already arrived are read first.
    else overdue = setImmediate(fire);
  }

  return {
    start(after) {
      const now = clock.now();
      clearImmediate(overdue);
      due = now + after;
      last = after;
      if (timer === undefined || firesAt > due) set(after, now);
    },
    stop() {
      clearTimeout(timer);
      clearImmediate(overdue);
      timer = undefined;
    },
  };
}
