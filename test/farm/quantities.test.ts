import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { durationText, parseDuration, parseSize } from '../../src/farm/quantities.ts';

test.each([
  [90, 90],
  ['90', 90],
  ['90s', 90],
  ['30m', 1800],
  ['12h', 43_200],
  ['7d', 604_800],
  ['2w', 1_209_600],
  ['12 H', 43_200],
  ['infinite', Number.POSITIVE_INFINITY],
  [0, undefined],
  ['0s', undefined],
  [-1, undefined],
  [1.5, undefined],
  ['1.5h', undefined],
  ['h', undefined],
  ['', undefined],
  ['12 hours', undefined],
  [4_294_967_294, 4_294_967_294],
  [4_294_967_295, undefined],
])('the time %j is %s seconds', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each([
  [512, 512],
  ['64k', 65_536],
  ['64K', 65_536],
  ['20m', 20_971_520],
  ['1g', 1_073_741_824],
  ['1GiB', 1_073_741_824],
  ['9999999t', undefined],
  ['0', undefined],
  ['much', undefined],
])('the size %j is %s bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

it('every time can be read as it is written', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 4_294_967_294 }), (seconds) => parseDuration(durationText(seconds)) === seconds));
  expect(parseDuration(durationText(Number.POSITIVE_INFINITY))).toBe(Number.POSITIVE_INFINITY);
});
