// The tar writer, read back by tar-stream, GNU tar and our own reader.
import { execFileSync } from 'node:child_process';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { type TarEntry, tarEnd, tarHead, tarPadding } from '../../src/image/tar.ts';
import { readTar } from '../../src/image/tar-reader.ts';

const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 1_767_225_600, size: 0 } as const;

function archive(entries: readonly (TarEntry & { readonly data?: Buffer })[]): Buffer {
  return Buffer.concat([...entries.flatMap((entry) => [tarHead(entry), entry.data ?? Buffer.alloc(0), tarPadding(entry.size)]), tarEnd]);
}

const capability = Buffer.from('0100000200200080000000000000000000000000', 'hex');
const long = `${'d'.repeat(90)}/${'e'.repeat(90)}`;
const entries: readonly (TarEntry & { readonly data?: Buffer })[] = [
  { ...plain, path: 'usr', kind: 'directory', mode: 0o755 },
  {
    ...plain,
    path: 'usr/ping',
    kind: 'file',
    mode: 0o4755,
    uid: 65_534,
    gid: 12,
    size: 5,
    data: Buffer.from('hello'),
    attributes: new Map([['security.capability', capability]]),
  },
  { ...plain, path: 'usr/again', kind: 'link', target: 'usr/ping' },
  { ...plain, path: long, kind: 'symlink', target: `${long}/target`, mode: 0o777 },
  { ...plain, path: 'null', kind: 'character', device: { major: 1, minor: 3 }, mode: 0o666 },
  { ...plain, path: 'fifo', kind: 'fifo' },
];

describe('a tar written here', () => {
  test('is read by GNU tar with types, owners, modes, devices and long names', () => {
    const listed = execFileSync('tar', ['--list', '--verbose', '--numeric-owner', '--utc', '--full-time'], { input: archive(entries) }).toString();
    expect(listed.split('\n').map((line) => line.replace(/\s+/g, ' '))).toEqual([
      'drwxr-xr-x 0/0 0 2026-01-01 00:00:00 usr',
      '-rwsr-xr-x 65534/12 5 2026-01-01 00:00:00 usr/ping',
      'hrw-r--r-- 0/0 0 2026-01-01 00:00:00 usr/again link to usr/ping',
      `lrwxrwxrwx 0/0 0 2026-01-01 00:00:00 ${long} -> ${long}/target`,
      'crw-rw-rw- 0/0 1,3 2026-01-01 00:00:00 null',
      'prw-r--r-- 0/0 0 2026-01-01 00:00:00 fifo',
      '',
    ]);
  });

  test('is read by tar-stream', async () => {
    const names: string[] = [];
    const extractor = extract();
    Readable.from([archive(entries)]).pipe(extractor);
    for await (const entry of extractor) {
      names.push(`${entry.header.type} ${entry.header.name}`);
      entry.resume();
    }
    expect(names).toEqual(['directory usr', 'file usr/ping', 'link usr/again', `symlink ${long}`, 'character-device null', 'fifo fifo']);
  });

  test('refuses what its fields cannot hold', () => {
    expect(() => tarHead({ ...plain, path: 'x', kind: 'file', uid: 0o10000000 })).toThrow(/too large/);
    expect(() => tarHead({ ...plain, path: 'x', kind: 'file', size: 8 * 2 ** 30 })).toThrow(/too large/);
  });
});

describe('extended attributes', () => {
  test('come back as the bytes they were, of any length', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.stringMatching(/^user\.[a-z]{1,20}$/), fc.uint8Array({ maxLength: 1200 })), async (values) => {
        const attributes = new Map(Object.entries(values).map(([name, value]) => [name, Buffer.from(value)]));
        for await (const member of readTar(Readable.from([archive([{ ...plain, path: 'x', kind: 'file', attributes }])])))
          expect(member.attributes).toEqual(attributes);
      }),
    );
  });
});
