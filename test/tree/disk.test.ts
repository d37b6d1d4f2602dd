import { spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { openDiskTree } from '../../src/tree/disk.ts';
import { cookieOf, Listings, withCookies } from '../../src/tree/disk-listing.ts';
import { TagIndexes } from '../../src/tree/disk-tags.ts';
import type { NewObject, Timestamp } from '../../src/tree/tree.ts';
import { at, isRoot, openWorld, refusal, text, type World } from './disk-world.ts';

let world: World;
beforeEach(() => {
  world = openWorld();
});
afterEach(() => world.end());

const file: NewObject = { kind: 'file' };
const folder: NewObject = { kind: 'directory' };

function make(path: string, content = path): void {
  mkdirSync(join(world.directory, path, '..'), { recursive: true });
  writeFileSync(join(world.directory, path), content);
}

describe('a number means one object', () => {
  test.each([
    ['in order', true],
    ['by a crash', false],
  ] as const)('after the server ended %s', async (_, inOrder) => {
    const { generation } = world.tree;
    const directory = world.tree.create(world.tree.root, 'd', folder, {});
    const id = world.tree.create(directory, 'f', file, {});
    world.tree.write(id, 0, Buffer.from('hello'));
    await world.restart(inOrder);
    expect(world.tree.generation).toBe(generation);
    expect(text(world.tree, id)).toBe('hello');
    expect(world.tree.parent(directory)).toBe(world.tree.root);
    const next = world.tree.create(directory, 'g', file, {});
    expect(next).toBeGreaterThan(id);
  });

  it('after it was renamed behind the back of a server that was down', async () => {
    make('a/b/f');
    const id = at(world.tree, 'a/b/f');
    const directory = at(world.tree, 'a/b');
    await world.tree.close();
    mkdirSync(join(world.directory, 'x/y'), { recursive: true });
    renameSync(join(world.directory, 'a/b'), join(world.directory, 'x/y/c'));
    renameSync(join(world.directory, 'x/y/c/f'), join(world.directory, 'g'));
    world.tree = openDiskTree({
      directory: world.directory,
      state: join(world.directory, '../state'),
      clock: { now: () => Date.now() },
      unprivileged: !isRoot,
    });
    expect(text(world.tree, id)).toBe('a/b/f');
    expect(world.tree.parent(directory)).toBe(at(world.tree, 'x/y'));
    expect(at(world.tree, 'g')).toBe(id);
  });

  it('never one that has its inode after it, however fast that came', () => {
    for (let round = 0; round < 50; round += 1) {
      make('f', 'one');
      const id = at(world.tree, 'f');
      unlinkSync(join(world.directory, 'f'));
      make('f', 'two');
      expect(refusal(() => world.tree.read(id, 0, Buffer.alloc(3)))).toBe('STALE');
      expect(refusal(() => world.tree.attributes(id))).toBe('STALE');
      expect(at(world.tree, 'f')).not.toBe(id);
      unlinkSync(join(world.directory, 'f'));
    }
  });

  it('is held as long as its successor could have the same birth', async () => {
    make('f', 'one');
    const { birthtimeMs, ino } = statSync(join(world.directory, 'f'));
    const state = join(world.outside, 'state');
    const tree = openDiskTree({ directory: world.directory, state, clock: { now: () => birthtimeMs + 5 }, unprivileged: !isRoot });
    at(tree, 'f');
    unlinkSync(join(world.directory, 'f'));
    for (let index = 0; index < 20; index += 1) {
      make(`g${index}`, 'two');
      expect(statSync(join(world.directory, `g${index}`)).ino).not.toBe(ino);
    }
    await tree.close();
  });

  it('is not the one that was renamed over it', () => {
    make('f', 'one');
    const id = at(world.tree, 'f');
    expect(text(world.tree, id)).toBe('one');
    make('g', 'two');
    renameSync(join(world.directory, 'g'), join(world.directory, 'f'));
    expect(refusal(() => world.tree.read(id, 0, Buffer.alloc(3)))).toBe('STALE');
    expect(text(world.tree, at(world.tree, 'f'))).toBe('two');
  });

  it('by any of its names, as long as one is left', () => {
    make('d/a');
    make('e/x');
    const id = at(world.tree, 'd/a');
    world.tree.link(id, at(world.tree, 'e'), 'b');
    world.tree.remove(at(world.tree, 'd'), 'a');
    expect(text(world.tree, id)).toBe('d/a');
    linkSync(join(world.directory, 'e/b'), join(world.directory, 'e/c'));
    unlinkSync(join(world.directory, 'e/b'));
    expect(text(world.tree, id)).toBe('d/a');
    expect(world.tree.attributes(id).links).toBe(1);
    world.tree.remove(at(world.tree, 'e'), 'c');
    expect(refusal(() => world.tree.attributes(id))).toBe('STALE');
  });

  it('of another table once the root was replaced', async () => {
    make('f');
    const { generation } = world.tree;
    await world.tree.close();
    renameSync(world.directory, join(world.outside, 'old'));
    mkdirSync(world.directory);
    await world.restart(false);
    expect(world.tree.generation).not.toBe(generation);
    expect([...world.tree.entries(world.tree.root, 0)]).toEqual([]);
    expect(world.events).toEqual(['tree.replaced']);
  });
});

describe('nothing outside is reached', () => {
  it.each(['', '.', '..', 'a/b', '/', 'a\0b', '../outside'])('by the name %j', (name) => {
    const { tree } = world;
    writeFileSync(join(world.outside, 'b'), 'secret');
    for (const act of [
      () => tree.lookup(tree.root, name),
      () => tree.create(tree.root, name, file, {}),
      () => tree.remove(tree.root, name),
      () => tree.removeDirectory(tree.root, name),
      () => tree.rename(tree.root, name, tree.root, 'x'),
      () => tree.rename(tree.root, 'x', tree.root, name),
    ]) {
      expect(refusal(act)).toBe('BADNAME');
    }
  });

  it('through a directory that became a symlink', () => {
    make('d/f');
    writeFileSync(join(world.outside, 'f'), 'secret');
    const { tree } = world;
    const directory = at(tree, 'd');
    const id = at(tree, 'd/f');
    rmSync(join(world.directory, 'd'), { recursive: true });
    symlinkSync(world.outside, join(world.directory, 'd'));
    for (const act of [
      () => tree.read(id, 0, Buffer.alloc(9)),
      () => tree.lookup(directory, 'f'),
      () => tree.create(directory, 'new', file, {}),
      () => [...tree.entries(directory, 0)],
    ]) {
      expect(refusal(act)).toBe('STALE');
    }
    const link = at(tree, 'd');
    expect(tree.readlink(link)).toBe(world.outside);
    for (const act of [
      () => tree.lookup(link, 'f'),
      () => tree.create(link, 'new', file, {}),
      () => tree.remove(link, 'f'),
      () => [...tree.entries(link, 0)],
    ]) {
      expect(refusal(act)).toBe('NOTDIR');
    }
    expect(readdirSync(world.outside)).toEqual(['f']);
  });

  it('by changing a symlink', () => {
    const { tree } = world;
    writeFileSync(join(world.outside, 'f'), 'secret', { mode: 0o600 });
    utimesSync(join(world.outside, 'f'), 1, 1);
    symlinkSync(join(world.outside, 'f'), join(world.directory, 'l'));
    const link = at(tree, 'l');
    tree.change(link, { mode: 0o777, mtime: { seconds: 5, nanoseconds: 0 } });
    expect(refusal(() => tree.change(link, { size: 0 }))).toBe('INVAL');
    expect(refusal(() => tree.write(link, 0, Buffer.from('x')))).toBe('INVAL');
    expect(tree.attributes(link).mtime.seconds).toBe(5);
    expect(statSync(join(world.outside, 'f'))).toMatchObject({ mode: 0o100600, mtimeMs: 1000, size: 6 });
  });

  it('in what was moved away while it was open', () => {
    make('d/f');
    const { tree } = world;
    const directory = at(tree, 'd');
    const id = at(tree, 'd/f');
    expect(text(tree, id)).toBe('d/f');
    renameSync(join(world.directory, 'd'), join(world.outside, 'd'));
    for (const act of [
      () => tree.read(id, 0, Buffer.alloc(1)),
      () => tree.write(id, 0, Buffer.alloc(1)),
      () => tree.attributes(directory),
      () => tree.parent(directory),
      () => tree.create(directory, 'g', file, {}),
      () => tree.lookup(directory, 'f'),
    ]) {
      expect(refusal(act)).toBe('STALE');
    }
    renameSync(join(world.outside, 'd'), join(world.directory, 'e'));
    expect(at(tree, 'e')).toBe(directory);
    expect(text(tree, id)).toBe('d/f');
  });

  it('while another process swaps a directory for a symlink as fast as it can', async () => {
    const { tree } = world;
    make('d/f', 'inside');
    make('d/sub/f', 'inside');
    writeFileSync(join(world.outside, 'f'), 'secret');
    mkdirSync(join(world.outside, 'sub'));
    writeFileSync(join(world.outside, 'sub/f'), 'secret');
    const before = snapshot(world.outside);
    const program = `const fs=require('fs');process.chdir(process.argv[1]);process.stdout.write('x');
      for(;;){fs.renameSync('d','e');fs.symlinkSync(process.argv[2],'d');fs.unlinkSync('d');fs.renameSync('e','d');}`;
    const swapper = spawn(process.execPath, ['-e', program, world.directory, world.outside], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => swapper.stdout.once('data', resolve));
    const seen = new Map<string, number>();
    const [least, most] = [Date.now() + 500, Date.now() + 10_000];
    for (let round = 0; Date.now() < least || (!seen.has('done') && Date.now() < most); round += 1) {
      for (const act of [
        () => tree.create(at(tree, 'd'), `n${round}`, file, { mode: 0o600 }),
        () => tree.create(at(tree, 'd/sub'), `m${round}`, folder, {}),
        () => expect(text(tree, at(tree, 'd/f'))).toBe('inside'),
        () => expect(text(tree, at(tree, 'd/sub/f'))).toBe('inside'),
        () => tree.write(at(tree, 'd/f'), 0, Buffer.from('inside')),
        () => tree.change(at(tree, 'd/sub/f'), { mode: 0o640 }),
        () => tree.remove(at(tree, 'd'), `n${round}`),
        () => tree.rename(at(tree, 'd/sub'), `m${round}`, at(tree, 'd'), `o${round}`),
      ]) {
        const result = refusal(act) ?? 'done';
        seen.set(result, (seen.get(result) ?? 0) + 1);
      }
    }
    swapper.kill('SIGKILL');
    await new Promise((resolve) => swapper.once('exit', resolve));
    expect(snapshot(world.outside)).toEqual(before);
    expect([...seen.keys()].filter((result) => !['done', 'NOENT', 'NOTDIR', 'STALE'].includes(result))).toEqual([]);
    expect(seen.has('done')).toBe(true);
  });
});

function snapshot(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((path) => {
      const stat = lstatSync(join(directory, path));
      return `${path} ${stat.mode} ${stat.size} ${stat.ctimeMs}`;
    });
}

describe('times', () => {
  const times: readonly Timestamp[] = [
    { seconds: 0, nanoseconds: 0 },
    { seconds: -1, nanoseconds: 999_999_999 },
    { seconds: -5_000, nanoseconds: 1 },
    { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
    { seconds: 1_700_000_000, nanoseconds: 999_999_999 },
    { seconds: 2 ** 31, nanoseconds: 1_000 },
    { seconds: 2 ** 32 - 1, nanoseconds: 999_999_000 },
  ];

  it.each(times)('%o is kept to the nanosecond, on the disk to the microsecond', async (time) => {
    const { tree } = world;
    for (const object of [file, folder, { kind: 'symlink', target: 'x' } as const]) {
      const id = tree.create(tree.root, object.kind, object, { mtime: time });
      tree.change(id, { atime: time });
      expect(tree.attributes(id)).toMatchObject({ atime: time, mtime: time });
      const disk = lstatSync(join(world.directory, object.kind), { bigint: true });
      const off = disk.mtimeNs - (BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds));
      expect(off < 0n ? -off : off).toBeLessThan(1000n);
      if (time.nanoseconds % 1000 === 0) expect(off).toBe(0n);
    }
    await world.restart();
    expect(world.tree.attributes(at(world.tree, 'file'))).toMatchObject({ atime: time, mtime: time });
  });

  it('set by others are theirs', () => {
    const { tree } = world;
    const id = tree.create(tree.root, 'f', file, { mtime: { seconds: 100, nanoseconds: 7 } });
    utimesSync(join(world.directory, 'f'), 200, 200);
    expect(tree.attributes(id).mtime).toEqual({ seconds: 200, nanoseconds: 0 });
  });

  it("of now are the file system's: not before what was written before", () => {
    const { tree } = world;
    const [one, other] = [tree.create(tree.root, 'a', file, {}), tree.create(tree.root, 'b', file, {})];
    for (let round = 0; round < 20; round += 1) {
      tree.write(one, 0, Buffer.from('x'));
      tree.change(other, { mtime: 'now' });
      const [written, touched] = [tree.attributes(one).mtime, tree.attributes(other).mtime];
      const later = touched.seconds - written.seconds + (touched.nanoseconds - written.nanoseconds) / 1e9;
      expect(later).toBeGreaterThanOrEqual(0);
      expect(later).toBeLessThan(1);
    }
  });

  it('that are not set stay as they are', () => {
    const { tree } = world;
    const atime = { seconds: 5, nanoseconds: 123_456_789 };
    const id = tree.create(tree.root, 'f', file, { atime, mtime: { seconds: 6, nanoseconds: 1 } });
    tree.change(id, { mtime: 'now' });
    expect(tree.attributes(id).atime).toEqual(atime);
  });
});

describe('a listing', () => {
  it('goes on where it was, whatever is made and removed meanwhile', () => {
    const { tree } = world;
    const names = Array.from({ length: 300 }, (_, index) => `file-${index}`);
    for (const name of names) make(name);
    const seen: string[] = [];
    let cookie = 0;
    for (let round = 0; ; round += 1) {
      const [entry] = tree.entries(tree.root, cookie);
      if (entry === undefined) break;
      expect(entry.cookie).toBeGreaterThan(cookie);
      seen.push(entry.name);
      cookie = entry.cookie;
      if (round % 3 === 0) unlinkSync(join(world.directory, entry.name));
      if (round % 3 === 1) make(`new-${round}`);
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((name) => name.startsWith('file-')).toSorted()).toEqual(names.toSorted());
  });

  it('begun anew shows at once what others have done, also in the same tick of the clock', () => {
    const { tree } = world;
    const list = () => [...tree.entries(tree.root, 0)].map(({ name }) => name).toSorted();
    for (let round = 0; round < 30; round += 1) {
      make('a');
      expect(list()).toEqual(['a']);
      make('b');
      expect(list()).toEqual(['a', 'b']);
      renameSync(join(world.directory, 'b'), join(world.directory, 'c'));
      expect(list()).toEqual(['a', 'c']);
      unlinkSync(join(world.directory, 'c'));
      unlinkSync(join(world.directory, 'a'));
      expect(list()).toEqual([]);
    }
  });

  it.each([5, 1000])('is not believed when a change in the same tick could have left the times as they are (scanned after %i ms)', (age) => {
    make('a$$CLIENT$$');
    const directory = openSync(world.directory, 'r');
    const stat = fstatSync(directory, { bigint: true });
    const now = () => Number(stat.ctimeNs / 1_000_000n) + age;
    const [listings, tags] = [new Listings(now), new TagIndexes(now)];
    const seen = () => [listings.of(1, directory, stat, false).names.length, tags.of(1, directory, stat).raw.size];
    expect(seen()).toEqual([1, 1]);
    make('b$$CLIENT$$');
    expect(seen()).toEqual(age < 20 ? [2, 2] : [1, 1]);
    closeSync(directory);
  });

  it('tells names with the same hash apart, and does so when one of them has gone', () => {
    const [one, other] = sameHash();
    const all = withCookies([one, other, 'z'].toSorted(), new Map());
    expect(new Set(all.cookies).size).toBe(3);
    const cookie = (listing: typeof all, name: string) => listing.cookies[listing.names.indexOf(name)];
    const [first, second] = [one, other].toSorted() as [string, string];
    const less = withCookies([second, 'z'].toSorted(), all.moved);
    expect(cookie(less, second)).toBe(cookie(all, second));
    const again = withCookies([first, second, 'z'].toSorted(), less.moved);
    expect([...again.cookies]).toEqual([...all.cookies]);
  });

  it('leaves out nothing of 20,000 names', () => {
    const names = Array.from({ length: 20_000 }, (_, index) => `n${index}`);
    const { cookies, names: listed } = withCookies(names.toSorted(), new Map());
    expect(listed.toSorted()).toEqual(names.toSorted());
    for (let index = 1; index < cookies.length; index += 1) expect(cookies[index]).toBeGreaterThan(cookies[index - 1]!);
    expect(cookies[0]).toBeGreaterThanOrEqual(3);
    expect(cookies.at(-1)).toBeLessThan(2 ** 32);
  });
});

/** Among 200,000 names some two are the same in 32 bits. */
function sameHash(): [string, string] {
  const seen = new Map<number, string>();
  for (let index = 0; ; index += 1) {
    const name = `name${index}`;
    const known = seen.get(cookieOf(name));
    if (known !== undefined) return [known, name];
    seen.set(cookieOf(name), name);
  }
}

describe('objects', () => {
  it('keep any bytes but two in their names, up to 255', () => {
    const { tree } = world;
    const odd = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1)).filter((character) => character !== '/');
    const name = odd.join('');
    const id = tree.create(tree.root, name, file, {});
    expect(tree.lookup(tree.root, name)).toBe(id);
    expect([...tree.entries(tree.root, 0)].map((entry) => entry.name)).toEqual([name]);
    tree.create(tree.root, 'x'.repeat(255), folder, {});
    for (const act of [() => tree.create(tree.root, 'x'.repeat(256), file, {}), () => tree.lookup(tree.root, 'x'.repeat(256))]) {
      expect(refusal(act)).toBe('NAMETOOLONG');
    }
  });

  it('are sparse, and larger than 4 GiB', () => {
    const { tree } = world;
    const id = tree.create(tree.root, 'f', file, {});
    const offset = 5 * 2 ** 30 + 1;
    tree.write(id, offset, Buffer.from('end'));
    expect(tree.attributes(id).size).toBe(offset + 3);
    const target = Buffer.alloc(10);
    expect(tree.read(id, offset - 2, target)).toBe(5);
    expect(target.toString('latin1', 0, 5)).toBe('\0\0end');
    tree.change(id, { size: 2 ** 33 });
    expect(lstatSync(join(world.directory, 'f')).blocks).toBeLessThan(100);
    expect(refusal(() => tree.write(id, Number.MAX_SAFE_INTEGER, Buffer.from('xx')))).toBe('FBIG');
    expect(refusal(() => tree.change(id, { size: 2 ** 60 }))).toBe('FBIG');
  });

  it('that are open are gone when their last name is', () => {
    const { tree } = world;
    const id = tree.create(tree.root, 'f', file, {});
    tree.write(id, 0, Buffer.from('x'));
    tree.remove(tree.root, 'f');
    for (const act of [() => tree.read(id, 0, Buffer.alloc(1)), () => tree.write(id, 0, Buffer.alloc(1)), () => tree.attributes(id)]) {
      expect(refusal(act)).toBe('STALE');
    }
  });

  it('are made whole or not at all', () => {
    const { tree } = world;
    expect(refusal(() => tree.create(tree.root, 'f', file, { size: 2 ** 60 }))).toBe('FBIG');
    expect(readdirSync(world.directory)).toEqual([]);
    expect(refusal(() => tree.create(tree.root, 'd', folder, { size: 1 }))).toBe('ISDIR');
    expect(readdirSync(world.directory)).toEqual([]);
  });

  it('are what is asked for: FIFO and socket', () => {
    const { tree } = world;
    for (const kind of ['fifo', 'socket'] as const) {
      const id = tree.create(tree.root, `${kind}\xff`, { kind }, { mode: 0o620 });
      expect(tree.attributes(id)).toMatchObject({ kind, mode: 0o620, links: 1 });
      expect(refusal(() => tree.create(tree.root, `${kind}\xff`, { kind }, {}))).toBe('EXIST');
      expect(refusal(() => tree.read(id, 0, Buffer.alloc(1)))).toBe('INVAL');
    }
    expect(readdirSync(world.directory)).toHaveLength(2);
  });

  it('can be read when their mode forbids it to all, and a program can be run after it was written', async () => {
    const { tree } = world;
    const id = tree.create(tree.root, 'true', file, { mode: 0o755 });
    tree.write(id, 0, readFileSync('/bin/true'));
    await tree.stable();
    await tree.commit(id);
    expect(existsSync(join(world.directory, 'true'))).toBe(true);
    chmodSync(join(world.directory, 'true'), 0o400);
    expect(tree.read(id, 0, Buffer.alloc(4))).toBe(4);
  });

  it('tells what the disk has room for', () => {
    const { totalBytes, freeBytes, totalObjects, freeObjects } = world.tree.space();
    expect(freeBytes).toBeLessThan(totalBytes);
    expect(freeObjects).toBeLessThan(totalObjects);
  });
});

describe('it does not begin', () => {
  it('without its directory', () => {
    const clock = { now: () => 0 };
    expect(() => openDiskTree({ directory: '/nowhere/at/all', state: join(world.outside, 's'), clock, unprivileged: true })).toThrow('cannot be opened');
  });

  it('without the right to give files to others', () => {
    if (isRoot) process.seteuid?.(65_534);
    try {
      expect(() => openDiskTree({ directory: world.directory, state: join(world.outside, 's'), clock: { now: () => 0 } })).toThrow('root only');
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});
