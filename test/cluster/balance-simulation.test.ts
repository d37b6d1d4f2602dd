// Nodes that balance, on a virtual clock: small versions of bench/balance, with their goals.
import { describe, expect, test } from 'vitest';
import { meanAge } from '../../src/cluster/ages.ts';
import { type Arrival, agesOfFreshest, ideal, randomArrivals, simulate } from '../support/balance-simulation.ts';

const forty: readonly Arrival[] = Array.from({ length: 40 }, () => ({ at: 0, home: 1, work: 60_000, memory: 2 ** 26 }));
const mean = (values: readonly number[]) => values.reduce((total, value) => total + value, 0) / values.length;

test.each([1, 2, 3])('40 jobs that begin on one of %d nodes end within 10 % of the ideal, without ping-pong', (nodes) => {
  const { makespan, pingPongs, responses } = simulate({ nodes, seed: 3, arrivals: forty, policy: 'migrate' });
  const best = ideal(nodes, forty).makespan;
  expect(best).toBeCloseTo((40 * 60_000) / nodes, 3);
  expect(makespan).toBeGreaterThanOrEqual(best - 1);
  expect(makespan / best).toBeLessThan(1.1);
  expect([pingPongs, responses.filter(Number.isNaN).length]).toEqual([0, 0]);
});

describe('jobs that come at random to 20 nodes', () => {
  const arrivals = randomArrivals(20, 0.7, 200_000, 60_000, 5);
  const best = mean(ideal(20, arrivals).responses);
  const over = (policy: 'none' | 'migrate' | 'place', loss = 0) => {
    const outcome = simulate({ nodes: 20, seed: 2, arrivals, policy, loss });
    return { ...outcome, over: mean(outcome.responses) / best };
  };
  test('wait long if they stay, and are within 10 % of the ideal if they move', () => {
    expect(over('none').over).toBeGreaterThan(1.3);
    const moved = over('migrate');
    expect(moved.over).toBeLessThan(1.1);
    expect(moved.pingPongs).toBe(0);
    expect(moved.migrations / arrivals.length).toBeLessThan(1.5);
  });
  test('move less if they are placed as they begin', () => {
    const [placed, moved] = [over('place'), over('migrate')];
    expect(placed.over).toBeLessThan(1.05);
    expect(placed.migrations).toBeLessThan(moved.migrations);
  });
  test('all end, once, where a fifth of the messages is lost and as many come twice', () => {
    const lossy = over('migrate', 0.2);
    expect(lossy.responses.filter(Number.isNaN)).toEqual([]);
    expect(lossy.over).toBeLessThan(1.15);
  });
});

test('the ages of what a node holds are those of the formulas', () => {
  const ages = agesOfFreshest(100, 99);
  expect(ages.every((age, i) => age >= (ages[i - 1] ?? 0))).toBe(true);
  expect(mean(ages)).toBeGreaterThan(0.8 * (meanAge(100, 16) / 2));
  expect(mean(ages)).toBeLessThan(1.2 * (meanAge(100, 16) / 2));
});
