// Which job is checkpointed when, and which node makes one again.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CheckpointState, dueAt, nextDue, rank } from '../../../src/agent/checkpoints/due.ts';

const fresh: CheckpointState = { lastAt: 0, triedAt: undefined, failure: undefined, isBusy: false, last: undefined };
const minute = 60_000;

describe('a checkpoint is due', () => {
  test.each([
    ['never by itself without -A', undefined, fresh, undefined],
    ['so many minutes after the job began', 5, fresh, 5 * minute],
    ['so many minutes after the last one', 5, { ...fresh, lastAt: minute, triedAt: minute }, 6 * minute],
    ['a minute after one that failed', 5, { ...fresh, triedAt: 5 * minute, failure: 'full' }, 6 * minute],
    ['with -A 1 a minute after one that failed', 1, { ...fresh, triedAt: minute, failure: 'full' }, 2 * minute],
  ] as const)('%s', (_name, minutes, state, at) => {
    expect(dueAt({ minutes, state })).toBe(at);
  });
});

describe('of several jobs', () => {
  const job = (id: string, lastAt: number, more: { isMoving?: boolean; isBusy?: boolean } = {}) => ({
    ...{ id, minutes: 1, isMoving: more.isMoving ?? false },
    state: { ...fresh, lastAt, isBusy: more.isBusy ?? false },
  });
  test('the one that has waited longest is next', () => {
    expect(nextDue([job('a', 20), job('b', 10), job('c', 30)], 2 * minute)).toBe('b');
  });
  test('none is while another stands for one', () => {
    expect(nextDue([job('a', 0), job('b', 0, { isBusy: true })], 2 * minute)).toBeUndefined();
  });
  test('one that moves has to wait', () => {
    expect(nextDue([job('a', 0, { isMoving: true }), job('b', 30)], 2 * minute)).toBe('b');
  });
  test('none is before its time', () => {
    expect(nextDue([job('a', 0)], minute - 1)).toBeUndefined();
  });
});

test('nodes that see the same nodes come to different places in one order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 30 }), fc.string(), (alive, key) => {
      const places = alive.map((node) => rank(key, node, alive)).sort((one, other) => one - other);
      expect(places).toEqual(alive.map((_, index) => index));
    }),
  );
});
