import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { encodeHandle } from '../../src/nfs/handles.ts';
import { statusNumbers as nfs } from '../../src/nfs/status.ts';
import { MemoryTree, type MemoryTreeOptions } from '../support/memory-tree.ts';
import { testKey } from '../support/nfs-farm.ts';
import { nfsWorld, worldOwner } from '../support/nfs-world.ts';
import { Nfs3Client } from '../support/nfs3-client.ts';

function world(options: MemoryTreeOptions = {}) {
  const tree = new MemoryTree({ clock: { now: () => 1_700_000_000_000 }, generation: 9, ...options });
  return { tree, ...nfsWorld(tree) };
}

const user = { uid: 1000, gid: 100, gids: [200] };
const numberOf = (handle: Buffer | undefined): number => handle?.readUInt32BE(12) ?? 0;

async function withFile(name = 'file', mode = 0o644, content = '') {
  const it = world();
  const { handle } = await it.client.create(it.root, name, { mode });
  if (content !== '') await it.client.write(handle!, 0, Buffer.from(content));
  return { ...it, file: handle! };
}

describe('handles', () => {
  test.each([
    ['of zeros', Buffer.alloc(24), nfs.BADHANDLE],
    ['that are empty', Buffer.alloc(0), nfs.BADHANDLE],
    ['with another key', encodeHandle(Buffer.from('guess'), { owner: worldOwner, generation: 9, object: 1 }), nfs.BADHANDLE],
    ['of an older tree', encodeHandle(testKey, { owner: worldOwner, generation: 8, object: 1 }), nfs.STALE],
    ['of another node', encodeHandle(testKey, { owner: 8, generation: 9, object: 1 }), nfs.STALE],
    ['of an object that is gone', encodeHandle(testKey, { owner: worldOwner, generation: 9, object: 77 }), nfs.STALE],
  ])('%s are refused by every procedure', async (_, bad, status) => {
    const { client, root, faults } = world();
    const results = await Promise.all([
      client.getattr(bad),
      client.setattr(bad, { mode: 0 }),
      client.lookup(bad, 'x'),
      client.access(bad, 1),
      client.readlink(bad),
      client.read(bad, 0, 1),
      client.write(bad, 0, Buffer.from('x')),
      client.create(bad, 'x'),
      client.mkdir(bad, 'x'),
      client.symlink(bad, 'x', 'y'),
      client.mknod(bad, 'x', 7),
      client.remove(bad, 'x'),
      client.rmdir(bad, 'x'),
      client.rename(bad, 'x', root, 'y'),
      client.rename(root, 'x', bad, 'y'),
      client.link(bad, root, 'x'),
      client.link(root, bad, 'x'),
      client.readdir(bad),
      client.readdirplus(bad),
      client.fsstat(bad),
      client.commit(bad),
    ]);
    expect(results.map((result) => result.status)).toEqual(results.map(() => status));
    expect(faults).toEqual([]);
  });

  test('of another client are refused, as if they were stale', async () => {
    const { exchangeAs, root } = world();
    expect((await new Nfs3Client(exchangeAs(ipv4('10.0.0.9'))).getattr(root)).status).toBe(nfs.STALE);
  });

  test('stay good when their object is renamed while it is open', async () => {
    const { client, root, file } = await withFile('old', 0o644, 'content');
    await client.rename(root, 'old', root, 'new');
    expect((await client.read(file, 0, 100)).data?.toString()).toBe('content');
  });
});

