// mosmon's screens: goldens in test/golden/mosmon.txt, what keys do, and that no size and no cluster breaks the screen.
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keysOf } from '../../src/base/full-screen.ts';
import { firstView, type MonitorNode, type MonitorView, press, screen } from '../../src/cluster/monitor.ts';
import { fourNodes, hpcNode } from '../support/hpc-cluster.ts';

const goldenPath = new URL('../golden/mosmon.txt', import.meta.url);
const paper = { columns: 80, rows: 24 };

/** `count` nodes with loads that differ, every seventh of them down. */
function many(count: number): MonitorNode[] {
  return Array.from({ length: count }, (_, index) => hpcNode(index + 1, { load: (index * 37) % 400, status: index % 7 === 6 ? 'down' : 'up' }));
}

const screens: readonly (readonly [string, readonly MonitorNode[], Partial<MonitorView>, { columns: number; rows: number }])[] = [
  ['load of four nodes, one of them down', fourNodes(), {}, paper],
  ['with the dead and the totals', fourNodes(), { dead: true, totals: true }, paper],
  ['logarithmic', fourNodes(), { metric: 'log' }, paper],
  ['speed', fourNodes(), { metric: 'speed' }, paper],
  ['memory', fourNodes(), { metric: 'memory' }, paper],
  ['raw memory', fourNodes(), { metric: 'raw' }, paper],
  ['utilizability', fourNodes(), { metric: 'util' }, paper],
  ['thirty nodes: the numbers stand upright', many(30), {}, paper],
  ['a hundred nodes: tight, and as many as fit', many(100), { totals: true }, paper],
  ['from node 60 on', many(100), { from: 60 }, paper],
  ['wide, whatever fits', many(30), { layout: 'wide' }, paper],
  ['a small terminal', fourNodes(), { totals: true }, { columns: 40, rows: 10 }],
  ['a terminal that is too small', fourNodes(), {}, { columns: 19, rows: 24 }],
  ['nobody', [], { totals: true }, { columns: 40, rows: 10 }],
  ['help', [], { help: true }, paper],
];

describe('the screen', () => {
  test('is as test/golden/mosmon.txt has it', () => {
    const text = screens
      .map(
        ([title, nodes, view, size]) =>
          `== ${title} ==\n${screen(nodes, { ...firstView, ...view }, size)
            .join('\n')
            .trimEnd()}\n`,
      )
      .join('\n');
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(goldenPath, text);
    expect(text).toBe(readFileSync(goldenPath, 'utf8'));
  });

  const metric = fc.constantFrom('load', 'log', 'speed', 'memory', 'raw', 'util');
  const layout = fc.constantFrom('wide', 'vertical', 'tight', 'auto');
  const node = fc.record({
    id: fc.integer({ min: 1, max: 65_535 }),
    status: fc.constantFrom('up', 'suspect', 'down', 'left', 'unknown'),
    load: fc.oneof(fc.nat(1000), fc.double({ min: 0, max: 1e12, noNaN: true })),
    speed: fc.nat(10_000_000),
    cpus: fc.integer({ min: 1, max: 4096 }),
    memory: fc.record({ total: fc.nat(2 ** 31), free: fc.nat(2 ** 31), usable: fc.nat(2 ** 31) }),
    pressure: fc.record({ memory: fc.double({ min: 0, max: 100, noNaN: true }) }),
  });

  test('has exactly its rows, none too long, and printable characters only, for every cluster, view and size', () => {
    const view = fc.record({ metric, layout, dead: fc.boolean(), totals: fc.boolean(), help: fc.boolean(), from: fc.nat(70_000) });
    const size = fc.record({ columns: fc.integer({ min: 1, max: 300 }), rows: fc.integer({ min: 1, max: 100 }) });
    fc.assert(
      fc.property(fc.array(node, { maxLength: 300 }), view, size, (nodes, wanted, { columns, rows }) => {
        const lines = screen(nodes as MonitorNode[], wanted as MonitorView, { columns, rows });
        expect(lines).toHaveLength(rows);
        for (const line of lines) expect(line).toMatch(new RegExp(`^[ -~]{0,${columns}}$`));
      }),
      { numRuns: 300 },
    );
  });

  test('has a taller bar for more load', () => {
    const heights = (loads: readonly number[]) => {
      const lines = screen(
        loads.map((load, index) => hpcNode(index + 1, { load })),
        { ...firstView, layout: 'tight' },
        paper,
      );
      return loads.map((_, index) => lines.filter((line) => line[9 + index] === '#').length);
    };
    expect(heights([0, 100, 200, 400])).toEqual([0, 5, 11, 21]);
  });
});

describe('keys', () => {
  const typing = (keys: string, view: MonitorView = firstView, nodes: readonly MonitorNode[] = many(30)): MonitorView | 'quit' => {
    let now = view;
    let typed: string | undefined;
    for (const key of keysOf(keys)) {
      const pressed = press(now, typed, key, nodes);
      if (pressed === 'quit') return 'quit';
      if (pressed !== undefined) ({ view: now, typed } = { typed: undefined, ...pressed });
    }
    return now;
  };

  test.each([
    ['s', { metric: 'speed' }],
    ['m', { metric: 'memory' }],
    ['r', { metric: 'raw' }],
    ['u', { metric: 'util' }],
    ['L', { metric: 'log' }],
    ['sl', { metric: 'load' }],
    ['w', { layout: 'wide' }],
    ['v', { layout: 'vertical' }],
    ['V', { layout: 'tight' }],
    ['wa', { layout: 'auto' }],
    ['d', { dead: true }],
    ['dd', { dead: false }],
    ['t', { totals: true }],
    ['h', { help: true }],
    ['hH', { help: false }],
    ['+12\r', { from: 12 }],
    ['+19\u007f2\r', { from: 12 }],
    ['+12', { from: 0 }],
    ['\u001b[C', { from: 2 }],
    ['\u001bOC\u001b[B', { from: 3 }],
    ['\u001b[C\u001b[D\u001b[D', { from: 1 }],
    ['\u001b[6~', { from: 24 }],
    ['\u001b[6~\u001b[6~', { from: 30 }],
    ['\u001b[6~\u001b[5~', { from: 1 }],
    ['x\u001b[1;5P', {}],
  ])('%j', (keys, change) => {
    expect(typing(keys)).toEqual({ ...firstView, ...change });
  });

  test.each(['q', '\u0003', 'mq'])('%j ends it', (keys) => {
    expect(typing(keys)).toBe('quit');
  });

  test('scrolling in an empty cluster goes nowhere', () => {
    expect(typing('\u001b[C', firstView, [])).toEqual(firstView);
  });
});
