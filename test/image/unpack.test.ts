import { chmodSync, lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatMtree, parseMtree } from '../../src/image/mtree.ts';
import { RootWriter } from '../../src/image/root.ts';
import { unpack } from '../../src/image/unpack.ts';
import { imageBase } from '../../src/tree/image.ts';

type Input = Partial<Header> & { name: string; pax?: Record<string, string>; content?: string };
const mtime = new Date(1_767_225_600_000);
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-unpack-'));
});
afterEach(() => {
  chmodSync(join(directory, 'root'), 0o755);
  rmSync(directory, { recursive: true });
});

async function unpackInto(root: RootWriter, inputs: readonly Input[]) {
  const tar = pack();
  for (const { content, ...header } of inputs) tar.entry({ mtime, mode: 0o644, uid: 0, gid: 0, ...header }, content ?? '');
  tar.finalize();
  const unpacked = await unpack(Readable.from(tar), { route: (path) => (path.startsWith('skip') ? undefined : { writer: root, path }), onEntry: () => {} });
  return { unpacked, entries: root.finish() };
}

const top: Input = { name: './', type: 'directory', mode: 0o755 };

describe('the tar of a root file system', () => {
  test('becomes files on disk and a manifest of everything', async () => {
    const long = `./${'long'.repeat(30)}`;
    const { unpacked, entries } = await unpackInto(
      new RootWriter(join(directory, 'root')),
      [
        top,
        { name: './bin', type: 'symlink', linkname: 'usr/bin' },
        { name: './dev/', type: 'directory', mode: 0o755 },
        { name: './dev/null', type: 'character-device', mode: 0o666, devmajor: 1, devminor: 3 },
        { name: './su', type: 'file', mode: 0o4755, content: 'root please', pax: { mtime: '1767225599.25' } },
        { name: './su2', type: 'link', linkname: './su' },
        { name: './pipe', type: 'fifo' },
        { name: './closed/', type: 'directory', mode: 0o555 },
        { name: './closed/note', type: 'file', mode: 0o440, content: 'x'.repeat(100_000), pax: { 'SCHILY.xattr.security.capability': 'c' } },
        { name: './skipped', type: 'file', content: 'y' },
        { name: './skip', type: 'file', content: 'from the build host' },
        { name: long, type: 'file', pax: { path: './Főtanúsítvány' } },
      ].filter(({ name }) => name !== './skipped') as Input[],
    );
    const root = join(directory, 'root');
    expect(readFileSync(join(root, 'su'), 'utf8')).toBe('root please');
    expect(readlinkSync(join(root, 'bin'))).toBe('usr/bin');
    expect(lstatSync(join(root, 'su')).ino).toBe(lstatSync(join(root, 'su2')).ino);
    expect(lstatSync(join(root, 'su')).mode & 0o7777).toBe(0o755);
    expect(() => lstatSync(join(root, 'dev/null'))).toThrow('ENOENT');
    expect(readFileSync(join(root, 'Főtanúsítvány'), 'utf8')).toBe('');
    expect(unpacked.lost).toEqual(['closed/note']);
    expect(unpacked.attributes).toEqual(new Map([['closed/note', new Map([['security.capability', Buffer.from('c')]])]]));

    const read = parseMtree(formatMtree(entries));
    const byPath = new Map(read.map((entry) => [entry.path, entry]));
    expect([...byPath.keys()]).toEqual([
      '.',
      Buffer.from('Főtanúsítvány').toString('latin1'),
      'bin',
      'closed',
      'closed/note',
      'dev',
      'dev/null',
      'pipe',
      'su',
      'su2',
    ]);
    expect(byPath.get('su')).toMatchObject({ mode: 0o4755, size: 11, mtime: { seconds: 1_767_225_599, nanoseconds: 250_000_000 } });
    expect(byPath.get('su')?.inode).toBe(byPath.get('su2')?.inode);
    expect(byPath.get('dev/null')).toMatchObject({ kind: 'character', device: { major: 1, minor: 3 }, mode: 0o666 });
    const base = imageBase('test/0', root, read);
    expect(base.objectCount).toBe(9);
    chmodSync(join(root, 'closed'), 0o755);
  });

  test.each<[string, Input[], RegExp]>([
    ['a path out of the root', [top, { name: '../passwd', type: 'file' }], /is no path/],
    ['a path with a way out inside', [top, { name: './a/../../b', type: 'file' }], /is no path/],
    ['a path through a symlink', [top, { name: './out', type: 'symlink', linkname: '/tmp' }, { name: './out/file', type: 'file' }], /no directory/],
    ['a path twice', [top, { name: './a', type: 'file' }, { name: './a', type: 'file' }], /is twice/],
    ['a hard link to nothing', [top, { name: './a', type: 'link', linkname: '/etc/shadow' }], /not there/],
    ['a hard link to what is left out', [top, { name: './a', type: 'link', linkname: 'skip' }], /left out/],
  ])('with %s is refused', async (_what, inputs, message) => {
    await expect(unpackInto(new RootWriter(join(directory, 'root')), inputs)).rejects.toThrow(message);
  });

  test('that ends in the middle of a file is refused', async () => {
    const tar = pack();
    tar.entry({ name: 'file', mtime }, 'x'.repeat(5000));
    tar.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of Readable.from(tar)) chunks.push(chunk);
    const root = new RootWriter(join(directory, 'root'));
    root.addDirectory('.', { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 } });
    const cut = unpack(Readable.from([Buffer.concat(chunks).subarray(0, 2000)]), { route: (path) => ({ writer: root, path }), onEntry: () => {} });
    await expect(cut).rejects.toThrow('ends in the middle of a member');
  });

  test('takes files of the recipe in the place of its own, and makes the directories they need', async () => {
    const writer = new RootWriter(join(directory, 'root'));
    await unpackInto(writer, [top, { name: './motd', type: 'file', content: 'old' }]);
    const metadata = { mode: 0o600, uid: 0, gid: 0, mtime: { seconds: 7, nanoseconds: 0 } };
    writer.remove('motd');
    writer.remove('nothing');
    await writer.addFile('motd', metadata, [Buffer.from('new')]);
    writer.addParents('a/b/c', metadata.mtime);
    writer.addSymlink('a/b/c', metadata, '/dev/null');
    expect(readFileSync(join(directory, 'root/motd'), 'utf8')).toBe('new');
    expect(writer.finish().map(({ path, mode }) => [path, mode])).toEqual([
      ['.', 0o755],
      ['motd', 0o600],
      ['a', 0o755],
      ['a/b', 0o755],
      ['a/b/c', 0o777],
    ]);
    expect(() => writer.remove('a')).toThrow('is a directory');
  });
});
