// A node's root as it is served: what is written lands in its private tree, copied up from the layers below (view.ts) when first changed.
import { ftruncateSync, futimesSync, statfsSync } from 'node:fs';
import { ioError } from './contents.ts';
import { writeFully } from './files.ts';
import type { Change, PrivateObject } from './rebase.ts';
import {
  type AttributeChange,
  type Name,
  type NewObject,
  nameMax,
  type ObjectId,
  type Space,
  type Timestamp,
  type Tree,
  TreeError,
  type TreeUser,
} from './tree.ts';
import { type LayeredOptions, LayeredView } from './view.ts';

/** ext4 allows 65,000 links; so do we. */
const linkMax = 65_000;

/** Users of one node whose views are kept; a node has few, and a view is cheap to make again. */
const usersMax = 256;

export class LayeredTree extends LayeredView implements Tree {
  private readonly options: LayeredOptions;
  private readonly users = new Map<string, LayeredTree>();

  constructor(options: LayeredOptions) {
    super(options);
    this.options = options;
  }

  get forUser(): ((user: TreeUser) => LayeredTree) | undefined {
    return this.base.byUser ? (user) => this.seenBy(user) : undefined;
  }

  private seenBy(user: TreeUser): LayeredTree {
    const key = `${user.uid} ${user.gids.join(' ')}`;
    const known = this.users.get(key);
    if (known !== undefined) return known;
    if (this.users.size >= usersMax) this.users.clear();
    const tree = new LayeredTree({ ...this.options, client: { ...this.options.client, user } });
    this.users.set(key, tree);
    return tree;
  }

  write(id: ObjectId, offset: number, bytes: Buffer): void {
    const { object, content } = this.writable(id);
    try {
      writeFully(this.store.open(content), bytes, offset);
    } catch (error) {
      throw ioError(error);
    }
    const now = this.now();
    this.store.touch({ ...object, size: Math.max(object.size, offset + bytes.length), mtime: now, ctime: now });
  }

  /** A file with an own content: copied up from the image when it is first written. */
  private writable(id: ObjectId): { object: PrivateObject; content: number } {
    const object = this.upper(id);
    if (object.content === undefined) throw new TreeError(object.kind === 'directory' ? 'ISDIR' : 'INVAL');
    if (object.content !== 'base') return { object, content: object.content };
    const source = this.baseObject(id).content;
    if (source === undefined) throw new TreeError('INVAL');
    const content = this.store.adopt(source);
    const put = { ...object, content };
    this.store.commit([{ put }]);
    return { object: put, content };
  }

  /** The object as the private tree has it, or would have it: nothing is recorded yet. */
  private upper(id: ObjectId): PrivateObject {
    const own = this.store.object(id);
    if (own !== undefined) return own;
    const { kind, mode, links, uid, gid, size, device, atime, mtime, ctime, parent, target } = this.baseObject(id);
    return { id, kind, mode, links, uid, gid, size, device, atime, mtime, ctime, parent, target, content: kind === 'file' ? 'base' : undefined };
  }

  create(directory: ObjectId, name: Name, object: NewObject, change: AttributeChange): ObjectId {
    this.directory(directory);
    this.free(directory, name);
    const id = this.store.number();
    const now = this.now();
    const put: PrivateObject = {
      id,
      kind: object.kind,
      mode: change.mode ?? (object.kind === 'directory' ? 0o755 : 0o644),
      links: object.kind === 'directory' ? 2 : 1,
      uid: change.uid ?? 0,
      gid: change.gid ?? 0,
      size: object.kind === 'symlink' ? object.target.length : object.kind === 'directory' ? 4096 : 0,
      device: 'device' in object ? object.device : undefined,
      atime: this.time(change.atime) ?? now,
      mtime: this.time(change.mtime) ?? now,
      ctime: now,
      parent: directory,
      target: object.kind === 'symlink' ? object.target : undefined,
      content: object.kind === 'file' ? this.store.number() : undefined,
    };
    this.store.commit([{ put }, this.named(directory, name, id), this.touched(directory, object.kind === 'directory' ? 1 : 0)]);
    if (change.size !== undefined && change.size > 0) this.change(id, { size: change.size });
    return id;
  }

  private free(directory: ObjectId, name: Name): void {
    if (name.length > nameMax) throw new TreeError('NAMETOOLONG');
    if (this.find(directory, name) !== undefined) throw new TreeError('EXIST');
  }

  change(id: ObjectId, change: AttributeChange): void {
    const object = change.size === undefined ? this.upper(id) : this.resized(id, change.size);
    const now = this.now();
    const put: PrivateObject = {
      ...object,
      mode: change.mode ?? object.mode,
      uid: change.uid ?? object.uid,
      gid: change.gid ?? object.gid,
      atime: this.time(change.atime) ?? object.atime,
      mtime: this.time(change.mtime) ?? (change.size === undefined ? object.mtime : now),
      ctime: now,
    };
    if (typeof put.content === 'number' && change.mtime !== undefined) {
      futimesSync(this.store.open(put.content), fraction(put.atime), fraction(put.mtime));
    }
    this.store.commit([{ put }]);
  }

