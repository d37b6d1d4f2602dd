import { execFileSync, spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { formatMtree, type ManifestEntry, parseMtree } from '../../src/image/mtree.ts';

const plain = {
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: { seconds: 1_767_225_600, nanoseconds: 0 },
  target: undefined,
  device: undefined,
  inode: undefined,
};
const sample: readonly ManifestEntry[] = [
  { ...plain, path: '.', kind: 'directory', mode: 0o755, sha256: undefined },
  { ...plain, path: 'bin', kind: 'symlink', mode: 0o777, size: 7, target: 'usr/bin', sha256: undefined },
  { ...plain, path: 'dev', kind: 'directory', mode: 0o755, sha256: undefined },
  { ...plain, path: 'dev/null', kind: 'character', mode: 0o666, device: { major: 1, minor: 3 }, sha256: undefined },
  { ...plain, path: 'dev/sda', kind: 'block', mode: 0o660, gid: 6, device: { major: 8, minor: 0 }, sha256: undefined },
  { ...plain, path: 'usr', kind: 'directory', mode: 0o1777, sha256: undefined },
  { ...plain, path: 'usr/perl', kind: 'file', mode: 0o4755, size: 3, inode: 1, sha256: 'ab'.repeat(32) },
  { ...plain, path: 'usr/perl5', kind: 'file', mode: 0o4755, size: 3, inode: 1, sha256: 'ab'.repeat(32) },
  { ...plain, path: 'usr/with blank=#*?[\\\n\xc3\xa9', kind: 'file', mtime: { seconds: -5, nanoseconds: 7 }, sha256: 'cd'.repeat(32) },
];
const hasBsdtar = spawnSync('bsdtar', ['--version']).error === undefined;

describe('the image manifest', () => {
  test('is mtree text that a person can read', () => {
    expect(formatMtree(sample).toString('latin1').split('\n')).toEqual([
      '#mtree',
      '. type=dir mode=0755 uid=0 gid=0 time=1767225600.000000000',
      './bin type=link mode=0777 uid=0 gid=0 time=1767225600.000000000 link=usr/bin',
      './dev type=dir mode=0755 uid=0 gid=0 time=1767225600.000000000',
      './dev/null type=char mode=0666 uid=0 gid=0 time=1767225600.000000000 device=linux,1,3',
      './dev/sda type=block mode=0660 uid=0 gid=6 time=1767225600.000000000 device=linux,8,0',
      './usr type=dir mode=01777 uid=0 gid=0 time=1767225600.000000000',
      `./usr/perl type=file mode=04755 uid=0 gid=0 time=1767225600.000000000 nlink=2 inode=1 size=3 sha256digest=${'ab'.repeat(32)}`,
      `./usr/perl5 type=file mode=04755 uid=0 gid=0 time=1767225600.000000000 nlink=2 inode=1 size=3 sha256digest=${'ab'.repeat(32)}`,
      `./usr/with\\040blank\\075\\043\\052\\077\\133\\134\\012\\303\\251 type=file mode=0644 uid=0 gid=0 time=-5.000000007 size=0 sha256digest=${'cd'.repeat(32)}`,
      '',
    ]);
  });

  test('reads back as it was written', () => {
    expect(parseMtree(formatMtree(sample))).toEqual(sample);
  });

  test('holds names and targets of any bytes', () => {
    const byteString = fc.uint8Array({ minLength: 1, maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
    const name = byteString.filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..');
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, byteString), { selector: ([path]) => path, maxLength: 5 }), (links) => {
        const entries = links.map(([path, target]): ManifestEntry => ({ ...plain, path, kind: 'symlink', target, size: target.length, sha256: undefined }));
        const read = parseMtree(formatMtree(entries));
        expect(read).toHaveLength(entries.length);
        expect(read).toEqual(expect.arrayContaining(entries));
      }),
    );
  });

  test('is the same text whatever the order of the entries, and has each directory before what is in it', () => {
    const tree = ['a', 'a b', 'a-b', 'a.b', 'a/b', 'a/b/c', 'a/b.c', 'aa'].map(
      (path): ManifestEntry => ({ ...plain, path, kind: 'directory', sha256: undefined }),
    );
    const expected = ['a', 'a/b', 'a/b/c', 'a/b.c', 'a b', 'a-b', 'a.b', 'aa'];
    fc.assert(
      fc.property(fc.shuffledSubarray(tree, { minLength: tree.length }), (entries) => {
        expect(parseMtree(formatMtree(entries)).map(({ path }) => path)).toEqual(expected);
      }),
    );
  });

  test('takes the defaults that bsdtar and mtree write as /set', () => {
    const text = '#mtree\n/set type=file uid=0 gid=0 mode=644\n./a time=1.0 size=5\n/unset mode\n./b mode=0600 time=2.5 size=0\n';
    expect(parseMtree(Buffer.from(text)).map(({ path, mode, size, mtime }) => [path, mode, size, mtime.seconds, mtime.nanoseconds])).toEqual([
      ['a', 0o644, 5, 1, 0],
      ['b', 0o600, 0, 2, 5],
    ]);
  });

  test.each([
    ['a type that is not known', './a type=door mode=0644 uid=0 gid=0 time=0.0', 'mtree.entry'],
    ['a path that leads out', './../a type=dir mode=0755 uid=0 gid=0 time=0.0', 'mtree.entry'],
    ['a name relative to the line before', 'a type=dir mode=0755 uid=0 gid=0 time=0.0', 'mtree.entry'],
    ['a link without a target', './a type=link mode=0777 uid=0 gid=0 time=0.0', 'mtree.entry'],
    ['an escape that is no byte', './a\\9 type=dir mode=0755 uid=0 gid=0 time=0.0', 'mtree.escape'],
    ['an escape above 255', './a\\777 type=dir mode=0755 uid=0 gid=0 time=0.0', 'mtree.escape'],
    ['a mode that is not octal', './a type=dir mode=0799 uid=0 gid=0 time=0.0', 'mtree.value'],
    ['a size that is missing', './a type=file mode=0644 uid=0 gid=0 time=0.0', 'mtree.value'],
    ['a device of another system', './a type=char mode=0644 uid=0 gid=0 time=0.0 device=native,1,3', 'mtree.value'],
  ])('refuses %s, and says in which line', (_what, line, code) => {
    const read = () => parseMtree(Buffer.from(`#mtree\n${line}\n`));
    expect(read).toThrow(WireError);
    expect(read).toThrow(expect.objectContaining({ code, offset: 7 }));
  });

  test('never fails in another way, whatever the text', () => {
    const word = fc.constantFrom(
      './a',
      '.',
      '/set',
      '/unset',
      'type=file',
      'type=link',
      'type=',
      'mode=0644',
      'uid=0',
      'gid=',
      'time=1.0',
      'time=x',
      'size=1',
      'link=\\',
      'inode=9',
      '#',
      '=',
    );
    const text = fc.array(fc.oneof(word, fc.string({ maxLength: 6 })), { maxLength: 12 }).map((parts) => parts.join(' '));
    const limit = Number(process.env['FUZZ_SECONDS'] ?? 1) * 1000;
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), (lines) => {
        try {
          parseMtree(Buffer.from(lines.join('\n')));
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 1_000_000, interruptAfterTimeLimit: limit, markInterruptAsFailure: false },
    );
  });

  test.skipIf(!hasBsdtar && process.env['CI'] === undefined)('is read by bsdtar (libarchive-tools is needed)', () => {
    const listing = execFileSync('bsdtar', ['-tvnf', '-'], {
      input: formatMtree(sample.slice(0, 8)),
      env: { TZ: 'UTC', LC_ALL: 'C', PATH: process.env['PATH'] },
    });
    const lines = listing.toString().trim().split('\n');
    expect(lines.map((line) => line.replace(/\s+/g, ' ').replace(/ Jan 1 +2026| Jan 1 00:00/, ''))).toEqual([
      'drwxr-xr-x 0 0 0 0 .',
      'lrwxrwxrwx 0 0 0 0 ./bin -> usr/bin',
      'drwxr-xr-x 0 0 0 0 ./dev',
      'crw-rw-rw- 0 0 0 1,3 ./dev/null',
      'brw-rw---- 0 0 6 8,0 ./dev/sda',
      'drwxrwxrwt 0 0 0 0 ./usr',
      '-rwsr-xr-x 2 0 0 3 ./usr/perl',
      '-rwsr-xr-x 2 0 0 3 ./usr/perl5',
    ]);
  });
});
