import { execFileSync, spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CpioEntry, encodeCpio } from '../../src/image/cpio.ts';

const sample: readonly CpioEntry[] = [
  { path: 'init', mode: 0o755, kind: 'file', data: Buffer.from('#!/bin/sh\n') },
  { path: 'bin', mode: 0o755, kind: 'directory' },
  { path: 'bin/sh', mode: 0o777, kind: 'symlink', target: '/bin/busybox' },
  { path: 'dev', mode: 0o755, kind: 'directory' },
  { path: 'dev/console', mode: 0o600, kind: 'character', major: 5, minor: 1 },
  { path: 'dev/sda', mode: 0o660, kind: 'block', major: 8, minor: 0 },
];
const hasCpio = spawnSync('cpio', ['--version']).error === undefined;

/** Reads newc by the table in the kernel's buffer-format.rst, independently of the writer. */
function readNewc(archive: Buffer) {
  const records: { path: string; fields: number[]; data: Buffer }[] = [];
  for (let at = 0; ; ) {
    expect(archive.toString('latin1', at, at + 6)).toBe('070701');
    const fields = Array.from({ length: 13 }, (_, i) => Number.parseInt(archive.toString('latin1', at + 6 + 8 * i, at + 14 + 8 * i), 16));
    const nameEnd = at + 110 + fields[11]!;
    const path = archive.toString('latin1', at + 110, nameEnd - 1);
    expect(archive[nameEnd - 1]).toBe(0);
    const start = (nameEnd + 3) & ~3;
    if (path === 'TRAILER!!!') return { records, rest: archive.subarray(start) };
    records.push({ path, fields, data: archive.subarray(start, start + fields[6]!) });
    at = (start + fields[6]! + 3) & ~3;
  }
}

const pathPart = fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(...'abcxyz019._-~é\n ') }).filter((part) => part !== '.' && part !== '..');
const files = fc.uniqueArray(fc.record({ path: pathPart, mode: fc.integer({ min: 0, max: 0o7777 }), data: fc.uint8Array({ maxLength: 40 }) }), {
  selector: ({ path }) => path,
});

describe('an initramfs archive', () => {
  test('gives back every file, aligned to four bytes and padded to a block', () => {
    fc.assert(
      fc.property(files, (list) => {
        const archive = encodeCpio(list.map((file) => ({ ...file, kind: 'file' })));
        const { records, rest } = readNewc(archive);
        expect(archive.length % 512).toBe(0);
        expect(rest.every((byte) => byte === 0)).toBe(true);
        expect(records.map(({ path, fields, data }) => [path, fields[1], data.toString('hex')])).toEqual(
          [...list].sort((a, b) => (a.path < b.path ? -1 : 1)).map(({ path, mode, data }) => [path, 0o100000 | mode, Buffer.from(data).toString('hex')]),
        );
      }),
    );
  });

  test('is the same, byte for byte, whatever the order of the entries', () => {
    fc.assert(fc.property(fc.shuffledSubarray([...sample], { minLength: sample.length }), (entries) => encodeCpio(entries, 1).equals(encodeCpio(sample, 1))));
  });

  test('numbers inodes in sequence and belongs to root', () => {
    const { records } = readNewc(encodeCpio(sample, 1_767_225_600));
    expect(records.map(({ fields }) => fields[0])).toEqual([1, 2, 3, 4, 5, 6]);
    expect(records.every(({ fields }) => fields[2] === 0 && fields[3] === 0 && fields[5] === 1_767_225_600)).toBe(true);
  });

  test.skipIf(!hasCpio && process.env['CI'] === undefined)('is listed by GNU cpio, device nodes and all (cpio is needed)', () => {
    const listing = execFileSync('cpio', ['-tv', '--numeric-uid-gid', '--quiet'], {
      input: encodeCpio(sample),
      env: { TZ: 'UTC', LC_ALL: 'C', PATH: process.env['PATH'] },
    });
    const lines = listing.toString().trim().split('\n');
    expect(lines.map((line) => line.replace(/\s+/g, ' '))).toEqual([
      'drwxr-xr-x 2 0 0 0 Jan 1 1970 bin',
      'lrwxrwxrwx 1 0 0 12 Jan 1 1970 bin/sh -> /bin/busybox',
      'drwxr-xr-x 2 0 0 0 Jan 1 1970 dev',
      'crw------- 1 0 0 5, 1 Jan 1 1970 dev/console',
      'brw-rw---- 1 0 0 8, 0 Jan 1 1970 dev/sda',
      '-rwxr-xr-x 1 0 0 10 Jan 1 1970 init',
    ]);
  });

  const huge = Object.defineProperty(new Uint8Array(0), 'length', { value: 2 ** 32 });
  test.each<[string, CpioEntry[], RegExp]>([
    ['a file of 4 GiB, whose size newc cannot hold', [{ path: 'big', mode: 0o644, kind: 'file', data: huge }], /less than 4 GiB/],
    ['a path given twice', [sample[0]!, sample[0]!], /init is twice/],
    [
      'a file without its directory, which the kernel would leave out',
      [{ path: 'a/b', mode: 0o644, kind: 'file', data: Buffer.of() }],
      /a\/b has no directory/,
    ],
    ['a file in a file', [{ path: 'init/x', mode: 0o644, kind: 'file', data: Buffer.of() }, sample[0]!], /has no directory/],
    ['a way out', [{ path: '../etc', mode: 0o755, kind: 'directory' }], /cannot be a path/],
    ['an absolute path', [{ path: '/etc', mode: 0o755, kind: 'directory' }], /cannot be a path/],
    ['the name of the trailer', [{ path: 'TRAILER!!!', mode: 0o644, kind: 'file', data: Buffer.of() }], /cannot be a path/],
  ])('refuses %s', (_what, entries, message) => {
    expect(() => encodeCpio(entries)).toThrow(message);
  });
});