describe('GETATTR', () => {
  test('tells everything there is', async () => {
    const { client, root } = world();
    const { handle } = await client.mknod(root, 'disk', 3, [8, 17], { mode: 0o660, gid: 6, atime: { seconds: 5, nanoseconds: 6 } });
    expect((await client.getattr(handle!)).attributes).toMatchObject({
      kind: 3,
      mode: 0o660,
      links: 1,
      uid: 0,
      gid: 6,
      size: 0,
      used: 0,
      device: [8, 17],
      fsid: [worldOwner, 9],
      id: numberOf(handle),
      atime: { seconds: 5, nanoseconds: 6 },
      mtime: { seconds: 1_700_000_000 },
    });
  });

  test('times before 1970 are shown as 1970', async () => {
    const { tree, client, root, file } = await withFile();
    tree.change(numberOf(file), { mtime: { seconds: -5, nanoseconds: 7 } });
    expect((await client.lookup(root, 'file')).object?.mtime).toEqual({ seconds: 0, nanoseconds: 7 });
  });

  test('a file takes at least its size, in whole blocks', async () => {
    const { client, file } = await withFile('f', 0o644, 'x'.repeat(4097));
    expect((await client.getattr(file)).attributes).toMatchObject({ size: 4097, used: 8192 });
  });
});

describe('SETATTR', () => {
  test('changes, and its wcc data are the states around the change', async () => {
    const { client, file } = await withFile();
    const { attributes: before } = await client.getattr(file);
    const { status, wcc } = await client.setattr(file, { mode: 0o600, uid: 5, gid: 6, size: 10, mtime: { seconds: 1, nanoseconds: 2 }, atime: 'now' });
    expect(status).toBe(nfs.OK);
    expect(wcc.before).toEqual({ size: before?.size, mtime: before?.mtime, ctime: before?.ctime });
    expect(wcc.after).toMatchObject({ mode: 0o600, uid: 5, gid: 6, size: 10, mtime: { seconds: 1, nanoseconds: 2 } });
    expect(wcc.after?.ctime).not.toEqual(before?.ctime);
    expect((await client.getattr(file)).attributes).toEqual(wcc.after);
  });

  test('with a guard happens only if nothing else has', async () => {
    const { client, file } = await withFile();
    const { attributes } = await client.getattr(file);
    const guard = attributes!.ctime;
    expect((await client.setattr(file, { mode: 0o600 }, guard)).status).toBe(nfs.OK);
    expect((await client.setattr(file, { mode: 0o644 }, guard)).status).toBe(nfs.NOT_SYNC);
    expect((await client.getattr(file)).attributes?.mode).toBe(0o600);
  });

  test.each([
    ['the size of a directory', 'd', { size: 0 }, nfs.ISDIR],
    ['the size of a fifo', 'p', { size: 0 }, nfs.INVAL],
    ['a size that no number holds', 'f', { size: 2 ** 53 }, nfs.FBIG],
    ['a size that the tree refuses', 'f', { size: 2 ** 40 }, nfs.FBIG],
  ])('refuses %s', async (_, name, change, status) => {
    const { client, root } = world();
    const { handle: d } = await client.mkdir(root, 'd');
    const { handle: p } = await client.mknod(root, 'p', 7);
    const { handle: f } = await client.create(root, 'f');
    const handle = { d, p, f }[name]!;
    const before = (await client.getattr(handle)).attributes;
    const result = await client.setattr(handle, change);
    expect(result.status).toBe(status);
    expect(result.wcc.after).toEqual(before);
  });

  test('asks the permissions', async () => {
    const { client, file } = await withFile();
    expect((await client.as(user).setattr(file, { mode: 0o777 })).status).toBe(nfs.PERM);
    expect((await client.as(user).setattr(file, { size: 0 })).status).toBe(nfs.ACCES);
    expect((await client.as(undefined).setattr(file, { mtime: 'now' })).status).toBe(nfs.ACCES);
  });
});

