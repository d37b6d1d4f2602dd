// How layers become one root: a table of the spec's cases, hostile ones, and a property against a plain model.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyLayer, emptyRoot, holdMember, namesOf } from '../../../src/image/oci/layering.ts';
import type { TarMember } from '../../../src/image/tar-reader.ts';

/** `a/` directory, `a` file, `a -> b` symlink, `a = b` hard link. */
function member(text: string, mode = 0o644): TarMember {
  const [path = '', sign, target = ''] = text.split(' ');
  const kind = sign === '->' ? 'symlink' : sign === '=' ? 'link' : path.endsWith('/') ? 'directory' : 'file';
  const time = { seconds: 0, nanoseconds: 0 };
  return { path, kind, target, mode, uid: 0, gid: 0, mtime: time, size: 0, device: { major: 0, minor: 0 }, attributes: new Map(), acl: false };
}

/** Each name with the layer its object is of. */
function layered(...layers: readonly (readonly string[])[]): readonly string[] {
  const root = emptyRoot();
  for (const [layer, members] of layers.entries())
    applyLayer(
      root,
      layer,
      members.map((text) => member(text)),
    );
  return namesOf(root)
    .slice(1)
    .map(({ path, object }) => `${path}${object.member.kind === 'directory' ? '/' : ''} ${object.layer}`);
}

