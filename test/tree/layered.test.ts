import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import type { Base } from '../../src/tree/base.ts';
import { OpenFiles } from '../../src/tree/files.ts';
import { graft } from '../../src/tree/graft.ts';
import { LayeredTree } from '../../src/tree/layered.ts';
import { PrivateStore } from '../../src/tree/private.ts';
import { type ObjectId, type Tree, TreeError } from '../../src/tree/tree.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { client, temporaryDirectory, testDisk, testImage } from './fixtures.ts';

const layout = {
  'etc/': '',
  'etc/hosts': '127.0.0.1 localhost\n',
  'etc/passwd': 'root:x:0:0\n',
  'usr/': '',
  'usr/bin/': '',
  'usr/bin/sh': 'a shell',
  'usr/bin/dash': '= usr/bin/sh',
  bin: '-> usr/bin',
  'var/': '',
  'var/lib/': '',
  'var/lib/a': 'aaa',
  'var/lib/b': 'bbb',
};

const disk = testDisk();

function open(directory: string, base: Base): { tree: LayeredTree; store: PrivateStore } {
  const store = PrivateStore.open(directory, base, client);
  return { store, tree: new LayeredTree({ store, client, imageFiles: new OpenFiles(), clock: systemClock, disk }) };
}

function at(tree: Tree, path: string): ObjectId {
  return path.split('/').reduce((id, name) => (name === '' ? id : tree.lookup(id, name)), tree.root);
}

function text(tree: Tree, path: string): string {
  const id = at(tree, path);
  const target = Buffer.alloc(tree.attributes(id).size);
  return target.toString('utf8', 0, tree.read(id, 0, target));
}

/** The whole tree as text: path, kind, mode, links, content. */
function dump(tree: Tree, directory: ObjectId = tree.root, path = ''): string[] {
  return [...tree.entries(directory, 0)]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(({ name, id }) => {
      const { kind, mode, links, size, uid } = tree.attributes(id);
      const here = `${path}/${name}`;
      expect(tree.lookup(directory, name)).toBe(id);
      if (kind === 'directory') {
        expect(tree.parent(id)).toBe(directory);
        return [`${here} ${kind} ${mode.toString(8)} ${links} ${uid}`, ...dump(tree, id, here)];
      }
      const bytes = Buffer.alloc(size);
      const content = kind === 'file' ? bytes.toString('latin1', 0, tree.read(id, 0, bytes)) : kind === 'symlink' ? tree.readlink(id) : '';
      return [`${here} ${kind} ${mode.toString(8)} ${links} ${uid} ${size} ${JSON.stringify(content)}`];
    });
}

describe('a node writes to its root', () => {
  it('and the image stays as it was', () => {
    const base = testImage('test/000000000001', layout);
    const { tree } = open(temporaryDirectory(), base);
    const { tree: other } = open(temporaryDirectory(), base);
    const before = dump(other);
    tree.write(at(tree, 'etc/hosts'), 0, Buffer.from('changed'));
    tree.remove(at(tree, 'etc'), 'passwd');
    tree.rename(at(tree, 'var'), 'lib', at(tree, 'usr'), 'lib');
    expect(text(tree, 'etc/hosts')).toBe('changed.1 localhost\n');
    expect(text(tree, 'usr/lib/a')).toBe('aaa');
    expect(dump(other)).toEqual(before);
  });

  it('and finds it all again after a restart, under the same ids', async () => {
    const base = testImage('test/000000000001', layout);
    const directory = temporaryDirectory();
    const first = open(directory, base);
    const made = first.tree.create(at(first.tree, 'var/lib'), 'new', { kind: 'file' }, { mode: 0o600, uid: 5 });
    first.tree.write(made, 3, Buffer.from('hello'));
    first.tree.rename(first.tree.root, 'etc', at(first.tree, 'usr'), 'etc');
    first.tree.link(at(first.tree, 'usr/etc/hosts'), first.tree.root, 'hosts');
    first.tree.change(at(first.tree, 'var/lib/a'), { size: 1 });
    const before = dump(first.tree);
    const second = open(directory, base);
    expect(dump(second.tree)).toEqual(before);
    expect(at(second.tree, 'var/lib/new')).toBe(made);
    expect(second.tree.generation).toBe(first.tree.generation);
    await Promise.all([first.store.close(), second.store.close()]);
  });

  it('and a torn last line of its journal costs that change only', async () => {
    const { appendFileSync } = await import('node:fs');
    const base = testImage('test/000000000001', layout);
    const directory = temporaryDirectory();
    const first = open(directory, base);
    first.tree.create(first.tree.root, 'kept', { kind: 'file' }, {});
    appendFileSync(join(directory, 'journal'), '[{"put":{"id":2147483');
    const second = open(directory, base);
    expect(at(second.tree, 'kept')).toBe(at(first.tree, 'kept'));
    second.tree.create(second.tree.root, 'later', { kind: 'file' }, {});
    expect(at(open(directory, base).tree, 'later')).toBe(at(second.tree, 'later'));
  });

  it('and a wiped private tree has another generation, so that old handles are stale', () => {
    const base = testImage('test/000000000001', layout);
    const directory = temporaryDirectory();
    const { generation } = open(directory, base).tree;
    rmSync(directory, { recursive: true });
    expect(open(directory, base).tree.generation).not.toBe(generation);
  });

  it('and no content file is left behind of what it removed', () => {
    const base = testImage('test/000000000001', layout);
    const directory = temporaryDirectory();
    const { tree } = open(directory, base);
    tree.write(at(tree, 'var/lib/a'), 0, Buffer.from('x'));
    tree.write(tree.create(tree.root, 'f', { kind: 'file' }, {}), 0, Buffer.from('y'));
    tree.remove(at(tree, 'var/lib'), 'a');
    tree.remove(tree.root, 'f');
    expect(readdirSync(join(directory, 'content'))).toEqual([]);
  });
});

