import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { filledHandle } from '../../src/nfs/v2/handle.ts';
import { readBool, readString, writeString } from '../../src/rpc/xdr.ts';
import { TreeError } from '../../src/tree/tree.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { type loopback, singleExport } from '../support/nfs-farm.ts';
import { nfsWorld } from '../support/nfs-world.ts';
import { mountProgram, Nfs3Client } from '../support/nfs3-client.ts';

function world() {
  const tree = new MemoryTree();
  const usr = tree.create(tree.root, 'usr', { kind: 'directory' }, { mode: 0o755 });
  tree.create(usr, 'share', { kind: 'directory' }, { mode: 0o755 });
  tree.create(usr, 'file', { kind: 'file' }, { mode: 0o644 });
  tree.create(tree.root, 'link', { kind: 'symlink', target: 'usr' }, { mode: 0o777 });
  const farm = singleExport(tree);
  const exports = {
    ...farm,
    mount: (client: typeof loopback, path: string) => {
      if (path === '/broken') throw new Error('a bug');
      if (path === '/gone') throw new TreeError('NOENT');
      if (path === '/full') throw new TreeError('NOSPC');
      return farm.mount(client, path);
    },
  };
  return { tree, ...nfsWorld(tree, exports) };
}

describe('MNT', () => {
  test('gives the root, for AUTH_SYS', async () => {
    const { client, root, events } = world();
    expect(await client.mount('/')).toEqual({ status: 0, handle: root, flavors: [1] });
    expect(events).toEqual([{ kind: 'mounted', client: '127.0.0.1', path: '/', owner: 7 }]);
  });

  test('gives a directory inside', async () => {
    const { client, root } = world();
    const { handle } = await client.mount('/usr/./share/');
    const { handle: usr } = await client.lookup(root, 'usr');
    expect((await client.lookup(usr ?? root, 'share')).handle).toEqual(handle);
  });

  test('`..` does not lead out of the root', async () => {
    const { client, root } = world();
    expect((await client.mount('/usr/../../..')).handle).toEqual(root);
  });

  test.each([
    ['a name that is not there', '/usr/nothing', 2],
    ['a file', '/usr/file', 20],
    ['a symlink', '/link', 20],
    ['what the tree refuses', '/gone', 2],
    ['what the tree refuses for a reason that MOUNT does not know', '/full', 5],
    ['a name that is too long', `/${'n'.repeat(256)}`, 63],
    ['what is a bug of ours', '/broken', 10_006],
  ])('refuses %s', async (_, path, status) => {
    const { client, events, faults } = world();
    expect(await client.mount(path)).toEqual({ status });
    expect(events).toMatchObject([{ kind: 'refused', path }]);
    expect(faults).toHaveLength(path === '/broken' ? 1 : 0);
  });

  test('refuses a client that has no view', async () => {
    const { exchangeAs, events } = world();
    expect(await new Nfs3Client(exchangeAs(ipv4('10.0.0.9'))).mount('/')).toEqual({ status: 13 });
    expect(events).toEqual([{ kind: 'refused', client: '10.0.0.9', path: '/', reason: 'ACCES' }]);
  });
});

describe.each([1, 2])('MNT of version %i', (version) => {
  test('gives a handle of 32 bytes and nothing else', async () => {
    const { client2, root, events } = world();
    expect(await client2.mount('/', version)).toEqual({ status: 0, handle: filledHandle(root), left: 0 });
    expect(events).toEqual([{ kind: 'mounted', client: '127.0.0.1', path: '/', owner: 7 }]);
  });

  test.each([
    ['a name that is not there', '/usr/nothing', 2],
    ['a file', '/usr/file', 20],
    ['what the tree refuses', '/full', 28],
    ['a name that is too long', `/${'n'.repeat(256)}`, 63],
    ['what is a bug of ours', '/broken', 5],
  ])('refuses %s with the number of a UNIX error', async (_, path, status) => {
    expect(await world().client2.mount(path, version)).toEqual({ status, left: 0 });
  });

  test('its mounts are in the list that all versions show, EXPORTALL is EXPORT, and version 3 has none', async () => {
    const { client, client2 } = world();
    await client2.mount('/usr', version);
    await client.mount('/usr/share');
    const dump = async (of: number) => (await client2.call(mountProgram, of, 2)).rest();
    expect(await dump(1)).toEqual(await dump(3));
    await client.call(mountProgram, 3, (to) => writeString(to, '/usr'));
    const from = await client2.call(mountProgram, version, 2);
    expect([readBool(from), readString(from, 255), readString(from, 1024), readBool(from)]).toEqual([true, '127.0.0.1', '/usr/share', false]);
    expect((await client2.call(mountProgram, version, 6)).rest()).toEqual((await client2.call(mountProgram, version, 5)).rest());
    await expect(client2.call(mountProgram, 3, 6)).rejects.toThrow('RPC refused: 3');
  });
});

describe('the list of mounts', () => {
  test('grows with MNT and shrinks with UMNT and UMNTALL', async () => {
    const { client, events } = world();
    const dump = async () => {
      const from = await client.call(mountProgram, 2, () => {});
      const list: string[] = [];
      while (readBool(from)) list.push(`${readString(from, 255)} ${readString(from, 1024)}`);
      return list;
    };
    for (const path of ['/', '/usr', '/usr/share', '/']) await client.mount(path);
    expect(await dump()).toEqual(['127.0.0.1 /usr', '127.0.0.1 /usr/share', '127.0.0.1 /']);
    await client.call(mountProgram, 3, (to) => writeString(to, '/usr'));
    expect(await dump()).toEqual(['127.0.0.1 /usr/share', '127.0.0.1 /']);
    await client.call(mountProgram, 4, () => {});
    expect(await dump()).toEqual([]);
    expect(events.filter(({ kind }) => kind === 'unmounted')).toHaveLength(3);
  });

  test('EXPORT tells each client what it may mount', async () => {
    const { client, exchangeAs } = world();
    const list = async (of: Nfs3Client) => {
      const from = await of.call(mountProgram, 5, () => {});
      const paths: string[] = [];
      while (readBool(from)) {
        paths.push(readString(from, 1024));
        expect(readBool(from)).toBe(false);
      }
      return paths;
    };
    expect(await list(client)).toEqual(['/']);
    expect(await list(new Nfs3Client(exchangeAs(ipv4('10.0.0.9'))))).toEqual([]);
  });
});
