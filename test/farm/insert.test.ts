// Changing farm.yaml as text: nothing of it is lost, and what is read quickly is what YAML reads.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ipv4, type Mac } from '../../src/base/addresses.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { insertNodes } from '../../src/farm/insert.ts';
import { readNodeLines } from '../../src/farm/node-lines.ts';

const head = 'name: lab\nnetworks:\n  main: { interface: eth1, address: 10.11.0.1/16, range: 10.11.0.10-10.11.0.99 }\n';
const macOf = (number: number): Mac => `52:54:00:00:00:${number.toString(16).padStart(2, '0')}` as Mac;

const comment = fc.constantFrom('', ' # ours', ' # a: { b }, "c"', '   ');
const gap = fc.constantFrom('', '\n', '  # between\n', '# at the margin\n', '\n   \n');

/** A node in each of the ways in which people write one. */
const asAddNode = (number: number): string => `n${number}: { id: ${number}, mac: "${macOf(number)}", ip: 10.11.1.${number} }`;
const style = fc.constantFrom<(number: number, indent: string) => string>(
  asAddNode,
  asAddNode,
  asAddNode,
  asAddNode,
  (number) => `n${number}: { ip: 10.11.1.${number}, id: ${number}, mac: ${macOf(number)}, profile: default }`,
  (number) => `n${number}: {id: ${number}, mac: '${macOf(number)}', ip: 10.11.1.${number}}`,
  (number) => `"n${number}": { id: ${number}, mac: ${macOf(number).replaceAll(':', '-')}, ip: 10.11.1.${number}, }`,
  (number, indent) => `n${number}:\n${indent}  id: ${number}\n${indent}  mac: "${macOf(number)}" # its card\n${indent}  ip: 10.11.1.${number}`,
  (number, indent) => `n${number}: {\n${indent}  id: ${number}, # first\n${indent}  mac: "${macOf(number)}",\n${indent}  ip: 10.11.1.${number}\n${indent}}`,
);

const block = fc
  .tuple(fc.array(fc.tuple(style, comment, gap), { minLength: 1, maxLength: 5 }), fc.constantFrom('  ', ' ', '     '), gap)
  .map(
    ([nodes, indent, first]) =>
      `nodes:\n${first}${nodes.map(([write, remark, after], index) => `${indent}${write(index + 1, indent)}${remark}\n${after}`).join('')}`,
  );
const section = fc.oneof(
  { weight: 6, arbitrary: block },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'nodes: {}\n',
      'nodes:\n',
      'nodes: {} # none yet\n',
      '',
      'nodes:\n# none\n',
      'nodes: { n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.1.1 } } # flow\n',
    ),
  },
);
const tail = fc.constantFrom('', 'domain: farm.lan # last\n', '\n# the end', 'profiles:\n  default: {} # all\n');
const file = fc.tuple(section, tail, fc.boolean(), fc.boolean()).map(([nodes, end, first, isWindows]) => {
  const text = first ? `# farm\n${nodes}${head}${end}` : `# farm\n${head}${nodes}${end}`;
  return isWindows ? text.replaceAll('\n', '\r\n') : text;
});

const entries = fc.integer({ min: 1, max: 3 }).map((count) =>
  Array.from({ length: count }, (_, index) => ({
    name: `new${index}`,
    id: 100 + index,
    mac: macOf(100 + index),
    address: ipv4(`10.11.2.${index + 1}`),
    profile: undefined,
  })),
);

