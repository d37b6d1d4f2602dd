// What `farm status --watch` says where it cannot redraw, and what it draws where it can.
import { describe, expect, it } from 'vitest';
import { screenLines } from '../../src/cli/status-watch.ts';
import type { FarmStatus, NodeStatus } from '../../src/farm/status.ts';
import { changeText, statusChanges } from '../../src/farm/status-changes.ts';

const status = (nodes: Readonly<Record<string, readonly [NodeStatus['stage'], string?]>>, unknown: readonly string[] = []): FarmStatus => ({
  farm: 'lab',
  serving: true,
  nodes: Object.entries(nodes).map(([name, [stage, detail]], index) => ({
    name,
    id: index + 1,
    address: '10.11.0.10',
    stage,
    detail,
    lastSeen: Math.random(),
  })),
  unknown: unknown.map((mac) => ({ mac, lastSeen: 0 })),
});
const told = (before: FarmStatus | undefined, after: FarmStatus): readonly string[] => statusChanges(before, after).map(changeText);

describe('a look at the farm', () => {
  it.each([
    ['the first tells all', undefined, status({ n1: ['off'], n2: ['up', 'running'] }), ['n1  off', 'n2  up  running']],
    ['nothing new', status({ n1: ['up'] }), status({ n1: ['up'] }), []],
    ['another stage', status({ n1: ['kernel'] }), status({ n1: ['root'] }), ['n1  kernel -> root']],
    ['another detail', status({ n1: ['up', 'running'] }), status({ n1: ['up', 'degraded'] }), ['n1  up  degraded']],
    ['a new node, one that is gone', status({ n1: ['up'] }), status({ n2: ['off'] }), ['n2  off', 'n1  gone']],
    ['a stranger, once', status({}, ['02:00:00:00:00:01']), status({}, ['02:00:00:00:00:01', '02:00:00:00:00:02']), ['02:00:00:00:00:02  unknown']],
  ])('%s', (_name, before, after, lines) => {
    expect(told(before, after)).toEqual(lines);
  });
});

describe('the screen', () => {
  it('has as many lines as the terminal, no longer than it is wide', () => {
    expect(screenLines('abcdef\nb\n', 4, 3)).toEqual(['abcd', 'b', '']);
    expect(screenLines('a\nb\nc\nd\n', 40, 3)).toEqual(['a', 'b', '... 2 more lines; q ends']);
  });
});