describe('layers', () => {
  it.each<[string, readonly (readonly string[])[], readonly string[]]>([
    [
      'add',
      [
        ['a/', 'a/x'],
        ['a/y', 'b'],
      ],
      ['a/ 0', 'a/x 0', 'a/y 1', 'b 1'],
    ],
    ['replace a file', [['a'], ['a']], ['a 1']],
    ['replace what a directory is, and keep what is in it', [['a/', 'a/x'], ['a/']], ['a/ 1', 'a/x 0']],
    ['replace a directory by a file', [['a/', 'a/x'], ['a']], ['a 1']],
    ['replace a symlink to a directory by a directory', [['b/', 'b/x', 'a -> b'], ['a/']], ['a/ 1', 'b/ 0', 'b/x 0']],
    ['remove a file', [['a', 'b'], ['.wh.a']], ['b 0']],
    ['remove a directory', [['a/', 'a/x', 'a/y/', 'a/y/z'], ['a/.wh.y']], ['a/ 0', 'a/x 0']],
    ['remove what is not there', [['a'], ['.wh.b', 'c/.wh.d']], ['a 0']],
    ['remove, and add in the same layer, in any order', [['a'], ['a', '.wh.a']], ['a 1']],
    [
      'empty a directory',
      [
        ['a/', 'a/x', 'a/y/', 'a/y/z'],
        ['a/.wh..wh..opq', 'a/w'],
      ],
      ['a/ 0', 'a/w 1'],
    ],
    [
      'empty a directory after adding to it',
      [
        ['a/', 'a/x'],
        ['a/', 'a/w', 'a/.wh..wh..opq'],
      ],
      ['a/ 1', 'a/w 1'],
    ],
    ['do not empty what they add', [['a/'], ['a/x'], ['b']], ['a/ 0', 'a/x 1', 'b 2']],
    ['pass over what aufs kept', [['a'], ['.wh..wh.plnk/', '.wh..wh.plnk/1', '.wh..wh.aufs']], ['a 0']],
    ['have directories that no layer has', [['a/b/c']], ['a/ 0', 'a/b/ 0', 'a/b/c 0']],
    ['link to a lower layer', [['a'], ['b = a']], ['a 0', 'b 0']],
    ['link to what is removed later', [['a'], ['b = ./a'], ['.wh.a']], ['b 0']],
    ['link, and replace one of the names', [['a', 'b = a'], ['a']], ['a 1', 'b 0']],
    ['write through a symlink of the image', [['usr/', 'usr/lib/', 'lib -> usr/lib'], ['lib/x']], ['lib 0', 'usr/ 0', 'usr/lib/ 0', 'usr/lib/x 1']],
    ['write through an absolute one', [['run/', 'var/', 'var/run -> /run'], ['var/run/x']], ['run/ 0', 'run/x 1', 'var/ 0', 'var/run 0']],
    ['stay in the image whatever a symlink says', [['a -> ../../../etc'], ['a/passwd']], ['a 0', 'etc/ 1', 'etc/passwd 1']],
    ['remove through a symlink', [['usr/', 'usr/x', 'lib -> usr'], ['lib/.wh.x']], ['lib 0', 'usr/ 0']],
  ])('%s', (_what, layers, wanted) => {
    expect(layered(...layers)).toEqual(wanted);
  });

  it.each<[string, readonly (readonly string[])[], RegExp]>([
    ['a path out of the root', [['../x']], /the path "\.\.\/x"/],
    ['a way out inside a path', [['a/../../x']], /the path/],
    ['a hard link out of the root', [['a = ../../etc/shadow']], /the path/],
    ['a hard link to nothing', [['a = /etc/shadow']], /not there/],
    ['a hard link to a directory', [['a/', 'b = a']], /not there/],
    ['a whiteout of everything above', [['.wh...']], /whiteout/],
    ['a whiteout of nothing', [['.wh.']], /whiteout/],
    ['a file with files in it', [['a', 'a/b']], /no directory/],
    ['symlinks in a circle', [['a -> b', 'b -> a', 'a/x']], /no directory/],
    ['a top that is a file', [['./ -> /etc']], /top/],
    ['a name that is too long', [['a'.repeat(256)]], /the path/],
    ['a path that is too long', [[Array.from({ length: 20 }, () => 'a'.repeat(200)).join('/')]], /more than 3500 bytes/],
  ])('with %s are refused', (_what, layers, message) => {
    expect(() => layered(...layers)).toThrow(message);
  });

  it('cannot fill the memory: not with directories that paths go through, not with attributes', () => {
    const deep = (index: number): string => `${index}/${'a/'.repeat(1500)}x`;
    const root = emptyRoot({ names: 10_000, bytes: 1 << 22, hops: 0 });
    const members = Array.from({ length: 8 }, (_, index) => member(deep(index)));
    expect(() => applyLayer(root, 0, members)).toThrow(/more than 10000 paths/);
    const heavy = { ...member('a'), attributes: new Map([['user.x', Buffer.alloc(1 << 20)]]) };
    expect(() => Array.from({ length: 5 }, () => holdMember(root, heavy))).toThrow(/bytes of names and attributes/);
  });

  it('cannot hold the processor with symlinks', () => {
    const root = emptyRoot({ names: 10_000, bytes: 1 << 22, hops: 5000 });
    const to = 'd/../'.repeat(600);
    applyLayer(root, 0, [member('d/'), member(`s -> ${to}`)]);
    const many = Array.from({ length: 200 }, (_, index) => member(`s/${index}`));
    expect(() => applyLayer(root, 1, many)).toThrow(/symlinks/);
  });

  const paths = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 });
  const kinds = fc.constantFrom('file', 'directory', 'remove', 'empty');

  it('are what a file system is after doing the same, one change a layer', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(kinds, paths), { maxLength: 30 }), (changes) => {
        const root = emptyRoot();
        let model: Model = new Set();
        for (const [layer, [kind, path]] of changes.entries()) {
          if (path.some((_, depth) => depth > 0 && model.has(path.slice(0, depth).join('/')))) continue; // it lies in a file
          model = modelled[kind](model, path.join('/'));
          applyLayer(root, layer, [member(asMember[kind](path.join('/')))]);
        }
        const found = namesOf(root).slice(1);
        expect(found.map(({ path, object }) => `${path}${object.member.kind === 'directory' ? '/' : ''}`).sort()).toEqual([...model].sort());
      }),
    );
  });
});

/** Paths; a directory ends with a slash. */
type Model = ReadonlySet<string>;
type Change = 'file' | 'directory' | 'remove' | 'empty';

const above = (path: string): readonly string[] => [...path.matchAll(/\//g)].map(({ index }) => path.slice(0, index + 1));
const without = (model: Model, path: string): readonly string[] => [...model].filter((each) => each !== path && !each.startsWith(`${path}/`));

const modelled: Readonly<Record<Change, (model: Model, path: string) => Model>> = {
  file: (model, path) => new Set([...without(model, path), ...above(path), path]),
  directory: (model, path) => new Set([...[...model].filter((each) => each !== path), ...above(path), `${path}/`]),
  remove: (model, path) => new Set(without(model, path)),
  empty: (model, path) => new Set([...model].filter((each) => each === `${path}/` || !each.startsWith(`${path}/`))),
};

const asMember: Readonly<Record<Change, (path: string) => string>> = {
  file: (path) => path,
  directory: (path) => `${path}/`,
  remove: (path) => path.replace(/[^/]+$/, '.wh.$&'),
  empty: (path) => `${path}/.wh..wh..opq`,
};
