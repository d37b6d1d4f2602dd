// Random operations through a disk tree, and the same by node:fs on a twin directory: same results, same errors, same listings.
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { systemCode } from '../../src/base/errors.ts';
import { type ObjectId, type Tree, TreeError } from '../../src/tree/tree.ts';
import { at, openWorld, text, type World } from './disk-world.ts';

const names = ['a', 'b', 'c', '\xe9\xff', 'x (deleted)'];
const name = fc.constantFrom(...names);
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const mode = fc.constantFrom(0o600, 0o644, 0o755, 0o4755, 0o1777);

type Operation =
  | { readonly do: 'file' | 'directory' | 'symlink'; readonly path: string; readonly mode: number; readonly behind: boolean }
  | { readonly do: 'remove' | 'removeDirectory' | 'replace'; readonly path: string; readonly behind: boolean }
  | { readonly do: 'rename' | 'link'; readonly path: string; readonly to: string; readonly behind: boolean }
  | { readonly do: 'mode'; readonly path: string; readonly mode: number; readonly behind: boolean }
  | { readonly do: 'time'; readonly path: string; readonly seconds: number; readonly behind: boolean }
  | { readonly do: 'size' | 'write'; readonly path: string; readonly size: number; readonly behind: boolean }
  | { readonly do: 'restart'; readonly inOrder: boolean };

const behind = fc.boolean();
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('file' as const, 'directory' as const, 'directory' as const, 'symlink' as const), path, mode, behind }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('remove' as const, 'removeDirectory' as const, 'replace' as const), path, behind }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('rename' as const, 'link' as const), path, to: path, behind }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mode' as const), path, mode, behind }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('time' as const), path, seconds: fc.constantFrom(-1000, 0, 1_700_000_000, 4_000_000_000), behind }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('size' as const, 'write' as const), path, size: fc.integer({ min: 0, max: 9000 }), behind }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), inOrder: fc.boolean() }) },
);

const bytes = (path: string) => Buffer.from(path, 'latin1');

/** The kernel follows symlinks on the way; clients do that themselves, and a tree never does. */
function throughNoSymlink(base: string, path: string): void {
  const parts = path.split('/');
  for (let length = 1; length < parts.length; length += 1) {
    const stat = lstatSync(bytes(`${base}/${parts.slice(0, length).join('/')}`), { throwIfNoEntry: false });
    if (stat?.isSymbolicLink() === true) throw Object.assign(new Error('a symlink'), { code: 'ENOTDIR' });
  }
}

