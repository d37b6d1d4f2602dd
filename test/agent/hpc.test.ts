// /hpc over NFS as any client sees it: what the files say, what writing them does, and what a client that caches may keep.
import { beforeEach, describe, expect, test } from 'vitest';
import { isNfsMount } from '../../src/agent/hpc/mount.ts';
import { hpcTree } from '../../src/agent/hpc/tree.ts';
import { LiveTree } from '../../src/tree/memory.ts';
import { HpcCluster } from '../support/hpc-cluster.ts';
import { nfsWorld } from '../support/nfs-world.ts';

const ok = 0;
const eacces = 13;
const einval = 22;
const stale = 70;

let now = 0;
let cluster: HpcCluster;
let tree: LiveTree;
let logged: unknown[];
let world: ReturnType<typeof nfsWorld>;

beforeEach(() => {
  now = 1_000_000;
  cluster = new HpcCluster();
  logged = [];
  const clock = { now: () => now };
  tree = new LiveTree(
    hpcTree(cluster, (level, event, fields) => void logged.push([level, event, fields]), clock),
    1,
    clock,
  );
  world = nfsWorld(tree);
});

async function handle(path: string): Promise<Buffer> {
  let at = world.root;
  for (const name of path.split('/').filter((each) => each !== '')) {
    const found = await world.client.lookup(at, name);
    expect([path, found.status]).toEqual([path, ok]);
    at = found.handle!;
  }
  return at;
}

/** As cat does: the size, then so many bytes. */
async function cat(path: string): Promise<string> {
  const file = await handle(path);
  const { attributes } = await world.client.getattr(file);
  const { data } = await world.client.read(file, 0, attributes!.size);
  expect(data!.length).toBe(attributes!.size);
  return data!.toString();
}

/** As `echo text > path`: open(O_TRUNC), then one write. */
async function echo(text: string, path: string): Promise<number> {
  const file = await handle(path);
  const emptied = await world.client.setattr(file, { size: 0 });
  if (emptied.status !== ok) return emptied.status;
  return (await world.client.write(file, 0, Buffer.from(text), 2)).status;
}

async function names(path: string): Promise<string[]> {
  const { entries } = await world.client.readdir(await handle(path));
  return (entries ?? []).map(({ name }) => name).filter((name) => name !== '.' && name !== '..');
}

async function mtime(path: string): Promise<unknown> {
  return (await world.client.getattr(await handle(path))).attributes!.mtime;
}

