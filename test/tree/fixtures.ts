// A small image, made of manifest entries and of a directory with its file contents.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Ipv4 } from '../../src/base/addresses.ts';
import type { TagClient } from '../../src/overlay/tags.ts';
import type { Base } from '../../src/tree/base.ts';
import { type ImageEntry, imageBase } from '../../src/tree/image.ts';
import { Disk } from '../../src/tree/room.ts';

export const client: TagClient = { address: '10.11.0.7' as Ipv4, host: 'n7', fqdn: 'n7.farm.lan' };

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'farm-test-'));
}

/** A disk with room for everything; `reserve` bytes of it are to stay free. */
export function testDisk(freeBytes = 2 ** 40, reserve = 0): Disk {
  return new Disk(
    () => ({ totalBytes: 2 ** 41, freeBytes, totalObjects: 2 ** 30, freeObjects: 2 ** 29 }),
    { now: () => 0 },
    () => reserve,
  );
}

/** Names ending in `/` are directories, `name -> target` symlinks, `name = other` hard links, all others files with that content. */
export function testImage(version: string, layout: Readonly<Record<string, string>>): Base {
  const top = temporaryDirectory();
  const entries: ImageEntry[] = [entry('.', 'directory', 0)];
  const inodes = new Map<string, number>();
  for (const path of Object.keys(layout)) inodes.set(path, inodes.size + 1);
  for (const [path, content] of Object.entries(layout)) {
    if (path.endsWith('/')) {
      entries.push(entry(path.slice(0, -1), 'directory', 0));
    } else if (content.startsWith('-> ')) {
      entries.push({ ...entry(path, 'symlink', 0), target: content.slice(3) });
    } else if (content.startsWith('= ')) {
      const twin = content.slice(2);
      entries.push({ ...entry(path, 'file', (layout[twin] ?? '').length), inode: inodes.get(twin) });
    } else {
      const linked = Object.values(layout).includes(`= ${path}`);
      entries.push({ ...entry(path, 'file', content.length), inode: linked ? inodes.get(path) : undefined });
      mkdirSync(dirname(join(top, path)), { recursive: true });
      writeFileSync(join(top, path), content);
    }
  }
  return imageBase(version, top, entries);
}

function entry(path: string, kind: ImageEntry['kind'], size: number): ImageEntry {
  const mode = kind === 'directory' ? 0o755 : 0o644;
  return { path, kind, mode, uid: 0, gid: 0, size, mtime: { seconds: 1_750_000_000, nanoseconds: 0 }, target: undefined, device: undefined, inode: undefined };
}