  private resized(id: ObjectId, size: number): PrivateObject {
    const before = this.upper(id);
    if (before.content === undefined) throw new TreeError(before.kind === 'directory' ? 'ISDIR' : 'INVAL');
    if (before.content === 'base' && size === 0) {
      return { ...before, size, content: this.store.number() };
    }
    const { object, content } = this.writable(id);
    try {
      ftruncateSync(this.store.open(content), size);
    } catch (error) {
      throw ioError(error);
    }
    return { ...object, size };
  }

  link(id: ObjectId, directory: ObjectId, name: Name): void {
    this.directory(directory);
    const object = this.upper(id);
    if (object.kind === 'directory') throw new TreeError('ISDIR');
    if (object.links >= linkMax) throw new TreeError('MLINK');
    this.free(directory, name);
    this.store.commit([{ put: { ...object, links: object.links + 1, ctime: this.now() } }, this.named(directory, name, id), this.touched(directory, 0)]);
  }

  remove(directory: ObjectId, name: Name): void {
    const id = this.lookup(directory, name);
    if (this.attributes(id).kind === 'directory') throw new TreeError('ISDIR');
    this.store.commit([this.unnamed(directory, name), this.unlinked(id), this.touched(directory, 0)]);
  }

  removeDirectory(directory: ObjectId, name: Name): void {
    const id = this.lookup(directory, name);
    this.empty(id);
    this.store.commit([this.unnamed(directory, name), { drop: id }, this.touched(directory, -1)]);
  }

  private empty(directory: ObjectId): void {
    for (const _entry of this.entries(directory, 0)) throw new TreeError('NOTEMPTY');
  }

  rename(from: ObjectId, name: Name, to: ObjectId, newName: Name): void {
    this.directory(from);
    this.directory(to);
    const id = this.lookup(from, name);
    if (newName.length > nameMax) throw new TreeError('NAMETOOLONG');
    const target = this.find(to, newName);
    if (target === id) return;
    const moved = this.upper(id);
    const isDirectory = moved.kind === 'directory';
    if (isDirectory) this.notBelow(id, to);
    const changes: Change[] = [];
    if (target !== undefined) {
      const replaced = this.attributes(target).kind === 'directory';
      if (replaced && !isDirectory) throw new TreeError('ISDIR');
      if (!replaced && isDirectory) throw new TreeError('NOTDIR');
      if (replaced) this.empty(target);
      changes.push(replaced ? { drop: target } : this.unlinked(target));
    }
    changes.push({ put: { ...moved, parent: to, ctime: this.now() } }, this.unnamed(from, name), this.named(to, newName, id));
    const lost = isDirectory ? 1 : 0;
    const gained = isDirectory && target === undefined ? 1 : 0;
    if (from === to) changes.push(this.touched(from, gained - lost));
    else changes.push(this.touched(from, -lost), this.touched(to, gained));
    this.store.commit(changes);
  }

  /** A directory cannot be moved into itself (rename(2), EINVAL). */
  private notBelow(moved: ObjectId, to: ObjectId): void {
    for (let at = to; at !== this.root; at = this.parent(at)) {
      if (at === moved) throw new TreeError('INVAL', 'a directory cannot be moved into itself');
    }
  }

  private named(directory: ObjectId, name: Name, id: ObjectId): Change {
    return { name: [directory, this.oneName(directory, name), id, this.store.number()] };
  }

  private unnamed(directory: ObjectId, written: Name): Change {
    const name = this.oneName(directory, written);
    return this.findInBase(directory, name) === undefined ? { unname: [directory, name] } : { whiteout: [directory, name] };
  }

  /** One name less; the object goes with its last. */
  private unlinked(id: ObjectId): Change {
    const object = this.upper(id);
    return object.links <= 1 ? { drop: id } : { put: { ...object, links: object.links - 1, ctime: this.now() } };
  }

  /** A directory in which names changed, and that has `links` more subdirectories than before. */
  private touched(directory: ObjectId, links: number): Change {
    const now = this.now();
    const object = this.upper(directory);
    return { put: { ...object, links: object.links + links, mtime: now, ctime: now } };
  }

  space(): Space {
    const { blocks, bavail, bsize, files, ffree } = statfsSync(this.stateDirectory);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize, totalObjects: files, freeObjects: ffree };
  }

  stable(): Promise<void> {
    return this.store.stable();
  }

  commit(id: ObjectId): Promise<void> {
    return this.store.sync(id);
  }

  private now(): Timestamp {
    const milliseconds = this.clock.now();
    const seconds = Math.floor(milliseconds / 1000);
    return { seconds, nanoseconds: Math.round((milliseconds - seconds * 1000) * 1e6) % 1_000_000_000 };
  }

  private time(time: Timestamp | 'now' | undefined): Timestamp | undefined {
    return time === 'now' ? this.now() : time;
  }
}

function fraction(time: Timestamp): number {
  return time.seconds + time.nanoseconds / 1e9;
}
