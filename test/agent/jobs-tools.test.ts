// The files and tools of jobs: where one is, why it stays, and how it is sent away.
import { describe, expect, test } from 'vitest';
import { hpcTree } from '../../src/agent/hpc/tree.ts';
import { migrate } from '../../src/agent/tools/migrate.ts';
import { mosctl } from '../../src/agent/tools/mosctl.ts';
import { table } from '../../src/agent/tools/mps.ts';
import { explained, why } from '../../src/agent/tools/why.ts';
import { LiveTree } from '../../src/tree/memory.ts';
import { hpcJob } from '../support/hpc-cluster.ts';
import { toolWorld } from '../support/hpc-tools.ts';

const self = { id: 1, flags: { stay: false, lstay: false, block: false, quiet: false, nomfs: false, expel: false } };
const name = (id: number) => `n${id}`;
const socket = { code: 'socket', message: 'it has a connection to 10.0.0.9:80', remedy: 'it can move when the connection is closed' };

describe('why', () => {
  test.each([
    [
      'a job that nothing holds',
      hpcJob(7),
      ['job 7 (awk) runs at home, where it began', 'nothing holds it', 'the balancer of node 1: no move would make the cluster faster'],
    ],
    [
      'a guest elsewhere with a connection',
      hpcJob(7, { node: 2, atHome: false, moves: 3, obstacles: [socket], thinks: '' }),
      ['job 7 (awk) runs on node 2 (n2), after 3 moves', 'it cannot move: it has a connection to 10.0.0.9:80', '  it can move when the connection is closed'],
    ],
    [
      'a locked one that is on its way',
      hpcJob(7, { locked: true, goingTo: 3, moves: 1, thinks: '' }),
      [
        'job 7 (awk) runs at home, after 1 move',
        'it is on its way to node 3 (n3)',
        'it is locked: the balancer leaves it where it is',
        '  echo 0 > /hpc/jobs/7/lock',
      ],
    ],
    [
      'one that has just failed',
      hpcJob(7, { holds: ['its last move failed (criu: dump); tried again in 4 s'], asked: 'failed: criu: dump', thinks: '' }),
      [
        'job 7 (awk) runs at home, where it began',
        'it stays for now: its last move failed (criu: dump); tried again in 4 s',
        'the last request came to nothing: criu: dump',
      ],
    ],
  ])('of %s', (_what, job, lines) => {
    expect(explained(job, self, name)).toEqual(lines);
  });

  test('names the flag that keeps all jobs here', () => {
    expect(explained(hpcJob(7), { ...self, flags: { ...self.flags, stay: true } }, name)).toContain('  mosctl nostay');
    expect(explained(hpcJob(7), { ...self, flags: { ...self.flags, lstay: true } }, name)).toContain('  mosctl nolstay');
  });

  test('of a process that is no job says so, and of no process fails', async () => {
    const world = toolWorld();
    expect(await world.run(why, String(process.pid))).toMatchObject({ status: 1, out: expect.stringContaining('was not started with mosrun') });
    expect((await world.run(why, '4194304')).status).toBe(2);
  });
});

describe('migrate', () => {
  test('writes where the job is to go, and waits until it is there', async () => {
    const world = toolWorld();
    world.cluster.jobList = [hpcJob(7, { asked: 'done', node: 2, atHome: false })];
    expect((await world.run(migrate, '7', '2')).status).toBe(0);
    expect((await world.run(migrate, '7', 'home')).status).toBe(0);
    expect((await world.run(migrate, '7', 'balance')).status).toBe(0);
    expect(world.cluster.asked).toEqual(['send 7 2', 'send 7 0', 'send 7 -1']);
  });

  test('says why it did not go', async () => {
    const world = toolWorld();
    world.cluster.jobList = [hpcJob(7, { asked: 'failed: node 2 takes no guests (mosctl block)' })];
    expect(await world.run(migrate, '7', '2')).toMatchObject({
      status: 2,
      complaint: 'job 7 stays on node 1: node 2 takes no guests (mosctl block)\n  why 7\n',
    });
  });

  test('sends a guest of another home by its pid here', async () => {
    const world = toolWorld();
    world.cluster.guestList = [{ pid: 812, home: 2, deputy: 99, uid: 1000, gid: 1000, command: 'awk', memory: 8192, used: 1500, moves: 2 }];
    expect((await world.run(migrate, '812', 'home')).status).toBe(0);
    expect(world.cluster.asked).toEqual(['send guest 812 0']);
  });

  test('does not pretend that any process can move', async () => {
    expect(await toolWorld().run(migrate, String(process.pid), '2')).toMatchObject({
      status: 2,
      complaint: expect.stringContaining('it was not started with mosrun'),
    });
  });
});

