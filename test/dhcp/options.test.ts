// Typed reading of option values: absent is undefined, another length is a WireError, never the same.
import { expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { WireError } from '../../src/base/errors.ts';
import {
  addressesValue,
  optionName,
  readAddress,
  readAddresses,
  readI32,
  readText,
  readU8,
  readU16,
  readU16s,
  readU32,
  subOptions,
  textValue,
  u32Value,
} from '../../src/dhcp/options.ts';

const only = (hex: string) => new Map([[1, Buffer.from(hex, 'hex')]]);

test.each([
  ['one byte', readU8, '05', 5],
  ['two bytes', readU16, '05c0', 1472],
  ['four bytes', readU32, 'ffffffff', 0xffffffff],
  ['four bytes with sign', readI32, 'fffff1f0', -3600],
  ['an address', readAddress, '0a0b0001', '10.11.0.1'],
  ['addresses', readAddresses, '0a0b00010a0b0002', ['10.11.0.1', '10.11.0.2']],
  ['text', readText, '666f6f', 'foo'],
  ['text with final NULs', readText, '666f6f0000', 'foo'],
  ['16-bit numbers', readU16s, '00070010', [7, 16]],
] as const)('%s', (_, read, hex, value) => {
  expect(read(only(hex), 1)).toEqual(value);
  expect(read(new Map(), 1)).toBeUndefined();
});

test.each([
  ['one byte', readU8, '0506'],
  ['one byte, empty', readU8, ''],
  ['two bytes', readU16, '05'],
  ['four bytes', readU32, '050607'],
  ['an address', readAddress, '0a0b'],
  ['addresses', readAddresses, '0a0b00010a'],
  ['no address at all', readAddresses, ''],
] as const)('%s of another length is refused', (_, read, hex) => {
  expect(() => read(only(hex), 1)).toThrow(WireError);
});

test('writers are the inverse of readers', () => {
  expect(readU32(new Map([[51, u32Value(86400)]]), 51)).toBe(86400);
  expect(readAddresses(new Map([[6, addressesValue([ipv4('1.2.3.4'), ipv4('255.0.0.1')])]]), 6)).toEqual(['1.2.3.4', '255.0.0.1']);
  expect(readText(new Map([[12, textValue('n1')]]), 12)).toBe('n1');
});

test('containers are split up to the first damage', () => {
  const parts = subOptions(Buffer.from('0102aabb000301cc0409', 'hex'));
  expect([...parts].map(([code, value]) => `${code}=${value.toString('hex')}`)).toEqual(['1=aabb', '3=cc']);
});

test('every option has a name to be called by', () => {
  expect([optionName(60), optionName(203)]).toEqual(['vendor-class(60)', 'option(203)']);
});
