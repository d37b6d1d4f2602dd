import { describe, expect, it } from 'vitest';
import type { Mac } from '../../src/base/addresses.ts';
import type { TagClient } from '../../src/overlay/tags.ts';
import { graft } from '../../src/tree/graft.ts';
import { files, noEntry, served } from '../support/tagged-node.ts';
import { client as n7, temporaryDirectory, testImage } from './fixtures.ts';

describe('what a node does to tagged names', () => {
  it('writing to its version gives it a private copy, and no other node one', async () => {
    const base = testImage('test/1', files('f$$IP=10.11.0.0_24$$'));
    const mine = served(base);
    const other = served(base, { ...n7, address: '10.11.0.8' as TagClient['address'], host: 'n8', fqdn: 'n8.farm.lan' });
    await mine.nfs.write(await mine.at('f'), 0, Buffer.from('MINE'));
    expect(await mine.get('f')).toBe('MINEP=10.11.0.0_24$$');
    expect(await other.get('f')).toBe('f$$IP=10.11.0.0_24$$');
  });

  it('removing a version does not bring the next best one back', async () => {
    const directory = temporaryDirectory();
    const layout = files('f$$HOST=n7$$', 'f$$CLIENT$$', 'f');
    const { nfs, root, get, names, store } = served(layout, n7, directory);
    await nfs.remove(root, 'f');
    expect([await get('f'), await names()]).toEqual([noEntry, []]);
    expect(await get('f$$$$')).toBe('f');
    await store.close();
    expect(await served(layout, n7, directory).get('f')).toBe(noEntry);
  });

  it('the plain file behind a version can be changed and removed as name$$$$', async () => {
    const { nfs, root, get } = served(files('f$$HOST=n7$$', 'f'));
    expect((await nfs.remove(root, 'f$$$$')).status).toBe(0);
    expect([await get('f$$$$'), await get('f')]).toEqual([noEntry, 'f$$HOST=n7$$']);
  });

  it('name$$$$ is name itself where no version hides it', async () => {
    const { nfs, root, get, names } = served(files('f', 'g$$HOST=n7$$'));
    expect((await nfs.create(root, 'f$$$$', {}, 'guarded')).status).toBe(17);
    expect((await nfs.rename(root, 'f$$$$', root, 'h$$$$')).status).toBe(0);
    expect([await get('f'), await get('f$$$$'), await get('h'), await get('h$$$$')]).toEqual([noEntry, noEntry, 'f', 'f']);
    expect((await nfs.remove(root, 'h$$$$')).status).toBe(0);
    expect(await names()).toEqual(['g']);
  });

  it("a directory with nothing but others' versions is empty to it", async () => {
    const { nfs, root, names } = served({ 'd/': '', ...files('d/f$$HOST=n8$$', 'd/$$CREATE=IP$$') });
    expect((await nfs.rmdir(root, 'd')).status).toBe(0);
    expect(await names()).toEqual([]);
  });

  it('CREATE means nothing in a private tree, where everything is the node’s own', async () => {
    const { nfs, root, get, names } = served(files('$$CREATE=IP$$', 'f'));
    expect((await nfs.create(root, 'g')).status).toBe(0);
    await nfs.rename(root, 'g', root, 'f');
    expect([await get('f'), await names()]).toEqual(['', ['f']]);
  });

  it('a name that looks tagged is an ordinary one when the node makes it', async () => {
    const { nfs, root, get, names } = served({ 'd/': '' });
    expect((await nfs.create(root, 'f$$HOST=n8$$')).status).toBe(0);
    expect([await get('f$$HOST=n8$$'), await get('f'), (await names()).toSorted()]).toEqual(['', noEntry, ['d', 'f$$HOST=n8$$']]);
  });
});

describe('versions for users and groups', () => {
  const layout = files('f$$UID=5$$', 'f$$GID=6$$', 'f');
  const user = (uid: number, gid: number, gids: readonly number[] = []) => ({ uid, gid, gids });

  it('go to whoever asks', async () => {
    const { get, root, nfs } = served(layout);
    expect(await get('f', root, nfs.as(user(5, 6)))).toBe('f$$UID=5$$');
    expect(await get('f', root, nfs.as(user(4, 6)))).toBe('f$$GID=6$$');
    expect(await get('f', root, nfs.as(user(4, 1, [6])))).toBe('f$$GID=6$$');
    expect(await get('f', root, nfs.as(user(4, 4)))).toBe('f');
    expect(await get('f', root, nfs)).toBe('f');
  });

  it('are written and removed by them; a removed name is gone for the whole node', async () => {
    const { get, root, nfs, tree } = served(layout);
    const as5 = nfs.as(user(5, 5));
    tree.change(tree.root, { mode: 0o777 });
    tree.change(tree.forUser?.({ uid: 5, gids: [5] }).lookup(tree.root, 'f') ?? 0, { uid: 5 });
    const { handle = root } = await as5.lookup(root, 'f');
    await as5.write(handle, 0, Buffer.from('X'));
    expect([await get('f', root, as5), await get('f')]).toEqual(['X$$UID=5$$', 'f']);
    expect((await as5.remove(root, 'f')).status).toBe(0);
    expect([await get('f', root, as5), await get('f')]).toEqual([noEntry, noEntry]);
  });

  it('cost nothing where there are none', () => {
    expect(served(files('f$$HOST=n7$$', 'f')).tree.forUser).toBeUndefined();
  });

  it('appear with an overlay, without a new mount', () => {
    const { tree, store } = served(files('f'));
    expect(tree.forUser).toBeUndefined();
    const bytes = Buffer.from('x');
    store.base = graft(store.base, [{ path: 'f$$UID=5$$', mode: 0o644, uid: 0, gid: 0, size: 1, body: { kind: 'bytes', bytes } }]);
    const as5 = tree.forUser?.({ uid: 5, gids: [] });
    expect(as5?.lookup(tree.root, 'f')).not.toBe(tree.lookup(tree.root, 'f'));
    expect(as5?.generation).toBe(tree.generation);
  });

  it('do not let a flood of users grow the server', () => {
    const { tree } = served(layout);
    const first = tree.forUser?.({ uid: 0, gids: [] });
    for (let uid = 1; uid < 2000; uid++) tree.forUser?.({ uid, gids: [] });
    expect(tree.forUser?.({ uid: 0, gids: [] })).not.toBe(first);
  });
});

describe('MAC and GROUP', () => {
  it('are those of the node in farm.yaml', async () => {
    const node: TagClient = { ...n7, mac: '52:54:00:aa:bb:cc' as Mac, groups: ['render', 'gpu'] };
    expect(await served(files('f$$MAC=5254.00AA.BBCC$$', 'f$$IP=10.11.0.0_24$$', 'f'), node).get('f')).toBe('f$$MAC=5254.00AA.BBCC$$');
    expect(await served(files('f$$GROUP=gpu$$', 'f$$GROUP=render$$', 'f$$HOST=n*$$'), node).get('f')).toBe('f$$GROUP=render$$');
    expect(await served(files('f$$GROUP=other$$', 'f$$MAC=52:54:00:00:00:01$$', 'f'), node).get('f')).toBe('f');
    expect(await served(files('f$$MAC=52:54:00:00:00:01$$', 'f'), { ...node, mac: undefined }).get('f')).toBe('f');
  });
});