/** Does it by node:fs below `base`. `mark` makes contents differ. */
function byHand(base: string, operation: Exclude<Operation, { do: 'restart' }>, mark: string): void {
  for (const path of 'to' in operation ? [operation.path, operation.to] : [operation.path]) throughNoSymlink(base, path);
  const here = bytes(`${base}/${operation.path}`);
  switch (operation.do) {
    case 'file':
      writeFileSync(here, mark, { flag: 'wx' });
      chmodSync(here, operation.mode);
      return;
    case 'directory':
      mkdirSync(here);
      chmodSync(here, operation.mode);
      return;
    case 'symlink':
      symlinkSync(mark, here);
      return;
    case 'remove':
      unlinkSync(here);
      return;
    case 'removeDirectory':
      rmdirSync(here);
      return;
    case 'replace': {
      const next = bytes(`${base}-next`);
      writeFileSync(next, mark); // before the old one goes, so that it cannot have its inode
      unlinkSync(here);
      renameSync(next, here);
      return;
    }
    case 'rename':
      renameSync(here, bytes(`${base}/${operation.to}`));
      return;
    case 'link':
      linkSync(here, bytes(`${base}/${operation.to}`));
      return;
    case 'mode':
      if (!lstatSync(here).isSymbolicLink()) chmodSync(here, operation.mode);
      return;
    case 'time':
      if (!lstatSync(here).isSymbolicLink()) utimesSync(here, String(operation.seconds), String(operation.seconds));
      return;
    case 'size':
    case 'write': {
      const stat = lstatSync(here);
      if (stat.isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' });
      if (stat.isSymbolicLink()) throw Object.assign(new Error('a symlink'), { code: 'EINVAL' });
      if (operation.do === 'size') truncateSync(here, operation.size);
      else
        writeFileSync(
          here,
          Buffer.concat([
            readFileSync(here).subarray(0, operation.size),
            Buffer.alloc(Math.max(0, operation.size - stat.size)),
            Buffer.from(mark),
            readFileSync(here).subarray(operation.size + mark.length),
          ]),
        );
    }
  }
}

function split(tree: Tree, path: string): [ObjectId, string] {
  const parts = path.split('/');
  return [at(tree, parts.slice(0, -1).join('/')), parts.at(-1) ?? ''];
}

/** Does it through the tree. */
function byTree(tree: Tree, operation: Exclude<Operation, { do: 'restart' }>, mark: string): void {
  const [parent, name] = split(tree, operation.path);
  switch (operation.do) {
    case 'file':
      tree.write(tree.create(parent, name, { kind: 'file' }, { mode: operation.mode }), 0, Buffer.from(mark));
      return;
    case 'directory':
      tree.create(parent, name, { kind: 'directory' }, { mode: operation.mode });
      return;
    case 'symlink':
      tree.create(parent, name, { kind: 'symlink', target: mark }, {});
      return;
    case 'remove':
      tree.remove(parent, name);
      return;
    case 'removeDirectory':
      tree.removeDirectory(parent, name);
      return;
    case 'replace':
      tree.remove(parent, name);
      tree.write(tree.create(parent, name, { kind: 'file' }, { mode: 0o644 }), 0, Buffer.from(mark));
      return;
    case 'rename':
      tree.lookup(parent, name);
      tree.rename(parent, name, ...split(tree, operation.to));
      return;
    case 'link':
      tree.link(tree.lookup(parent, name), ...split(tree, operation.to));
      return;
    case 'mode':
      tree.change(tree.lookup(parent, name), { mode: operation.mode });
      return;
    case 'time': {
      const time = { seconds: operation.seconds, nanoseconds: 0 };
      tree.change(tree.lookup(parent, name), { atime: time, mtime: time });
      return;
    }
    case 'size':
      tree.change(tree.lookup(parent, name), { size: operation.size });
      return;
    case 'write':
      tree.write(tree.lookup(parent, name), operation.size, Buffer.from(mark));
      return;
  }
}

function outcome(act: () => void): string {
  try {
    act();
    return 'done';
  } catch (error) {
    if (error instanceof TreeError) return error.code;
    const code = systemCode(error);
    if (code === undefined) throw error;
    return code.slice(1);
  }
}

/** Everything below a directory, by node:fs; and the inode of each path. */
function dumpDirectory(base: string, inodes: Map<string, bigint>, below = ''): string[] {
  return readdirSync(bytes(`${base}${below}`), { encoding: 'latin1' }).flatMap((name) => {
    const here = `${below}/${name}`;
    const stat = lstatSync(bytes(`${base}${here}`), { bigint: true });
    inodes.set(here, stat.ino);
    const line = `${here} ${(Number(stat.mode) & 0o7777).toString(8)} ${stat.nlink}`;
    if (stat.isDirectory()) return [line, ...dumpDirectory(base, inodes, here)];
    const content = stat.isSymbolicLink() ? readlinkSync(bytes(`${base}${here}`)) : readFileSync(bytes(`${base}${here}`), 'latin1');
    return [`${line} ${JSON.stringify(content)} ${stat.isSymbolicLink() ? '' : setTime(Number(stat.mtimeMs) / 1000)}`];
  });
}

/** Times that were set are compared, those of the clock are not. */
function setTime(seconds: number): string {
  return [-1000, 0, 1_700_000_000, 4_000_000_000].includes(seconds) ? String(seconds) : 'lately';
}

function dumpTree(tree: Tree, ids: Map<string, ObjectId>, id: ObjectId = tree.root, below = ''): string[] {
  return [...tree.entries(id, 0)].flatMap((entry) => {
    const here = `${below}/${entry.name}`;
    ids.set(here, entry.id);
    const { kind, mode, links, mtime } = tree.attributes(entry.id);
    const line = `${here} ${mode.toString(8)} ${links}`;
    expect(tree.lookup(id, entry.name)).toBe(entry.id);
    if (kind === 'directory') {
      expect(tree.parent(entry.id)).toBe(id);
      return [line, ...dumpTree(tree, ids, entry.id, here)];
    }
    const content = kind === 'symlink' ? tree.readlink(entry.id) : text(tree, entry.id);
    return [`${line} ${JSON.stringify(content)} ${kind === 'symlink' ? '' : setTime(mtime.seconds)}`];
  });
}

class Check {
  /** Which object of the twin each number has meant. */
  private readonly meanings = new Map<ObjectId, bigint>();
  private ids = new Map<string, ObjectId>();
  private inodes = new Map<string, bigint>();
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  private meaning(path: string): bigint {
    return this.inodes.get(path) ?? -1n;
  }

  all(): void {
    const before = this.ids;
    const inodesBefore = new Set(this.inodes.values());
    this.ids = new Map();
    this.inodes = new Map();
    const twin = dumpDirectory(this.world.twin, this.inodes);
    this.oldNumbers(before, inodesBefore, new Set(this.inodes.values()));
    expect(dumpTree(this.world.tree, this.ids).toSorted()).toEqual(twin.toSorted());
    for (const [path, id] of this.ids) {
      const known = this.meanings.get(id);
      if (known !== undefined) expect(this.meaning(path)).toBe(known);
      this.meanings.set(id, this.meaning(path));
    }
  }

  /** Before anything is looked up: what was renamed is found, and what has gone is not. */
  private oldNumbers(before: ReadonlyMap<string, ObjectId>, presentBefore: ReadonlySet<bigint>, present: ReadonlySet<bigint>): void {
    for (const id of before.values()) {
      const meaning = this.meanings.get(id);
      if (meaning === undefined || !presentBefore.has(meaning)) continue;
      const found = outcome(() => void this.world.tree.attributes(id));
      if (!present.has(meaning)) {
        expect(found).toBe('STALE');
        this.meanings.delete(id);
      } else {
        expect(found).toBe('done');
      }
    }
  }
}

it('does what node:fs does, also after restarts and with changes behind its back, and no number ever means another object', async () => {
  const until = Date.now() + 4000;
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 25, size: 'max' }), async (operations) => {
      const world = openWorld();
      const check = new Check(world);
      try {
        for (const [index, operation] of operations.entries()) {
          if (operation.do === 'restart') {
            await world.restart(operation.inOrder);
          } else {
            const mark = `<${index}>`;
            const expected = outcome(() => byHand(world.twin, operation, mark));
            const done = outcome(() => (operation.behind ? byHand(world.directory, operation, mark) : byTree(world.tree, operation, mark)));
            // link(2) says PERM of a directory, a tree ISDIR; and the kernel looks at the two paths in another order.
            const isLink = operation.do === 'link' || operation.do === 'rename';
            if (isLink && done !== 'done') expect(expected).not.toBe('done');
            else expect({ ...operation, outcome: done }).toEqual({ ...operation, outcome: expected });
          }
          check.all();
        }
        expect(world.events).toEqual([]);
      } finally {
        await world.end();
      }
    }),
    { numRuns: 60, interruptAfterTimeLimit: until - Date.now(), markInterruptAsFailure: false },
  );
});
