// NFS version 2 (RFC 1094): each procedure, and what is different from version 3. The operations themselves are tested with version 3.
import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { encodeHandle } from '../../src/nfs/handles.ts';
import { type Failure, statusNumbers as nfs } from '../../src/nfs/status.ts';
import { filledHandle } from '../../src/nfs/v2/handle.ts';
import { status2 } from '../../src/nfs/v2/status.ts';
import { MemoryTree, type MemoryTreeOptions } from '../support/memory-tree.ts';
import { testKey } from '../support/nfs-farm.ts';
import { nfsWorld, worldOwner } from '../support/nfs-world.ts';
import { Nfs2Client, type Sattr2 } from '../support/nfs2-client.ts';
import { nfsProgram } from '../support/nfs3-client.ts';
import { decodeReply, encodeCall, rootUser } from '../support/rpc-client.ts';

const now = 1_700_000_000;

function world(options: MemoryTreeOptions = {}) {
  const tree = new MemoryTree({ clock: { now: () => now * 1000 }, generation: 9, ...options });
  const it = nfsWorld(tree);
  return { ...it, tree, client3: it.client, client: it.client2, root3: it.root, root: filledHandle(it.root) };
}

async function withFile(content = '', options: MemoryTreeOptions = {}) {
  const it = world(options);
  const { handle } = await it.client.create(it.root, 'file', { mode: 0o100_644 });
  if (content !== '') await it.client.write(handle!, 0, Buffer.from(content));
  return { ...it, file: handle!, id: handle!.readUInt32BE(12) };
}

const user = { uid: 1000, gid: 100 };
const times = { atime: [5, 6] as const, mtime: [7, 8] as const };

describe('handles', () => {
  test('are those of version 3, filled with zeros to 32 bytes', async () => {
    const { client, client3, root, root3 } = world();
    expect(root).toHaveLength(32);
    expect(root.subarray(0, 24)).toEqual(root3);
    expect((await client.getattr(root)).attributes?.id).toBe((await client3.getattr(root3)).attributes?.id);
  });

  test.each([
    ['of zeros', Buffer.alloc(32)],
    [
      'with something in the fill',
      Buffer.concat([encodeHandle(testKey, { owner: worldOwner, generation: 9, object: 1 }), Buffer.from('00000001', 'hex'), Buffer.alloc(4)]),
    ],
    ['with another key', filledHandle(encodeHandle(Buffer.from('guess'), { owner: worldOwner, generation: 9, object: 1 }))],
    ['of an older tree', filledHandle(encodeHandle(testKey, { owner: worldOwner, generation: 8, object: 1 }))],
    ['of an object that is gone', filledHandle(encodeHandle(testKey, { owner: worldOwner, generation: 9, object: 77 }))],
  ])('%s are stale for every procedure', async (_, bad) => {
    const { client, root, faults } = world();
    const results = await Promise.all([
      client.getattr(bad),
      client.setattr(bad, { mode: 0 }),
      client.lookup(bad, 'x'),
      client.readlink(bad),
      client.read(bad, 0, 1),
      client.write(bad, 0, Buffer.from('x')),
      client.create(bad, 'x'),
      client.remove(bad, 'x'),
      client.rename(bad, 'x', root, 'y'),
      client.rename(root, 'x', bad, 'y'),
      client.link(bad, root, 'x'),
      client.link(root, bad, 'x'),
      client.symlink(bad, 'x', 'y'),
      client.mkdir(bad, 'x'),
      client.rmdir(bad, 'x'),
      client.readdir(bad),
      client.statfs(bad),
    ]);
    expect(results.map(({ status }) => status)).toEqual(results.map(() => nfs.STALE));
    expect(results.map((result) => ('left' in result ? result.left : 0))).toEqual(results.map(() => 0));
    expect(faults).toEqual([]);
  });

  test('of another client are stale too', async () => {
    const { exchangeAs, root } = world();
    expect((await new Nfs2Client(exchangeAs(ipv4('10.0.0.9'))).getattr(root)).status).toBe(nfs.STALE);
  });
});

