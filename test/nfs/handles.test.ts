import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeHandle, encodeHandle, FileHandles } from '../../src/nfs/handles.ts';

const key = Buffer.from('one key');
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const fields = fc.record({ owner: u32, generation: u32, object: u32 });

describe('file handles', () => {
  test('are 24 bytes, so that NFSv2 has room for them, and the same for ever', () => {
    const handle = encodeHandle(key, { owner: 7, generation: 9, object: 0xffff_fffe });
    expect(handle.toString('hex')).toMatchInlineSnapshot(`"000000010000000700000009fffffffef6b61847c30e53b2"`);
  });

  test('give back what they were made of', () => {
    fc.assert(
      fc.property(fields, (given) => {
        expect(decodeHandle(key, encodeHandle(key, given))).toEqual(given);
      }),
    );
  });

  test('with any bit changed are none of ours', () => {
    fc.assert(
      fc.property(fields, fc.nat(191), (given, bit) => {
        const handle = encodeHandle(key, given);
        handle.writeUInt8(handle.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        expect(decodeHandle(key, handle)).toBeUndefined();
      }),
    );
  });

  test.each([
    ['of another farm', encodeHandle(Buffer.from('another key'), { owner: 1, generation: 1, object: 1 })],
    ['that are cut off', encodeHandle(key, { owner: 1, generation: 1, object: 1 }).subarray(0, 23)],
    ['with more behind them', Buffer.concat([encodeHandle(key, { owner: 1, generation: 1, object: 1 }), Buffer.alloc(8)])],
    ['of nothing', Buffer.alloc(0)],
    ['of zeros', Buffer.alloc(24)],
  ])('%s are none of ours', (_, handle) => {
    expect(decodeHandle(key, handle)).toBeUndefined();
    expect(new FileHandles(key).decode(handle)).toBeUndefined();
  });

  test('are the same whether remembered or not', () => {
    const remembering = new FileHandles(key);
    for (const object of [1, 2, 1, 40_000, 2]) {
      const handle = remembering.encode(3, 4, object);
      expect(handle.equals(encodeHandle(key, { owner: 3, generation: 4, object }))).toBe(true);
      expect(remembering.decode(Buffer.from(handle))).toEqual({ owner: 3, generation: 4, object });
    }
  });

  test('stay good when more of them are in use than are remembered', () => {
    const remembering = new FileHandles(key);
    const first = remembering.encode(3, 4, 1);
    for (let object = 2; object < 40_000; object += 1) remembering.decode(remembering.encode(3, 4, object));
    expect(remembering.decode(first)).toEqual({ owner: 3, generation: 4, object: 1 });
    expect(remembering.encode(3, 4, 1).equals(first)).toBe(true);
  });
});
