// /mfs of two nodes in one process, over real sockets: what one sees of the other, what is refused, and what happens when it goes away.
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownerNumber, ownerOf } from '../../src/agent/mfs/owners.ts';
import { type MfsService, startMfs } from '../../src/agent/mfs/server.ts';
import { openFiles } from '../../src/agent/mfs/service.ts';
import { ipv4 } from '../../src/base/addresses.ts';
import { silentLog } from '../../src/base/log.ts';
import { statusNumbers } from '../../src/nfs/status.ts';
import { type FakeNetwork, fakeNetwork } from '../support/fake-link.ts';
import { Nfs3Client } from '../support/nfs3-client.ts';
import { type TcpExchange, tcpExchange } from '../support/rpc-client.ts';

const { OK, ACCES, IO, NOENT, PERM, STALE, XDEV } = statusNumbers;
const me = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
const key = Buffer.from('the farm key');

interface World {
  readonly scratch: string;
  readonly network: FakeNetwork;
  readonly services: MfsService[];
  readonly wires: TcpExchange[];
  /** As the kernel of node 1, with the handle of its /mfs. */
  readonly client: Nfs3Client;
  readonly top: Buffer;
  readonly nomfs: Set<number>;
  readonly down: Set<number>;
  readonly start: (node: number) => Promise<MfsService>;
}

async function openWorld(): Promise<World> {
  const scratch = mkdtempSync(join(tmpdir(), 'farm-mfs-'));
  const network = fakeNetwork();
  const nomfs = new Set<number>();
  const down = new Set<number>([3]);
  const start = (node: number) =>
    startMfs({
      ...{ self: node, link: network.link(node), key, log: silentLog, port: 0, privileged: false, patience: { mfs: 300, away: 600 } },
      // What others hear of a node comes later than what it has decided: only node 2 itself knows.
      members: () => [1, 2, 3].map((id) => ({ id, isUp: !down.has(id), nomfs: false })),
      nomfs: () => nomfs.has(node),
      top: join(scratch, `node${node}`),
      state: join(scratch, `numbers${node}`),
    });
  for (const node of [1, 2]) mkdirSync(join(scratch, `node${node}`));
  const services = [await start(1), await start(2)];
  const wire = await tcpExchange(services[0]?.port ?? 0);
  const client = new Nfs3Client(wire.exchange, me);
  const mounted = await client.mount('/mfs');
  return { scratch, network, services, wires: [wire], client, top: mounted.handle ?? Buffer.alloc(0), nomfs, down, start };
}

let world: World;
beforeEach(async () => {
  world = await openWorld();
});
afterEach(async () => {
  for (const wire of world.wires) wire.close();
  for (const service of world.services) await service.close();
  rmSync(world.scratch, { recursive: true });
});

const there = (...path: string[]) => join(world.scratch, 'node2', ...path);
async function node(number: number): Promise<Buffer> {
  const { status, handle } = await world.client.lookup(world.top, String(number));
  expect(status).toBe(OK);
  return handle ?? Buffer.alloc(0);
}

describe('/mfs', () => {
  const target = async (name: string) => (await world.client.readlink((await world.client.lookup(world.top, name)).handle ?? world.top)).target;

  test('has a directory for each node that is up, and the names of openMosix', async () => {
    const { entries } = await world.client.readdir(world.top);
    expect(entries.map(({ name }) => name).sort()).toEqual(['.', '..', '1', '2', 'here', 'home', 'lastexec', 'magic', 'selected']);
    expect(await Promise.all(['here', 'home', 'magic', 'selected'].map(target))).toEqual(['1', '/', '1', '/proc/self/fd/511']);
  });

  test('says why there is no lastexec, and leads nowhere there', async () => {
    const reason = (await target('lastexec')) ?? '';
    expect(reason).toMatch(/^unknown: [^/]+$/);
    expect((await world.client.lookup(world.top, reason)).status).toBe(NOENT);
    expect((await world.client.create(world.top, reason)).status).toBe(PERM);
  });

  test('lists nodes without handles, so that a kernel which keeps those of a listing looks the node itself up', async () => {
    const { entries } = await world.client.readdirplus(world.top);
    const withHandles = entries.filter(({ handle }) => handle !== undefined).map(({ name }) => name);
    expect(withHandles.sort()).toEqual(['.', '..', 'here', 'home', 'lastexec', 'magic', 'selected']);
    expect(entries.map(({ name }) => name)).toContain('2');
    expect((await world.client.readdirplus(await node(2))).status).toBe(OK);
  });

  test('has no other names, and nobody makes any', async () => {
    for (const name of ['4', '02', 'other', '99999']) expect((await world.client.lookup(world.top, name)).status).toBe(NOENT);
    expect((await world.client.mkdir(world.top, 'x', {})).status).toBe(PERM);
    expect((await world.client.rmdir(world.top, '2')).status).not.toBe(OK);
  });

  test('takes no room on any disk', async () => {
    expect((await world.client.fsstat(world.top)).numbers.slice(0, 3)).toEqual([0, 0, 0]);
    expect((await world.client.fsstat(await node(2))).numbers[0]).toBeGreaterThan(0);
  });

  test('is one file system, in which no two objects have one number', async () => {
    writeFileSync(there('f'), '');
    writeFileSync(join(world.scratch, 'node1', 'f'), '');
    const found = [world.top, await node(1), await node(2)];
    for (const directory of found.slice(1)) found.push((await world.client.lookup(directory, 'f')).handle ?? world.top);
    const attributes = await Promise.all(found.map(async (handle) => (await world.client.getattr(handle)).attributes));
    expect(new Set(attributes.map((each) => each?.fsid.join())).size).toBe(1);
    expect(new Set(attributes.map((each) => each?.id)).size).toBe(5);
    const listed = (await world.client.readdir(found[2] ?? world.top)).entries.find(({ name }) => name === 'f');
    expect(listed?.id).toBe(attributes[4]?.id);
  });
});