test.each([
  ['NULL', 0],
  ['ROOT', 3],
  ['WRITECACHE', 7],
])('%s answers nothing', async (_, procedure) => {
  const { client } = world();
  expect((await client.call(nfsProgram, 2, procedure)).left).toBe(0);
});

test.each([
  ['a handle that is too short', 1, 28],
  ['no times in the attributes', 2, 32 + 16],
  ['data above 8 KiB', 8, 0],
  ['a procedure that there is none of', 18, 0],
])('%s is refused by RPC', async (_, procedure, bytes) => {
  const { exchange } = world();
  const call = encodeCall({ xid: 1, program: nfsProgram, version: 2, procedure, user: rootUser }, (to) => {
    to.zeros(bytes);
    if (procedure === 8) {
      to.zeros(32 + 12);
      to.u32(8193);
      to.zeros(8196);
    }
  });
  expect(decodeReply(await exchange(call)).status).toBe(procedure === 18 ? 3 : 4);
});

describe('attributes', () => {
  const kinds: readonly [string, Sattr2, object][] = [
    ['a file', { mode: 0o100_640 }, { kind: 1, mode: 0o100_640, device: 0 }],
    ['a block device', { mode: 0o060_660, size: 0x0811 }, { kind: 3, mode: 0o060_660, device: 0x0811, size: 0 }],
    ['a character device with large numbers', { mode: 0o020_600, size: 0x1231_5645 }, { kind: 4, mode: 0o020_600, device: 0x1231_5645 }],
    ['a FIFO: a character device without a number', { mode: 0o020_644 }, { kind: 4, mode: 0o020_644, device: 0xffff_ffff }],
    ['a FIFO that says so', { mode: 0o010_644 }, { kind: 4, mode: 0o020_644, device: 0xffff_ffff }],
    ['a socket', { mode: 0o140_755 }, { kind: 0, mode: 0o140_755, device: 0 }],
    ['what has no kind in its mode: a file', { mode: 0o600 }, { kind: 1, mode: 0o100_600 }],
    ['what has no mode: a file', {}, { kind: 1, mode: 0o100_600 }],
  ];
  test.each(kinds)('CREATE makes %s, and GETATTR says so', async (_, sattr, expected) => {
    const { client, root } = world();
    const { status, handle, attributes, left } = await client.create(root, 'x', sattr);
    expect([status, left]).toEqual([nfs.OK, 0]);
    expect(attributes).toMatchObject(expected);
    expect((await client.getattr(handle!)).attributes).toEqual(attributes);
  });

  test('tell everything there is', async () => {
    const { client, root, client3, root3 } = world();
    const { handle } = await client.create(root, 'x', { mode: 0o4711, uid: 3, gid: 4, size: 5000, ...times });
    const { attributes } = await client.getattr(handle!);
    expect(attributes).toEqual({
      ...{ kind: 1, mode: 0o104_711, links: 1, uid: 3, gid: 4, size: 5000, blockBytes: 4096, device: 0, blocks: 16, fsid: attributes?.fsid },
      ...{ id: handle!.readUInt32BE(12), atime: [5, 6], mtime: [7, 8], ctime: [now, expect.any(Number)] },
    });
    expect((await client.getattr(root)).attributes?.fsid).toBe(attributes?.fsid);
    expect((await client3.lookup(root3, 'x')).object).toMatchObject({ atime: { seconds: 5, nanoseconds: 6000 }, mode: 0o4711 });
  });

  test('what does not fit into 32 bits is shown as the nearest that does', async () => {
    const { tree, client, file, id } = await withFile('', { fileSizeMax: 2 ** 40 });
    tree.change(id, { size: 2 ** 33, mtime: { seconds: -1, nanoseconds: 0 }, atime: { seconds: 2 ** 32, nanoseconds: 0 } });
    expect((await client.getattr(file)).attributes).toMatchObject({ size: 0xffff_ffff, blocks: 2 ** 24, mtime: [0, 0], atime: [0xffff_ffff, 0] });
  });
});

