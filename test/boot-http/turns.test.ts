import { expect, it } from 'vitest';
import { Turns } from '../../src/boot/turns.ts';

const MiB = 1_048_576;

it.each([
  [0, MiB],
  [1, MiB],
  [32, MiB],
  [64, MiB / 2],
  [256, MiB / 8],
  [2000, MiB / 16],
])('when %i send, each may have %i bytes under way', (senders, share) => {
  const turns = new Turns();
  for (let count = 0; count < senders + 1; count += 1) turns.enter();
  turns.leave();
  expect(turns.share).toBe(share);
});

it('those who send take turns, first come, first served, and others get theirs between', async () => {
  const turns = new Turns();
  for (let count = 0; count < 64; count += 1) turns.enter(); // half a MiB each, so two in a turn
  const order: string[] = [];
  const sender = async (name: string) => {
    for (let count = 0; count < 3; count += 1) {
      expect(await turns.next()).toBe(MiB / 2);
      order.push(name);
    }
  };
  const tick = async () => {
    for (let count = 0; count < 6; count += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      order.push('|');
    }
  };
  await Promise.all([sender('a'), sender('b'), sender('c'), tick()]);
  expect(order.filter((name) => name !== '|').join('')).toBe('abcabcabc');
  const between = order.join('').split('|');
  expect(Math.max(...between.map((names) => names.length))).toBe(2);
});