describe('the files of another node', () => {
  test('are read and written, and both see the same at once', async () => {
    const root = await node(2);
    const made = await world.client.create(root, 'f', { mode: 0o640 });
    expect(made.status).toBe(OK);
    const file = made.handle ?? root;
    expect((await world.client.write(file, 0, Buffer.from('from node 1'), 2)).status).toBe(OK);
    expect(readFileSync(there('f'), 'utf8')).toBe('from node 1');
    writeFileSync(there('f'), 'from node 2, longer');
    const { data, count } = await world.client.read(file, 0, 100);
    expect(data?.subarray(0, count).toString()).toBe('from node 2, longer');
    expect((await world.client.getattr(file)).attributes?.size).toBe(19);
    expect((await world.client.remove(root, 'f')).status).toBe(OK);
    expect(readdirSync(there())).toEqual([]);
  });

  test('are read in large pieces', async () => {
    const bytes = Buffer.alloc(300_000, 'farm');
    writeFileSync(there('large'), bytes);
    const { handle } = await world.client.lookup(await node(2), 'large');
    const { data, count } = await world.client.read(handle ?? world.top, 0, 1024 * 1024);
    expect(data?.subarray(0, count).equals(bytes)).toBe(true);
  });

  test('cannot be renamed or linked to another node', async () => {
    writeFileSync(there('f'), '');
    const [one, two] = [await node(1), await node(2)];
    const { handle } = await world.client.lookup(two, 'f');
    expect((await world.client.rename(two, 'f', one, 'f')).status).toBe(XDEV);
    expect((await world.client.rename(two, 'f', world.top, 'f')).status).toBe(XDEV);
    expect((await world.client.link(handle ?? two, one, 'f')).status).toBe(XDEV);
    expect(readdirSync(there())).toEqual(['f']);
  });

  test('keep their handles when the agent of their node is started again', async () => {
    mkdirSync(there('d'));
    writeFileSync(there('d', 'f'), 'the same');
    const directory = (await world.client.lookup(await node(2), 'd')).handle ?? world.top;
    const file = (await world.client.lookup(directory, 'f')).handle ?? world.top;
    await world.services.pop()?.close();
    world.network.cut();
    rmSync(there('d', 'f'));
    writeFileSync(there('d', 'f'), 'another');
    world.services.push(await world.start(2));
    expect((await world.client.getattr(directory)).status).toBe(OK);
    expect((await world.client.read(file, 0, 10)).status).toBe(STALE);
  });

  test('are not those of a node before it was booted again: its numbers begin anew', async () => {
    writeFileSync(there('f'), '');
    const file = (await world.client.lookup(await node(2), 'f')).handle ?? world.top;
    await world.services.pop()?.close();
    world.network.cut();
    rmSync(join(world.scratch, 'numbers2'), { recursive: true });
    world.services.push(await world.start(2));
    expect((await world.client.getattr(file)).status).toBe(STALE);
    expect((await world.client.lookup(await node(2), 'f')).status).toBe(OK);
  });
});

