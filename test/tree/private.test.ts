// A private tree in the cases that are made up best by hand: quotas, crashes, other bases, disks that fail.
import { mkdirSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Base } from '../../src/tree/base.ts';
import { differences } from '../../src/tree/difference.ts';
import { OpenFiles } from '../../src/tree/files.ts';
import { graft, type OverlayFile } from '../../src/tree/graft.ts';
import { type ImageEntry, imageBase } from '../../src/tree/image.ts';
import { LayeredTree } from '../../src/tree/layered.ts';
import { PrivateStore, readPrivate } from '../../src/tree/private.ts';
import { type Disk, type Quota, unlimited } from '../../src/tree/room.ts';
import { type ObjectId, type Tree, TreeError, type TreeErrorCode } from '../../src/tree/tree.ts';
import { client, temporaryDirectory, testDisk, testImage } from './fixtures.ts';

const layout = { 'etc/': '', 'etc/hosts': 'localhost', 'bin/': '', 'bin/sh': 'a shell', 'bin/dash': '= bin/sh' };

interface Options {
  readonly quota?: () => Quota;
  readonly disk?: Disk;
  readonly now?: () => number;
}

function open(directory: string, base: Base, { quota = () => unlimited, disk = testDisk(), now = () => 1_800_000_000_000 }: Options = {}) {
  const store = PrivateStore.open(directory, base, client);
  return { store, tree: new LayeredTree({ store, client, imageFiles: new OpenFiles(), clock: { now }, disk, quota }) };
}

function at(tree: Tree, path: string): ObjectId {
  return path.split('/').reduce((id, name) => (name === '' ? id : tree.lookup(id, name)), tree.root);
}

function text(tree: Tree, id: ObjectId): string {
  const target = Buffer.alloc(tree.attributes(id).size);
  return target.toString('latin1', 0, tree.read(id, 0, target));
}

function refusal(act: () => unknown): TreeErrorCode | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof TreeError) return error.code;
    throw error;
  }
}

const overlay = (path: string, content: string): OverlayFile => ({
  path,
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: content.length,
  body: { kind: 'bytes', bytes: Buffer.from(content) },
});

