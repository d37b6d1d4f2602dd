// How many lines of log strangers may cause: a token bucket, so that a flood of datagrams fills no disk.

/** State of one bucket; `spend` gives the next one. */
export interface Budget {
  /** Lines that may be written now. */
  readonly tokens: number;
  /** When `tokens` was right, in milliseconds. */
  readonly at: number;
  /** Lines held back since the last that was written. */
  readonly suppressed: number;
}

/** A rack of machines that nobody has registered asks at once and is seen whole; a flood is not. */
const burst = 100;
const perSecond = 5;

export function fullBudget(now: number): Budget {
  return { tokens: burst, at: now, suppressed: 0 };
}

/** Whether one line may be written at `now`; if so `suppressed` says how many were not before it. */
export function spend(budget: Budget, now: number): { readonly allowed: boolean; readonly suppressed: number; readonly next: Budget } {
  const elapsed = Math.max(0, now - budget.at);
  const tokens = Math.min(burst, budget.tokens + (elapsed * perSecond) / 1000);
  if (tokens < 1) return { allowed: false, suppressed: 0, next: { tokens, at: now, suppressed: budget.suppressed + 1 } };
  return { allowed: true, suppressed: budget.suppressed, next: { tokens: tokens - 1, at: now, suppressed: 0 } };
}