describe('LOOKUP', () => {
  test('finds a name, with the attributes of both', async () => {
    const { client, root, file } = await withFile();
    const found = await client.lookup(root, 'file');
    expect(found).toMatchObject({ status: nfs.OK, handle: file, object: { kind: 1 }, directory: { kind: 2 } });
  });

  test('`.` and `..` are directories too, and the root is its own parent', async () => {
    const { client, root } = world();
    const { handle: a } = await client.mkdir(root, 'a', { mode: 0o755 });
    const { handle: b } = await client.mkdir(a!, 'b', { mode: 0o755 });
    expect((await client.lookup(b!, '.')).handle).toEqual(b);
    expect((await client.lookup(b!, '..')).handle).toEqual(a);
    expect((await client.lookup(root, '..')).handle).toEqual(root);
  });

  test('names may have any bytes but two', async () => {
    const { client, root } = world();
    const name = '\xff\xfe\t$$HOST=x$$\\';
    const { handle } = await client.create(root, name);
    expect((await client.lookup(root, name)).handle).toEqual(handle);
  });

  test.each([
    ['a name that is not there', 'nothing', nfs.NOENT],
    ['a name of 256 bytes', 'n'.repeat(256), nfs.NAMETOOLONG],
    ['a name of 70,000 bytes', 'n'.repeat(70_000), nfs.NAMETOOLONG],
    ['a name with a slash', 'a/b', nfs.INVAL],
    ['a name with a NUL', 'a\0b', nfs.INVAL],
    ['no name', '', nfs.ACCES],
  ])('refuses %s', async (_, name, status) => {
    const { client, root, file } = await withFile();
    expect(await client.lookup(root, name)).toMatchObject({ status, directory: { kind: 2 } });
    expect(await client.lookup(file, name)).toMatchObject({ status: nfs.NOTDIR, directory: { kind: 1 } });
  });

  test('needs the right to search', async () => {
    const { client, root } = world();
    const { handle } = await client.mkdir(root, 'd', { mode: 0o700 });
    await client.create(handle!, 'f');
    expect((await client.as(user).lookup(handle!, 'f')).status).toBe(nfs.ACCES);
  });
});

describe('ACCESS and READLINK', () => {
  test('ACCESS answers for the caller', async () => {
    const { client, file } = await withFile('f', 0o644);
    expect(await client.access(file, 0x3f)).toMatchObject({ status: nfs.OK, granted: 0x0d, attributes: { kind: 1 } });
    expect(await client.as(user).access(file, 0x3f)).toMatchObject({ granted: 0x01 });
    expect(await client.as(undefined).access(file, 0x3f)).toMatchObject({ granted: 0x01 });
  });

  test('READLINK gives a target of any bytes', async () => {
    const { client, root, file } = await withFile();
    const { handle, object } = await client.symlink(root, 'link', '../\xff/where');
    expect(object).toMatchObject({ kind: 5, mode: 0o777, size: 10 });
    expect(await client.readlink(handle!)).toMatchObject({ status: nfs.OK, target: '../\xff/where' });
    expect((await client.readlink(file)).status).toBe(nfs.INVAL);
  });
});

describe('READ', () => {
  test.each([
    ['all of it', 0, 100, 'hello world', true],
    ['exactly all of it', 0, 11, 'hello world', true],
    ['all but the last byte', 0, 10, 'hello worl', false],
    ['from the middle', 6, 3, 'wor', false],
    ['the last byte', 10, 1, 'd', true],
    ['at the end', 11, 5, '', true],
    ['behind the end', 2 ** 60, 5, '', true],
    ['nothing', 3, 0, '', false],
  ])('%s', async (_, offset, count, data, endOfFile) => {
    const { client, file } = await withFile('f', 0o644, 'hello world');
    const result = await client.read(file, offset, count);
    expect({ ...result, data: result.data?.toString() }).toMatchObject({ status: nfs.OK, count: data.length, data, endOfFile, attributes: { size: 11 } });
  });

  test('gives a mebibyte at most', async () => {
    const { client, file } = await withFile();
    await client.setattr(file, { size: 3 * 2 ** 20 });
    expect(await client.read(file, 0, 0xffff_ffff)).toMatchObject({ count: 2 ** 20, endOfFile: false });
  });

  test('refuses what is no file', async () => {
    const { client, root } = world();
    const { handle } = await client.symlink(root, 'link', 'x');
    expect(await client.read(root, 0, 1)).toMatchObject({ status: nfs.ISDIR, attributes: { kind: 2 } });
    expect((await client.read(handle!, 0, 1)).status).toBe(nfs.INVAL);
  });

  test('is for who may read, or execute', async () => {
    const { client, file } = await withFile('f', 0o600, 'x');
    expect((await client.as(user).read(file, 0, 1)).status).toBe(nfs.ACCES);
    await client.setattr(file, { mode: 0o711 });
    expect((await client.as(user).read(file, 0, 1)).status).toBe(nfs.OK);
  });
});

