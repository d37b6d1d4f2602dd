import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeHandle, encodeHandle, FileHandles } from '../../src/nfs/handles.ts';

const key = Buffer.from('one key');
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const fields = fc.record({ owner: u32, generation: u32, object: u32 });

describe('file handles', () => {
  test('are 24 bytes, so that NFSv2 has room for them, and the same for ever', () => {
    const handle = encodeHandle(key, { owner: 7, generation: 9, object: 0xffff_fffe });
    expect(handle.toString('hex')).toMatchInlineSnapshot(`"000000020000000700000009fffffffe2fac4fb1ab463f03"`);
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

  test('of a server that keeps the key ready are the same', () => {
    const handles = new FileHandles(key);
    for (const object of [1, 2, 1, 40_000, 2]) {
      const handle = handles.encode(3, 4, object);
      expect(handle.equals(encodeHandle(key, { owner: 3, generation: 4, object }))).toBe(true);
      expect(handles.decode(Buffer.from(handle))).toEqual({ owner: 3, generation: 4, object });
    }
  });
});
