// What an agent does with the jobs that the one before it left behind: who is asked, and what becomes of the copy here.
import { describe, expect, test } from 'vitest';
import type { Adopted } from '../../../src/agent/jobs/adoption.ts';
import type { RunningJob } from '../../../src/agent/jobs/types.ts';
import { takeAdopted } from '../../../src/agent/moves/adopted.ts';
import { settle } from '../../support/virtual-timers.ts';

const id = '1-100-77';
const self = 1;
const target = 2;

type Answers = Readonly<Record<string, unknown>>;

/** A job given to node 2; `answers`: what that node and the home say, one after the other, by question. */
function givenJob(answers: Readonly<Record<string, readonly Answers[]>>) {
  const happened: string[] = [];
  const later: (() => void)[] = [];
  const turn = new Map<string, number>();
  const job = { spec: { id, home: self }, ended: new Promise(() => {}) } as unknown as RunningJob;
  const frozen = {
    ...{ images: Buffer.alloc(0), unread: Buffer.alloc(0), give: () => Promise.resolve() },
    thaw: () => Promise.resolve(void happened.push('thawed')),
    discard: () => Promise.resolve(void happened.push('discarded')),
  };
  const link = {
    self,
    call(_node: number, name: string) {
      const all = answers[name] ?? [];
      const at = turn.get(name) ?? 0;
      turn.set(name, at + 1);
      const answer = all[Math.min(at, all.length - 1)];
      return answer === undefined ? Promise.reject(new Error('nobody answers')) : Promise.resolve(answer);
    },
  };
  const found: readonly Adopted[] = [{ kind: 'given', to: target, job, frozen }];
  const adopted = takeAdopted(found, {
    ...{ self, link: link as never, runs: () => void happened.push('runs'), after: (_ms: number, act: () => void) => void later.push(act), log: () => {} },
  });
  return { happened, later, adopted };
}

describe('a job that was given away before its agent was killed', () => {
  test.each<[string, Readonly<Record<string, readonly Answers[]>>, readonly string[]]>([
    ['runs there: the copy here goes', { 'job.holds': [{ holds: 'runs' }] }, ['discarded']],
    ['never came there: it runs on', { 'job.holds': [{ holds: 'none' }], 'job.home': [{ known: true, where: self }] }, ['thawed', 'runs']],
    ['has not begun there, says its home: it runs on', { 'job.holds': [{ holds: 'none' }], 'job.home': [{ known: true, where: target }] }, ['thawed', 'runs']],
    ['went on to a third node: the copy here goes', { 'job.holds': [{ holds: 'none' }], 'job.home': [{ known: true, where: 3 }] }, ['discarded']],
    ['has ended there: the copy here goes', { 'job.holds': [{ holds: 'none' }], 'job.home': [{ known: false }] }, ['discarded']],
    ['stands there: nobody knows yet', { 'job.holds': [{ holds: 'stands' }] }, []],
    ['is at a node that is silent', {}, []],
    ['has a home that is silent', { 'job.holds': [{ holds: 'none' }] }, []],
  ])('%s', async (_name, answers, expected) => {
    const { happened, later, adopted } = givenJob(answers);
    const { holds } = await adopted;
    await settle();
    expect(happened).toEqual(expected);
    expect(holds(id)).toBe(expected.length === 0 ? 'given' : 'none');
    expect(later.length).toBe(expected.length === 0 ? 1 : 0);
  });

  test('is asked about until it is known', async () => {
    const { happened, later, adopted } = givenJob({ 'job.holds': [{ holds: 'stands' }, { holds: 'runs' }] });
    await adopted;
    await settle();
    later.shift()?.();
    await settle();
    expect(happened).toEqual(['discarded']);
  });
});
