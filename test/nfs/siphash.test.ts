import { expect, test } from 'vitest';
import { sipHash, sipKey } from '../../src/nfs/siphash.ts';

const key = sipKey(Buffer.from(Array.from({ length: 16 }, (_, index) => index)));

// Appendix A of the paper (15 bytes), and the reference implementation's vectors_sip64.
test.each([
  [0, '310e0edd47db6f72'],
  [1, 'fd67dc93c539f874'],
  [7, '37d1018bf50002ab'],
  [8, '6224939a79f5f593'],
  [15, 'e545be4961ca29a1'],
])('SipHash-2-4 of the bytes from 0, %i of them', (length, expected) => {
  const target = Buffer.alloc(10);
  sipHash(key, Buffer.from(Array.from({ length: 16 }, (_, index) => index)), length, target, 1);
  expect(target.toString('hex')).toBe(`00${expected}00`);
});