describe('WRITE', () => {
  test('grows a file, with zeros in the gap', async () => {
    const { client, file } = await withFile('f', 0o644, 'ab');
    const { wcc, count } = await client.write(file, 4, Buffer.from('cd'));
    expect(count).toBe(2);
    expect([wcc.before?.size, wcc.after?.size]).toEqual([2, 6]);
    expect((await client.read(file, 0, 10)).data).toEqual(Buffer.from('ab\0\0cd'));
  });

  test('takes set-uid away, but not when root writes', async () => {
    const { client, file } = await withFile('f', 0o6777);
    expect((await client.write(file, 0, Buffer.from('x'))).wcc.after?.mode).toBe(0o6777);
    expect((await client.as(user).write(file, 0, Buffer.from('x'))).wcc.after?.mode).toBe(0o777);
  });

  test('refuses more than was sent, and writes less if less is asked', async () => {
    const { client, file } = await withFile();
    expect((await client.write(file, 0, Buffer.from('abc'), 0, 4)).status).toBe(nfs.INVAL);
    expect(await client.write(file, 0, Buffer.from('abc'), 0, 2)).toMatchObject({ status: nfs.OK, count: 2, wcc: { after: { size: 2 } } });
  });

  test.each([
    ['beyond every size', 2 ** 53, nfs.FBIG],
    ['beyond the size of the tree', 2 ** 40, nfs.FBIG],
  ])('refuses an offset %s', async (_, offset, status) => {
    const { client, file } = await withFile();
    expect((await client.write(file, offset, Buffer.from('x'))).status).toBe(status);
  });

  test('says when the disk is full', async () => {
    const { client, root, tree } = world({ totalBytes: 8192 });
    const { handle: one } = await client.create(root, 'one');
    const { handle: two } = await client.create(root, 'two');
    expect((await client.write(one!, 0, Buffer.alloc(4097))).status).toBe(nfs.OK);
    expect(await client.write(two!, 0, Buffer.alloc(1))).toMatchObject({ status: nfs.NOSPC, wcc: { after: { size: 0 } } });
    await client.setattr(one!, { size: 4096 });
    expect((await client.write(two!, 0, Buffer.alloc(1))).status).toBe(nfs.OK);
    tree.check();
  });

  test('is for files, and for who may write', async () => {
    const { client, root, file } = await withFile('f', 0o644);
    expect((await client.write(root, 0, Buffer.from('x'))).status).toBe(nfs.ISDIR);
    expect((await client.as(user).write(file, 0, Buffer.from('x'))).status).toBe(nfs.ACCES);
  });
});

