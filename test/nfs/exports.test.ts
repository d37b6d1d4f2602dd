import { describe, expect, test } from 'vitest';
import { type Access, grantedAccess, userOf } from '../../src/nfs/access.ts';
import { statusNumbers as nfs } from '../../src/nfs/status.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { everything, loopback, singleExport } from '../support/nfs-farm.ts';
import { nfsWorld } from '../support/nfs-world.ts';
import { Nfs3Client } from '../support/nfs3-client.ts';
import { directExchange } from '../support/rpc-client.ts';

function world(access: Partial<Access>) {
  const tree = new MemoryTree({ clock: { now: () => 1_700_000_000_000 } });
  const it = nfsWorld(tree, singleExport(tree, loopback, 7, { ...everything, ...access }));
  const open = tree.create(tree.root, 'open', { kind: 'directory' }, { mode: 0o777 });
  const secret = tree.create(tree.root, 'secret', { kind: 'file' }, { mode: 0o600 });
  const handleOf = (object: number) => it.handles.encode(7, tree.generation, object);
  return { tree, ...it, open: handleOf(open), secret: handleOf(secret), handleOf };
}

const unix = (uid: number, gid: number, gids: readonly number[] = []) => ({ flavor: 'unix', machine: 'n', uid, gid, gids }) as const;
const anon = { anonuid: 65_533, anongid: 65_532 };

describe('an export takes', () => {
  test.each<[string, Access['squash'], Parameters<typeof userOf>[0], [number, number, readonly number[]]]>([
    ['root for root', 'none', unix(0, 0, [0, 4]), [0, 0, [0, 4]]],
    ['root for the anonymous user', 'root', unix(0, 0), [65_533, 65_532, []]],
    ['group 0 for the anonymous one wherever it stands', 'root', unix(5, 0, [7, 0, 8]), [5, 65_532, [7, 65_532, 8]]],
    ['anybody else for himself', 'root', unix(5, 6, [7]), [5, 6, [7]]],
    ['everybody for the anonymous user', 'all', unix(5, 6, [7]), [65_533, 65_532, []]],
    ['who says nothing about himself for the anonymous user', 'none', { flavor: 'none' }, [65_533, 65_532, []]],
  ])('%s', (_, squash, credential, expected) => {
    const { uid, gid, gids } = userOf(credential, { ...everything, squash, ...anon });
    expect([uid, gid, gids]).toEqual(expected);
  });
});

describe('root that is squashed', () => {
  test('owns what it makes as the anonymous user, and cannot give it to others', async () => {
    const { client, open } = world({ squash: 'root', ...anon });
    const { handle } = await client.create(open, 'file', { mode: 0o644, uid: 0, gid: 0 });
    expect((await client.getattr(handle!)).attributes).toMatchObject({ uid: 65_533, gid: 65_532 });
    expect((await client.setattr(handle!, { uid: 0 })).status).toBe(nfs.PERM);
    expect((await client.mknod(open, 'tty', 4)).status).toBe(nfs.PERM);
  });

  test('reads, enters and changes what others may, and ACCESS says so', async () => {
    const { client, open, secret, root } = world({ squash: 'root', ...anon });
    expect((await client.read(secret, 0, 10)).status).toBe(nfs.ACCES);
    expect((await client.access(secret, 63)).granted).toBe(0);
    expect((await client.access(open, 63)).granted).toBe(1 | 2 | 4 | 8 | 16);
    expect((await client.mkdir(root, 'd')).status).toBe(nfs.ACCES);
    expect((await client.getattr(secret)).status).toBe(nfs.OK);
  });
});

describe('a read-only export', () => {
  test('refuses every change with ROFS, to root and before it is asked who may, and changes nothing', async () => {
    const { client, root, open, secret, tree } = world({ readOnly: true });
    const before = tree.attributes(tree.root);
    const stranger = client.as({ uid: 9, gid: 9, gids: [] });
    const refused = await Promise.all(
      [client, stranger].flatMap((one) => [
        one.setattr(secret, { mode: 0o644 }),
        one.write(secret, 0, Buffer.from('x')),
        one.commit(secret),
        one.create(root, 'x', { mode: 0o644 }),
        one.mkdir(root, 'x'),
        one.symlink(root, 'x', 'y'),
        one.mknod(root, 'x', 7),
        one.remove(root, 'secret'),
        one.rmdir(root, 'open'),
        one.rename(root, 'open', root, 'shut'),
        one.link(secret, open, 'more'),
      ]),
    );
    expect(refused.map(({ status }) => status)).toEqual(refused.map(() => nfs.ROFS));
    expect(tree.attributes(tree.root)).toEqual(before);
  });

  test('is read, and ACCESS grants no more than that', async () => {
    const { client, root, secret, open } = world({ readOnly: true });
    expect((await client.read(secret, 0, 1)).status).toBe(nfs.OK);
    expect((await client.readdir(root)).status).toBe(nfs.OK);
    expect((await client.access(secret, 63)).granted).toBe(1);
    expect((await client.access(open, 63)).granted).toBe(1 | 2);
  });

  test("lets devices be written to: they are the client's own", () => {
    const tree = new MemoryTree();
    const tty = tree.create(tree.root, 'tty', { kind: 'character', device: { major: 5, minor: 0 } }, { mode: 0o666 });
    expect(grantedAccess(tree.attributes(tty), unix(9, 9), 63, true)).toBe(1 | 4 | 8);
  });
});

describe('an export for privileged ports', () => {
  test('is neither mounted nor used from others', async () => {
    const { answering, client, root } = world({ privileged: true });
    const other = new Nfs3Client(directExchange(answering, loopback, 'tcp', 1024));
    expect((await other.mount('/')).status).toBe(nfs.ACCES);
    expect((await other.getattr(root)).status).toBe(nfs.PERM);
    expect((await other.create(root, 'x')).status).toBe(nfs.PERM);
    expect((await client.getattr(root)).status).toBe(nfs.OK);
  });
});
