import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { select } from '../../src/boot/ranges.ts';

const modified = Date.UTC(2024, 0, 2, 3, 4, 5, 678);
const date = 'Tue, 02 Jan 2024 03:04:05 GMT';
const later = 'Tue, 02 Jan 2024 03:04:06 GMT';
const earlier = 'Tue, 02 Jan 2024 03:04:04 GMT';
const file = { size: 1000, etag: '"abc"', modified };

describe('a range', () => {
  it.each([
    ['bytes=0-99', { status: 206, first: 0, last: 99 }],
    ['bytes=0-0', { status: 206, first: 0, last: 0 }],
    ['bytes=100-', { status: 206, first: 100, last: 999 }],
    ['bytes=-1', { status: 206, first: 999, last: 999 }],
    ['bytes=-5000', { status: 206, first: 0, last: 999 }],
    ['bytes=990-2000', { status: 206, first: 990, last: 999 }],
    ['bytes=999-', { status: 206, first: 999, last: 999 }],
    ['Bytes= 0-1 ', { status: 206, first: 0, last: 1 }],
    ['bytes=1000-', { status: 416 }],
    ['bytes=-0', { status: 416 }],
    ['bytes=5-3', { status: 200 }],
    ['bytes=-', { status: 200 }],
    ['bytes=0-1,5-6', { status: 200 }],
    ['bytes=a-b', { status: 200 }],
    ['pages=1-2', { status: 200 }],
    ['', { status: 200 }],
  ])('"%s" of 1000 bytes', (range, selection) => {
    expect(select('GET', { range }, file)).toEqual(selection);
  });

  it.each(['bytes=0-', 'bytes=-1', 'bytes=0-0'])('"%s" of an empty file cannot be satisfied', (range) => {
    expect(select('GET', { range }, { ...file, size: 0 })).toEqual({ status: 416 });
  });

  it('lies within the file, whatever is asked', () => {
    fc.assert(
      fc.property(fc.nat(2000), fc.option(fc.nat(3000)), fc.option(fc.nat(3000)), (size, from, to) => {
        const selection = select('GET', { range: `bytes=${from ?? ''}-${to ?? ''}` }, { ...file, size });
        if (selection.status !== 206) return;
        expect(selection.first).toBeGreaterThanOrEqual(0);
        expect(selection.first).toBeLessThanOrEqual(selection.last);
        expect(selection.last).toBeLessThan(size);
      }),
    );
  });
});

describe('a condition', () => {
  it.each([
    ['the tag it has', { 'if-none-match': '"abc"' }, 304],
    ['the weak form of it', { 'if-none-match': 'W/"abc"' }, 304],
    ['one of several tags', { 'if-none-match': '"x", "abc"' }, 304],
    ['any tag', { 'if-none-match': '*' }, 304],
    ['another tag', { 'if-none-match': '"x"' }, 200],
    ['another tag, with a date that is not looked at', { 'if-none-match': '"x"', 'if-modified-since': later }, 200],
    ['the date it was modified', { 'if-modified-since': date }, 304],
    ['a date before', { 'if-modified-since': earlier }, 200],
    ['no date', { 'if-modified-since': 'yesterday' }, 200],
    ['a range and its tag', { range: 'bytes=1-', 'if-range': '"abc"' }, 206],
    ['a range and its date', { range: 'bytes=1-', 'if-range': date }, 206],
    ['a range of what has changed', { range: 'bytes=1-', 'if-range': '"old"' }, 200],
    ['a range of what has changed since', { range: 'bytes=1-', 'if-range': earlier }, 200],
    ['a range and a weak tag', { range: 'bytes=1-', 'if-range': 'W/"abc"' }, 200],
  ])('with %s', (_, headers, status) => {
    expect(select('GET', headers, file).status).toBe(status);
  });

  it('is for GET and HEAD, a range for GET alone', () => {
    expect(select('HEAD', { range: 'bytes=0-1' }, file).status).toBe(200);
    expect(select('HEAD', { 'if-none-match': '"abc"' }, file).status).toBe(304);
    expect(select('POST', { 'if-none-match': '"abc"', range: 'bytes=0-1' }, file).status).toBe(200);
  });
});