describe('CREATE', () => {
  test('makes a file with what is asked', async () => {
    const { client, root } = world();
    const made = await client.create(root, 'f', { mode: 0o4640, uid: 3, gid: 4, size: 5 });
    expect(made).toMatchObject({ status: nfs.OK, object: { kind: 1, mode: 0o4640, uid: 3, gid: 4, size: 5 }, wcc: { before: {}, after: { kind: 2 } } });
    expect((await client.lookup(root, 'f')).handle).toEqual(made.handle);
  });

  test('UNCHECKED takes the file that is there, and only sets its size', async () => {
    const { client, root, file } = await withFile('f', 0o644, 'content');
    expect(await client.create(root, 'f', { mode: 0o600 })).toMatchObject({ status: nfs.OK, handle: file, object: { mode: 0o644, size: 7 } });
    expect(await client.create(root, 'f', { mode: 0o600, size: 0 })).toMatchObject({ status: nfs.OK, handle: file, object: { mode: 0o644, size: 0 } });
    expect((await client.as(user).create(root, 'f', { size: 0 })).status).toBe(nfs.ACCES);
  });

  test('UNCHECKED does not take a directory, GUARDED takes nothing', async () => {
    const { client, root } = await withFile('f');
    await client.mkdir(root, 'd');
    expect((await client.create(root, 'd')).status).toBe(nfs.EXIST);
    expect((await client.create(root, 'f', {}, 'guarded')).status).toBe(nfs.EXIST);
    expect((await client.create(root, 'new', {}, 'guarded')).status).toBe(nfs.OK);
  });

  test('EXCLUSIVE succeeds again with the same verifier and fails with another', async () => {
    const { client, root } = world();
    const verifier = Buffer.from('f0e1d2c3b4a59687', 'hex');
    const first = await client.createExclusive(root, 'f', verifier);
    expect(first).toMatchObject({ status: nfs.OK, object: { size: 0, mode: 0o600 } });
    expect(await client.createExclusive(root, 'f', verifier)).toMatchObject({ status: nfs.OK, handle: first.handle });
    expect((await client.createExclusive(root, 'f', Buffer.from('12345678'))).status).toBe(nfs.EXIST);
    await client.setattr(first.handle!, { mode: 0o644, atime: 'now', mtime: 'now' });
    expect((await client.createExclusive(root, 'f', verifier)).status).toBe(nfs.EXIST);
  });

  test.each([
    ['.', nfs.EXIST],
    ['..', nfs.EXIST],
    ['', nfs.ACCES],
    ['a/b', nfs.INVAL],
    ['n'.repeat(256), nfs.NAMETOOLONG],
  ])('nothing can be called %j', async (name, status) => {
    const { client, root } = world();
    const results = await Promise.all([
      client.create(root, name),
      client.createExclusive(root, name, Buffer.alloc(8)),
      client.mkdir(root, name),
      client.symlink(root, name, 'x'),
      client.mknod(root, name, 7),
      client.link(root, root, name),
    ]);
    expect(results.slice(0, 5).map((result) => result.status)).toEqual([status, status, status, status, status]);
  });

  test('needs the right to write in the directory', async () => {
    const { client, root } = world();
    const { handle } = await client.mkdir(root, 'd', { mode: 0o755 });
    const results = await Promise.all([
      client.as(user).create(handle!, 'a'),
      client.as(user).createExclusive(handle!, 'a', Buffer.alloc(8)),
      client.as(user).mkdir(handle!, 'a'),
      client.as(user).symlink(handle!, 'a', 'x'),
      client.as(user).mknod(handle!, 'a', 7),
    ]);
    expect(results.map((result) => result.status)).toEqual(results.map(() => nfs.ACCES));
  });
});

describe('MKDIR, SYMLINK and MKNOD', () => {
  test('a directory counts in the links of its parent', async () => {
    const { client, root } = world();
    expect(await client.mkdir(root, 'd', { mode: 0o755 })).toMatchObject({ status: nfs.OK, object: { kind: 2, links: 2 }, wcc: { after: { links: 3 } } });
    expect((await client.mkdir(root, 'd')).status).toBe(nfs.EXIST);
  });

  test.each([
    ['a block device', 3, 3],
    ['a character device', 4, 4],
    ['a socket', 6, 6],
    ['a fifo', 7, 7],
  ])('%s', async (_, type, kind) => {
    const { client, root } = world();
    const made = await client.mknod(root, 'x', type, [1, 3], { mode: 0o600 });
    expect(made).toMatchObject({ status: nfs.OK, object: { kind, mode: 0o600, device: type < 5 ? [1, 3] : [0, 0] } });
  });

  test('only root makes devices, and nobody makes files with MKNOD', async () => {
    const { client, root } = world();
    await client.setattr(root, { mode: 0o777 });
    expect((await client.as(user).mknod(root, 'x', 4, [1, 3])).status).toBe(nfs.PERM);
    expect((await client.as(user).mknod(root, 'x', 7)).status).toBe(nfs.OK);
    expect((await client.mknod(root, 'y', 1)).status).toBe(nfs.BADTYPE);
    expect((await client.mknod(root, 'y', 5)).status).toBe(nfs.BADTYPE);
  });

  test.each([
    ['an empty target', '', nfs.INVAL],
    ['a target with a NUL', 'a\0b', nfs.INVAL],
    ['a target that is too long', 't'.repeat(4096), nfs.NAMETOOLONG],
    ['the longest target', 't'.repeat(4095), nfs.OK],
  ])('a symlink with %s', async (_, target, status) => {
    const { client, root } = world();
    expect((await client.symlink(root, 'l', target)).status).toBe(status);
  });
});