describe('a node that does not answer', () => {
  test('that refuses (nomfs) says so to every call, at once and until it is taken back', async () => {
    const root = await node(2);
    world.nomfs.add(2);
    expect((await world.client.lookup(world.top, '2')).status).toBe(ACCES);
    expect((await world.client.getattr(root)).status).toBe(ACCES);
    expect((await world.client.mkdir(root, 'd', {})).status).toBe(ACCES);
    world.nomfs.delete(2);
    expect((await world.client.getattr(root)).status).toBe(OK);
  });

  test('that refuses still serves the roots of its jobs, by handles that are good for nothing else', async () => {
    writeFileSync(there('f'), 'mine');
    world.nomfs.add(2);
    const mounted = await world.client.mount('/root/2');
    const { handle } = await world.client.lookup(mounted.handle ?? world.top, 'f');
    expect((await world.client.read(handle ?? world.top, 0, 10)).status).toBe(OK);
    expect((await world.client.mount('/root/9')).status).toBe(NOENT);
    expect((await world.client.mount('/etc')).status).toBe(ACCES);
  });

  test('that is down is EIO without a wait', async () => {
    expect((await world.client.lookup(world.top, '3')).status).toBe(IO);
    const root = await node(2);
    world.down.add(2);
    expect((await world.client.getattr(root)).status).toBe(IO);
    world.down.delete(2);
    expect((await world.client.getattr(root)).status).toBe(OK);
  });

  test('whose agent has gone is EIO in bounded time, and other nodes answer meanwhile', async () => {
    const root = await node(2);
    await world.services.pop()?.close();
    world.network.fail(2);
    expect((await world.client.getattr(root)).status).toBe(IO);
    expect((await world.client.getattr(await node(1))).status).toBe(OK);
  });

  test('gets a call again whose stream broke', async () => {
    const root = await node(2);
    world.network.cut();
    const made = world.client.mkdir(root, 'd', {});
    expect((await made).status).toBe(OK);
  });
});

describe('mounts of a node', () => {
  const open = (mountinfo: string) => {
    const files = openFiles({ node: 5, top: join(world.scratch, 'node2'), state: join(world.scratch, 'numbers5'), key, mountinfo: () => mountinfo }, silentLog);
    const client = new Nfs3Client((message) => files.answer(ipv4('127.0.0.1'), message), me);
    return { files, client, root: files.root(false).subarray(0, 24) };
  };
  const mountinfo = () =>
    [
      '1 0 8:1 / / rw - ext4 a rw',
      `2 1 0:9 / ${there('proc')} rw - proc proc rw`,
      `3 1 0:8 / ${there('tmp')} rw - tmpfs t rw`,
      `4 3 0:7 / ${there('tmp', 'sys')} rw - sysfs s rw`,
    ].join('\n');

  test('are crossed, each object a handle of its own mount; what is no place for files is an empty directory', async () => {
    for (const name of ['proc', 'tmp']) mkdirSync(there(name));
    mkdirSync(there('tmp', 'sys'));
    for (const path of [['proc', 'secret'], ['tmp', 'f'], ['tmp', 'sys', 'knob'], ['g']]) writeFileSync(there(...path), 'x');
    const { files, client, root } = open(mountinfo());
    const names = async (of: Buffer) => (await client.readdirplus(of)).entries.map(({ name }) => name).sort();
    expect(await names(root)).toEqual(['.', '..', 'g', 'proc', 'tmp']);
    const plus = (await client.readdirplus(root)).entries.find(({ name }) => name === 'tmp');
    expect(plus).toMatchObject({ handle: undefined });
    const proc = (await client.lookup(root, 'proc')).handle ?? root;
    const tmp = (await client.lookup(root, 'tmp')).handle ?? root;
    const sys = (await client.lookup(tmp, 'sys')).handle ?? root;
    expect(await names(proc)).toEqual(['.', '..']);
    expect(await names(tmp)).toEqual(['.', '..', 'f', 'sys']);
    expect(await names(sys)).toEqual(['.', '..']);
    expect((await client.mkdir(proc, 'x', {})).status).toBe(PERM);
    expect((await client.remove(tmp, 'sys')).status).toBe(ACCES);
    expect((await client.rename(tmp, 'f', root, 'f')).status).toBe(XDEV);
    expect(new Set([root, proc, tmp, sys].map((handle) => ownerOf(handle.readUInt32BE(4)).mount)).size).toBe(4);
    await files.close();
  });

  test('have the same handles after a restart', async () => {
    mkdirSync(there('tmp', 'sys'), { recursive: true });
    mkdirSync(there('proc'));
    writeFileSync(there('tmp', 'f'), '');
    const before = open(mountinfo());
    const tmp = (await before.client.lookup(before.root, 'tmp')).handle ?? before.root;
    const file = (await before.client.lookup(tmp, 'f')).handle ?? before.root;
    const proc = (await before.client.lookup(before.root, 'proc')).handle ?? before.root;
    await before.files.close();
    const { files, client } = open(mountinfo());
    for (const handle of [file, proc]) expect((await client.getattr(handle)).status).toBe(OK);
    await files.close();
  });
});

