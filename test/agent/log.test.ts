// The agent's log lines, for a terminal and for the journal.
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { openAgentLog } from '../../src/agent/log.ts';

test.each([
  [false, 'map.refused reason="a b" id=3\nmember.alive\n'],
  [true, '<4>map.refused reason="a b" id=3\n<6>member.alive\n'],
])('a fact is a line; the journal (%j) gets its priority first', (prefixed, expected) => {
  const out = new PassThrough().setEncoding('utf8');
  const log = openAgentLog(out, prefixed);
  log('warn', 'map.refused', { reason: 'a b', id: 3, line: undefined });
  log('debug', 'noise');
  log('info', 'member.alive');
  expect(out.read()).toBe(expected);
});