describe('REMOVE and RMDIR', () => {
  test('take names away, and the object with its last', async () => {
    const { client, root, file, tree } = await withFile();
    await client.link(file, root, 'second');
    expect((await client.remove(root, 'file')).status).toBe(nfs.OK);
    expect((await client.getattr(file)).attributes?.links).toBe(1);
    expect(await client.remove(root, 'second')).toMatchObject({ status: nfs.OK, wcc: { before: {}, after: {} } });
    expect((await client.getattr(file)).status).toBe(nfs.STALE);
    tree.check();
  });

  test('keep to their kinds', async () => {
    const { client, root } = await withFile('f');
    const { handle } = await client.mkdir(root, 'd', { mode: 0o755 });
    await client.create(handle!, 'inside');
    expect((await client.remove(root, 'd')).status).toBe(nfs.ISDIR);
    expect((await client.rmdir(root, 'f')).status).toBe(nfs.NOTDIR);
    expect((await client.rmdir(root, 'd')).status).toBe(nfs.NOTEMPTY);
    await client.remove(handle!, 'inside');
    expect((await client.rmdir(root, 'd')).status).toBe(nfs.OK);
    expect((await client.rmdir(root, '.')).status).toBe(nfs.INVAL);
    expect((await client.remove(root, 'nothing')).status).toBe(nfs.NOENT);
  });

  test('in a sticky directory are for the owner', async () => {
    const { client, root } = world();
    const { handle: tmp } = await client.mkdir(root, 'tmp', { mode: 0o1777 });
    await client.create(tmp!, 'of-root', { mode: 0o666 });
    await client.as(user).create(tmp!, 'of-user', { mode: 0o666 });
    expect((await client.as(user).remove(tmp!, 'of-root')).status).toBe(nfs.PERM);
    expect((await client.as(user).rename(tmp!, 'of-root', tmp!, 'x')).status).toBe(nfs.PERM);
    expect((await client.as(user).rename(tmp!, 'of-user', tmp!, 'of-root')).status).toBe(nfs.PERM);
    expect((await client.as(user).remove(tmp!, 'of-user')).status).toBe(nfs.OK);
  });
});

