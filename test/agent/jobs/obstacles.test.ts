// Why a job cannot move, from what /proc said on a Debian 13 node.
import { describe, expect, it } from 'vitest';
import { localMounts, mappedFiles } from '../../../src/agent/jobs/look.ts';
import { type JobFacts, obstaclesOf, type ProcessFacts } from '../../../src/agent/jobs/obstacles.ts';
import { parseInetSockets, parseInodes, parseUnixSockets } from '../../../src/agent/jobs/sockets.ts';

const quiet: ProcessFacts = {
  pid: 42,
  name: 'prog',
  policy: 0,
  locked: 0,
  lockLimit: 8192,
  tracer: 0,
  files: [],
  maps: ['/usr/bin/prog', '/dev/shm/x'],
  namespaces: ['net:[1]', 'pid:[2]'],
};

function codes(change: Partial<ProcessFacts>, job: Partial<JobFacts> = {}): readonly string[] {
  const sockets = new Map([
    ['1', { kind: 'tcp', words: '10.11.0.11:22 to 10.11.0.1:4711', peer: undefined }],
    ['2', { kind: 'unix', words: '', peer: '3' }],
    ['3', { kind: 'unix', words: '', peer: '2' }],
    ['4', { kind: 'unix', words: '/run/dbus', peer: '99' }],
    ['5', { kind: 'netlink', words: '', peer: undefined }],
    ['6', { kind: 'packet', words: '', peer: undefined }],
  ] as const);
  const all = obstaclesOf({ processes: [{ ...quiet, ...change }], sockets, localMounts: new Map([[7, '/tmp']]), namespaces: quiet.namespaces, ...job });
  for (const { message, remedy } of all) expect([message.length, remedy.length].every((length) => length > 10)).toBe(true);
  return all.map(({ code }) => code);
}

const files = (...paths: readonly string[]) => ({ files: paths.map((path) => ({ path, mount: 1 })) });

describe('a job moves', () => {
  it.each([
    [
      'with files, pipes and the devices of every job',
      files('/home/a', 'pipe:[5]', '/dev/null', '/dev/tty', '/dev/pts/0', '/dev/pts/ptmx', '/dev/shm/a (deleted)'),
    ],
    ['with objects that criu saves', files('anon_inode:[eventpoll]', 'anon_inode:[signalfd]', 'anon_inode:inotify', 'anon_inode:[timerfd]')],
    ['with a socket pair of its own', files('socket:[2]', 'socket:[3]')],
    ['with a netlink socket, and one that is gone already', files('socket:[5]', 'socket:[77]')],
    ['with memory locked within its limit', { locked: 4096 }],
    ['with memory locked by one who may', { locked: 1e9, lockLimit: undefined }],
  ] as const)('%s', (_words, change) => {
    expect(codes(change)).toEqual([]);
  });
});

describe('a job does not move', () => {
  it.each([
    ['with a TCP connection', files('socket:[1]'), ['socket']],
    ['with half a socket pair', files('socket:[2]'), ['socket']],
    ['with a connection to a daemon', files('socket:[4]'), ['socket']],
    ['with a packet socket', files('socket:[6]'), ['socket']],
    ['with a device', files('/dev/fuse'), ['device']],
    ['with a device mapped', { maps: ['/dev/dri/card0'] }, ['device']],
    ['with what only the kernel knows', files('anon_inode:[io_uring]', 'anon_inode:[perf_event]'), ['kernel-object', 'kernel-object']],
    ['in real time', { policy: 1 }, ['realtime']],
    ['with a deadline', { policy: 6 }, ['realtime']],
    ['with too much memory locked', { locked: 16384 }, ['mlock']],
    ['while it is debugged', { tracer: 9 }, ['traced']],
    ['with namespaces of its own', { namespaces: ['net:[9]', 'pid:[2]'] }, ['namespace']],
    ['with a file that was removed, on NFS', files('/var/tmp/.nfs000000008000002b00000002'), ['removed-file']],
    ['with one mapped', { maps: ['/var/tmp/.nfs000000008000002b00000002'] }, ['removed-file']],
    ['with a file that only this node sees', { files: [{ path: '/tmp/x', mount: 7 }] }, ['local-file']],
    ['for several reasons, all of which it tells', { policy: 2, ...files('/dev/fuse', 'socket:[1]') }, ['realtime', 'device', 'socket']],
  ] as const)('%s', (_words, change, expected) => {
    expect(codes(change)).toEqual(expected);
  });

  it('tells each reason once', () => {
    expect(codes(files('/dev/fuse', '/dev/fuse'))).toEqual(['device']);
  });
});

describe('what /proc says', () => {
  it('of sockets', () => {
    const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1267 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8120 1 0 100 0 0 10 0
   1: 0B000B0A:0016 01000B0A:1267 01 00000000:00000000 02:0000A 00000000     0        0 8121 2 0 20 4 30 10 -1
`;
    expect([...parseInetSockets(tcp, 'tcp')].map(([inode, { words }]) => [inode, words])).toEqual([
      ['8120', 'listens at 127.0.0.1:4711'],
      ['8121', '10.11.0.11:22 to 10.11.0.1:4711'],
    ]);
    const six = 'sl\n 0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 91 1\n';
    expect(parseInetSockets(six, 'tcp').get('91')?.words).toBe('listens at [0:0:0:0:0:0:0:1]:80');
    expect([...parseInodes('sk RefCnt Type Proto Iface R Rmem User Inode\nffff 3 3 0003 2 1 0 0 7766\n', 'packet', 8).keys()]).toEqual(['7766']);
    const unix = 'u_str ESTAB 0 0 * 12345 * 12346\nu_dgr UNCONN 0 0 /run/log 20 * 0\n';
    expect([...parseUnixSockets(unix)]).toEqual([
      ['12345', { kind: 'unix', words: '', peer: '12346' }],
      ['20', { kind: 'unix', words: '/run/log', peer: undefined }],
    ]);
  });

  it('of maps and mounts', () => {
    const maps = '55d0-55d1 r--p 00000000 00:1a 77   /usr/bin/my prog\n7f00-7f01 rw-p 00000000 00:00 0\n7ffd-7ffe rw-p 0 00:00 0   [stack]\n';
    expect(mappedFiles(maps)).toEqual(['/usr/bin/my prog']);
    const mountinfo = '40 1 0:30 / / rw - nfs x rw\n41 40 0:31 / /tmp rw - tmpfs tmpfs rw\n42 40 0:32 / /proc rw - proc proc rw\n';
    expect([...localMounts(mountinfo, ['/tmp'], (mount) => mount !== '/tmp')]).toEqual([[41, '/tmp']]);
    expect([...localMounts(mountinfo, ['/tmp'], () => false)]).toEqual([
      [40, '/'],
      [41, '/tmp'],
    ]);
  });
});
