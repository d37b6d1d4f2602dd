// What a node with its root in memory gets besides the image: its own versions of everything, and nobody else's.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseIpv4 } from '../../src/base/addresses.ts';
import { parseMtree } from '../../src/image/mtree.ts';
import { overlayArchive } from '../../src/image/overlay-archive.ts';
import { graft, type OverlayFile } from '../../src/tree/graft.ts';
import { imageBase } from '../../src/tree/image.ts';

const imageRoot = mkdtempSync(join(tmpdir(), 'farm-overlay-'));
afterAll(() => rmSync(imageRoot, { recursive: true }));
writeFileSync(join(imageRoot, 'motd$$HOST=n1$$'), '');

const mtree = `#mtree
. type=dir mode=0755 uid=0 gid=0 time=5.0
./etc type=dir mode=0755 uid=0 gid=0 time=5.0
./etc/hosts type=file mode=0644 uid=0 gid=0 time=5.0 size=0
./lib type=link mode=0777 uid=0 gid=0 time=5.0 link=usr/lib
./motd type=file mode=0644 uid=0 gid=0 time=5.0 size=0
./motd$$HOST=n1$$ type=file mode=0640 uid=3 gid=4 time=5.0 size=0
./usr type=dir mode=0755 uid=0 gid=0 time=5.0
./usr/lib type=dir mode=0755 uid=0 gid=0 time=5.0
`.replaceAll('=n1', '\\075n1'); // vis(3)

function overlay(path: string, text: string, mode = 0o644): OverlayFile {
  return { path, mode, uid: 0, gid: 0, body: { kind: 'bytes', bytes: Buffer.from(text) }, size: text.length };
}

const image = imageBase('debian-13/000000000000', imageRoot, parseMtree(Buffer.from(mtree, 'latin1')));
const base = graft(image, [
  overlay('etc/farm/key', 'secret', 0o600),
  overlay('etc/hostname$$HOST=n1$$', 'n1\n'),
  overlay('etc/hostname$$HOST=n2$$', 'n2\n'),
  overlay('lib/farm/agent', 'x', 0o755),
  { ...overlay('etc/link', ''), body: { kind: 'symlink', target: '/dev/null' } },
]);
const address = parseIpv4('10.11.0.10');
if (address === undefined) throw new Error('no address');
const n1 = { address, host: 'n1', fqdn: 'n1.farm.lan', mac: undefined, groups: [] };

function list(archive: Buffer): readonly string[] {
  const text = execFileSync('tar', ['--list', '--verbose', '--numeric-owner'], { input: archive, env: { ...process.env, TZ: 'UTC' } }).toString();
  return text
    .trim()
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').replace(/ 1970-01-01 00:00/, ''));
}

describe('the overlay archive of a node', () => {
  test('has its versions under plain names, where symlinks lead, with owners and modes; of the image only its tagged files', () => {
    const archive = overlayArchive(graft(image, [overlay('motd$$HOST=n9$$', 'no')]), { ...n1, host: 'n2', fqdn: 'n2.farm.lan' });
    expect(archive.every((byte) => byte === 0)).toBe(true);
    expect(list(overlayArchive(base, n1))).toEqual([
      'drwxr-xr-x 0/0 0 etc/farm',
      '-rw------- 0/0 6 etc/farm/key',
      '-rw-r--r-- 0/0 3 etc/hostname',
      'lrwxrwxrwx 0/0 0 etc/link -> /dev/null',
      '-rw-r----- 3/4 0 motd',
      'drwxr-xr-x 0/0 0 usr/lib/farm',
      '-rwxr-xr-x 0/0 1 usr/lib/farm/agent',
    ]);
  });

  test('has the same bytes each time, and other bytes for another node', () => {
    expect(overlayArchive(base, n1)).toEqual(overlayArchive(base, n1));
    expect(overlayArchive(base, { ...n1, host: 'n2', fqdn: 'n2.farm.lan' })).not.toEqual(overlayArchive(base, n1));
  });

  test('is refused when it is too large for memory', () => {
    const huge = graft(image, [{ ...overlay('data', ''), body: { kind: 'file', path: Buffer.from('/dev/null') }, size: 100_000_000 }]);
    expect(() => overlayArchive(huge, n1)).toThrow(/100 MB/);
  });
});
