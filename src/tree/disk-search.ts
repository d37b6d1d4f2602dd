// Looking for an object that somebody has renamed on the server: breadth first, from where it was last seen outwards, and bounded.
import { type BigIntStats, closeSync, type Dirent, fstatSync, opendirSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';
import { at, holdDirectory, look } from './disk-descriptors.ts';
import { identityOf, type Mounted } from './disk-object.ts';
import type { Kind, Name } from './tree.ts';

/** Names from the root down. */
export type Components = readonly Name[];

export interface SearchFor {
  readonly root: number;
  /** Other file systems are not entered. */
  readonly device: bigint;
  readonly kind: Kind;
  readonly looksLike: (stat: BigIntStats) => boolean;
  /** Where to begin. */
  readonly near: Components;
  /** Directory entries to look at. */
  readonly most: number;
  readonly mounted?: Mounted | undefined;
}

/** So few entries are not worth another directory. */
const leastLeft = 8;

/** Where it is, if that was found, and how many entries were looked at. */
export function search(wanted: SearchFor): { readonly path: Components | undefined; readonly looked: number } {
  const walk = { looked: 0 };
  const scanned = new Set<string>();
  // First the directory it was in, then what is below the one above that, and so on up to the root: things are mostly moved a short way.
  for (let depth = wanted.near.length; depth >= 0; depth -= 1) {
    const queue: Components[] = [wanted.near.slice(0, depth)];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const key = next.join('/');
      if (scanned.has(key)) continue;
      scanned.add(key);
      const found = scan(wanted, next, queue, walk);
      if (found !== undefined) return { path: found, looked: walk.looked };
      if (wanted.most - walk.looked < leastLeft) return { path: undefined, looked: walk.looked };
    }
  }
  return { path: undefined, looked: walk.looked };
}

/** Looks through one directory; puts those in it at the end of the queue. */
function scan(wanted: SearchFor, path: Components, queue: Components[], walk: { looked: number }): Components | undefined {
  walk.looked += path.length + 1;
  // Half of what is left, so that one large directory does not use up the search.
  const until = walk.looked + Math.max(wanted.most - walk.looked, 0) / 2;
  const fd = follow(wanted, path);
  if (fd === undefined) return undefined;
  try {
    const identity = identityOf(fstatSync(fd, { bigint: true }));
    const directory = opendirSync(at(fd).toString(), { encoding: 'latin1', bufferSize: 256 });
    try {
      for (let entry = directory.readSync(); entry !== null && walk.looked < until; entry = directory.readSync()) {
        walk.looked += 1;
        if (wanted.mounted?.(identity, entry.name) === true) continue;
        if (entry.isDirectory()) queue.push([...path, entry.name]);
        if (!mayBe(entry, wanted.kind)) continue;
        const stat = look(fd, entry.name);
        if (stat !== undefined && wanted.looksLike(stat)) return [...path, entry.name];
      }
    } finally {
      directory.closeSync();
    }
    return undefined;
  } finally {
    if (fd !== wanted.root) closeSync(fd);
  }
}

function mayBe(entry: Dirent, kind: Kind): boolean {
  if (entry.isDirectory()) return kind === 'directory';
  if (entry.isFile()) return kind === 'file';
  return kind !== 'directory' && kind !== 'file';
}

/** Opens a path from the root, name by name, through no symlink and into no other file system. */
function follow(wanted: SearchFor, path: Components): number | undefined {
  let fd = wanted.root;
  for (const name of path) {
    let next: number | undefined;
    try {
      next = holdDirectory(fd, name);
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
    }
    if (fd !== wanted.root) closeSync(fd);
    if (next === undefined) return undefined;
    fd = next;
    if (fstatSync(fd, { bigint: true }).dev === wanted.device) continue;
    closeSync(fd);
    return undefined;
  }
  return fd;
}
