// A node's root as it is served: what is written lands in its private tree, copied up from the layers below (view.ts) when first changed.
import type { Content } from './base.ts';
import type { Change, PrivateObject } from './rebase.ts';
import { keepTo, objectBytes, spaceWithin } from './room.ts';
import { copiedUp, later } from './settle.ts';
import { heldBytes, inBlocks } from './state.ts';
import { type AttributeChange, type Name, type NewObject, nameMax, type ObjectId, type Space, type Timestamp, type Tree, TreeError } from './tree.ts';
import { LayeredView } from './view.ts';

/** ext4 allows 65,000 links; so do we. */
const linkMax = 65_000;

export class LayeredTree extends LayeredView implements Tree {
  private lastTime: Timestamp = { seconds: Number.NEGATIVE_INFINITY, nanoseconds: 0 };

  write(id: ObjectId, offset: number, bytes: Buffer): void {
    const before = this.upper(id);
    checkFile(before);
    if (bytes.length === 0) return;
    const end = offset + bytes.length;
    this.demand(before.content === 'base' ? this.copyBytes(id, before.size) + growth({ ...before, content: 0 }, offset, end) : growth(before, offset, end), 0);
    const object = this.writable(id, before.size);
    this.store.writing(id);
    let allocated: number | undefined;
    try {
      allocated = this.store.write(object, bytes, offset);
    } catch (error) {
      this.store.touch({ ...object, ...this.changedNow() });
      throw error;
    }
    this.store.touch({ ...object, allocated, size: Math.max(object.size, end), ...this.changedNow() });
  }

  /** A file with an own content: the first `size` bytes are copied up from the image when it is first written. */
  private writable(id: ObjectId, size: number): PrivateObject & { readonly content: number } {
    const object = this.upper(id);
    const { content } = object;
    if (typeof content === 'number') return { ...object, content };
    const source = this.sourceOf(id);
    this.demand(0, 1);
    const copy = this.store.adopt(source, size);
    const put = { ...object, ...copy, size };
    this.store.commit([{ put }]);
    return put;
  }

  private sourceOf(id: ObjectId): Content {
    const source = this.baseObject(id).content;
    if (source === undefined) throw new TreeError('INVAL');
    return source;
  }

  /** What copying up may take, bytes. */
  private copyBytes(id: ObjectId, size: number): number {
    return inBlocks(this.store.footprint(this.sourceOf(id), size));
  }

  /** Refuses growth that the node's quota or the server's disk has no room for: DQUOT, NOSPC. */
  private demand(bytes: number, objects: number): void {
    keepTo(this.quota(), this.store.usage, bytes, objects);
    this.disk.take(bytes + objects * objectBytes);
  }

  /** The object as the private tree has it, or would have it: nothing is recorded yet. */
  private upper(id: ObjectId): PrivateObject {
    return this.store.object(id) ?? copiedUp(this.baseObject(id));
  }

  create(directory: ObjectId, name: Name, object: NewObject, change: AttributeChange): ObjectId {
    this.directory(directory);
    this.free(directory, name);
    this.demand(0, 1);
    const id = this.store.number();
    const now = this.now();
    const content = object.kind === 'file' ? this.store.number() : undefined;
    const size = object.kind === 'symlink' ? object.target.length : object.kind === 'directory' ? 4096 : (change.size ?? 0);
    const put: PrivateObject = {
      id,
      kind: object.kind,
      mode: change.mode ?? (object.kind === 'directory' ? 0o755 : 0o644),
      links: object.kind === 'directory' ? 2 : 1,
      uid: change.uid ?? 0,
      gid: change.gid ?? 0,
      size,
      allocated: content !== undefined && size > 0 ? this.store.resize(content, size) : undefined,
      device: 'device' in object ? object.device : undefined,
      atime: this.time(change.atime) ?? now,
      mtime: this.time(change.mtime) ?? now,
      ctime: now,
      parent: directory,
      target: object.kind === 'symlink' ? object.target : undefined,
      content,
    };
    const written: readonly Change[] = content === undefined ? [] : [{ written: id }];
    this.store.commit([{ put }, ...written, this.named(directory, name, id), this.touched(directory, object.kind === 'directory' ? 1 : 0)]);
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
    this.store.commit([{ put }]);
  }

  private resized(id: ObjectId, size: number): PrivateObject {
    const before = this.upper(id);
    checkFile(before);
    const kept = Math.min(size, before.size);
    if (before.content === 'base') {
      if (size === before.size) return before;
      this.demand(this.copyBytes(id, kept), 0);
    }
    const object = this.writable(id, kept);
    this.store.writing(id);
    return { ...object, size, allocated: this.store.resize(object.content, size) };
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
    return { name: [directory, name, id, this.store.number()] };
  }

  private unnamed(directory: ObjectId, name: Name): Change {
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
    return spaceWithin(this.quota(), this.store.usage, this.disk.space);
  }

  stable(): Promise<void> {
    return this.store.stable();
  }

  commit(id: ObjectId): Promise<void> {
    return this.store.sync(id);
  }

  private changedNow(): { readonly mtime: Timestamp; readonly ctime: Timestamp } {
    const now = this.now();
    return { mtime: now, ctime: now };
  }

  /** Later than the time given before, or two changes within a clock's tick would look like one to clients. Unless the clock has been set back. */
  private now(): Timestamp {
    const milliseconds = this.clock.now();
    const seconds = Math.floor(milliseconds / 1000);
    const now = { seconds, nanoseconds: Math.floor((milliseconds - seconds * 1000) * 1e6) };
    const last = this.lastTime;
    const isBehind = now.seconds < last.seconds || (now.seconds === last.seconds && now.nanoseconds <= last.nanoseconds);
    const isNear = last.seconds - now.seconds <= 1;
    this.lastTime = isBehind && isNear ? later(last) : now;
    return this.lastTime;
  }

  private time(time: Timestamp | 'now' | undefined): Timestamp | undefined {
    return time === 'now' ? this.now() : time;
  }
}

function checkFile({ kind, content }: PrivateObject): void {
  if (content === undefined) throw new TreeError(kind === 'directory' ? 'ISDIR' : 'INVAL');
}

/** By how many bytes on disk a write may make an own content larger: where it has holes, that is not known before. */
function growth(object: PrivateObject, offset: number, end: number): number {
  const touched = inBlocks(end) - (inBlocks(offset + 1) - inBlocks(1));
  const possible = inBlocks(Math.max(object.size, end)) - heldBytes(object);
  return Math.max(0, Math.min(touched, possible));
}
