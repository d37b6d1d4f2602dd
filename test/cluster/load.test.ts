// openMosix's units, and the two smoothings.
import { describe, expect, test } from 'vitest';
import { loadUnits, noLoad, smooth, usableMemory } from '../../src/cluster/load.ts';

test.each([
  ['one process on the standard processor', 1, 1, 10_000, 100],
  ['one process on one of four', 1, 4, 10_000, 25],
  ['four processes on four processors', 4, 4, 10_000, 100],
  ['one process on a processor three times as fast', 3, 1, 30_000, 100],
  ['nothing', 0, 8, 10_000, 0],
])('the load of %s', (_what, runnable, cpus, speed, load) => {
  expect(loadUnits(runnable, cpus, speed)).toBe(load);
});

describe('a load that rises from 0 to 8 and falls again', () => {
  test('is told at once and taken back slowly; a node takes its own for real slowly and forgets it at once', () => {
    let load = noLoad;
    const seen = [8, 8, 0, 0].map((sample) => {
      load = smooth(load, sample);
      return load;
    });
    expect(seen).toEqual([
      { mean: 3, upper: 8 },
      { mean: 4.875, upper: 8 },
      { mean: 0, upper: 7 },
      { mean: 0, upper: 6.125 },
    ]);
  });
});

test('a guest may take what is free but for a twentieth of the memory', () => {
  expect(usableMemory(1000, 500)).toBe(450);
  expect(usableMemory(1000, 40)).toBe(0);
});