describe('times', () => {
  const times = [
    { seconds: -1, nanoseconds: 1 },
    { seconds: -86_400 * 365 * 60, nanoseconds: 999_999_999 },
    { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
    { seconds: 2 ** 31 + 5, nanoseconds: 7 },
    { seconds: 2 ** 32 - 1, nanoseconds: 999_999_999 },
  ];

  it.each(times)('are exact to the nanosecond after a crash and after a restart: %o', async (time) => {
    const [directory, base] = [temporaryDirectory(), testImage('test/000000000001', layout)];
    const first = open(directory, base);
    const made = first.tree.create(first.tree.root, 'f', { kind: 'file' }, {});
    first.tree.write(made, 0, Buffer.from('x'));
    first.tree.change(made, { mtime: time, atime: time });
    const crashed = open(directory, base);
    expect(crashed.tree.attributes(made)).toMatchObject({ mtime: time, atime: time });
    crashed.tree.write(made, 0, Buffer.from('y'));
    const { mtime, ctime } = crashed.tree.attributes(made);
    await crashed.store.close();
    expect(open(directory, base).tree.attributes(made)).toMatchObject({ mtime, ctime, atime: time });
  });

  it('and sizes of what was written before a crash are those of the file system', () => {
    const [directory, base] = [temporaryDirectory(), testImage('test/000000000001', layout)];
    const first = open(directory, base);
    const made = first.tree.create(first.tree.root, 'f', { kind: 'file' }, {});
    first.tree.change(made, { mtime: { seconds: 5, nanoseconds: 6 } });
    first.tree.write(made, 0, Buffer.from('hello'));
    const { size, mtime, ctime } = open(directory, base).tree.attributes(made);
    expect(size).toBe(5);
    expect(mtime.seconds).toBeGreaterThan(1_700_000_000);
    expect(ctime.seconds).toBeGreaterThanOrEqual(mtime.seconds);
  });

  it('of two changes are never the same, even if the clock stands still', () => {
    const { tree } = open(temporaryDirectory(), testImage('test/000000000001', layout));
    const seen = ['a', 'b', 'c'].map((name) => {
      tree.create(tree.root, name, { kind: 'file' }, {});
      const { seconds, nanoseconds } = tree.attributes(tree.root).ctime;
      return `${seconds}.${nanoseconds}`;
    });
    expect(new Set(seen).size).toBe(3);
  });
});

describe('a file with holes', () => {
  it('keeps them when it is copied up, and takes on the disk what is in it', () => {
    const top = temporaryDirectory();
    mkdirSync(join(top, 'root'));
    writeFileSync(join(top, 'root', 'disk'), 'begin');
    truncateSync(join(top, 'root', 'disk'), 64 * 1024 * 1024);
    const common = { mode: 0o644, uid: 0, gid: 0, mtime: { seconds: 1, nanoseconds: 0 }, target: undefined, device: undefined, inode: undefined };
    const entries: readonly ImageEntry[] = [
      { ...common, path: '.', kind: 'directory', size: 0 },
      { ...common, path: 'disk', kind: 'file', size: 64 * 1024 * 1024 },
    ];
    const { tree, store } = open(join(top, 'state'), imageBase('test/000000000001', join(top, 'root'), entries));
    const id = at(tree, 'disk');
    tree.write(id, 40 * 1024 * 1024, Buffer.from('middle'));
    const [content = ''] = readdirSync(join(top, 'state', 'content'));
    const stat = statSync(join(top, 'state', 'content', content));
    expect([stat.size, stat.blocks * 512]).toEqual([64 * 1024 * 1024, tree.attributes(id).allocated]);
    expect(store.usage.bytes).toBeLessThan(64 * 1024);
    const piece = Buffer.alloc(8);
    tree.read(id, 40 * 1024 * 1024 - 1, piece);
    expect(piece.toString('latin1')).toBe('\0middle\0');
  });
});

describe('a quota', () => {
  const base = testImage('test/000000000001', layout);
  const block = Buffer.alloc(4096, 1);

  it('refuses growth with DQUOT, lets a tree shrink, and is what df shows', () => {
    let quota: Quota = { bytes: 8192, objects: 3 };
    const { tree } = open(temporaryDirectory(), base, { quota: () => quota });
    const file = tree.create(tree.root, 'f', { kind: 'file' }, {});
    tree.write(file, 0, block);
    expect(tree.space()).toMatchObject({ totalBytes: 8192, freeBytes: 4096, totalObjects: 3, freeObjects: 2 });
    tree.write(file, 4096, block);
    expect(refusal(() => tree.write(file, 8192, Buffer.from('x')))).toBe('DQUOT');
    expect(tree.attributes(file).size).toBe(8192);
    tree.write(file, 100, block); // over what is there already
    expect(refusal(() => tree.write(at(tree, 'etc/hosts'), 0, Buffer.from('x')))).toBe('DQUOT');
    tree.change(file, { size: 2 ** 40 }); // a hole is free
    expect(refusal(() => tree.write(file, 2 ** 39, Buffer.from('x')))).toBe('DQUOT');
    quota = { bytes: 4096, objects: 1 };
    expect(tree.space()).toMatchObject({ totalBytes: 4096, freeBytes: 0, freeObjects: 0 });
    expect(refusal(() => tree.create(tree.root, 'g', { kind: 'directory' }, {}))).toBe('DQUOT');
    tree.remove(tree.lookup(tree.root, 'etc'), 'hosts');
    tree.change(file, { size: 0 });
    tree.write(file, 0, block);
    tree.remove(tree.root, 'f');
    expect(tree.space()).toMatchObject({ freeBytes: 4096, freeObjects: 1 });
  });

  it('counts the same after a restart', async () => {
    const directory = temporaryDirectory();
    const { tree, store } = open(directory, base);
    tree.write(at(tree, 'etc/hosts'), 0, Buffer.from('x'));
    tree.write(tree.create(tree.root, 'f', { kind: 'file' }, { size: 2 ** 33 }), 2 ** 32, block);
    tree.create(tree.root, 's', { kind: 'symlink', target: 'f' }, {});
    const { usage } = store;
    expect(usage.objects).toBe(3);
    await store.close();
    expect(open(directory, base).store.usage).toEqual(usage);
    expect(readPrivate(directory).state.usage).toEqual(usage);
  });

  it('and the reserve of the disk is NOSPC: what is there can still be removed', () => {
    const { tree } = open(temporaryDirectory(), base, { disk: testDisk(10_000, 6000) });
    const file = tree.create(tree.root, 'f', { kind: 'file' }, {});
    expect(refusal(() => tree.write(file, 0, block))).toBe('NOSPC');
    expect(tree.space().freeBytes).toBe(4000);
    expect(text(tree, file)).toBe('');
    tree.remove(tree.root, 'f');
  });
});

describe('another base', () => {
  it('in which a removed name is one of two: the other is there', () => {
    const directory = temporaryDirectory();
    const { 'bin/dash': _, ...single } = layout;
    const old = open(directory, testImage('test/000000000001', single)).tree;
    old.remove(at(old, 'bin'), 'sh');
    const { tree } = open(directory, testImage('test/000000000002', layout));
    expect(refusal(() => at(tree, 'bin/sh'))).toBe('NOENT');
    expect(tree.attributes(at(tree, 'bin/dash')).links).toBe(1);
  });

  it('in which a changed file has a further name: removing one leaves the other', () => {
    const directory = temporaryDirectory();
    const { 'bin/dash': _, ...single } = layout;
    const old = open(directory, testImage('test/000000000001', single)).tree;
    old.change(at(old, 'bin/sh'), { mode: 0o700 });
    const { tree } = open(directory, testImage('test/000000000002', layout));
    expect(tree.attributes(at(tree, 'bin/sh'))).toMatchObject({ links: 2, mode: 0o700 });
    tree.remove(at(tree, 'bin'), 'sh');
    expect(text(tree, at(tree, 'bin/dash'))).toBe('a shell');
  });

  it('does not bring back what a removed and made again directory hid', () => {
    const directory = temporaryDirectory();
    const old = open(directory, testImage('test/000000000001', layout)).tree;
    old.remove(at(old, 'etc'), 'hosts');
    old.removeDirectory(old.root, 'etc');
    old.create(old.root, 'etc', { kind: 'directory' }, {});
    const names = (tree: Tree) => [...tree.entries(at(tree, 'etc'), 0)].map(({ name }) => name);
    expect(names(old)).toEqual([]);
    expect(names(open(directory, testImage('test/000000000001', layout)).tree)).toEqual([]);
    expect(names(open(directory, testImage('test/000000000002', { 'aaa/': '', ...layout, 'etc/new': 'new' })).tree)).toEqual([]);
  });

  it('forgets an object that was changed, removed, and then left the image', () => {
    const directory = temporaryDirectory();
    const old = open(directory, testImage('test/000000000001', layout)).tree;
    old.write(at(old, 'etc/hosts'), 0, Buffer.from('x'));
    old.remove(at(old, 'etc'), 'hosts');
    const { 'etc/hosts': _, ...without } = layout;
    const { tree } = open(directory, testImage('test/000000000002', without));
    expect([...tree.entries(at(tree, 'etc'), 0)]).toEqual([]);
  });

  it('rendered anew while nodes run shows in files and directories that the node has touched', () => {
    const image = testImage('test/000000000001', layout);
    const { tree, store } = open(temporaryDirectory(), graft(image, [overlay('etc/motd', 'old')]));
    tree.change(at(tree, 'etc/motd'), { mode: 0o600 });
    tree.create(at(tree, 'etc'), 'own', { kind: 'file' }, {});
    const before = tree.attributes(at(tree, 'etc'));
    store.replaceBase(graft(image, [overlay('etc/motd', 'a longer text'), overlay('etc/more/x', 'x')]));
    expect(text(tree, at(tree, 'etc/motd'))).toBe('a longer text');
    expect(tree.attributes(at(tree, 'etc/motd')).mode).toBe(0o600);
    const after = tree.attributes(at(tree, 'etc'));
    expect(after.ctime).not.toEqual(before.ctime);
    expect(after.mtime).not.toEqual(before.mtime);
    expect(after.links).toBe(before.links + 1);
    store.replaceBase(image);
    expect(refusal(() => at(tree, 'etc/motd'))).toBe('NOENT');
    expect(tree.attributes(at(tree, 'etc/own')).kind).toBe('file');
  });

  it('finds the image again where the copy did not reach the disk', () => {
    const [directory, base] = [temporaryDirectory(), testImage('test/000000000001', layout)];
    const { tree } = open(directory, base);
    tree.write(at(tree, 'etc/hosts'), 0, Buffer.from('L'));
    rmSync(join(directory, 'content'), { recursive: true });
    const after = open(directory, base).tree;
    expect(text(after, at(after, 'etc/hosts'))).toBe('localhost');
  });
});

describe('differences', () => {
  it('are told by path, with what was there before', () => {
    const directory = temporaryDirectory();
    const base = testImage('test/000000000001', { ...layout, 'usr/': '', 'usr/lib/': '', 'usr/lib/a': 'aaa', 'usr/lib/b': 'b' });
    const { tree } = open(directory, base);
    tree.write(at(tree, 'etc/hosts'), 20, Buffer.from('x'));
    tree.change(at(tree, 'bin'), { mode: 0o700, uid: 5 });
    tree.remove(at(tree, 'bin'), 'dash');
    tree.rename(at(tree, 'usr'), 'lib', tree.root, 'lib');
    tree.create(at(tree, 'lib'), 'own', { kind: 'directory' }, {});
    tree.write(tree.create(at(tree, 'lib/own'), 'f', { kind: 'file' }, {}), 0, Buffer.from('abc'));
    tree.remove(at(tree, 'lib'), 'a');
    tree.create(at(tree, 'lib'), 'a', { kind: 'symlink', target: 'b' }, {});
    tree.link(at(tree, 'lib/b'), tree.root, 'b');
    expect(differences(readPrivate(directory).state, base, client)).toEqual([
      { path: '/b', change: 'linked', kind: 'file', from: '/usr/lib/b', size: 1 },
      { path: '/bin', change: 'changed', kind: 'directory', what: ['mode', 'owner'] },
      { path: '/bin/dash', change: 'deleted', kind: 'file', sizeBelow: 7 },
      { path: '/etc/hosts', change: 'changed', kind: 'file', what: ['content'], size: 21, sizeBelow: 9 },
      { path: '/lib', change: 'renamed', kind: 'directory', from: '/usr/lib' },
      { path: '/lib/a', change: 'replaced', kind: 'symlink', sizeBelow: 3 },
      { path: '/lib/own', change: 'added', kind: 'directory' },
      { path: '/lib/own/f', change: 'added', kind: 'file', size: 3 },
    ]);
  });
});
