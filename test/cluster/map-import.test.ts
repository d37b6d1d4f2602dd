// Maps of other grammars, and the canonical text: what is the same reads the same, and stays so.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ipv4FromNumber } from '../../src/base/addresses.ts';
import { FarmError } from '../../src/base/errors.ts';
import { formatEntries, parseMap } from '../../src/cluster/map.ts';
import { importMap } from '../../src/cluster/map-import.ts';
import { expandMap } from '../../src/cluster/nodes.ts';

const canonical = (text: string): string => formatEntries(parseMap(text).entries);

describe('the canonical text', () => {
  test.each([
    ['order, blanks and comments do not matter', '3 10.0.0.9 1 # x\n\n 1\t10.0.0.1 1\n', '1 10.0.0.1 1\n3 10.0.0.9 1\n'],
    ['what continues is one line', '2 10.0.0.2 3\n1 10.0.0.1 1\n5 10.0.0.5 1\n', '1 10.0.0.1 5\n'],
    ['what has a gap in ids or addresses is not', '1 10.0.0.1 1\n2 10.0.0.3 1\n4 10.0.0.4 1\n', '1 10.0.0.1 1\n2 10.0.0.3 1\n4 10.0.0.4 1\n'],
    ['names stay names', '1 n1 1\n2 10.0.0.2 01\n', '1 n1 1\n2 10.0.0.2 1\n'],
    [
      'aliases stand behind their node',
      '2 10.1.0.2 0\n2 10.1.0.1 alias\n1 10.0.0.1 1\n2 10.0.0.2 1\n9 n9 1\n',
      '1 10.0.0.1 2\n2 10.1.0.1 ALIAS\n2 10.1.0.2 ALIAS\n9 n9 1\n',
    ],
    ['of nothing is nothing', '# only words\n', ''],
  ])('%s', (_what, text, expected) => {
    expect(canonical(text)).toBe(expected);
  });

  /** Maps that are right, in any order and any spelling. */
  const maps = fc
    .tuple(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 2 }), fc.boolean(), fc.boolean()), { maxLength: 20 }),
      fc.infiniteStream(fc.nat()),
    )
    .map(([blocks, salt]) => {
      let id = 1;
      let address = 0x0a000001;
      const lines = blocks.flatMap(([count, gap, alias, comment]) => {
        const own = [`${id} ${ipv4FromNumber(address)}  ${count}${comment ? ' # words' : ''}`];
        if (alias) own.push(`${id}\t${ipv4FromNumber(address + 0x01000000)} ${comment ? 'alias' : '0'}`);
        id += count + (gap === 1 ? 1 : 0);
        address += count + (gap === 2 ? 1 : 0);
        return own;
      });
      return lines
        .map((line) => ({ line, rank: salt.next().value ?? 0 }))
        .sort((a, b) => a.rank - b.rank)
        .map(({ line }) => line)
        .join('\n');
    });

  test('says the same as the map, and is its own canonical text', () => {
    fc.assert(
      fc.property(maps, (text) => {
        const once = canonical(text);
        expect(canonical(once)).toBe(once);
        const before = expandMap(parseMap(text).entries, new Map());
        const after = expandMap(parseMap(once).entries, new Map());
        expect(new Map([...after.addresses].sort())).toEqual(new Map([...before.addresses].sort()));
        expect(new Map([...after.ids].sort())).toEqual(new Map([...before.ids].sort()));
      }),
    );
  });
});

describe('importing', () => {
  test('numbers the nodes of a MOSIX2 map in the order of the file', () => {
    expect(importMap('# cluster A\n10.0.0.1 3\n10.0.5.1 2 p\nhead 1\n')).toEqual({
      text: '1 10.0.0.1 3\n4 10.0.5.1 2\n6 head 1\n',
      grammar: 'mosix2',
      warnings: [{ line: 3, message: '10.0.5.1 is proximate, which openmosix.map cannot say' }],
    });
    expect(importMap('10.0.0.1 1 op\n').warnings.map(({ message }) => message)).toEqual([
      '10.0.0.1 is outsider, which openmosix.map cannot say',
      '10.0.0.1 is proximate, which openmosix.map cannot say',
    ]);
  });

  test('takes a map that is openMosix already as it is', () => {
    expect(importMap('1 10.0.0.1 1\n2 10.0.0.2 1\n')).toEqual({ text: '1 10.0.0.1 2\n', grammar: 'openmosix', warnings: [] });
    expect(importMap('')).toEqual({ text: '', grammar: 'openmosix', warnings: [] });
  });

  test.each([
    ['1 node1 1\n4 1\n', 'map.invalid', 'the map line 2: "4 1" has 2 fields, not 3'],
    ['10.0.0.1 0\n', 'map.invalid', 'the map line 1 is not "HOST COUNT [FLAGS]"'],
    ['10.0.0.1 1 x\n10.0.0.2 1\n', 'map.invalid', 'the map line 1 is not "HOST COUNT [FLAGS]"'],
    ['10.0.0.1 60000\n10.9.0.1 6000\n', 'map.invalid', 'the map line 2: its nodes end at 66000'],
    ['10.0.0.1 4\n10.0.0.2 1\n', 'map.invalid', 'the map line 2: 10.0.0.2 overlaps line 1'],
    ['cluster=5\npart=1 : 1 10.0.0.1 4\n', 'map.grid', 'the map line 1 is of a MOSIX grid map: clusters of clusters'],
  ])('refuses %j', (text, code, message) => {
    expect(() => importMap(text)).toThrow(expect.objectContaining({ code, message }));
  });

  test('reads or refuses every text, and what it gives is canonical', () => {
    const word = fc.oneof(
      fc.constantFrom('1', '2', '10.0.0.1', '10.0.0.9', 'n1', 'ALIAS', 'o', 'p', 'op', '#', '\n', '\n', 'part=1'),
      fc.string({ maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), (words) => {
        try {
          const { text } = importMap(words.join(' '));
          expect(canonical(text)).toBe(text);
        } catch (error) {
          expect(error).toBeInstanceOf(FarmError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
