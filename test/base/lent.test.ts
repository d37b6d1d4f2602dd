import { expect, test } from 'vitest';
import { LentBuffers } from '../../src/base/lent.ts';

test('a buffer that was given back is lent again for anything that fits its size', () => {
  const buffers = new LentBuffers();
  const first = buffers.lend(70_000);
  expect(first.length).toBe(131_072);
  expect(buffers.lend(70_000)).not.toBe(first);
  buffers.giveBack(first);
  expect(buffers.lend(60_000)).not.toBe(first);
  expect(buffers.lend(131_072)).toBe(first);
});

test('small buffers are as large as they are asked for, and not kept', () => {
  const buffers = new LentBuffers();
  const small = buffers.lend(5);
  expect(small.length).toBe(5);
  buffers.giveBack(small);
  expect(buffers.lend(5)).not.toBe(small);
});

test('no more than 8 MiB lie ready', () => {
  const buffers = new LentBuffers();
  const lent = Array.from({ length: 10 }, () => buffers.lend(1024 * 1024));
  for (const buffer of lent) buffers.giveBack(buffer);
  const again = Array.from({ length: 10 }, () => buffers.lend(1024 * 1024));
  expect(again.filter((buffer) => lent.includes(buffer))).toHaveLength(8);
});