test('an owner has room for every node and mount', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 0, max: 32_767 }), fc.boolean(), (of, mount, away) => {
      expect(ownerOf(ownerNumber({ node: of, mount, away }))).toEqual({ node: of, mount, away });
    }),
  );
});

describe('random trees', () => {
  type Change = readonly ['mkdir' | 'write' | 'remove' | 'rmdir' | 'symlink', string, string] | readonly ['rename' | 'link', string, string];
  const names = fc.constantFrom('a', 'b', 'c');
  const change: fc.Arbitrary<Change> = fc.tuple(
    fc.constantFrom(
      'mkdir' as const,
      'mkdir' as const,
      'write' as const,
      'write' as const,
      'remove' as const,
      'rmdir' as const,
      'symlink' as const,
      'rename' as const,
      'link' as const,
    ),
    fc.array(names, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
    fc.array(names, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
  );

  /** Everything below a directory, as the machine's own file system has it. */
  function local(path: string, name = ''): string[] {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) return [`${name} -> ${readlinkSync(path)}`];
    if (!stat.isDirectory()) return [`${name} ${stat.nlink} ${readFileSync(path, 'utf8')}`];
    return [
      `${name}/`,
      ...readdirSync(path)
        .sort()
        .flatMap((child) => local(join(path, child), `${name}/${child}`)),
    ];
  }

  async function remote(handle: Buffer, name = ''): Promise<string[]> {
    const { attributes } = await world.client.getattr(handle);
    if (attributes?.kind === 5) return [`${name} -> ${(await world.client.readlink(handle)).target}`];
    if (attributes?.kind === 1) {
      const { data, count } = await world.client.read(handle, 0, 1000);
      return [`${name} ${attributes.links} ${data?.subarray(0, count).toString()}`];
    }
    const { entries } = await world.client.readdir(handle);
    const lines = [`${name}/`];
    for (const child of entries
      .map((entry) => entry.name)
      .filter((each) => !each.startsWith('.'))
      .sort()) {
      const found = await world.client.lookup(handle, child);
      lines.push(...(await remote(found.handle ?? handle, `${name}/${child}`)));
    }
    return lines;
  }

  async function walk(root: Buffer, path: string): Promise<{ directory: Buffer; name: string }> {
    const parts = path.split('/');
    let directory = root;
    for (const part of parts.slice(0, -1)) directory = (await world.client.lookup(directory, part)).handle ?? Buffer.alloc(24);
    return { directory, name: parts.at(-1) ?? '' };
  }

  async function applyTwo(root: Buffer, how: 'rename' | 'link', from: { directory: Buffer; name: string }, second: string): Promise<void> {
    const { client } = world;
    const to = await walk(root, second);
    if (how === 'rename') await client.rename(from.directory, from.name, to.directory, to.name);
    else {
      const { handle } = await client.lookup(from.directory, from.name);
      if (handle !== undefined) await client.link(handle, to.directory, to.name);
    }
  }

  async function apply(root: Buffer, [how, path, second]: Change): Promise<void> {
    const { client } = world;
    const place = await walk(root, path);
    const { directory, name } = place;
    if (how === 'mkdir') await client.mkdir(directory, name, { mode: 0o755 });
    else if (how === 'symlink') await client.symlink(directory, name, second, {});
    else if (how === 'remove') await client.remove(directory, name);
    else if (how === 'rmdir') await client.rmdir(directory, name);
    else if (how === 'write') {
      const { handle } = await client.create(directory, name, { mode: 0o644 });
      if (handle !== undefined && handle !== null) await client.write(handle, 0, Buffer.from(second), 2);
    } else await applyTwo(root, how, place, second);
  }

  test('changed over the wire and by hand in turn look the same from both sides', async () => {
    const root = await node(2);
    let counter = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 25 }), async (changes) => {
        for (const name of readdirSync(there())) rmSync(there(name), { recursive: true });
        for (const each of changes) {
          await apply(root, each);
          counter += 1;
          if (counter % 5 === 0) symlinkSync('by hand', there(`hand${counter}`));
        }
        expect(await remote(root)).toEqual(local(there()));
      }),
      { numRuns: 25 },
    );
  });
});
