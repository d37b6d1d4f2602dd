import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { conflict, extentOf, type HeldRange, lastByte, rangeOf, within, withRange } from '../../src/nlm/ranges.ts';

const size = 24;
const range = fc.tuple(fc.nat(size - 1), fc.nat(size - 1)).map(([one, other]) => ({ start: BigInt(Math.min(one, other)), end: BigInt(Math.max(one, other)) }));
const kind = fc.constantFrom('shared' as const, 'exclusive' as const, undefined);

/** The same by an array with one cell a byte. */
function paint(cells: (boolean | undefined)[], { start, end }: { start: bigint; end: bigint }, exclusive: boolean | undefined): void {
  for (let at = Number(start); at <= Number(end); at += 1) cells[at] = exclusive;
}

function cellsOf(held: readonly HeldRange[]): (boolean | undefined)[] {
  const cells: (boolean | undefined)[] = Array.from({ length: size });
  for (const one of held) paint(cells, one, one.exclusive);
  return cells;
}

describe('ranges', () => {
  test('say of each byte what an array with one cell a byte says, in order, apart and joined', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(range, kind), { maxLength: 30 }), (steps) => {
        let held: readonly HeldRange[] = [];
        const cells: (boolean | undefined)[] = Array.from({ length: size });
        for (const [where, what] of steps) {
          held = withRange(held, where, what);
          paint(cells, where, what === undefined ? undefined : what === 'exclusive');
          expect(cellsOf(held)).toEqual(cells);
          for (const [index, one] of held.entries()) {
            expect(one.start <= one.end).toBe(true);
            const before = held[index - 1];
            if (before === undefined) continue;
            expect(before.end < one.start).toBe(true);
            expect(before.end + 1n === one.start && before.exclusive === one.exclusive).toBe(false);
          }
        }
      }),
    );
  });

  test('conflict and within look at exactly the bytes asked for', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(range, kind), { maxLength: 10 }), range, fc.boolean(), (steps, asked, exclusive) => {
        const held = steps.reduce<readonly HeldRange[]>((all, [where, what]) => withRange(all, where, what), []);
        const cells = cellsOf(held).map((cell, at) => (at >= Number(asked.start) && at <= Number(asked.end) ? cell : undefined));
        expect(conflict(held, asked, exclusive) !== undefined).toBe(cells.some((cell) => cell === true || (exclusive && cell === false)));
        expect(cellsOf(within(held, asked))).toEqual(cells);
      }),
    );
  });

  test.each([
    ['length 0 is to the end', 5n, 0n, 5n, lastByte],
    ['one byte', 5n, 1n, 5n, 5n],
    ['up to the last byte', lastByte, 1n, lastByte, lastByte],
    ['2^64-1 is to the end', 1n, 2n ** 64n - 1n, 1n, lastByte],
    ['the whole file', 0n, 0n, 0n, lastByte],
  ])('%s', (_, offset, length, start, end) => {
    expect(rangeOf({ offset, length })).toEqual({ start, end });
    expect(rangeOf(extentOf({ start, end }))).toEqual({ start, end });
  });

  test('no file has a byte at 2^63', () => {
    expect(rangeOf({ offset: lastByte + 1n, length: 1n })).toBeUndefined();
  });
});
