import { describe, expect, it } from 'vitest';
import { type Budget, fullBudget, spend } from '../../src/base/budget.ts';

/** Spends `times` at `now`; how many were allowed, what the last allowed one was told, and what is left. */
function spendAll(budget: Budget, now: number, times: number): { readonly allowed: number; readonly suppressed: number; readonly next: Budget } {
  let next = budget;
  let allowed = 0;
  let suppressed = 0;
  for (let time = 0; time < times; time += 1) {
    const spent = spend(next, now);
    next = spent.next;
    if (!spent.allowed) continue;
    allowed += 1;
    suppressed = spent.suppressed;
  }
  return { allowed, suppressed, next };
}

describe('the budget of log lines', () => {
  it('lets a burst of a hundred through, and no more', () => {
    expect(spendAll(fullBudget(0), 0, 1000).allowed).toBe(100);
  });

  it('fills up by five a second, and tells how many lines there would have been', () => {
    const { next } = spendAll(fullBudget(0), 0, 150);
    expect(spendAll(next, 1000, 1)).toMatchObject({ allowed: 1, suppressed: 50 });
    expect(spendAll(next, 1000, 100).allowed).toBe(5);
  });

  it('never holds more than a burst, and is not fooled by a clock that goes back', () => {
    expect(spendAll(fullBudget(0), 1e9, 1000).allowed).toBe(100);
    expect(spendAll(spendAll(fullBudget(1e9), 1e9, 100).next, 0, 10).allowed).toBe(0);
  });
});
