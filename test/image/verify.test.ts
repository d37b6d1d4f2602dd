// Whether verify finds whatever can happen to a file of an image.
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verifyVersion } from '../../src/image/verify.ts';
import { makeImage } from '../support/made-image.ts';

let images: string;
let version: string;
let directory: string;
beforeEach(async () => {
  images = mkdtempSync(join(tmpdir(), 'farm-verify-'));
  version = await makeImage(images, { name: 'small', files: { 'etc/issue': 'one\n', 'usr/lib/größe': 'x' } });
  directory = join(images, 'small', version);
});
afterEach(() => rmSync(images, { recursive: true }));

function faults(): readonly string[] {
  const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'));
  return verifyVersion(directory, version, manifest, () => {}).map(({ path, says }) => `${path} ${says}`);
}

describe('an image as it was built', () => {
  it('has no faults', () => {
    expect(faults()).toEqual([]);
  });

  it('is read to the last byte', () => {
    let bytes = 0;
    const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'));
    verifyVersion(directory, version, manifest, (read) => {
      bytes = read;
    });
    const beside = Object.values<{ size: number }>(manifest.contents).reduce((sum, { size }) => sum + size, 0);
    expect(bytes).toBe(beside + manifest.root.bytes);
  });
});

describe('verify tells', () => {
  const inRoot = (path: string): string => join(directory, 'root', path);
  it.each<[string, () => void, readonly string[]]>([
    ['another byte', () => writeFileSync(inRoot('etc/issue'), 'two\n'), ['root/etc/issue has the right size of 4 bytes, but other content']],
    ['a longer file', () => appendFileSync(inRoot('etc/issue'), '!'), ['root/etc/issue has 5 bytes, not 4']],
    ['a missing file', () => rmSync(inRoot('etc/issue')), ['root/etc/issue is missing']],
    ['a file too many', () => writeFileSync(inRoot('etc/passwd'), ''), ['root/etc/passwd does not belong there']],
    ['a directory too many', () => mkdirSync(join(directory, 'aside')), ['aside does not belong there']],
    ['a kernel that changed', () => writeFileSync(join(directory, 'kernel'), 'kernal'), ['kernel has the right size of 6 bytes, but other content']],
    ['a missing loader', () => rmSync(join(directory, 'loaders/ipxe.efi')), ['loaders/ipxe.efi is missing']],
    ['a device that is on disk', () => writeFileSync(inRoot('dev/null'), ''), ['root/dev/null is on disk, but belongs into root.mtree only']],
    [
      'a symlink to something else',
      () => {
        rmSync(inRoot('lib'));
        symlinkSync('/etc', inRoot('lib'));
      },
      ['root/lib is a symlink to something else'],
    ],
    [
      'a file that became a symlink, without following it',
      () => {
        rmSync(inRoot('etc/issue'));
        symlinkSync('/etc/hostname', inRoot('etc/issue'));
      },
      ['root/etc/issue is no file'],
    ],
    [
      'a directory that became a file, and all that was in it',
      () => {
        rmSync(inRoot('etc'), { recursive: true });
        writeFileSync(inRoot('etc'), '');
      },
      ['root/etc is no directory', 'root/etc/issue is missing'],
    ],
    [
      'a list that cannot be read',
      () => writeFileSync(join(directory, 'root.mtree'), '#mtree\n./x type=nonsense\n'),
      [expect.stringMatching(/^root\.mtree has 25 bytes, not /), 'root.mtree cannot be read: ./x has no known type'],
    ],
  ])('%s', (_what, damage, expected) => {
    damage();
    expect(faults()).toEqual(expected);
  });

  it('a manifest that was changed to fit changed files', () => {
    const path = join(directory, 'manifest.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/("kernel":\{"sha256":")./, '$1x'));
    expect(faults()).toEqual(['kernel has the right size of 6 bytes, but other content', expect.stringMatching(/^manifest\.json is of version [0-9a-f]{12}$/)]);
  });
});
