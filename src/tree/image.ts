// The image as a Base: numbers every path of its manifest, so that ids are the same on every server that has the image.
import { type Base, BaseDirectory, type BaseObject, firstImageId, firstOverlayId } from './base.ts';
import type { Device, DirectoryEntry, Kind, ObjectId, Timestamp } from './tree.ts';

/** One path of an image. `.` is the root; directories come before what is in them. */
export interface ImageEntry {
  /** From the root, `usr/bin/env`, one character a byte. */
  readonly path: string;
  readonly kind: Kind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: Timestamp;
  readonly target: string | undefined;
  readonly device: Device | undefined;
  /** Paths with the same number are names of one object. */
  readonly inode: number | undefined;
}

interface Draft {
  readonly entry: ImageEntry;
  readonly id: ObjectId;
  readonly parent: ObjectId;
  readonly name: string;
  links: number;
  readonly children: DirectoryEntry[];
}

/** Builds the tree of an image whose file contents lie under `rootDirectory`. Throws on a manifest that is no tree. */
export function imageBase(version: string, rootDirectory: string, entries: Iterable<ImageEntry>): Base {
  const directories = new Map<string, Draft>();
  const byInode = new Map<number, Draft>();
  const drafts: Draft[] = [];
  let cookie = firstImageId;
  let totalBytes = 0;
  for (const entry of entries) {
    const { holder, name } = place(version, directories, entry);
    const twin = entry.inode === undefined ? undefined : byInode.get(entry.inode);
    const draft = twin ?? { entry, id: cookie, parent: holder?.id ?? cookie, name, links: 0, children: [] };
    draft.links += 1;
    holder?.children.push({ name, id: draft.id, cookie });
    cookie += 1;
    if (twin !== undefined) continue;
    drafts.push(draft);
    totalBytes += entry.size;
    if (entry.inode !== undefined) byInode.set(entry.inode, draft);
    if (entry.kind === 'directory') {
      draft.links += 1; // its own `.`; each subdirectory's `..` counts in the directory above
      if (holder !== undefined) holder.links += 1;
      directories.set(entry.path, draft);
    }
  }
  const root = directories.get('.');
  if (root === undefined) throw new Error(`${version} has no root entry`);
  if (cookie > firstOverlayId) throw new Error(`${version} has more than ${firstOverlayId - firstImageId} paths`);
  const table = new Map<ObjectId, BaseObject>(drafts.map((draft) => [draft.id, finish(draft, rootDirectory)]));
  const byUser = [...table.values()].some(({ directory }) => directory?.tags.byUser === true);
  return { version, root: root.id, object: (id) => table.get(id), objectCount: table.size, totalBytes, byUser };
}

/** Which directory an entry lies in, and its name there; the root lies in none. */
function place(version: string, directories: ReadonlyMap<string, Draft>, entry: ImageEntry): { holder: Draft | undefined; name: string } {
  const slash = entry.path.lastIndexOf('/');
  const holder = entry.path === '.' ? undefined : directories.get(slash < 0 ? '.' : entry.path.slice(0, slash));
  if (entry.path !== '.' && holder === undefined) throw new Error(`${version}: ${entry.path} stands before its directory`);
  return { holder, name: entry.path.slice(slash + 1) };
}

function finish(draft: Draft, rootDirectory: string): BaseObject {
  const { entry } = draft;
  return {
    id: draft.id,
    kind: entry.kind,
    mode: entry.mode,
    links: draft.links,
    uid: entry.uid,
    gid: entry.gid,
    size: entry.kind === 'symlink' ? (entry.target?.length ?? 0) : entry.kind === 'directory' ? 4096 : entry.size,
    device: entry.device,
    atime: entry.mtime,
    mtime: entry.mtime,
    ctime: entry.mtime,
    parent: draft.parent,
    name: draft.name,
    target: entry.target,
    content:
      entry.kind === 'file' ? { kind: 'file', path: Buffer.from(`${Buffer.from(rootDirectory).toString('latin1')}/${entry.path}`, 'latin1') } : undefined,
    directory: entry.kind === 'directory' ? new BaseDirectory(draft.children) : undefined,
  };
}