describe('SETATTR', () => {
  test('changes what is not all ones, and tells the attributes afterwards', async () => {
    const { client, file } = await withFile('content');
    const { status, attributes, left } = await client.setattr(file, { mode: 0o600, uid: 5, size: 3, ...times });
    expect([status, left]).toEqual([nfs.OK, 0]);
    expect(attributes).toMatchObject({ mode: 0o100_600, uid: 5, gid: 0, size: 3, atime: [5, 6], mtime: [7, 8] });
    expect((await client.getattr(file)).attributes).toEqual(attributes);
  });

  test('a mode of sixteen ones is none either', async () => {
    const { client, file } = await withFile();
    expect((await client.setattr(file, { mode: 0xffff, uid: 5 })).attributes).toMatchObject({ mode: 0o100_644, uid: 5 });
  });

  test.each<[string, Sattr2, object]>([
    ['in both', { atime: [1, 1_000_000], mtime: [1, 1_000_000] }, { atime: [now, expect.any(Number)], mtime: [now, expect.any(Number)] }],
    ['in the mtime: the atime too', { atime: [1, 2], mtime: [1, 1_000_000] }, { atime: [now, expect.any(Number)], mtime: [now, expect.any(Number)] }],
    ['in the mtime alone', { mtime: [1, 1_000_000] }, { mtime: [now, expect.any(Number)] }],
    ['in the atime', { atime: [1, 1_000_000], mtime: [1, 2] }, { atime: [now, expect.any(Number)], mtime: [1, 2] }],
  ])("a million microseconds mean the server's clock: %s", async (_, change, expected) => {
    const { client, file } = await withFile();
    expect((await client.setattr(file, change)).attributes).toMatchObject(expected);
  });

  test('who may write may set the times to now, and to nothing else', async () => {
    const { client, file } = await withFile();
    await client.setattr(file, { mode: 0o666 });
    expect((await client.as(user).setattr(file, { atime: [0, 1_000_000], mtime: [0, 1_000_000] })).status).toBe(nfs.OK);
    expect((await client.as(user).setattr(file, times)).status).toBe(nfs.PERM);
  });

  test('other microseconds above a million are no time', async () => {
    const { client, file } = await withFile();
    await expect(client.setattr(file, { atime: [1, 1_000_001] })).rejects.toThrow('RPC refused: 4');
  });

  test('one half of a time is none', async () => {
    const { client, file } = await withFile();
    await client.setattr(file, times);
    expect((await client.setattr(file, { atime: [9, 0xffff_ffff], mtime: [0xffff_ffff, 9], uid: 1 })).attributes).toMatchObject({
      atime: [5, 6],
      mtime: [7, 8],
    });
  });
});

describe('LOOKUP and READLINK', () => {
  test('find a name, `.` and `..`', async () => {
    const { client, root } = world();
    const { handle: a } = await client.mkdir(root, 'a', { mode: 0o755 });
    const { handle: b } = await client.mkdir(a!, 'b', { mode: 0o755 });
    expect(await client.lookup(a!, 'b')).toMatchObject({ status: nfs.OK, handle: b, attributes: { kind: 2, mode: 0o040_755 }, left: 0 });
    expect((await client.lookup(b!, '..')).handle).toEqual(a);
    expect((await client.lookup(root, '..')).handle).toEqual(root);
    expect((await client.lookup(b!, '.')).handle).toEqual(b);
  });

  test.each([
    ['is not there', 'x', nfs.NOENT],
    ['is too long', 'n'.repeat(256), nfs.NAMETOOLONG],
    ['is none', 'a/b', nfs.INVAL],
  ])('a name that %s', async (_, name, status) => {
    const { client, root } = world();
    expect(await client.lookup(root, name)).toEqual({ status, left: 0 });
  });

  test('read a symlink as long as a path may be', async () => {
    const { client, client3, root, root3 } = world();
    const target = 't'.repeat(1024);
    expect(await client.symlink(root, 'l', target, { mode: 0 })).toEqual({ status: nfs.OK, left: 0 });
    const { handle, attributes } = await client.lookup(root, 'l');
    expect(attributes).toMatchObject({ kind: 5, mode: 0o120_777, size: 1024 });
    expect(await client.readlink(handle!)).toEqual({ status: nfs.OK, target });
    await client3.symlink(root3, 'long', `${target}t`);
    const { handle: long } = await client.lookup(root, 'long');
    expect(await client.readlink(long!)).toEqual({ status: nfs.NAMETOOLONG, target: undefined });
    expect((await client.readlink(root)).status).toBe(nfs.INVAL);
  });
});

