// openmosix.map: the grammar as a table, the seed documents' samples, and what formatting and parsing must be to each other.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Ipv4, ipv4FromNumber, ipv4Number } from '../../src/base/addresses.ts';
import { FarmError } from '../../src/base/errors.ts';
import { formatMap, type MapNode, parseMap } from '../../src/cluster/map.ts';
import { expandMap } from '../../src/cluster/nodes.ts';
import { untilFuzzed } from './fuzz.ts';

function refusal(text: string): FarmError {
  try {
    parseMap(text);
  } catch (error) {
    if (error instanceof FarmError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

function nodes(text: string): [number, string][] {
  return [...expandMap(parseMap(text).entries, new Map()).addresses];
}

describe('a map that is right', () => {
  test.each([
    ['one node', '1 10.0.0.1 1', [[1, '10.0.0.1']]],
    [
      'a range',
      '1 10.0.0.1 3',
      [
        [1, '10.0.0.1'],
        [2, '10.0.0.2'],
        [3, '10.0.0.3'],
      ],
    ],
    [
      'a range that counts on into the next octet',
      '7 10.0.0.255 2',
      [
        [7, '10.0.0.255'],
        [8, '10.0.1.0'],
      ],
    ],
    ['indentation, tabs, several blanks', ' \t1\t 10.0.0.1   1  ', [[1, '10.0.0.1']]],
    ['comments and blank lines', '# farm\n\n   # more\n1 10.0.0.1 1\n', [[1, '10.0.0.1']]],
    [
      'a comment at the end of a line',
      '1 10.0.0.1 1 # the server\n2 10.0.0.2 1 #x',
      [
        [1, '10.0.0.1'],
        [2, '10.0.0.2'],
      ],
    ],
    [
      'line ends of DOS and a byte order mark',
      '\ufeff1 10.0.0.1 1\r\n2 10.0.0.2 1\r\n',
      [
        [1, '10.0.0.1'],
        [2, '10.0.0.2'],
      ],
    ],
    ['the last id and the last unicast address', '65535 223.255.255.255 1', [[65535, '223.255.255.255']]],
    ['leading zeros in numbers', '007 10.0.0.1 01', [[7, '10.0.0.1']]],
    ['an alias before its node', '1 10.1.0.1 ALIAS\n1 10.0.0.1 1', [[1, '10.0.0.1']]],
    ['nothing at all', '', []],
  ])('may have %s', (_what, text, expected) => {
    expect(nodes(text)).toEqual(expected);
  });

  test.each(['ALIAS', 'alias', '0'])('takes the count %s for an alias, which gives its node a further address and makes no node', (count) => {
    const map = expandMap(parseMap(`1 10.0.0.1 2\n2 10.1.0.2 ${count}`).entries, new Map());
    expect(map.addresses.size).toBe(2);
    expect(map.ids.get('10.1.0.2' as Ipv4)).toBe(2);
    expect(map.ids.get('10.0.0.2' as Ipv4)).toBe(2);
  });

  test('keeps lines and host names', () => {
    expect(parseMap('# x\n1 node1 1\n1 10.1.0.1 ALIAS').entries).toEqual([
      { kind: 'range', line: 2, id: 1, host: 'node1', address: undefined, count: 1 },
      { kind: 'alias', line: 3, id: 1, host: '10.1.0.1', address: '10.1.0.1' },
    ]);
  });

  test('warns, and no more, of addresses that only their own machine reaches and of more lines than openMosix took', () => {
    expect(parseMap('1 127.0.0.1 1').warnings).toEqual([{ line: 1, message: '127.0.0.1 can be reached from its own machine only' }]);
    const long = Array.from({ length: 257 }, (_, i) => `${i + 1} ${ipv4FromNumber(0x0a000000 + 2 * i + 1)} 1`).join('\n');
    expect(parseMap(long).warnings).toEqual([{ line: undefined, message: "257 lines: openMosix's own tools stop at 256" }]);
  });
});

describe('a map that is wrong', () => {
  test.each([
    ['4 1', 1, '"4 1" has 2 fields, not 3'],
    ['1', 1, '"1" has 1 field, not 3'],
    ['1 10.0.0.1 1 n1', 1, '"1 10.0.0.1 1 n1" has 4 fields, not 3'],
    ['# c\n\n0 10.0.0.1 1', 3, '"0" is not a node id'],
    ['65536 10.0.0.1 1', 1, '"65536" is not a node id'],
    ['-1 10.0.0.1 1', 1, '"-1" is not a node id'],
    ['n1 10.0.0.1 1', 1, '"n1" is not a node id'],
    ['1 10.0.0.256 1', 1, '"10.0.0.256" is not an IPv4 address'],
    ['1 10.0.0 1', 1, '"10.0.0" is not an IPv4 address'],
    ['1 010.0.0.1 1', 1, '"010.0.0.1" is not an IPv4 address'],
    ['1 fd00::1 1', 1, '"fd00::1" is not an IPv4 address or a host name'],
    ['1 node_! 1', 1, '"node_!" is neither an IPv4 address nor a host name'],
    ['1 -n 1', 1, '"-n" is neither an IPv4 address nor a host name'],
    ['1 0.0.0.0 1', 1, "0.0.0.0 cannot be a machine's address"],
    ['1 224.0.0.1 1', 1, "224.0.0.1 cannot be a machine's address"],
    ['1 10.0.0.1 x', 1, '"x" is not a count'],
    ['1 10.0.0.1 -1', 1, '"-1" is not a count'],
    ['65535 10.0.0.1 2', 1, '2 ids from 65535 on reach 65536'],
    ['1 223.255.255.255 2', 1, '2 addresses from 223.255.255.255 on leave the unicast addresses'],
    ['1 node1 2', 1, 'a range of 2 nodes begins at the name node1'],
    ['1 10.0.0.1 4\n4 10.0.1.1 1', 2, 'id 4 overlaps line 1'],
    ['5 10.0.0.1 1\n1 10.0.1.1 9', 2, 'ids 1 to 9 overlap line 1'],
    ['1 10.0.0.1 4\n9 10.0.0.4 1', 2, '10.0.0.4 overlaps line 1'],
    ['1 10.0.0.1 4\n9 10.0.0.2 8', 2, '10.0.0.2 to 10.0.0.9 overlaps line 1'],
    ['1 10.0.0.1 1\n1 10.0.0.1 ALIAS', 2, '10.0.0.1 overlaps line 1'],
    ['1 10.0.0.1 1\n2 10.1.0.2 ALIAS', 2, 'ALIAS for node 2, which no line defines'],
  ])('%j is refused with line %i: %s', (text, line, message) => {
    const error = refusal(text);
    expect(error.code).toBe('map.invalid');
    expect(error.message).toBe(`openmosix.map line ${line}: ${message}`);
    expect(error.hint).toMatch(/\w/);
  });

  test('names every bad line, in order, and not more than a screenful', () => {
    const error = refusal(Array.from({ length: 20 }, (_, i) => `${i} x`).join('\n'));
    expect(error.message.split('\n  ')).toHaveLength(9);
    expect(error.message).toContain('line 8:');
    expect(error.message).toContain('and 12 more');
  });

  test('cannot put control characters on a terminal', () => {
    expect(refusal('1 10.0.0.1 \u001b[2J').message).toContain('"?[2J" is not a count');
  });

  test('is refused when it is too large to be a map', () => {
    expect(refusal('#'.repeat(4 * 1024 * 1024 + 1)).code).toBe('map.invalid');
  });

  test('in a file of 65,535 overlapping lines is refused without ado', () => {
    expect(refusal('1 10.0.0.1 65535\n'.repeat(65535)).message).toContain('and 131060 more');
  });
});

describe("the seed documents' samples", () => {
  test('three named nodes of section 11.3 are read, and its two lines that lost their host are refused by number', () => {
    expect(parseMap('1 node1 1\n2 node2 1\n3 node3 1\n').entries.map(({ id, host }) => [id, host])).toEqual([
      [1, 'node1'],
      [2, 'node2'],
      [3, 'node3'],
    ]);
    const error = refusal('1 node1 1\n2 node2 1\n3 node3 1\n4 1\n5 1\n');
    expect(error.message).toBe('openmosix.map line 4: "4 1" has 2 fields, not 3\n  openmosix.map line 5: "5 1" has 2 fields, not 3');
  });
});

describe('formatting', () => {
  const address = (number: number) => ipv4FromNumber(number);

  test('writes a header, names as comments, and one line for each run', () => {
    const text = formatMap(
      [
        { id: 4, address: address(0x0a0b0009), name: 'n4' },
        { id: 1, address: address(0x0a0b0001), name: 'n1' },
        { id: 2, address: address(0x0a0b0002), name: 'n2' },
        { id: 3, address: address(0x0a0b0004) },
      ],
      'Written by farm.\nDo not edit.',
    );
    expect(text).toBe('# Written by farm.\n# Do not edit.\n# n1 to n2\n1 10.11.0.1 2\n3 10.11.0.4 1\n# n4\n4 10.11.0.9 1\n');
  });

  test('of no nodes is the header', () => {
    expect(formatMap([], 'nobody yet')).toBe('# nobody yet\n');
    expect(formatMap([], '')).toBe('');
  });

  test.each([
    [
      [
        { id: 1, address: '10.0.0.1' },
        { id: 1, address: '10.0.0.2' },
      ],
      'map.duplicate',
      'two nodes have the id 1',
    ],
    [
      [
        { id: 1, address: '10.0.0.1' },
        { id: 2, address: '10.0.0.1' },
      ],
      'map.duplicate',
      'nodes 1 and 2 have the address 10.0.0.1',
    ],
    [[{ id: 0, address: '10.0.0.1' }], 'map.node', '0 is not a node id'],
    [[{ id: 1, address: '10.0.0.1', name: 'a\n2 10.0.0.2 1' }], 'map.node', 'node 1 has a name that is no host name'],
  ])('refuses what no map can hold: %j', (bad, code, message) => {
    expect(() => formatMap(bad as unknown as MapNode[], '')).toThrow(expect.objectContaining({ code, message }));
  });

  const distinctNodes = fc
    .uniqueArray(fc.record({ id: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 65535 })), last: fc.integer({ min: 1, max: 60 }) }), {
      selector: ({ id }) => id,
      maxLength: 60,
    })
    .map((list) => {
      const used = new Set<number>();
      return list.flatMap(({ id, last }): MapNode[] => {
        // Addresses near the id make runs likely; a collision drops the node.
        const number = 0x0a000000 + (last < 50 ? id : id + last);
        if (used.has(number)) return [];
        used.add(number);
        return [{ id, address: address(number), name: `n${id}` }];
      });
    });

  test('is the inverse of parsing, whatever the order', () => {
    fc.assert(
      fc.property(distinctNodes, fc.string(), (list, header) => {
        const text = formatMap(list, header.replace(/[\r\n]/g, ' '));
        expect(formatMap([...list].reverse(), header.replace(/[\r\n]/g, ' '))).toBe(text);
        const sorted = [...list].sort((a, b) => a.id - b.id);
        expect(nodes(text)).toEqual(sorted.map(({ id, address }) => [id, address]));
      }),
    );
  });

  test('folds as far as ranges reach: no two neighbouring lines could be one', () => {
    fc.assert(
      fc.property(distinctNodes, (list) => {
        const { entries } = parseMap(formatMap(list, ''));
        for (const [i, entry] of entries.entries()) {
          const next = entries[i + 1];
          if (entry.kind !== 'range' || next === undefined) continue;
          const joins = next.id === entry.id + entry.count && ipv4Number(next.address!) === ipv4Number(entry.address!) + entry.count;
          expect(joins).toBe(false);
        }
      }),
    );
  });
});

test('no text crashes the parser: it is read or refused with a FarmError', () => {
  const word = fc.oneof(fc.constantFrom('1', '2', '65535', '10.0.0.1', '10.0.0.2', 'n1', 'ALIAS', '0', '#', ' ', '\t', '\n', '\r\n'), fc.string());
  untilFuzzed(fc.array(word, { maxLength: 30 }), (words) => {
    try {
      parseMap(words.join(' '));
    } catch (error) {
      expect(error).toBeInstanceOf(FarmError);
    }
  });
});
