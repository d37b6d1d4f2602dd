// The rules and traps of ClusterNFS and unfs3, tags(7) and cluster.c, as a node meets them: by NFS, in its own view of an image with tagged names.
import { describe, expect, it, test } from 'vitest';
import { TagIndex } from '../../src/overlay/tag-index.ts';
import type { TagClient } from '../../src/overlay/tags.ts';
import { graft } from '../../src/tree/graft.ts';
import { type ImageEntry, imageBase } from '../../src/tree/image.ts';
import type { Kind } from '../../src/tree/tree.ts';
import { files, imageEntry, noEntry, served } from '../support/tagged-node.ts';
import { client as n7, temporaryDirectory, testImage } from './fixtures.ts';

describe('ClusterNFS:', () => {
  it('UID and GID come first, but IP before HOST, as in unfs3', async () => {
    const all = ['f$$UID=5$$', 'f$$GID=6$$', 'f$$IP=10.11.0.7$$', 'f$$HOST=n7$$', 'f$$CLIENT$$', 'f'];
    const as5 = { uid: 5, gid: 6, gids: [] };
    for (const [index, best] of all.entries()) {
      const { get, root, nfs } = served(files(...all.slice(index)));
      expect(await get('f', root, nfs.as(as5))).toBe(best);
    }
  });

  it('a version that matches wins, readable by the requester or not', async () => {
    const mode = (path: string, bits: number): ImageEntry => ({ ...imageEntry(path, 'file'), mode: bits });
    const base = imageBase('test/modes', temporaryDirectory(), [imageEntry('.', 'directory'), mode('f', 0o644), mode('f$$HOST=n7$$', 0o600)]);
    const { get, root, nfs } = served(base);
    expect(await get('f', root, nfs.as({ uid: 5, gid: 5, gids: [] }))).toBe('status 13');
  });

  it('name$$$$ is the plain file, so a tagged symlink can point at it', async () => {
    const { get } = served({ f$$CLIENT$$: '-> f$$$$', f: 'the plain one' });
    expect(await get('f')).toBe('-> f$$$$');
    expect(await get('f$$$$')).toBe('the plain one');
  });

  it('paths that are mounted are translated, not only look-ups', async () => {
    const { nfs, get } = served({ 'srv$$HOST=n7$$/': '', 'srv$$HOST=n7$$/data': 'mine', 'srv/': '', 'srv/data': 'common' });
    const mounted = await nfs.mount('/srv');
    expect(await get('data', mounted.handle)).toBe('mine');
  });

  it('creation is translated: what a client makes is its own and hides nobody else', async () => {
    const { nfs, root, get } = served(files('f$$HOST=n8$$'));
    expect(await get('f')).toBe(noEntry);
    expect((await nfs.create(root, 'f', {}, 'guarded')).status).toBe(0);
    expect(await get('f')).toBe('');
    expect((await nfs.create(root, 'f', {}, 'guarded')).status).toBe(17);
  });

  it('CLIENT is every client', async () => {
    const { get } = served(files('f$$CLIENT$$', 'f'));
    expect(await get('f')).toBe('f$$CLIENT$$');
  });

  it('the full host name of the farm documents works', async () => {
    const { get } = served(files('f$$HOST=n7.farm.lan$$', 'f$$HOST=n7$$', 'f'));
    expect(await get('f')).toBe('f$$HOST=n7.farm.lan$$');
  });
});

