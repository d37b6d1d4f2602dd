import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import {
  padding,
  readBool,
  readEnum,
  readFixedOpaque,
  readHyper,
  readOpaque,
  readOptional,
  readString,
  writeBool,
  writeFixedOpaque,
  writeHyper,
  writeOpaque,
  writeOptional,
  writeString,
} from '../../src/rpc/xdr.ts';

function written(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter(4);
  write(writer);
  return writer.bytes();
}

describe('the bytes of RFC 4506', () => {
  test.each([
    ['a boolean', (w: ByteWriter) => writeBool(w, true), '00000001'],
    ['a hyper', (w: ByteWriter) => writeHyper(w, 0x1_0000_0002), '0000000100000002'],
    ['opaque data with its padding', (w: ByteWriter) => writeOpaque(w, Buffer.from('abcde')), '0000000561626364 65000000'],
    ['opaque data that needs none', (w: ByteWriter) => writeOpaque(w, Buffer.from('abcd')), '0000000461626364'],
    ['fixed opaque data', (w: ByteWriter) => writeFixedOpaque(w, Buffer.from('ab')), '61620000'],
    ['an empty string', (w: ByteWriter) => writeString(w, ''), '00000000'],
    ['a string of any bytes', (w: ByteWriter) => writeString(w, '\xff\x80'), '00000002ff800000'],
    ['something optional', (w: ByteWriter) => writeOptional(w, 5, (to, value) => to.u32(value)), '0000000100000005'],
    ['nothing optional', (w: ByteWriter) => writeOptional(w, undefined, () => {}), '00000000'],
  ])('%s', (_, write, hex) => {
    expect(written(write).toString('hex')).toBe(hex.replace(' ', ''));
  });
});

describe('what is not XDR is a WireError', () => {
  test.each([
    ['a boolean of 2', '00000002', (r: ByteReader) => readBool(r), 'xdr.bool'],
    ['an enum without a word', '00000003', (r: ByteReader) => readEnum(r, ['a', 'b', 'c']), 'xdr.enum'],
    ['more opaque data than allowed', '00000009', (r: ByteReader) => readOpaque(r, 8), 'xdr.length'],
    ['a length beyond the end', '0000000961', (r: ByteReader) => readOpaque(r, 64), 'short'],
    ['missing padding', '0000000161', (r: ByteReader) => readString(r, 64), 'short'],
    ['half a hyper', '00000000', (r: ByteReader) => readHyper(r), 'short'],
  ])('%s', (_, hex, read, code) => {
    const act = () => read(new ByteReader(Buffer.from(hex, 'hex')));
    expect(act).toThrow(WireError);
    expect(act).toThrow(expect.objectContaining({ code }));
  });
});

describe('reading gives back what was written', () => {
  test('strings and opaque data of any length, and the reader stands behind the padding', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.boolean(), (bytes, optional) => {
        const data = Buffer.from(bytes);
        const reader = new ByteReader(
          written((w) => {
            writeOpaque(w, data);
            writeFixedOpaque(w, data);
            writeOptional(w, optional ? data.toString('latin1') : undefined, writeString);
          }),
        );
        expect(readOpaque(reader, 70).equals(data)).toBe(true);
        expect(readFixedOpaque(reader, data.length).equals(data)).toBe(true);
        expect(readOptional(reader, (of) => readString(of, 70))).toBe(optional ? data.toString('latin1') : undefined);
        expect(reader.left).toBe(0);
      }),
    );
  });

  test('hypers up to 2^53 are exact, larger ones stay above it', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect(readHyper(new ByteReader(written((w) => writeHyper(w, value))))).toBe(value);
      }),
    );
    expect(readHyper(new ByteReader(Buffer.alloc(8, 255)))).toBeGreaterThan(Number.MAX_SAFE_INTEGER);
  });

  test('padding fills up to four', () => {
    expect([0, 1, 2, 3, 4, 5].map(padding)).toEqual([0, 3, 2, 1, 0, 3]);
  });
});