describe('the files of a job', () => {
  const world = toolWorld();
  world.cluster.jobList = [hpcJob(7, { node: 3, atHome: false, moves: 2, obstacles: [socket] })];
  world.cluster.guestList = [{ pid: 812, home: 2, deputy: 99, uid: 1000, gid: 100, command: 'awk', memory: 8193, used: 1500, moves: 2 }];
  let now = 0;
  const tree = new LiveTree(
    hpcTree(world.cluster, () => {}, { now: () => now }),
    1,
    { now: () => now },
  );
  const find = (path: string) => path.split('/').reduce((at, part) => tree.lookup(at, part), tree.root);
  const read = (path: string): string => {
    now += 2000;
    const bytes = Buffer.alloc(tree.attributes(find(path)).size);
    return bytes.toString('utf8', 0, tree.read(find(path), 0, bytes));
  };

  test.each([
    ['jobs/7/where', '3\n'],
    ['jobs/7/nmigs', '2\n'],
    ['jobs/7/lock', '0\n'],
    ['jobs/7/cantmove', 'it has a connection to 10.0.0.9:80\n'],
    ['remote/812/from', '2\n'],
    ['remote/812/identity', 'pid=99 uid=1000 gid=100 comm=awk\n'],
    ['remote/812/statm', '3\n'],
    ['remote/812/stats', 'utime=150 nmigs=2\n'],
  ])('%s reads %j', (path, text) => {
    expect(read(path)).toBe(text);
  });

  test('belong to the owner of the job, so that nobody else but root may write them', () => {
    for (const file of ['goto', 'migrate', 'lock']) expect(tree.attributes(find(`jobs/7/${file}`))).toMatchObject({ uid: 1000, mode: 0o644 });
    expect(tree.attributes(find('jobs/7/where'))).toMatchObject({ uid: 0, mode: 0o444 });
    expect(tree.attributes(find('remote/812/migrate'))).toMatchObject({ uid: 0, mode: 0o644 });
  });

  test('are gone with it', () => {
    world.cluster.jobList = [];
    expect(() => find('jobs/7')).toThrow(expect.objectContaining({ code: 'NOENT' }));
  });
});

describe('mps', () => {
  test('shows where jobs are, how often they moved and what holds them', () => {
    const ps = '    PID TTY      STAT     TIME COMMAND\n      7 pts/0    S    00:00:00 mosrun awk\n';
    const job = hpcJob(7, { node: 3, atHome: false, moves: 2, obstacles: [socket], locked: true });
    expect(table(ps, () => ({ node: 3, job }), '--ominfo').split('\n')[1]).toBe('      7    3     2 1    socket   mosrun awk');
  });
});

describe('mosctl bring', () => {
  test('waits until the last job is home', async () => {
    const world = toolWorld();
    world.cluster.jobList = [hpcJob(7, { node: 3, atHome: false })];
    let left = 12; // one comes each time that somebody looks
    let asked = false;
    const bring = () => {
      asked = true;
    };
    Object.assign(world.cluster, { bring, abroad: () => (asked && left > 0 ? --left : left) });
    world.patience = 20;
    expect(await world.run(mosctl, 'bring')).toMatchObject({ status: 0, out: expect.stringMatching(/^\d+ jobs are abroad\n/) });
    expect(left).toBe(0);
  });
});
