// The root of a built image as a layer of a container image: what `docker build` would have packed of the same packages.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ManifestEntry, parseMtree } from '../../src/image/mtree.ts';
import type { TarEntry } from '../../src/image/tar.ts';
import type { LayerEntry } from './container-layout.ts';

/** Every path of `image` (`images/NAME/VERSION`) that `wanted` says yes to, in the manifest's order; a file's further names are links to its first. */
export function* layerOfImage(image: string, wanted: (path: string) => boolean): Iterable<LayerEntry> {
  const first = new Map<number, string>();
  for (const entry of parseMtree(readFileSync(join(image, 'root.mtree')))) {
    if (entry.path === '.' || entry.kind === 'socket' || !wanted(entry.path)) continue;
    const { inode, path } = entry;
    const other = inode === undefined ? undefined : first.get(inode);
    if (inode !== undefined && other === undefined) first.set(inode, path);
    yield other !== undefined && entry.kind === 'file'
      ? { ...headOf(entry, 'link'), target: other }
      : { ...headOf(entry, entry.kind), ...contentOf(entry, image) };
  }
}

function headOf({ path, mode, uid, gid, mtime, device }: ManifestEntry, kind: TarEntry['kind']): LayerEntry {
  return { path, kind, mode, uid, gid, mtime: mtime.seconds, ...(device === undefined ? {} : { device }) };
}

function contentOf({ kind, path, target }: ManifestEntry, image: string): Partial<LayerEntry> {
  if (kind === 'file') return { data: readFileSync(Buffer.from(`${Buffer.from(join(image, 'root')).toString('latin1')}/${path}`, 'latin1')) };
  return target === undefined ? {} : { target };
}
