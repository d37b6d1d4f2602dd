// The bound on lines of log that strangers can cause.
import { expect, test } from 'vitest';
import { answered, fullBudget, spend } from '../../src/base/budget.ts';

test('a burst is written, a flood is not, and what was left out is counted', () => {
  let budget = fullBudget(0);
  let written = 0;
  for (let line = 0; line < 1000; line++) {
    const { allowed, next } = spend(budget, 0);
    budget = next;
    if (allowed) written += 1;
  }
  expect([written, budget.suppressed]).toEqual([100, 900]);
  const later = spend(budget, 1000);
  expect([later.allowed, later.suppressed, later.next.suppressed]).toEqual([true, 900, 0]);
});

test('a clock that steps back gives nothing and takes nothing', () => {
  const { next } = spend(fullBudget(1000), 0);
  expect(next.tokens).toBe(99);
});

test('machines that are answered have a wider budget than strangers', () => {
  let budget = fullBudget(0, answered);
  let written = 0;
  for (let line = 0; line < 10_000; line++) {
    const { allowed, next } = spend(budget, 0);
    budget = next;
    if (allowed) written += 1;
  }
  expect([written, budget.suppressed]).toEqual([answered.burst, 10_000 - answered.burst]);
});
