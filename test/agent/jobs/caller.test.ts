// Who calls mosrun, from what the kernel says.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isForegroundStopped, isInFront, jobMounts, type ProcessTexts, readCaller, readLimits } from '../../../src/agent/jobs/caller.ts';

const stat = '77 (a) b ( c) S 70 77 77 34816 77 4194304 1 0 0 0 0 0 0 0 20 5 1 0 4242 9 9';
const status = (more: Record<string, string> = {}) => {
  const all = { Umask: '0027', Uid: '1000\t1000\t1000\t1000', Gid: '100\t100\t100\t100', Groups: '4 27 ', CapEff: '0', NoNewPrivs: '0', Seccomp: '0', ...more };
  return Object.entries(all)
    .map(([name, value]) => `${name}:\t${value}\n`)
    .join('');
};
const texts = (more: Partial<ProcessTexts> = {}): ProcessTexts => ({
  ...{ status: status(), stat, limits: 'Max open files            1024                 unlimited            files     \n', cwd: '/home/ann' },
  ...{ cmdline: '/bin/sh\0/usr/bin/mosrun\0-h\0prog\0\0a b\0', environ: 'A=1\0B=x=y\0odd\0', namespaces: ['mnt:[1]', 'user:[2]'] },
  ...more,
});
const own = { status: status({ CapEff: 'ff' }), namespaces: ['mnt:[1]', 'user:[2]'] };

describe('a caller', () => {
  test('is who the kernel says', () => {
    expect(readCaller(77, texts(), own)).toEqual({
      ...{ pid: 77, start: 4242, name: 'mosrun', args: ['-h', 'prog', '', 'a b'], uid: 1000, gid: 100, groups: [4, 27], umask: 0o27, niceness: 5 },
      ...{ limits: [{ resource: 'nofile', soft: 1024, hard: undefined }], environment: ['A=1', 'B=x=y'], directory: '/home/ann' },
    });
  });

  test.each<[string, Partial<ProcessTexts>]>([
    ['is another program', { cmdline: '/bin/sh\0/tmp/evil\0' }],
    ['is two users', { status: status({ Uid: '1000 0 0 0' }) }],
    ['is in a container', { namespaces: ['mnt:[9]', 'user:[2]'] }],
    ['is in a sandbox', { status: status({ Seccomp: '2' }) }],
    ['may not gain rights', { status: status({ NoNewPrivs: '1' }) }],
    ['is root with less than root’s rights', { status: status({ Uid: '0 0 0 0', Gid: '0 0 0 0' }) }],
    ['is gone', { stat: '' }],
  ])('that %s starts no job', (_name, more) => {
    expect(() => readCaller(77, texts(more), own)).toThrow(expect.objectContaining({ code: 'job.caller' }));
  });

  test('has the limits of this very process', () => {
    const found = readLimits(readFileSync('/proc/self/limits', 'utf8'));
    expect(found.map(({ resource }) => resource)).toEqual(expect.arrayContaining(['nofile', 'stack', 'core', 'as', 'rttime']));
    expect(found.length).toBe(16);
  });
});

describe('a terminal', () => {
  const line = (state: string, group: number, front: number) => `5 (x) ${state} 1 ${group} 1 34816 ${front} 0`;
  test.each([
    ['the foreground stands', [line('S', 1, 2), line('T', 2, 2)], true],
    ['one of it runs', [line('T', 2, 2), line('S', 2, 2)], false],
    ['a shell has taken the terminal back', [line('S', 1, 1), line('T', 2, 1)], false],
    ['nobody has it', [], false],
  ])('%s', (_name, stats, stopped) => expect(isForegroundStopped(stats)).toBe(stopped));

  test('is read only from the foreground', () => {
    expect(isInFront(line('S', 3, 3))).toBe(true);
    expect(isInFront(line('S', 3, 4))).toBe(false);
  });
});

test('a job sees the mounts of its home that are no kernel’s and not the node’s own, parents first', () => {
  const line = (path: string, kind: string) => `30 1 0:26 / ${path} rw,relatime shared:1 - ${kind} none rw`;
  const all = [
    ...[line('/', 'nfs'), line('/proc', 'proc'), line('/home/a\\040b', 'nfs'), line('/dev/shm', 'tmpfs'), line('/hpc', 'nfs'), line('/home', 'nfs')],
    ...[line('/tmp', 'tmpfs'), line('/sys/fs/cgroup', 'cgroup2'), line('/tmp', 'tmpfs'), ''],
  ];
  expect(jobMounts(all.join('\n'), ['/hpc'])).toEqual(['/home', '/tmp', '/home/a b']);
});
