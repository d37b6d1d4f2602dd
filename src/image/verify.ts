// Whether a version of an image is still what was built: every file of manifest.json and root.mtree by size and SHA-256, and nothing else there.
import { createHash } from 'node:crypto';
import { closeSync, constants, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { systemCode, WireError } from '../base/errors.ts';
import { type ImageManifest, versionOf } from './built.ts';
import { type ManifestEntry, parseMtree } from './mtree.ts';

/** `path` from the version's directory, one character a byte; `says` a clause such as `is missing`. */
export interface Fault {
  readonly path: string;
  readonly says: string;
}

/** One read(2): large enough that the calls do not count. */
const chunkBytes = 1 << 20;

/** Reads every byte of the version in `directory`; what differs, sorted by path. `onProgress` is told the bytes read so far. */
export function verifyVersion(directory: string, version: string, manifest: ImageManifest, onProgress: (bytes: number) => void): readonly Fault[] {
  const top = Buffer.from(directory).toString('latin1');
  const faults: Fault[] = [];
  let read = 0;
  const onRead = (bytes: number): void => {
    read += bytes;
    onProgress(read);
  };
  const check = (path: string, wanted: { readonly size: number; readonly sha256: string | undefined }): void => {
    const found = statsOf(`${top}/${path}`);
    const says = found === undefined ? 'is missing' : contentFault(`${top}/${path}`, found, wanted, onRead);
    if (says !== undefined) faults.push({ path, says });
  };
  if (versionOf(manifest.contents) !== version) faults.push({ path: 'manifest.json', says: `is of version ${versionOf(manifest.contents)}` });
  for (const [path, content] of Object.entries(manifest.contents)) check(path, content);
  const entries = rootEntries(`${top}/root.mtree`, faults);
  for (const entry of entries ?? []) {
    const path = entry.path === '.' ? 'root' : `root/${entry.path}`;
    if (entry.kind === 'file') check(path, entry);
    else {
      const says = kindFault(`${top}/${path}`, entry);
      if (says !== undefined) faults.push({ path, says });
    }
  }
  // Without a readable list all of the root would be too much.
  if (entries !== undefined) {
    const known = new Set(['manifest.json', ...Object.keys(manifest.contents), ...entries.map(({ path }) => (path === '.' ? 'root' : `root/${path}`))]);
    const holders = new Set([...known].flatMap(parentsOf));
    for (const path of below(top, '')) if (!known.has(path) && !holders.has(path)) faults.push({ path, says: 'does not belong there' });
  }
  return faults.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

function rootEntries(path: string, faults: Fault[]): readonly ManifestEntry[] | undefined {
  try {
    return parseMtree(readFileSync(Buffer.from(path, 'latin1')));
  } catch (error) {
    if (error instanceof WireError) faults.push({ path: 'root.mtree', says: `cannot be read: ${error.message}` });
    else if (systemCode(error) !== 'ENOENT') throw error; // that it is missing has been said
    return undefined;
  }
}

function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(Buffer.from(path, 'latin1'));
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

function contentFault(
  path: string,
  found: Stats,
  { size, sha256 }: { readonly size: number; readonly sha256: string | undefined },
  onRead: (bytes: number) => void,
): string | undefined {
  if (!found.isFile()) return 'is no file';
  if (found.size !== size) return `has ${found.size} bytes, not ${size}`;
  if (sha256 === undefined) return 'has no checksum in root.mtree';
  return hashFile(path, onRead) === sha256 ? undefined : `has the right size of ${size} bytes, but other content`;
}

function hashFile(path: string, onRead: (bytes: number) => void): string {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(chunkBytes);
  const fd = openSync(Buffer.from(path, 'latin1'), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (;;) {
      const count = readSync(fd, chunk);
      if (count === 0) return hash.digest('hex');
      hash.update(chunk.subarray(0, count));
      onRead(count);
    }
  } finally {
    closeSync(fd);
  }
}

/** Of what has no bytes. Device nodes, fifos and sockets are in the list only. */
function kindFault(path: string, entry: ManifestEntry): string | undefined {
  const found = statsOf(path);
  if (entry.kind !== 'directory' && entry.kind !== 'symlink') return found === undefined ? undefined : 'is on disk, but belongs into root.mtree only';
  if (found === undefined) return 'is missing';
  if (entry.kind === 'directory') return found.isDirectory() ? undefined : 'is no directory';
  if (!found.isSymbolicLink()) return 'is no symlink';
  const target = readlinkSync(Buffer.from(path, 'latin1'), 'latin1');
  return target === entry.target ? undefined : 'is a symlink to something else';
}

function parentsOf(path: string): readonly string[] {
  return [...path.matchAll(/\//g)].map(({ index }) => path.slice(0, index));
}

function* below(top: string, path: string): Iterable<string> {
  for (const entry of readdirSync(Buffer.from(`${top}/${path}`, 'latin1'), { withFileTypes: true, encoding: 'latin1' })) {
    const inner = path === '' ? entry.name : `${path}/${entry.name}`;
    yield inner;
    if (entry.isDirectory()) yield* below(top, inner);
  }
}
