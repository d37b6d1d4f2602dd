// The bytes that wake a machine, and what follows from a machine's state.
import { expect, it } from 'vitest';
import { mac } from '../../src/base/addresses.ts';
import { magicPacket } from '../../src/power/magic-packet.ts';
import { type PowerState, stepFor } from '../../src/power/order.ts';

it("is AMD's: six bytes ff and the address sixteen times", () => {
  expect(magicPacket(mac('52:54:00:12:34:56')).toString('hex')).toBe(`ffffffffffff${'525400123456'.repeat(16)}`);
});

it.each([
  ['on', 'on', 'nothing'],
  ['on', 'off', 'on'],
  ['on', 'unknown', 'on'],
  ['off', 'on', 'off'],
  ['off', 'off', 'nothing'],
  ['shutdown', 'on', 'shutdown'],
  ['shutdown', 'off', 'nothing'],
  ['cycle', 'on', 'cycle'],
  ['cycle', 'off', 'on'],
  ['cycle', 'unknown', 'cycle'],
] as const)('%s of a machine that is %s: %s', (order, state: PowerState, step) => {
  expect(stepFor(order, state)).toBe(step);
});