describe('READ and WRITE', () => {
  test('carry up to 8 KiB', async () => {
    const { client, file } = await withFile();
    const data = Buffer.from(Array.from({ length: 8192 }, (_, index) => index % 251));
    expect(await client.write(file, 8192, data)).toMatchObject({ status: nfs.OK, attributes: { size: 16_384 }, left: 0 });
    expect(await client.read(file, 8192, 65_536)).toMatchObject({ status: nfs.OK, attributes: { size: 16_384 }, data });
    expect((await client.read(file, 100, 3)).data).toEqual(Buffer.alloc(3));
    expect((await client.read(file, 16_380, 8192)).data).toEqual(data.subarray(8188));
    expect((await client.read(file, 16_384, 8192)).data).toEqual(Buffer.alloc(0));
  });

  test.each([
    ['a directory', 'd', nfs.ISDIR],
    ['a FIFO', 'p', nfs.INVAL],
  ])('are not for %s', async (_, name, status) => {
    const { client, root } = world();
    const { handle: d } = await client.mkdir(root, 'd');
    const { handle: p } = await client.create(root, 'p', { mode: 0o010_644 });
    const handle = { d, p }[name]!;
    expect((await client.read(handle, 0, 1)).status).toBe(status);
    expect((await client.write(handle, 0, Buffer.from('x'))).status).toBe(status);
  });

  test('a file does not grow above 4 GiB, and of a larger one the first 4 GiB are there', async () => {
    const { tree, client, file, id } = await withFile('', { fileSizeMax: 2 ** 40 });
    expect((await client.write(file, 0xffff_fffe, Buffer.from('x'))).attributes?.size).toBe(0xffff_ffff);
    expect((await client.write(file, 0xffff_ffff, Buffer.from('x'))).status).toBe(nfs.FBIG);
    tree.change(id, { size: 2 ** 33 });
    tree.write(id, 0xffff_fff0, Buffer.from('sixteen bytes, y'));
    expect((await client.read(file, 0xffff_fff0, 100)).data?.subarray(0, 16).toString()).toBe('sixteen bytes, y');
    expect((await client.setattr(file, { size: 0 })).attributes?.size).toBe(0);
  });

  test('WRITE is on the disk when it is answered', async () => {
    const asked: string[] = [];
    class Recording extends MemoryTree {
      override async commit(id: number) {
        asked.push(`commit ${id}`);
      }
      override async stable() {
        asked.push('stable');
      }
    }
    const it = nfsWorld(new Recording());
    const { handle } = await it.client2.create(filledHandle(it.root), 'f');
    asked.length = 0;
    await it.client2.write(handle!, 0, Buffer.from('x'));
    expect(asked).toEqual(['commit 2', 'stable']);
  });
});