describe('unfs3:', () => {
  it('file$$$$ need not exist', async () => {
    const { get } = served(files('f', 'f$$IP=10.11.0.7$$'));
    expect(await get('f$$$$')).toBe('f');
    expect(await get('g$$$$')).toBe(noEntry);
  });

  test.each(Array.from({ length: 33 }, (_, prefix) => prefix))('a network of /%i is known, not only /8, /16 and /24', async (prefix) => {
    const mask = prefix === 0 ? 0 : (0xffff_ffff << (32 - prefix)) >>> 0;
    const dotted = [24, 16, 8, 0].map((shift) => (((0x0a0b_0007 & mask) >>> 0) >>> shift) & 255).join('.');
    const { get } = served(files(`f$$IP=${dotted}_${prefix}$$`, 'f'));
    expect(await get('f')).toBe(`f$$IP=${dotted}_${prefix}$$`);
  });

  it('host bits of a network are ignored; of two spellings of one network the first in byte order wins', async () => {
    expect(await served(files('f$$IP=10.11.0.200_24$$', 'f')).get('f')).toBe('f$$IP=10.11.0.200_24$$');
    expect(await served(files('f$$IP=10.11.0.200_24$$', 'f$$IP=10.11.0.0_24$$')).get('f')).toBe('f$$IP=10.11.0.0_24$$');
  });

  it('another prefix than 0 to 32 is no tag', async () => {
    const { get, names } = served(files('f$$IP=10.11.0.0_33$$', 'f'));
    expect(await get('f')).toBe('f');
    expect(await names()).toContain('f$$IP=10.11.0.0_33$$');
  });

  it('the text before HOST is checked: foobar$$HOST=n7$$ says nothing of foo', async () => {
    const { get } = served(files('foobar$$HOST=n7$$', 'foo'));
    expect(await get('foo')).toBe('foo');
    expect(await get('foobar')).toBe('foobar$$HOST=n7$$');
  });

  it('byte order is no rank: /24 beats /16 beats /8', async () => {
    const all = ['f$$IP=10.11.0.0_24$$', 'f$$IP=10.11.0.0_16$$', 'f$$IP=10.0.0.0_8$$'];
    for (const [index, best] of all.entries()) expect(await served(files(...all.slice(index), 'f')).get('f')).toBe(best);
  });

  it('byte order is no rank: the exact name beats a wildcard, a longer wildcard a shorter one', async () => {
    const all = ['f$$HOST=n7$$', 'f$$HOST=n7*$$', 'f$$HOST=n*$$'];
    for (const [index, best] of all.entries()) expect(await served(files(...all.slice(index), 'f')).get('f')).toBe(best);
  });

  it('no name service is asked, so a client without a reverse name breaks nothing', async () => {
    const nameless: TagClient = { ...n7, host: '', fqdn: '' };
    const { get } = served(files('f$$HOST=n7$$', 'f$$HOST=n*$$', 'f'), nameless);
    expect(await get('f')).toBe('f');
  });

  it('a rule of one directory is not one of a directory whose name begins alike', async () => {
    const { get, at } = served({ 'root/': '', 'root/$$ALWAYS=IP$$': '', 'root/f': 'f', 'root2/': '', 'root2/f': 'f' });
    expect(await get('f', await at('root'))).toBe(noEntry);
    expect(await get('f', await at('root2'))).toBe('f');
  });

  it('the short name, the full name and any case of them match', async () => {
    for (const name of ['n7', 'N7', 'n7.farm.lan', 'N7.Farm.LAN', 'n7.*', '*.FARM.lan']) {
      expect(await served(files(`f$$HOST=${name}$$`, 'f')).get('f')).toBe(`f$$HOST=${name}$$`);
    }
  });

  it('ALWAYS hides the plain file, and a listing does not show what cannot be opened', async () => {
    const { get, names } = served(files('f$$ALWAYS=IP$$', 'f', 'g$$ALWAYS=CLIENT$$', 'g$$CLIENT$$', 'g', 'h'));
    expect([await get('f'), await get('g'), await get('h')]).toEqual([noEntry, 'g$$CLIENT$$', 'h']);
    expect(await get('f$$$$')).toBe('f');
    expect(await names()).toEqual(['g', 'h']);
  });

  it('ALWAYS for a whole directory is for all of it, and versions are seen nonetheless', async () => {
    const { get, names } = served(files('$$ALWAYS=CLIENT$$', 'f', 'g', 'g$$IP=10.11.0.7$$', 'h$$CLIENT$$'));
    expect([await get('f'), await get('g'), await get('h')]).toEqual([noEntry, 'g$$IP=10.11.0.7$$', 'h$$CLIENT$$']);
    expect(await names()).toEqual(['g', 'h']);
  });

  it('a create opens the version that matches', async () => {
    const { nfs, root, get } = served(files('f$$HOST=n7$$', 'f'));
    expect((await nfs.create(root, 'f', {}, 'unchecked')).status).toBe(0);
    expect(await get('f')).toBe('f$$HOST=n7$$');
    expect((await nfs.create(root, 'f', {}, 'guarded')).status).toBe(17);
  });

  it('every kind of object can be tagged', async () => {
    const kinds: readonly Kind[] = ['file', 'directory', 'symlink', 'block', 'character', 'fifo', 'socket'];
    const entries = [imageEntry('.', 'directory'), ...kinds.flatMap((kind) => [imageEntry(`${kind}$$HOST=n7$$`, kind), imageEntry(kind, 'file')])];
    const { tree, names } = served(imageBase('test/kinds', temporaryDirectory(), entries));
    for (const kind of kinds) expect(tree.attributes(tree.lookup(tree.root, kind)).kind).toBe(kind);
    expect((await names()).toSorted()).toEqual(kinds.toSorted());
  });

  it('listings of both kinds show plain names only, with the attributes of the version', async () => {
    const { nfs, root, names } = served(files('a', 'f', 'f$$HOST=n7$$', 'g$$HOST=n8$$', '$$CREATE=IP$$', 'h$$CREATE=CLIENT$$'));
    expect(await names()).toEqual(['a', 'f']);
    const plus = await nfs.readdirplus(root);
    const own = plus.entries.find(({ name }) => name === 'f');
    expect(own?.attributes?.size).toBe('f$$HOST=n7$$'.length);
    expect(plus.entries.map(({ name }) => name).filter((name) => name.includes('$$'))).toEqual([]);
  });

  it("another client's version cannot be had by its stored name", async () => {
    const { get } = served(files('key$$HOST=n8$$', 'key'));
    for (const name of ['key$$HOST=n8$$', 'key$$HOST=n8$$$$$$']) expect(await get(name)).toBe(noEntry);
  });

  it('REMOVE, RMDIR and both names of RENAME are translated', async () => {
    const { nfs, root, get, names } = served({ ...files('f$$HOST=n7$$', 'f', 'g$$HOST=n7$$', 'g'), 'd$$HOST=n7$$/': '', 'd$$HOST=n8$$/': '' });
    expect((await nfs.remove(root, 'f')).status).toBe(0);
    expect(await get('f')).toBe(noEntry); // not the plain one: to the node, f is gone
    expect((await nfs.rmdir(root, 'd')).status).toBe(0);
    expect((await nfs.rename(root, 'g', root, 'moved')).status).toBe(0);
    expect([await get('g'), await get('moved')]).toEqual([noEntry, 'g$$HOST=n7$$']);
    expect((await nfs.create(root, 'new')).status).toBe(0);
    expect(await names()).toEqual(['moved', 'new']);
  });

  it('MKDIR, SYMLINK, MKNOD and LINK of a name that only others have make it', async () => {
    const { nfs, root, at, names } = served(files('a$$HOST=n8$$', 'b$$HOST=n8$$', 'c$$HOST=n8$$', 'd$$HOST=n8$$', 'e'));
    expect((await nfs.mkdir(root, 'a')).status).toBe(0);
    expect((await nfs.symlink(root, 'b', 'x')).status).toBe(0);
    expect((await nfs.mknod(root, 'c', 7)).status).toBe(0);
    expect((await nfs.link(await at('e'), root, 'd')).status).toBe(0);
    expect((await names()).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('a version that comes later changes the times of the directory, by which a client drops the handle it remembers', () => {
    const image = testImage('test/1', files('f'));
    const file = (path: string) => ({ path, mode: 0o644, uid: 0, gid: 0, size: 1, body: { kind: 'bytes', bytes: Buffer.from('x') } }) as const;
    const before = image.object(image.root);
    const after = graft(image, [file('f$$HOST=n7$$')]).object(image.root);
    expect([after?.mtime, after?.ctime]).not.toEqual([before?.mtime, before?.ctime]);
  });

  it('a name is too long by what the client asks for, not by its tag', async () => {
    const { nfs, root } = served(files('$$CREATE=IP$$'));
    expect((await nfs.create(root, 'x'.repeat(255))).status).toBe(0);
    expect((await nfs.create(root, 'x'.repeat(256))).status).toBe(63);
  });
});

describe('the limits of both:', () => {
  it('a version needs no plain file', async () => {
    const { get, names } = served(files('f$$IP=10.11.0.7$$', 'g$$IP=10.11.0.8$$'));
    expect([await get('f'), await get('g')]).toEqual(['f$$IP=10.11.0.7$$', noEntry]);
    expect(await names()).toEqual(['f']);
  });

  it('names in a directory that may not be read are translated', async () => {
    const closed: ImageEntry = { ...imageEntry('d', 'directory'), mode: 0o311 };
    const entries = [imageEntry('.', 'directory'), closed, { ...imageEntry('d/f$$HOST=n7$$', 'symlink'), target: 'mine' }];
    const { nfs, root, get, at } = served(imageBase('test/closed', temporaryDirectory(), entries));
    expect(await get('f', await at('d'), nfs.as({ uid: 5, gid: 5, gids: [] }))).toBe('-> mine');
    expect(root).toBeDefined();
  });

  it('a handle outlives a rename into another directory', async () => {
    const { nfs, root, at } = served({ ...files('f$$HOST=n7$$'), 'd/': '' });
    const handle = await at('f');
    expect((await nfs.rename(root, 'f', await at('d'), 'g')).status).toBe(0);
    expect((await nfs.read(handle, 0, 100)).data?.toString()).toBe('f$$HOST=n7$$');
  });
});

describe('CREATE and ALWAYS make', () => {
  const made = (names: readonly string[], wanted: string): string | undefined => {
    const index = new TagIndex<string>();
    for (const name of names) index.add(name, name);
    return index.made(wanted, n7);
  };

  test.each([
    ['the plain name without a rule', ['f'], 'f', 'f'],
    ['a version for the address by CREATE=IP', ['f$$CREATE=IP$$'], 'f', 'f$$IP=10.11.0.7$$'],
    ['a version for all clients by CREATE=CLIENT', ['f$$CREATE=CLIENT$$'], 'f', 'f$$CLIENT$$'],
    ['the same for a whole directory', ['$$CREATE=IP$$'], 'f', 'f$$IP=10.11.0.7$$'],
    ['nothing new where a version matches', ['f$$CREATE=IP$$', 'f$$HOST=n7$$'], 'f', 'f$$HOST=n7$$'],
    ["a version although others' match not", ['$$CREATE=IP$$', 'f$$HOST=n8$$'], 'f', 'f$$IP=10.11.0.7$$'],
    ["what the file's own rule says before the directory's", ['$$CREATE=IP$$', 'f$$CREATE=CLIENT$$'], 'f', 'f$$CLIENT$$'],
    ['by IP before CLIENT', ['f$$CREATE=CLIENT$$', 'f$$CREATE=IP$$'], 'f', 'f$$IP=10.11.0.7$$'],
    ['by ALWAYS as by CREATE', ['f$$ALWAYS=IP$$'], 'f', 'f$$IP=10.11.0.7$$'],
    ['by ALWAYS of the directory before CREATE of the file', ['$$ALWAYS=CLIENT$$', 'f$$CREATE=IP$$'], 'f', 'f$$CLIENT$$'],
    ['the plain name by name$$$$', ['$$CREATE=IP$$'], 'f$$$$', 'f'],
    ['nothing under a tagged name', [], 'f$$HOST=n8$$', undefined],
    ['nothing under a directive', [], '$$ALWAYS=IP$$', undefined],
  ])('%s', (_what, names, wanted, stored) => {
    expect(made(names, wanted)).toBe(stored);
  });
});
