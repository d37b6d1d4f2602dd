// Rendered overlays laid over an image: a Base again, sharing every object that the overlays do not touch.
import { createHash } from 'node:crypto';
import { type Base, BaseDirectory, type BaseObject, type Content, firstOverlayId, firstPrivateId } from './base.ts';
import type { DirectoryEntry, Name, ObjectId, Timestamp } from './tree.ts';

/** One file of an overlay, its last component perhaps tagged. Directories are made as needed. */
export interface OverlayFile {
  /** From the root, `etc/hostname$$HOST=n1$$`, one character a byte. */
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly body: Content | { readonly kind: 'symlink'; readonly target: string };
  /** Bytes of a `file` content. */
  readonly size: number;
  /** The template or file that it was made of, for whoever asks why a node gets it. */
  readonly origin?: string | undefined;
}

/** How many symlinks one path may pass through, as in the kernel (path_resolution(7)). */
const symlinkLimit = 40;

/** Lays `files` over `image`. A plain overlay name hides the image's; a tagged one stands beside it. */
export function graft(image: Base, files: readonly OverlayFile[]): Base {
  const changed = new Map<ObjectId, BaseObject>();
  const children = new Map<ObjectId, Map<Name, DirectoryEntry>>();
  const object = (id: ObjectId): BaseObject | undefined => changed.get(id) ?? image.object(id);
  const view: Base = { ...image, object };

  const newId = (path: string): ObjectId => {
    for (let salt = 0; ; salt++) {
      const id = firstOverlayId + (createHash('sha256').update(`${path}\0${salt}`).digest().readUInt32BE(0) % (firstPrivateId - firstOverlayId));
      if (!changed.has(id)) return id;
    }
  };
  const open = (id: ObjectId): Map<Name, DirectoryEntry> => {
    let names = children.get(id);
    if (names === undefined) {
      names = new Map(object(id)?.directory?.raw);
      children.set(id, names);
    }
    return names;
  };
  const add = (parent: ObjectId, made: BaseObject): void => {
    changed.set(made.id, made);
    open(parent).set(made.name, { name: made.name, id: made.id, cookie: made.id });
  };
  /** The directory at `path`, made if missing; symlinks to directories are followed (an overlay's `lib/x` lands in the image's `usr/lib`). */
  const directoryAt = (path: string, depth: number): ObjectId => {
    if (path === '') return image.root;
    if (depth > symlinkLimit) throw new Error(`overlay path ${path}: too many symlinks`);
    const slash = path.lastIndexOf('/');
    const parent = directoryAt(slash < 0 ? '' : path.slice(0, slash), depth);
    const name = path.slice(slash + 1);
    const entry = (children.get(parent) ?? object(parent)?.directory?.raw)?.get(name);
    const there = entry === undefined ? undefined : object(entry.id);
    if (there?.kind === 'directory') return there.id;
    if (there?.kind === 'symlink') return directoryAt(joined(view, there), depth + 1);
    if (there !== undefined) throw new Error(`overlay path ${path}: the image has a ${there.kind} of that name`);
    const id = newId(path);
    const time = image.object(image.root)?.mtime ?? { seconds: 0, nanoseconds: 0 };
    const common = { mode: 0o755, links: 2, uid: 0, gid: 0, size: 4096, device: undefined, atime: time, mtime: time, ctime: time };
    add(parent, { ...common, id, kind: 'directory', parent, name, target: undefined, content: undefined, directory: new BaseDirectory([]) });
    return id;
  };

  let bytes = 0;
  for (const file of files) {
    const slash = file.path.lastIndexOf('/');
    const parent = directoryAt(slash < 0 ? '' : file.path.slice(0, slash), 0);
    add(parent, leaf(file, newId(file.path), parent, file.path.slice(slash + 1), image));
    bytes += file.size;
  }
  let { byUser } = image;
  for (const [id, names] of children) {
    const directory = object(id);
    if (directory === undefined) continue;
    const entries = [...names.values()];
    const links = 2 + entries.filter((entry) => object(entry.id)?.kind === 'directory').length;
    const made = new BaseDirectory(entries);
    byUser ||= made.tags.byUser;
    changed.set(id, {
      ...directory,
      links,
      mtime: directoryTime(directory.mtime, entries),
      ctime: directoryTime(directory.ctime, entries),
      directory: made,
    });
  }
  const objectCount = image.objectCount + changed.size;
  return { version: image.version, root: image.root, object, objectCount, totalBytes: image.totalBytes + bytes, byUser };
}

/** Where a symlink leads, as a path from the root. */
function joined(base: Base, link: BaseObject): string {
  const target = link.target ?? '';
  const from: string[] = [];
  if (!target.startsWith('/')) {
    for (let at = base.object(link.parent); at !== undefined && at.id !== base.root; at = base.object(at.parent)) from.unshift(at.name);
  }
  for (const part of target.split('/')) {
    if (part === '..') from.pop();
    else if (part !== '' && part !== '.') from.push(part);
  }
  return from.join('/');
}

function leaf(file: OverlayFile, id: ObjectId, parent: ObjectId, name: Name, image: Base): BaseObject {
  const { body } = file;
  const time = contentTime(image.object(image.root)?.mtime.seconds ?? 0, body);
  return {
    id,
    kind: body.kind === 'symlink' ? 'symlink' : 'file',
    mode: body.kind === 'symlink' ? 0o777 : file.mode,
    links: 1,
    uid: file.uid,
    gid: file.gid,
    size: body.kind === 'symlink' ? body.target.length : file.size,
    device: undefined,
    atime: time,
    mtime: time,
    ctime: time,
    parent,
    name,
    target: body.kind === 'symlink' ? body.target : undefined,
    content: body.kind === 'symlink' ? undefined : body,
    directory: undefined,
    origin: file.origin,
  };
}

/**
 * A rendered file's time is made of its content: the same rendering always has the same time, and a changed one always another,
 * which is how NFS clients notice that their cached pages are old (RFC 1813 4.11).
 */
function contentTime(seconds: number, body: OverlayFile['body']): Timestamp {
  const hash = createHash('sha256');
  if (body.kind === 'bytes') hash.update(body.bytes);
  else hash.update(body.kind === 'symlink' ? body.target : body.path);
  return { seconds, nanoseconds: hash.digest().readUInt32BE(0) % 1_000_000_000 };
}

/** Likewise for a directory: its time changes with its set of names. */
function directoryTime(time: Timestamp, entries: readonly DirectoryEntry[]): Timestamp {
  const hash = createHash('sha256');
  for (const entry of entries) hash.update(`${entry.id}\0${entry.name}\0`);
  return { seconds: time.seconds, nanoseconds: hash.digest().readUInt32BE(0) % 1_000_000_000 };
}
