// Nothing is answered before it is where it was asked to be. RFC 1813 1.1.5, 3.3.7, 3.3.21, 4.8.
import { describe, expect, test } from 'vitest';
import { statusNumbers as nfs } from '../../src/nfs/status.ts';
import { type ObjectId, TreeError } from '../../src/tree/tree.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { nfsWorld } from '../support/nfs-world.ts';
import { Nfs3Client } from '../support/nfs3-client.ts';
import type { Exchange } from '../support/rpc-client.ts';

/** A tree whose disk is as slow as the test wants, and fails when it wants. */
class SlowTree extends MemoryTree {
  slow = false;
  failing = false;
  readonly asked: string[] = [];
  private waiting: (() => void)[] = [];

  override stable(): Promise<void> {
    return this.wait('stable');
  }

  override commit(id: ObjectId): Promise<void> {
    return this.wait(`commit ${id}`);
  }

  finish(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  private async wait(what: string): Promise<void> {
    this.asked.push(what);
    if (this.slow) await new Promise<void>((resolve) => this.waiting.push(resolve));
    if (this.failing) throw new TreeError('IO', 'the disk is broken');
  }
}

async function world() {
  const tree = new SlowTree();
  const it = nfsWorld(tree);
  const { handle } = await it.client.create(it.root, 'f', { mode: 0o644 });
  await it.client.mkdir(it.root, 'd');
  tree.asked.length = 0;
  return { tree, ...it, file: handle!, id: handle!.readUInt32BE(12) };
}

type World = Awaited<ReturnType<typeof world>>;

/** Whether a promise has settled once everything that can happen has. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

describe('an answer waits for the disk', () => {
  test.each<[string, (it: World) => Promise<{ status: number }>]>([
    ['SETATTR', ({ client, file }) => client.setattr(file, { mode: 0o600 })],
    ['CREATE', ({ client, root }) => client.create(root, 'x')],
    ['MKDIR', ({ client, root }) => client.mkdir(root, 'x')],
    ['SYMLINK', ({ client, root }) => client.symlink(root, 'x', 'y')],
    ['MKNOD', ({ client, root }) => client.mknod(root, 'x', 7)],
    ['REMOVE', ({ client, root }) => client.remove(root, 'f')],
    ['RMDIR', ({ client, root }) => client.rmdir(root, 'd')],
    ['RENAME', ({ client, root }) => client.rename(root, 'f', root, 'x')],
    ['LINK', ({ client, root, file }) => client.link(file, root, 'x')],
    ['WRITE DATA_SYNC', ({ client, file }) => client.write(file, 0, Buffer.from('x'), 1)],
    ['WRITE FILE_SYNC', ({ client, file }) => client.write(file, 0, Buffer.from('x'), 2)],
    [
      'WRITE that takes set-uid away',
      async ({ client, file, tree, id }) => {
        tree.change(id, { mode: 0o4777 });
        return client.as({ uid: 5, gid: 5 }).write(file, 0, Buffer.from('x'), 0);
      },
    ],
    ['COMMIT', ({ client, file }) => client.commit(file)],
  ])('%s', async (_, act) => {
    const it = await world();
    it.tree.slow = true;
    const result = act(it);
    expect(await settled(result)).toBe(false);
    it.tree.slow = false;
    it.tree.finish();
    expect((await result).status).toBe(nfs.OK);
  });

  test('WRITE UNSTABLE does not, nor what changes nothing', async () => {
    const { client, root, file, tree } = await world();
    tree.slow = true;
    expect((await client.write(file, 0, Buffer.from('x'), 0)).status).toBe(nfs.OK);
    expect((await client.remove(root, 'nothing')).status).toBe(nfs.NOENT);
    expect((await client.getattr(file)).status).toBe(nfs.OK);
    expect(tree.asked).toEqual([]);
  });

  test.each([
    [0, []],
    [1, ['commit']],
    [2, ['commit', 'stable']],
  ])('WRITE with stable_how %i says what it has done', async (stable, asked) => {
    const { client, file, tree } = await world();
    expect(await client.write(file, 0, Buffer.from('x'), stable)).toMatchObject({ status: nfs.OK, committed: stable });
    expect(tree.asked.map((what) => what.split(' ')[0])).toEqual(asked);
  });

  test('a disk that fails is IO, and the wcc data say what happened nevertheless', async () => {
    const { client, root, tree } = await world();
    tree.failing = true;
    expect(await client.create(root, 'x')).toMatchObject({ status: nfs.IO, wcc: { before: {}, after: {} } });
    expect(await client.rename(root, 'x', root, 'y')).toMatchObject({ status: nfs.IO, from: { after: {} }, to: { after: {} } });
  });
});

describe('the write verifier', () => {
  test('is the same in WRITE and COMMIT for as long as nothing is lost', async () => {
    const { client, file } = await world();
    const { verifier } = await client.write(file, 0, Buffer.from('x'));
    expect((await client.write(file, 1, Buffer.from('y'), 2)).verifier).toEqual(verifier);
    expect((await client.commit(file)).verifier).toEqual(verifier);
  });

  test('changes when the disk has failed, so that clients send again what they still have', async () => {
    const { client, file, tree } = await world();
    const { verifier } = await client.write(file, 0, Buffer.from('x'));
    tree.failing = true;
    expect((await client.commit(file)).status).toBe(nfs.IO);
    tree.failing = false;
    expect((await client.commit(file)).verifier).not.toEqual(verifier);
  });
});

describe('a call that comes twice', () => {
  /** Sends every message twice, as a client does that lost its connection before the answer. */
  const twice =
    (exchange: Exchange): Exchange =>
    async (message) => {
      const first = await exchange(message);
      const second = await exchange(Buffer.from(message));
      expect(second).toEqual(first);
      return second;
    };

  test.each<[string, (it: World, client: Nfs3Client) => Promise<{ status: number }>]>([
    ['CREATE GUARDED', ({ root }, client) => client.create(root, 'x', {}, 'guarded')],
    ['MKDIR', ({ root }, client) => client.mkdir(root, 'x')],
    ['SYMLINK', ({ root }, client) => client.symlink(root, 'x', 'y')],
    ['MKNOD', ({ root }, client) => client.mknod(root, 'x', 7)],
    ['REMOVE', ({ root }, client) => client.remove(root, 'f')],
    ['RMDIR', ({ root }, client) => client.rmdir(root, 'd')],
    ['RENAME', ({ root }, client) => client.rename(root, 'f', root, 'x')],
    ['LINK', ({ root, file }, client) => client.link(file, root, 'x')],
    [
      'SETATTR with a guard',
      async ({ file, client: plain }, client) => {
        const { attributes } = await plain.getattr(file);
        return client.setattr(file, { mode: 0o600 }, attributes!.ctime);
      },
    ],
  ])('%s succeeds twice', async (_, act) => {
    const it = await world();
    expect((await act(it, new Nfs3Client(twice(it.exchange)))).status).toBe(nfs.OK);
    it.tree.check();
  });

  test('while the first is under way waits for the same answer', async () => {
    const it = await world();
    it.tree.slow = true;
    let copy: Promise<Buffer> | undefined;
    const client = new Nfs3Client((message) => {
      copy = it.exchange(Buffer.from(message));
      return it.exchange(message);
    });
    const result = client.remove(it.root, 'f');
    expect(await settled(result)).toBe(false);
    it.tree.finish();
    expect((await result).status).toBe(nfs.OK);
    expect((await copy)?.readUInt32BE(24)).toBe(nfs.OK);
  });
});