describe('/hpc', () => {
  test('has the directories of /proc/hpc', async () => {
    expect((await names('')).sort()).toEqual(['admin', 'config', 'info', 'jobs', 'nodes', 'remote']);
    expect((await names('admin')).sort()).toEqual(
      ['block', 'bring', 'config', 'expel', 'gateways', 'lstay', 'mospe', 'nomfs', 'quiet', 'speed', 'stay', 'version'].sort(),
    );
    expect(await names('remote')).toEqual([]);
    expect((await names('nodes')).sort()).toEqual(['1', '2', '3', '5']);
  });

  test.each([
    ['nodes/2/cpus', '4\n'],
    ['nodes/2/load', '380\n'],
    ['nodes/2/speed', '21500\n'],
    ['nodes/2/mem', `${(300 * 2 ** 20) / 4096}\n`],
    ['nodes/2/rmem', `${(400 * 2 ** 20) / 4096}\n`],
    ['nodes/2/tmem', `${(512 * 2 ** 20) / 4096}\n`],
    ['nodes/2/util', '100\n'],
    ['nodes/2/busy', '96\n'],
    ['nodes/2/status', '3\n'],
    ['nodes/3/status', `${1 + 2 + 4 + 16}\n`],
    ['nodes/2/state', 'up\n'],
    ['nodes/2/name', 'n2\n'],
    ['nodes/2/pressure', '12.50 0.00 1.25\n'],
    ['nodes/3/swap', '131072 65536\n'],
    ['nodes/5/load', '-101\n'],
    ['nodes/5/status', '1\n'],
    ['nodes/5/state', 'down\n'],
    ['admin/mospe', '1\n'],
    ['admin/stay', '0\n'],
    ['admin/speed', '10000\n'],
    ['admin/gateways', '0\n'],
    ['admin/version', '0.1.0\n'],
    ['admin/config', '1 10.11.0.11 3\n5 10.11.0.15 1\n'],
  ])('%s reads %j', async (path, text) => {
    expect(await cat(path)).toBe(text);
  });

  test('info/nodes has all of every node, one a line, for programs that would else open a thousand files', async () => {
    expect(
      (await cat('info/nodes'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(cluster.list);
    expect(JSON.parse(await cat('info/self'))).toEqual({ ...cluster.self(), gateways: 0, abroad: 0 });
  });

  test('info/refused says why the last write was refused', async () => {
    expect(await cat('info/refused')).toBe('');
    await echo('1\n', 'admin/bring');
    expect(await cat('info/refused')).toBe('admin/bring: no process can be brought home: this version does not migrate\n');
    await echo('9\n', 'admin/stay');
    expect(await cat('info/refused')).toBe('admin/stay: "9" is not what this file takes\n  write 0 or 1\n');
  });

  test('config is a link to admin/config', async () => {
    expect((await world.client.readlink(await handle('config'))).target).toBe('admin/config');
  });
});

describe('writing', () => {
  test.each(['stay', 'lstay', 'block', 'quiet', 'nomfs'])('1 and 0 into admin/%s sets and clears the flag', async (flag) => {
    expect(await echo('1\n', `admin/${flag}`)).toBe(ok);
    expect(cluster.self().flags).toMatchObject({ [flag]: true });
    expect(await cat(`admin/${flag}`)).toBe('1\n');
    expect(await echo('0', `admin/${flag}`)).toBe(ok);
    expect(cluster.self().flags).toMatchObject({ [flag]: false });
  });

  test('a flag shows in nodes/N/status at once', async () => {
    expect(await cat('nodes/1/status')).toBe('3\n');
    await echo('1\n', 'admin/stay');
    expect(await cat('nodes/1/status')).toBe('7\n');
  });

  test('speed, gateways and mospe do what their names say', async () => {
    expect(await echo('5000\n', 'admin/speed')).toBe(ok);
    expect(cluster.self().speed).toBe(5000);
    expect(await echo('2\n', 'admin/gateways')).toBe(ok);
    expect(cluster.gatewayCount).toBe(2);
    expect(await echo('0\n', 'admin/mospe')).toBe(ok);
    expect(cluster.text).toBe('');
  });

  test('a map into admin/config is read back in its canonical text', async () => {
    expect(await echo('# mine\n2  10.11.0.12 1\n1 10.11.0.11 1\n', 'admin/config')).toBe(ok);
    now += 1000;
    expect(await cat('admin/config')).toBe('1 10.11.0.11 2\n');
  });

  test('a line can be appended to admin/config, as >> does', async () => {
    const file = await handle('admin/config');
    const { attributes } = await world.client.getattr(file);
    expect((await world.client.write(file, attributes!.size, Buffer.from('9 10.11.0.19 1\n'), 2)).status).toBe(ok);
    expect(cluster.text).toBe('1 10.11.0.11 3\n5 10.11.0.15 1\n9 10.11.0.19 1\n');
  });

  test.each([
    ['2\n', 'admin/stay', 'hpc.value'],
    ['yes\n', 'admin/stay', 'hpc.value'],
    ['', 'admin/stay', undefined],
    ['3\n', 'admin/gateways', 'hpc.value'],
    ['-1\n', 'admin/speed', 'hpc.value'],
    ['7\n', 'admin/mospe', 'hpc.value'],
    ['1 nonsense\n', 'admin/config', 'map.invalid'],
    ['1\n', 'admin/expel', 'migration.absent'],
    ['1\n', 'admin/bring', 'migration.absent'],
  ])('%j into %s is EINVAL for the writer and a sentence in the log', async (text, path, code) => {
    const before = JSON.stringify(cluster.list) + cluster.text;
    expect(await echo(text, path)).toBe(code === undefined ? ok : einval);
    expect(JSON.stringify(cluster.list) + cluster.text).toBe(before);
    if (code !== undefined) expect(logged).toEqual([['warn', 'hpc.refused', expect.objectContaining({ file: path, code, reason: expect.any(String) })]]);
    expect(world.faults).toEqual([]);
  });

  test('is refused for what only tells, for names, and for who is not root', async () => {
    expect(await echo('1\n', 'nodes/1/load')).toBe(eacces);
    expect((await world.client.create(await handle('admin'), 'new')).status).not.toBe(ok);
    expect((await world.client.remove(await handle('admin'), 'stay')).status).not.toBe(ok);
    const user = world.client.as({ uid: 1000, gid: 1000, gids: [] });
    expect((await user.write(await handle('admin/stay'), 0, Buffer.from('1'), 2)).status).toBe(eacces);
    expect(cluster.self().flags.stay).toBe(false);
  });
});

describe('a client that caches', () => {
  test('sees a later mtime when the text is another, and the same while it is not', async () => {
    const first = await mtime('nodes/2/load');
    now += 1100;
    expect(await mtime('nodes/2/load')).toEqual(first);
    cluster.change(2, { load: 381 });
    now += 1100;
    expect(await mtime('nodes/2/load')).not.toEqual(first);
    expect(await cat('nodes/2/load')).toBe('381\n');
  });

  test('gets all of one text though the value changes between the size and the bytes', async () => {
    const file = await handle('nodes/2/load');
    const { attributes } = await world.client.getattr(file);
    cluster.change(2, { load: 12_345 });
    now += 20;
    expect((await world.client.read(file, 0, 4096)).data!.toString()).toBe('380\n');
    expect(attributes!.size).toBe(4);
    now += 500;
    expect(await cat('nodes/2/load')).toBe('12345\n');
  });

  test('that reads a long file piece by piece gets one text, for a second', async () => {
    const file = await handle('info/nodes');
    const pieces: string[] = [];
    for (let offset = 0; offset < 2000; offset += 250) {
      cluster.change(2, { load: 1000 + offset });
      pieces.push((await world.client.read(file, offset, 250)).data!.toString());
      now += 90;
    }
    expect(JSON.parse(pieces.join('').split('\n')[1]!)).toMatchObject({ id: 2, load: 380 });
    for (let looks = 0; looks < 20; looks += 1, now += 90) await world.client.getattr(file);
    expect(await cat('info/nodes')).toContain('"load":2750');
  });

  test('sees the directory of a node that has come, and no longer that of one that has gone', async () => {
    const old = await handle('nodes/5/load');
    const before = await mtime('nodes');
    cluster.list = cluster.list.filter(({ id }) => id !== 5).concat({ ...cluster.self(), id: 9 });
    now += 1000;
    expect((await names('nodes')).sort()).toEqual(['1', '2', '3', '9']);
    expect(await mtime('nodes')).not.toEqual(before);
    expect((await world.client.getattr(old)).status).toBe(stale);
  });

  test('finds the same objects in another start of the agent', async () => {
    const again = new LiveTree(
      hpcTree(cluster, () => {}, { now: () => now }),
      1,
      { now: () => now },
    );
    const id = (which: LiveTree, path: string) => path.split('/').reduce((at, name) => which.lookup(at, name), which.root);
    for (const path of ['admin/stay', 'nodes/3/load', 'info']) expect(id(again, path)).toBe(id(tree, path));
  });

  test('lists in pieces what one listing gives', async () => {
    const whole = await names('nodes/2');
    const pieces: string[] = [];
    const directory = await handle('nodes/2');
    for (let cookie = 0; ; ) {
      const { entries, endOfDirectory } = await world.client.readdir(directory, cookie, 200);
      pieces.push(...entries!.map(({ name }) => name));
      if (endOfDirectory) break;
      cookie = entries!.at(-1)!.cookie;
    }
    expect(pieces.filter((name) => name !== '.' && name !== '..')).toEqual(whole);
  });
});

describe('the mount of an agent that was killed', () => {
  const mountinfo = `22 1 0:21 / / rw,relatime shared:1 - nfs 10.11.0.1:/debian-13 rw,vers=3
40 22 0:35 / /hpc rw,nosuid - nfs 127.0.0.1:/hpc rw,soft
41 22 0:36 / /data rw - ext4 /dev/sda1 rw
`;

  test.each([
    ['/hpc', true],
    ['/', true],
    ['/data', false],
    ['/hp', false],
    ['/hpc2', false],
  ])('%s: %s', (at, expected) => {
    expect(isNfsMount(mountinfo, at)).toBe(expected);
  });
});