describe('a new node in the text of farm.yaml', () => {
  it('leaves every other character where it was', () => {
    fc.assert(
      fc.property(file, entries, (before, added) => {
        const after = insertNodes(before, added);
        const rest = after.replace(/(?:\r?\n +|, )new\d: \{ [^{}]*\}/g, '');
        // An empty map is the one thing that gives way, and where there was no `nodes` there is one now.
        expect([before, before.replace('nodes: {}', 'nodes:'), `${before.trimEnd()}nodes:`].map((text) => text.replace(/\s/g, ''))).toContain(
          rest.replace(/\s/g, ''),
        );
        const lost = before.split(/\r?\n/).filter((line) => !/^nodes: \{/.test(line) && !after.split(/\r?\n/).includes(line));
        expect(lost).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  it('is in the farm with all that were there', () => {
    fc.assert(
      fc.property(file, entries, (before, added) => {
        const known = parseFarm(before, '/f').nodes.map(({ name, id, mac, address }) => ({ name, id, mac, address }));
        const now = parseFarm(insertNodes(before, added), '/f').nodes.map(({ name, id, mac, address }) => ({ name, id, mac, address }));
        expect(now).toEqual([...known, ...added.map(({ name, id, mac, address }) => ({ name, id, mac, address }))]);
      }),
      { numRuns: 100 },
    );
  });
});

describe('nodes that are read line by line', () => {
  it('are what YAML reads, or YAML reads them', () => {
    let quick = 0;
    fc.assert(
      fc.property(file, (text) => {
        const lines = readNodeLines(text);
        if (lines === undefined) return;
        quick++;
        expect(Object.fromEntries(lines.nodes)).toEqual(parse(text).nodes);
        expect({ ...parse(lines.rest), nodes: undefined }).toEqual({ ...parse(text), nodes: undefined });
      }),
      { numRuns: 300 },
    );
    expect(quick).toBeGreaterThan(0);
  });

  it('are what YAML reads, whatever stands in a line', () => {
    const word = fc.oneof(
      fc.constantFrom(
        '1',
        '01',
        '0x1f',
        '1e3',
        'true',
        'null',
        '~',
        '10.11.0.7',
        '1.5',
        '52:54:00:00:00:01',
        '12:30',
        '"a b"',
        '"x: y"',
        "'q'",
        '[a]',
        '&a b',
        '*a',
        '!!str 1',
        'yes',
        'n1',
        '.inf',
        '-',
        '- a',
        '@x',
        '#x',
        'a#b',
        '"#"',
        '',
        '1_000',
        '2001-01-01',
      ),
      fc.string({ maxLength: 4 }).filter((text) => !text.includes('\n')),
    );
    const key = fc.constantFrom('id', 'mac', 'ip', 'profile', 'uuid', 'client_id', 'x', '"id"', 'id ');
    const name = fc.oneof(fc.constantFrom('n1', 'true', 'null', '1', '0x1f', '1e3', 'N1', '"a"', '? a', 'a b'), fc.string({ maxLength: 3 }));
    const line = fc
      .tuple(name, fc.array(fc.tuple(key, word), { maxLength: 3 }), fc.constantFrom('', ' # c', '#c', ' x'))
      .map(([of, fields, end]) => `  ${of}: { ${fields.map(([k, v]) => `${k}: ${v}`).join(', ')} }${end}`);
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 3 }), (content) => {
        const text = `name: lab\nnodes:\n${content.join('\n')}\nend: 1\n`;
        const lines = readNodeLines(text);
        if (lines !== undefined) expect({ ...parse(lines.rest), nodes: Object.fromEntries(lines.nodes) }).toEqual(parse(text));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['a text that only looks like nodes', 'a: |\n nodes:\n  n1: { id: 1 }\n'],
    ['two of them', 'nodes:\n  n1: { id: 1 }\nnodes:\n  n2: { id: 2 }\n'],
    ['another version of YAML', '%YAML 1.1\n---\nnodes:\n  n1: { id: 1 }\n'],
    ['two nodes of one name', 'nodes:\n  n1: { id: 1 }\n  n1: { id: 2 }\n'],
    ['lines that go on', 'nodes:\n  n1: { id: 1 }\n    more: x\n'],
    ['a map in a map', 'nodes:\n  n1: { id: 1, relay_port: { circuit: x } }\n'],
  ])('%s are left to YAML', (_what, text) => {
    expect(readNodeLines(text)).toBeUndefined();
  });

  it('are not taken out of a text in quotes', () => {
    const text = `${head}options: { 252: "x\nnodes:\n  n1: { id: 1, mac: '52:54:00:00:00:01', ip: 10.11.1.1 }\n" }\n`;
    let nodes = -1;
    try {
      nodes = parseFarm(text, '/f').nodes.length;
    } catch {
      nodes = 0;
    }
    expect(nodes).toBe(0);
  });
});