describe('RENAME', () => {
  test('moves between directories, with the wcc data of both', async () => {
    const { client, root, tree } = world();
    const { handle: a } = await client.mkdir(root, 'a', { mode: 0o755 });
    const { handle: b } = await client.mkdir(root, 'b', { mode: 0o755 });
    const { handle: d } = await client.mkdir(a!, 'd', { mode: 0o755 });
    const result = await client.rename(a!, 'd', b!, 'e');
    expect(result).toMatchObject({ status: nfs.OK, from: { after: { links: 2 } }, to: { after: { links: 3 } } });
    expect((await client.lookup(d!, '..')).handle).toEqual(b);
    tree.check();
  });

  test('replaces its target', async () => {
    const { client, root, file } = await withFile('new', 0o644, 'new');
    const { handle: old } = await client.create(root, 'old');
    expect((await client.rename(root, 'new', root, 'old')).status).toBe(nfs.OK);
    expect((await client.lookup(root, 'old')).handle).toEqual(file);
    expect((await client.getattr(old!)).status).toBe(nfs.STALE);
  });

  test.each([
    ['a name that is not there', 'nothing', 'x', nfs.NOENT],
    ['a directory over a file', 'd', 'f', nfs.NOTDIR],
    ['a file over a directory', 'f', 'd', nfs.ISDIR],
    ['over a directory that is not empty', 'e', 'd', nfs.NOTEMPTY],
    ['`.`', '.', 'x', nfs.INVAL],
    ['to `..`', 'f', '..', nfs.EXIST],
    ['to a name that is too long', 'f', 'n'.repeat(256), nfs.NAMETOOLONG],
  ])('refuses %s', async (_, name, newName, status) => {
    const { client, root, tree } = await withFile('f');
    const { handle } = await client.mkdir(root, 'd', { mode: 0o755 });
    await client.create(handle!, 'inside');
    await client.mkdir(root, 'e');
    expect((await client.rename(root, name, root, newName)).status).toBe(status);
    tree.check();
  });

  test('does not move a directory into itself', async () => {
    const { client, root, tree } = world();
    const { handle: a } = await client.mkdir(root, 'a', { mode: 0o755 });
    const { handle: b } = await client.mkdir(a!, 'b', { mode: 0o755 });
    expect((await client.rename(root, 'a', b!, 'c')).status).toBe(nfs.INVAL);
    tree.check();
  });

  test('a directory that is moved must be writable: its `..` changes', async () => {
    const { client, root } = world();
    const { handle: open } = await client.mkdir(root, 'open', { mode: 0o777 });
    const { handle: other } = await client.mkdir(root, 'other', { mode: 0o777 });
    await client.mkdir(open!, 'd', { mode: 0o755 });
    expect((await client.as(user).rename(open!, 'd', other!, 'd')).status).toBe(nfs.ACCES);
    expect((await client.as(user).rename(open!, 'd', open!, 'e')).status).toBe(nfs.OK);
  });
});

describe('LINK', () => {
  test('adds a name', async () => {
    const { client, root, file } = await withFile();
    expect(await client.link(file, root, 'second')).toMatchObject({ status: nfs.OK, attributes: { links: 2 }, wcc: { before: {}, after: { kind: 2 } } });
    expect((await client.lookup(root, 'second')).handle).toEqual(file);
  });

  test('refuses directories, names that are taken, and too many links', async () => {
    const { client, root } = world({ linkMax: 2 });
    const { handle } = await client.create(root, 'f');
    expect((await client.link(root, root, 'x')).status).toBe(nfs.ISDIR);
    expect((await client.link(handle!, root, 'f')).status).toBe(nfs.EXIST);
    expect((await client.link(handle!, handle!, 'x')).status).toBe(nfs.NOTDIR);
    await client.link(handle!, root, 'second');
    expect((await client.link(handle!, root, 'third')).status).toBe(nfs.MLINK);
  });
});

describe('the server', () => {
  test('tells what it is like', async () => {
    const { client, root } = world({ totalBytes: 1000, totalObjects: 10 });
    expect(await client.fsstat(root)).toMatchObject({ status: nfs.OK, attributes: { kind: 2 }, numbers: [1000, 1000, 1000, 10, 9, 9] });
    expect(await client.fsinfo(root)).toMatchObject({
      status: nfs.OK,
      sizes: [1_048_576, 262_144, 4096, 1_048_576, 262_144, 4096, 65_536],
      fileSizeMax: Number.MAX_SAFE_INTEGER,
      timeDelta: [0, 1],
      properties: 0x1b,
    });
    expect(await client.pathconf(root)).toMatchObject({ status: nfs.OK, linkMax: 65_000, nameMax: 255, flags: [true, true, false, true] });
  });
});
