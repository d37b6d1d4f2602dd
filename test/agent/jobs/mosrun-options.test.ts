// What mosrun and its wrappers are told.
import { describe, expect, test } from 'vitest';
import { type JobOptions, type Place, parseMosrun } from '../../../src/agent/jobs/mosrun-options.ts';

const nothing: JobOptions = { locked: false, allowed: undefined, hint: undefined, decay: undefined, checkpoint: undefined };
const here: Place = { kind: 'here' };
const on = (...nodes: number[]): Place => ({ kind: 'one', nodes });

describe('mosrun', () => {
  test.each<[string, string, Place, Partial<JobOptions>]>([
    ['mosrun', '', here, {}],
    ['mosrun', '-h', here, { locked: true }],
    ['mosrun', '-h -l', here, {}],
    ['mosrun', '-5', on(5), { locked: true }],
    ['mosrun', '-5 -l', on(5), {}],
    ['mosrun', '-j 1-3,7', on(1, 2, 3, 7), { locked: true, allowed: [1, 2, 3, 7] }],
    ['mosrun', '-lj2-3', { kind: 'here' }, {}],
    ['mosrun', '-j2,2', on(2), { locked: true }],
    ['mosrun', '-b', { kind: 'best' }, {}],
    ['mosrun', '-L', here, { locked: true }],
    ['mosrun', '-k', here, {}],
    ['mosrun', '-c', here, { hint: 'cpu' }],
    ['mosrun', '-i', here, { hint: 'io' }],
    ['mosrun', '-Lc', here, { locked: true, hint: 'cpu' }],
    ['mosrun', '-n', here, { decay: { keep: 1000, interval: undefined } }],
    ['mosrun', '-s', here, { decay: { keep: 975, interval: undefined } }],
    ['mosrun', '-f', here, { decay: { keep: 926, interval: undefined } }],
    ['mosrun', '-t 5 -d 900', here, { decay: { keep: 900, interval: 5 } }],
    ['mosrun', '-A 10', here, { checkpoint: 10 }],
    ['mosrun', '-A10 --', here, { checkpoint: 10 }],
    ['nomig', '', here, { locked: true }],
    ['runhome', '', here, { locked: true }],
    ['runon', '4', on(4), { locked: true }],
    ['cpujob', '', here, { hint: 'cpu' }],
    ['iojob', '-3', on(3), { hint: 'io' }],
    ['nodecay', '', here, { decay: { keep: 1000, interval: undefined } }],
    ['slowdecay', '', here, { decay: { keep: 975, interval: undefined } }],
    ['fastdecay', '', here, { decay: { keep: 926, interval: undefined } }],
  ])('%s %s', (name, text, place, options) => {
    if (text === '-lj2-3') {
      // Letters with values stand alone.
      expect(() => parseMosrun(name, [text, 'a'])).toThrow('-j is no option');
      return;
    }
    const run = parseMosrun(name, [...text.split(' ').filter((word) => word !== ''), 'prog', '-x', 'y z']);
    expect(run).toMatchObject({ args: ['prog', '-x', 'y z'], name: undefined, place, force: false });
    expect(run.options).toEqual({ ...nothing, ...options });
  });

  test('-F is said of the place', () => {
    expect(parseMosrun('mosrun', ['-j1,2', '-F', 'a'])).toMatchObject({ place: on(1, 2), force: true, options: { locked: true, allowed: undefined } });
  });

  test('-z takes the name from after the program, as inetd gives it', () => {
    expect(parseMosrun('mosrun', ['-l', '-z', '/usr/sbin/tcpd', 'in.rshd', '-L'])).toMatchObject({ args: ['/usr/sbin/tcpd', '-L'], name: 'in.rshd' });
  });

  test.each([
    ['mosrun', [], 'name a program'],
    ['mosrun', ['-h'], 'name a program'],
    ['mosrun', ['-h', '-5', 'a'], 'say one place'],
    ['mosrun', ['-0', 'a'], 'no node'],
    ['mosrun', ['-j', '3-1', 'a'], 'goes down'],
    ['mosrun', ['-jx', 'a'], 'no list'],
    ['mosrun', ['-t', '0', 'a'], '-t wants'],
    ['mosrun', ['-d', '1001', 'a'], '-d wants'],
    ['mosrun', ['-A', 'soon', 'a'], '-A wants'],
    ['mosrun', ['-A'], '-A wants a value'],
    ['mosrun', ['-R', 'mine'], '-R wants the id of a job'],
    ['mosrun', ['-R', '1-2-3', 'a'], '-R stands alone'],
    ['mosrun', ['-2', '-R', '1-2-3'], '-R stands alone'],
    ['mosrun', ['-z', 'a'], '-z wants'],
    ['mosrun', ['-q', 'a'], '-q is no option'],
    ['runon', ['a'], 'no node'],
    ['runon', [], 'no node'],
  ])('%s %j is wrong, and the usage is told', (name, args, message) => {
    const run = () => parseMosrun(name, args);
    expect(run).toThrow(message);
    expect(run).toThrow(expect.objectContaining({ code: 'usage', hint: expect.stringContaining(`usage: ${name}`) }));
  });
});