describe('a new version of the image', () => {
  const files = (extra: Record<string, string>): Record<string, string> => ({ 'aaa/': '', 'aaa/first': '1', ...layout, ...extra });

  it('keeps what the node changed, although every object has another number', () => {
    const directory = temporaryDirectory();
    const old = open(directory, testImage('test/000000000001', layout)).tree;
    old.write(at(old, 'etc/hosts'), 0, Buffer.from('mine'));
    old.remove(at(old, 'etc'), 'passwd');
    old.create(at(old, 'var/lib'), 'own', { kind: 'directory' }, {});
    old.rename(old.root, 'usr', old.root, 'sys');
    const renewed = open(directory, testImage('test/000000000002', files({}))).tree;
    expect(text(renewed, 'etc/hosts').slice(0, 4)).toBe('mine');
    expect(() => at(renewed, 'etc/passwd')).toThrow(TreeError);
    expect(text(renewed, 'sys/bin/sh')).toBe('a shell');
    expect(renewed.attributes(at(renewed, 'var/lib/own')).kind).toBe('directory');
    expect(text(renewed, 'aaa/first')).toBe('1');
  });

  it('does not lose what the node wrote into directories that are gone', () => {
    const directory = temporaryDirectory();
    const old = open(directory, testImage('test/000000000001', layout)).tree;
    old.write(at(old, 'var/lib/a'), 0, Buffer.from('edited'));
    old.write(old.create(at(old, 'var/lib'), 'data', { kind: 'file' }, {}), 0, Buffer.from('precious'));
    const { 'var/': _var, 'var/lib/': _lib, 'var/lib/a': _a, 'var/lib/b': _b, ...without } = files({});
    const renewed = open(directory, testImage('test/000000000002', without)).tree;
    expect(text(renewed, 'var/lib/data')).toBe('precious');
    expect(text(renewed, 'var/lib/a')).toBe('edited');
    expect(() => at(renewed, 'var/lib/b')).toThrow(TreeError);
    expect(dump(open(directory, testImage('test/000000000002', without)).tree)).toEqual(dump(renewed));
  });
});

describe('rendered overlays', () => {
  const file = (path: string, content: string) => ({
    path,
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: content.length,
    body: { kind: 'bytes' as const, bytes: Buffer.from(content) },
  });

  it('show each client its own version under the plain name', () => {
    const image = testImage('test/000000000001', layout);
    const base = graft(image, [
      file('etc/hostname$$HOST=n7$$', 'n7\n'),
      file('etc/hostname$$HOST=n8$$', 'n8\n'),
      file('etc/hosts', 'new\n'),
      file('bin/tool', 't'),
    ]);
    const { tree } = open(temporaryDirectory(), base);
    expect(text(tree, 'etc/hostname')).toBe('n7\n');
    expect(text(tree, 'etc/hosts')).toBe('new\n');
    expect(text(tree, 'usr/bin/tool')).toBe('t');
    expect([...tree.entries(at(tree, 'etc'), 0)].map(({ name }) => name).sort()).toEqual(['hostname', 'hosts', 'passwd']);
  });

  it('keep their ids when something else is rendered, and change their time when they change', () => {
    const image = testImage('test/000000000001', layout);
    const [one, two] = [graft(image, [file('etc/a', '1')]), graft(image, [file('etc/a', '2'), file('etc/b', '1')])].map(
      (base) => open(temporaryDirectory(), base).tree,
    );
    expect(at(one!, 'etc/a')).toBe(at(two!, 'etc/a'));
    expect(one!.attributes(at(one!, 'etc/a')).mtime).not.toEqual(two!.attributes(at(two!, 'etc/a')).mtime);
  });
});

