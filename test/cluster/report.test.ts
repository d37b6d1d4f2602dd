// The agent's report: what is taken, what is refused by name of its field, and that it stays small in a large cluster.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { newTable, step } from '../../src/cluster/members.ts';
import { type AgentReport, parseAgentReport, reportBytesMax, reportMembers } from '../../src/cluster/report.ts';
import { untilFuzzed } from './fuzz.ts';

const report: AgentReport = {
  name: 'n1.farm',
  id: 1,
  incarnation: 1_700_000_000_000,
  stage: 'up',
  system: 'degraded',
  uptime: 12.34,
  load: 0.25,
  cpus: 4,
  memory: { total: 2 ** 31, available: 2 ** 30 },
  counts: { unknown: 1, alive: 1, suspect: 0, dead: 0, left: 0 },
  members: [
    { id: 2, state: 'alive', age: 0.4 },
    { id: 3, state: 'unknown' },
  ],
  version: '0.1.0',
};

function codeOf(json: unknown): string {
  try {
    parseAgentReport(json);
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'taken';
}

test('a report comes back as it was sent, without fields that are none of its own', () => {
  expect(parseAgentReport(JSON.parse(JSON.stringify({ ...report, colour: 'red', constructor: 1 })))).toEqual(report);
});

describe('a report is refused', () => {
  test.each<[string, unknown]>([
    ['report.body', undefined],
    ['report.body', null],
    ['report.body', 'up'],
    ['report.body', []],
    ['report.name', { ...report, name: undefined }],
    ['report.name', { ...report, name: '' }],
    ['report.name', { ...report, name: '<script>' }],
    ['report.name', { ...report, name: 'n'.repeat(254) }],
    ['report.id', { ...report, id: 0 }],
    ['report.id', { ...report, id: 65536 }],
    ['report.id', { ...report, id: 1.5 }],
    ['report.id', { ...report, id: '1' }],
    ['report.incarnation', { ...report, incarnation: 2 ** 60 }],
    ['report.stage', { ...report, stage: 'root' }],
    ['report.system', { ...report, system: 'a b' }],
    ['report.uptime', { ...report, uptime: -1 }],
    ['report.load', { ...report, load: Number.NaN }],
    ['report.cpus', { ...report, cpus: 0 }],
    ['report.memory', { ...report, memory: 5 }],
    ['report.memory', { ...report, memory: { total: 1, available: 2 } }],
    ['report.counts', { ...report, counts: { alive: 1 } }],
    ['report.members', { ...report, members: {} }],
    ['report.members', { ...report, members: Array.from({ length: 65 }, () => report.members[0]) }],
    ['report.members', { ...report, members: [{ id: 2, state: 'asleep' }] }],
    ['report.members', { ...report, members: [{ id: 2, state: 'alive', age: -1 }] }],
    ['report.version', { ...report, version: 1 }],
  ])('as %s: %j', (code, json) => {
    expect(codeOf(json)).toBe(code);
  });

  test('with a WireError, whatever JSON it is', () => {
    const field = fc.constantFrom(...Object.keys(report));
    const mangled = fc.tuple(field, fc.jsonValue()).map(([name, value]) => ({ ...report, [name]: value }));
    untilFuzzed(fc.oneof(fc.jsonValue(), mangled), (json) => {
      expect(codeOf(json)).toMatch(/^(taken|report\.\w+)$/);
    });
  });
});

test('of 2,000 members a report counts all, names those in trouble first, and stays small', () => {
  const ids = Array.from({ length: 2000 }, (_, i) => i + 1);
  let table = newTable('farm', 1, ids, 1, 1000, 0);
  const say = (sender: number, kind: 'announce' | 'leave') => {
    const sample = { load: 0, cpus: 1, memory: { total: 1, available: 1 } };
    const announcement = { kind, cluster: 'farm', sender, recipient: 1, incarnation: 1, sequence: 1, sample, heard: [] };
    table = step(table, { kind: 'heard', announcement, from: sender }, 0).table;
  };
  for (const id of ids.slice(1, 101)) say(id, 'announce');
  say(2000, 'leave');
  const { counts, members } = reportMembers(table, 1234);
  expect(counts).toEqual({ unknown: 1898, alive: 100, suspect: 0, dead: 0, left: 1 });
  expect(members).toHaveLength(64);
  expect(members.slice(0, 2)).toEqual([
    { id: 2000, state: 'left', age: 1.2 },
    { id: 2, state: 'alive', age: 1.2 },
  ]);
  const whole = { ...report, counts, members };
  expect(JSON.stringify(whole).length).toBeLessThan(reportBytesMax);
  expect(parseAgentReport(whole)).toEqual(whole);
});
