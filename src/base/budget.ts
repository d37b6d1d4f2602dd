// How many lines of log others may cause: a token bucket, so that a flood of datagrams fills no disk.

interface BudgetLimits {
  /** Lines at once. */
  readonly burst: number;
  /** Lines a second after that. */
  readonly perSecond: number;
}

/** State of one bucket; `spend` gives the next one. */
export interface Budget {
  readonly limits: BudgetLimits;
  /** Lines that may be written now. */
  readonly tokens: number;
  /** When `tokens` was right, in milliseconds. */
  readonly at: number;
  /** Lines held back since the last that was written. */
  readonly suppressed: number;
}

/** A rack of machines that nobody has registered asks at once and is seen whole; a flood is not. */
const strangers: BudgetLimits = { burst: 100, perSecond: 5 };

/** For machines that are answered: 1,250 that boot at once, four lines each, are seen whole; a line costs as much as the answer itself. */
export const answered: BudgetLimits = { burst: 5_000, perSecond: 100 };

export function fullBudget(now: number, limits: BudgetLimits = strangers): Budget {
  return { limits, tokens: limits.burst, at: now, suppressed: 0 };
}

/** Whether one line may be written at `now`; if so `suppressed` says how many were not before it. */
export function spend(budget: Budget, now: number): { readonly allowed: boolean; readonly suppressed: number; readonly next: Budget } {
  const { limits } = budget;
  const elapsed = Math.max(0, now - budget.at);
  const tokens = Math.min(limits.burst, budget.tokens + (elapsed * limits.perSecond) / 1000);
  if (tokens < 1) return { allowed: false, suppressed: 0, next: { limits, tokens, at: now, suppressed: budget.suppressed + 1 } };
  return { allowed: true, suppressed: budget.suppressed, next: { limits, tokens: tokens - 1, at: now, suppressed: 0 } };
}
