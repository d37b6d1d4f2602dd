// Time that passes when a test says so: timers run in their order, and what they start settles before the next.
import type { Timers } from '../../src/nlm/doors.ts';

interface Due {
  readonly at: number;
  readonly run: () => void;
}

export class VirtualTimers implements Timers {
  private time: number;
  private due: Due[] = [];

  constructor(start = 1_700_000_000_000) {
    this.time = start;
  }

  now(): number {
    return this.time;
  }

  after(milliseconds: number, run: () => void): () => void {
    const timer = { at: this.time + milliseconds, run };
    this.due.push(timer);
    return () => {
      this.due = this.due.filter((other) => other !== timer);
    };
  }

  /** Lets so many ms pass. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    await settle();
    for (;;) {
      const next = this.due.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0];
      if (next === undefined) break;
      this.due = this.due.filter((other) => other !== next);
      this.time = next.at;
      next.run();
      await settle();
    }
    this.time = end;
  }
}

/** Everything that only waits for promises that are settled has happened. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
