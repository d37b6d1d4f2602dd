import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { RecordReader } from '../../src/rpc/record.ts';

function fragment(bytes: Buffer, last: boolean): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(((last ? 0x8000_0000 : 0) | bytes.length) >>> 0);
  return Buffer.concat([header, bytes]);
}

function* records(reader: RecordReader): Iterable<Buffer> {
  for (let record = reader.next(); record !== undefined; record = reader.next()) yield record;
}

function readAll(chunks: readonly Buffer[], most = 1000): Buffer[] {
  const reader = new RecordReader(most);
  return chunks.flatMap((chunk) => {
    reader.push(chunk);
    return [...records(reader)];
  });
}

describe('record marking', () => {
  test('two records, one of them in three fragments, come out whole however the stream is split at one byte', () => {
    const stream = Buffer.concat([
      fragment(Buffer.from('first '), false),
      fragment(Buffer.from('record '), false),
      fragment(Buffer.from('in three'), true),
      fragment(Buffer.from('second'), true),
    ]);
    for (let at = 0; at <= stream.length; at += 1) {
      const got = readAll([stream.subarray(0, at), stream.subarray(at)]);
      expect(got.map(String)).toEqual(['first record in three', 'second']);
    }
  });

  test('byte by byte', () => {
    const stream = Buffer.concat([fragment(Buffer.from('one'), true), fragment(Buffer.alloc(0), true), fragment(Buffer.from('two'), true)]);
    expect(readAll(Array.from(stream, (byte) => Buffer.from([byte]))).map(String)).toEqual(['one', '', 'two']);
  });

  test('any records in any fragments and any chunks', () => {
    const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
    fc.assert(
      fc.property(
        fc.array(fc.array(bytes, { minLength: 1, maxLength: 4 }), { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
        (input, cuts) => {
          const stream = Buffer.concat(input.flatMap((parts) => parts.map((part, index) => fragment(part, index === parts.length - 1))));
          const chunks: Buffer[] = [];
          for (let at = 0, cut = 0; at < stream.length; cut += 1) {
            const length = cuts[cut % cuts.length] ?? 1;
            chunks.push(stream.subarray(at, at + length));
            at += length;
          }
          expect(readAll(chunks).map(String)).toEqual(input.map((parts) => String(Buffer.concat(parts))));
        },
      ),
    );
  });

  test('records that were pushed together are taken one at a time', () => {
    const reader = new RecordReader(100);
    reader.push(Buffer.concat([fragment(Buffer.from('a'), true), fragment(Buffer.from('b'), true)]));
    reader.push(fragment(Buffer.from('c'), true));
    expect([reader.next(), reader.next(), reader.next(), reader.next()].map((record) => record?.toString())).toEqual(['a', 'b', 'c', undefined]);
  });

  test('a record in one piece is not copied', () => {
    const chunk = fragment(Buffer.from('view'), true);
    const [record] = readAll([chunk]);
    chunk.write('seen', 4);
    expect(String(record)).toBe('seen');
  });

  test.each([
    ['a fragment above the limit', [fragment(Buffer.alloc(1001), true)]],
    ['fragments that are above it together', [fragment(Buffer.alloc(600), false), fragment(Buffer.alloc(600), true)]],
    ['the claim alone, without the bytes', [Buffer.from('ffffffff', 'hex')]],
  ])('refuses %s', (_, chunks) => {
    expect(() => readAll(chunks)).toThrow(WireError);
  });

  test('refuses a record in thousands of pieces', () => {
    const stream = Buffer.concat(Array.from({ length: 10_000 }, () => fragment(Buffer.from('x'), false)));
    expect(() => readAll([stream], 1_000_000)).toThrow(WireError);
  });
});
