// The agent's report: what is taken, what is refused by name of its field, and that it stays small in a large cluster.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { newTable } from '../../src/cluster/members.ts';
import { type AgentReport, isSpeaker, parseAgentReport, reportBytesMax, reportMembers, reportSeen, seenMax } from '../../src/cluster/report.ts';
import { step } from '../../src/cluster/rounds.ts';
import { facts, measures } from './facts.ts';
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
  seen: [
    { id: 1, state: 'alive', age: 0.1, facts },
    { id: 2, state: 'alive', age: 3, facts: { ...facts, flags: { ...facts.flags, quiet: true }, measures: undefined } },
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
    ['report.seen', { ...report, seen: undefined }],
    ['report.seen', { ...report, seen: Array.from({ length: seenMax + 1 }, () => report.seen[0]) }],
    ['report.seen', { ...report, seen: [{ ...report.seen[0], state: 'asleep' }] }],
    ['report.seen', { ...report, seen: [{ ...report.seen[0], age: -1 }] }],
    ['report.seen', { ...report, seen: [{ ...report.seen[0], facts: { ...facts, speed: 0 } }] }],
    ['report.seen', { ...report, seen: [{ ...report.seen[0], facts: { ...facts, measures: { ...measures, utilization: 2 } } }] }],
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

describe('of 2,000 members', () => {
  const ids = Array.from({ length: 2000 }, (_, i) => i + 1);
  const table = newTable('farm', 1, ids, 1, facts, 1000, 0);
  const say = (sender: number, kind: 'ack' | 'leave') => {
    const entries = [{ id: sender, incarnation: 1, refutation: 0, beat: 1, age: 0, facts }];
    const gossip = { kind, cluster: 'farm', sender, recipient: 1, incarnation: 1, echo: 1, sequence: 1, subject: sender, claims: [], entries };
    step(table, { kind: 'heard', gossip, from: sender }, 0, () => 0.5);
  };
  for (const id of ids.slice(1, 1001)) say(id, 'ack');
  say(2000, 'leave');

  test('a report counts all, and names those in trouble first', () => {
    const { counts, members } = reportMembers(table, 1234);
    expect(counts).toEqual({ unknown: 998, alive: 1000, suspect: 0, dead: 0, left: 1 });
    expect(members).toHaveLength(64);
    expect(members.slice(0, 2)).toEqual([
      { id: 2000, state: 'left', age: 1.2 },
      { id: 2, state: 'alive', age: 1.2 },
    ]);
  });

  test('the speaker tells all that it knows of all, so many in a report, which stays below the limit', () => {
    expect(isSpeaker(table)).toBe(true);
    const told = new Set<number>();
    let after = 0;
    for (let i = 0; i < Math.ceil(1001 / (seenMax - 1)); i += 1) {
      const seen = reportSeen(table, after, 1234);
      expect(seen[0]?.id).toBe(1);
      for (const { id } of seen) told.add(id);
      after = seen.at(-1)?.id ?? 0;
      const whole = { ...report, ...reportMembers(table, 1234), seen };
      expect(JSON.stringify(whole).length).toBeLessThan(reportBytesMax);
      expect(parseAgentReport(JSON.parse(JSON.stringify(whole)))).toEqual(whole);
    }
    expect(told.size).toBe(1002);
  });

  test('another node tells of itself only', () => {
    const other = newTable('farm', 9, ids, 1, facts, 1000, 0);
    const entries = [{ id: 4, incarnation: 1, refutation: 0, beat: 1, age: 0, facts }];
    const gossip = { kind: 'ack', cluster: 'farm', sender: 4, recipient: 9, incarnation: 1, echo: 1, sequence: 1, subject: 4, claims: [], entries } as const;
    step(other, { kind: 'heard', gossip, from: 4 }, 0, () => 0.5);
    expect(isSpeaker(other)).toBe(false);
    expect(reportSeen(other, 0, 100)).toEqual([{ id: 9, state: 'alive', age: 0.1, facts }]);
  });
});