describe('CREATE', () => {
  test('of a file that is there sets its size and nothing else', async () => {
    const { client, root, file } = await withFile('content');
    expect(await client.create(root, 'file', { mode: 0o100_777, uid: 9, size: 0 })).toMatchObject({
      status: nfs.OK,
      handle: file,
      attributes: { mode: 0o100_644, uid: 0, size: 0 },
    });
    expect((await client.create(root, 'file', { mode: 0o777 })).status).toBe(nfs.OK);
  });

  test('without a kind opens a device that is there, if it may be written', async () => {
    const { client, root } = world();
    const { handle } = await client.create(root, 'disk', { mode: 0o060_660, size: 0x0801 });
    expect(await client.create(root, 'disk', { mode: 0o600, size: 0 })).toMatchObject({ status: nfs.OK, handle, attributes: { kind: 3, device: 0x0801 } });
    expect((await client.as(user).create(root, 'disk', { mode: 0o600 })).status).toBe(nfs.ACCES);
    expect((await client.create(root, 'disk', { mode: 0o100_600 })).status).toBe(nfs.EXIST);
    expect((await client.create(root, 'disk', { mode: 0o060_600, size: 1 })).status).toBe(nfs.EXIST);
  });

  test.each<[string, Sattr2, number]>([
    ['a directory', { mode: 0o040_755 }, nfs.INVAL],
    ['a symlink', { mode: 0o120_777 }, nfs.INVAL],
    ['what is nothing at all', { mode: 0o150_777 }, nfs.INVAL],
    ['a file of a size that the tree refuses', { size: 0xffff_fffe }, nfs.FBIG],
  ])('does not make %s', async (_, sattr, status) => {
    const { client, root } = world({ fileSizeMax: 2 ** 20 });
    expect(await client.create(root, 'x', sattr)).toEqual({ status, left: 0 });
    expect((await client.lookup(root, 'x')).status).toBe(nfs.NOENT);
  });

  test('a name of a directory is taken, devices are for root', async () => {
    const { client, root } = world();
    await client.mkdir(root, 'd', { mode: 0o777 });
    expect((await client.create(root, 'd', { mode: 0o600 })).status).toBe(nfs.EXIST);
    await client.setattr(root, { mode: 0o777 });
    expect((await client.as(user).create(root, 'c', { mode: 0o020_600, size: 0x103 })).status).toBe(nfs.PERM);
    expect((await client.as(user).create(root, 'p', { mode: 0o020_600 })).status).toBe(nfs.OK);
  });
});

describe('names', () => {
  test('are linked, renamed and removed', async () => {
    const { client, root, file, tree } = await withFile('content');
    const ok = { status: nfs.OK, left: 0 };
    const { handle: d } = await client.mkdir(root, 'd', { mode: 0o755 });
    expect(await client.link(file, d!, 'second')).toEqual(ok);
    expect((await client.getattr(file)).attributes?.links).toBe(2);
    expect(await client.rename(d!, 'second', root, 'third')).toEqual(ok);
    expect(await client.remove(root, 'file')).toEqual(ok);
    expect((await client.read(file, 0, 7)).data?.toString()).toBe('content');
    expect(await client.rmdir(root, 'd')).toEqual(ok);
    tree.check();
  });

  test.each<[string, (it: ReturnType<typeof world>) => Promise<{ status: number }>, number]>([
    ['REMOVE of a directory', ({ client, root }) => client.remove(root, 'd'), nfs.ISDIR],
    ['REMOVE of nothing', ({ client, root }) => client.remove(root, 'x'), nfs.NOENT],
    ['RMDIR of a file', ({ client, root }) => client.rmdir(root, 'f'), nfs.NOTDIR],
    ['RMDIR of a directory with names in it', ({ client, root }) => client.rmdir(root, 'd'), nfs.NOTEMPTY],
    ['MKDIR of a name that is taken', ({ client, root }) => client.mkdir(root, 'f'), nfs.EXIST],
    ['SYMLINK of a name that is taken', ({ client, root }) => client.symlink(root, 'f', 'x'), nfs.EXIST],
    ['SYMLINK to nowhere', ({ client, root }) => client.symlink(root, 'x', ''), nfs.INVAL],
    ['LINK of a directory', async ({ client, root }) => client.link((await client.lookup(root, 'd')).handle!, root, 'x'), nfs.ISDIR],
    ['RENAME of a directory into itself', async ({ client, root }) => client.rename(root, 'd', (await client.lookup(root, 'd')).handle!, 'x'), nfs.INVAL],
    ['REMOVE by somebody else', ({ client, root }) => client.as(user).remove(root, 'f'), nfs.ACCES],
  ])('%s is refused', async (_, act, status) => {
    const it = world();
    await it.client.create(it.root, 'f');
    const { handle } = await it.client.mkdir(it.root, 'd');
    await it.client.create(handle!, 'inside');
    expect(await act(it)).toEqual({ status, left: 0 });
    it.tree.check();
  });
});

