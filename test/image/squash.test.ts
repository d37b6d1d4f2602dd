// Packing a root: what is in the squashfs is what the manifest says, and the same bytes come out each time.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ManifestEntry } from '../../src/image/mtree.ts';
import { packSquashfs } from '../../src/image/squash.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-squash-'));
  mkdirSync(join(directory, 'root/usr/bin'), { recursive: true });
  writeFileSync(join(directory, 'root/usr/bin/ping'), 'ping\n');
  writeFileSync(join(directory, 'root/usr/bin/big'), Buffer.alloc(3_000_000, 'farm'));
  writeFileSync(join(directory, 'root/caf\u00e9 "1"'), 'x');
});
afterAll(() => rmSync(directory, { recursive: true }));

const common = {
  uid: 0,
  gid: 0,
  size: 0,
  mtime: { seconds: 1_700_000_000, nanoseconds: 5 },
  target: undefined,
  device: undefined,
  inode: undefined,
  sha256: undefined,
};
const file = { ...common, kind: 'file', mode: 0o644 } as const;
const entries: readonly ManifestEntry[] = [
  { ...common, path: '.', kind: 'directory', mode: 0o755 },
  { ...common, path: 'usr', kind: 'directory', mode: 0o755 },
  { ...common, path: 'usr/bin', kind: 'directory', mode: 0o1777, uid: 33, gid: 44 },
  { ...file, path: 'usr/bin/ping', mode: 0o4755, size: 5, inode: 7 },
  { ...file, path: 'usr/bin/pong', mode: 0o4755, size: 5, inode: 7 },
  { ...file, path: 'usr/bin/big', size: 3_000_000 },
  { ...file, path: Buffer.from('caf\u00e9 "1"').toString('latin1'), size: 1 },
  { ...common, path: 'bin', kind: 'symlink', mode: 0o777, target: 'usr/bin', size: 7 },
  { ...common, path: 'null', kind: 'character', mode: 0o666, device: { major: 1, minor: 3 } },
  { ...common, path: 'pipe', kind: 'fifo', mode: 0o600 },
];
const capability = Buffer.from('0100000200200080000000000000000000000000', 'hex');

async function pack(name: string, order = entries): Promise<string> {
  const output = join(directory, name);
  await packSquashfs({
    entries: order,
    attributes: new Map([
      [
        'usr/bin/ping',
        new Map([
          ['security.capability', capability],
          ['system.posix_acl_access', Buffer.from('x')],
        ]),
      ],
    ]),
    rootDirectory: join(directory, 'root'),
    output,
    epoch: 1_767_225_600,
    onProgress: () => {},
    signal: new AbortController().signal,
  });
  return output;
}

describe('a packed root', () => {
  test('has the same bytes each time, in whatever order the entries come', async () => {
    const one = readFileSync(await pack('one'));
    const two = readFileSync(await pack('two', [...entries].reverse()));
    expect(one.equals(two)).toBe(true);
  });

  test('has owners, modes, set-id bits, devices, links, names and times', async () => {
    const listed = execFileSync('unsquashfs', ['-llnumeric', '-UTC', '-d', '', await pack('three')]).toString();
    expect(
      listed
        .trim()
        .split('\n')
        .map((line) => line.replace(/\s+/g, ' ')),
    ).toEqual([
      'drwxr-xr-x 0/0 78 2026-01-01 00:00 ',
      'lrwxrwxrwx 0/0 7 2023-11-14 22:13 /bin -> usr/bin',
      '-rw-r--r-- 0/0 1 2023-11-14 22:13 /caf\u00e9 "1"',
      'crw-rw-rw- 0/0 1, 3 2023-11-14 22:13 /null',
      'prw------- 0/0 0 2023-11-14 22:13 /pipe',
      'drwxr-xr-x 0/0 26 2023-11-14 22:13 /usr',
      'drwxrwxrwt 33/44 50 2023-11-14 22:13 /usr/bin',
      '-rw-r--r-- 0/0 3000000 2023-11-14 22:13 /usr/bin/big',
      '-rwsr-xr-x 0/0 5 2023-11-14 22:13 /usr/bin/ping',
      '-rwsr-xr-x 0/0 5 2023-11-14 22:13 /usr/bin/pong',
    ]);
  });

  test('has file capabilities, which a root by NFSv3 has not', async () => {
    const described = execFileSync('unsquashfs', ['-s', await pack('four')]).toString();
    expect(described).toMatch(/Number of xattr ids 1\b/);
  });

  test('is not made when the packer fails', async () => {
    await expect(
      packSquashfs({
        entries,
        attributes: new Map(),
        rootDirectory: join(directory, 'nowhere'),
        output: join(directory, 'five'),
        epoch: 0,
        onProgress: () => {},
        signal: new AbortController().signal,
      }),
    ).rejects.toThrow();
  });
});
