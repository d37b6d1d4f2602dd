// What one node's root has besides the image, as a tar: rendered overlays and the image's tagged files, for a root that is in memory.
import { readFileSync } from 'node:fs';
import { FarmError } from '../base/errors.ts';
import type { TagClient } from '../overlay/tags.ts';
import { type Base, type BaseObject, firstOverlayId, firstPrivateId } from '../tree/base.ts';
import { type TarEntry, tarEnd, tarHead, tarPadding } from './tar.ts';

/** It is made in memory, for each node that boots; what is larger belongs in the image. */
const overlayBytesMax = 64 << 20;

/**
 * Every object that `client` sees in `base` and that the image's squashfs does not have under that name. Sorted by path; the same base and
 * client give the same bytes. Throws `FarmError` `overlay.size`.
 */
export function overlayArchive(base: Base, client: TagClient): Buffer {
  const root = base.object(base.root);
  const found: { readonly path: string; readonly object: BaseObject }[] = [];
  const walk = (directory: BaseObject, path: string, whole: boolean): void => {
    for (const { name, id } of directory.directory?.visible(client, 0) ?? []) {
      const object = base.object(id);
      if (object === undefined) continue;
      const at = path === '' ? name : `${path}/${name}`;
      // Not by its own name, for a hard link has several: a version of a file is seen under another name than it is stored under.
      const added = whole || (id >= firstOverlayId && id < firstPrivateId) || directory.directory?.raw.get(name)?.id !== id;
      if (added) found.push({ path: at, object });
      if (object.kind === 'directory') walk(object, at, added);
    }
  };
  if (root !== undefined) walk(root, '', false);
  found.sort((a, b) => (a.path < b.path ? -1 : 1));
  const bytes = found.reduce((sum, { object }) => sum + (object.kind === 'file' ? object.size : 0), 0);
  if (bytes > overlayBytesMax) {
    const remedy = 'put large files into the image by its recipe, or boot these nodes with root: nfs';
    throw new FarmError('overlay.size', `the overlays of ${client.host} have ${Math.round(bytes / 1e6)} MB, too much for a root in memory`, remedy);
  }
  return Buffer.concat([...found.flatMap(({ path, object }) => record(path, object)), tarEnd]);
}

function record(path: string, object: BaseObject): readonly Buffer[] {
  const { kind, mode, uid, gid, mtime, target, device, content } = object;
  if (kind === 'socket') return [];
  const data = content === undefined ? Buffer.alloc(0) : content.kind === 'bytes' ? content.bytes : readFileSync(content.path);
  const entry: TarEntry = { path, kind, mode, uid, gid, mtime: mtime.seconds, size: data.length, target, device };
  return [tarHead(entry), data, tarPadding(data.length)];
}