describe('READDIR', () => {
  const names = Array.from({ length: 120 }, (_, index) => `name-${'x'.repeat(index % 40)}-${index}`);

  test.each([80, 100, 512, 4096, 8192, 65_536])('gives every name once, in pieces of %i bytes at most', async (count) => {
    const { tree, client, root } = world();
    for (const name of names) tree.create(tree.root, name, { kind: 'file' }, {});
    const seen: string[] = [];
    for (let cookie = 0, end = false; !end; ) {
      const result = await client.readdir(root, cookie, count);
      expect(result.status).toBe(nfs.OK);
      expect(result.bytes).toBeLessThanOrEqual(Math.min(count, 8192));
      for (const { name, id } of result.entries) {
        seen.push(name);
        if (name.startsWith('n')) expect(id).toBe(tree.lookup(tree.root, name));
      }
      cookie = result.entries.at(-1)?.cookie ?? cookie;
      end = result.endOfDirectory;
    }
    expect(seen).toEqual(['.', '..', ...names]);
  });

  test('fills what it is given, and has no word for too little', async () => {
    const { tree, client, root, file } = await withFile();
    for (const name of names) tree.create(tree.root, name, { kind: 'file' }, {});
    expect((await client.readdir(root, 0, 2048)).bytes).toBeGreaterThan(2048 - 64);
    expect((await client.readdir(root, 0, 20)).status).toBe(nfs.IO);
    expect((await client.readdir(file)).status).toBe(nfs.NOTDIR);
  });
});

describe('STATFS', () => {
  test('counts blocks of 4 KiB', async () => {
    const { client, root } = world({ totalBytes: 2 ** 28 });
    expect(await client.statfs(root)).toEqual({ status: nfs.OK, numbers: [8192, 4096, 65_536, 65_536, 65_536] });
  });

  test('counts larger ones where there are more than a signed word has', async () => {
    const { client, root } = world({ totalBytes: 2 ** 45 });
    expect((await client.statfs(root)).numbers).toEqual([8192, 32_768, 2 ** 30, 2 ** 30, 2 ** 30]);
  });
});

test('every status of version 3 has a number in version 2', () => {
  for (const status of Object.keys(nfs) as Failure[]) expect(status2(status)).toBeLessThan(100);
  expect([status2('NOENT'), status2('BADHANDLE'), status2('SERVERFAULT'), status2('NOTSUPP')]).toEqual([2, nfs.STALE, nfs.IO, 45]);
});

test('a call that comes twice is done once', async () => {
  const { exchange, root, client } = world();
  const call = encodeCall({ xid: 77, program: nfsProgram, version: 2, procedure: 14, user: rootUser }, (to) => {
    to.put(root);
    for (const word of [1, 0x64_00_00_00, ...Array.from({ length: 8 }, () => 0xffff_ffff)]) to.u32(word);
  });
  const first = await exchange(call);
  expect(decodeReply(first).results.u32()).toBe(nfs.OK);
  expect(await exchange(call)).toEqual(first);
  expect((await client.mkdir(root, 'd')).status).toBe(nfs.EXIST);
});