describe('the layered tree behaves as the memory tree', () => {
  const names = ['etc', 'usr', 'var', 'lib', 'bin', 'a', 'b', 'hosts', 'new', 'sh'];
  const name = fc.constantFrom(...names);
  const path = fc.array(name, { maxLength: 3 }).map((parts) => parts.join('/'));
  const action = fc.oneof(
    fc.record({ do: fc.constant('file' as const), path, name }),
    fc.record({ do: fc.constant('directory' as const), path, name }),
    fc.record({ do: fc.constant('symlink' as const), path, name }),
    fc.record({ do: fc.constant('write' as const), path, offset: fc.nat(20), bytes: fc.string({ minLength: 1, maxLength: 8 }) }),
    fc.record({ do: fc.constant('truncate' as const), path, size: fc.nat(12) }),
    fc.record({ do: fc.constant('mode' as const), path, mode: fc.nat(0o777) }),
    fc.record({ do: fc.constant('remove' as const), path, name }),
    fc.record({ do: fc.constant('rmdir' as const), path, name }),
    fc.record({ do: fc.constant('rename' as const), path, name, to: path, newName: name }),
    fc.record({ do: fc.constant('link' as const), path, to: path, name }),
    fc.record({ do: fc.constant('restart' as const) }),
  );
  type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

  function perform(tree: Tree, act: Exclude<Action, { do: 'restart' }>): string {
    try {
      const id = at(tree, act.path);
      switch (act.do) {
        case 'file':
          tree.create(id, act.name, { kind: 'file' }, { mode: 0o644, uid: 1, gid: 1 });
          break;
        case 'directory':
          tree.create(id, act.name, { kind: 'directory' }, { mode: 0o755, uid: 1, gid: 1 });
          break;
        case 'symlink':
          tree.create(id, act.name, { kind: 'symlink', target: '../x' }, { mode: 0o777, uid: 1, gid: 1 });
          break;
        case 'write':
          tree.write(id, act.offset, Buffer.from(act.bytes));
          break;
        case 'truncate':
          tree.change(id, { size: act.size });
          break;
        case 'mode':
          tree.change(id, { mode: act.mode });
          break;
        case 'remove':
          tree.remove(id, act.name);
          break;
        case 'rmdir':
          tree.removeDirectory(id, act.name);
          break;
        case 'rename':
          tree.rename(id, act.name, at(tree, act.to), act.newName);
          break;
        case 'link':
          tree.link(id, at(tree, act.to), act.name);
          break;
      }
      return 'done';
    } catch (error) {
      if (!(error instanceof TreeError)) throw error;
      return error.code;
    }
  }

  function fill(tree: Tree): void {
    for (const [full, content] of Object.entries(layout)) {
      const parts = full.replace(/\/$/, '').split('/');
      const last = parts.pop() ?? '';
      const directory = at(tree, parts.join('/'));
      if (full.endsWith('/')) tree.create(directory, last, { kind: 'directory' }, { mode: 0o755, uid: 0, gid: 0 });
      else if (content.startsWith('-> ')) tree.create(directory, last, { kind: 'symlink', target: content.slice(3) }, { mode: 0o644, uid: 0, gid: 0 });
      else if (content.startsWith('= ')) tree.link(at(tree, content.slice(2)), directory, last);
      else tree.write(tree.create(directory, last, { kind: 'file' }, { mode: 0o644, uid: 0, gid: 0 }), 0, Buffer.from(content));
    }
  }

  it('through any sequence of calls and restarts', { timeout: 600_000 }, async () => {
    const base = testImage('test/000000000001', layout);
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
        const directory = temporaryDirectory();
        let layered = open(directory, base);
        const memory = new MemoryTree();
        fill(memory);
        for (const act of actions) {
          if (act.do === 'restart') {
            await layered.store.close();
            layered = open(directory, base);
          } else expect([act, perform(layered.tree, act)]).toEqual([act, perform(memory, act)]);
          expect(dump(layered.tree)).toEqual(dump(memory));
        }
        await layered.store.close();
        rmSync(directory, { recursive: true });
      }),
      { numRuns: Number(process.env['TREE_RUNS'] ?? 150) },
    );
  });
});
