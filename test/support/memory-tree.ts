// A Tree in memory: the shortest thing that does all that tree.ts says. The reference that other trees are compared with.
import type { Clock } from '../../src/base/clock.ts';
import {
  type AttributeChange,
  type Attributes,
  type Device,
  type DirectoryEntry,
  type Kind,
  type Name,
  type NewObject,
  nameMax,
  type ObjectId,
  type Space,
  type Timestamp,
  type Tree,
  TreeError,
} from '../../src/tree/tree.ts';

interface Entry {
  readonly id: ObjectId;
  readonly cookie: number;
}

interface MemoryObject {
  readonly id: ObjectId;
  readonly kind: Kind;
  mode: number;
  uid: number;
  gid: number;
  links: number;
  readonly device: Device | undefined;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
  /** A file's pages by number; one that is absent is all zeros. What lies behind `size` is zero too. */
  readonly pages: Map<number, Buffer>;
  size: number;
  readonly target: string | undefined;
  /** Of a directory, in cookie order. */
  readonly entries: Map<Name, Entry>;
  nextCookie: number;
  parent: ObjectId;
}

export interface MemoryTreeOptions {
  readonly clock?: Clock;
  readonly generation?: number;
  /** Bytes that the pages of all files together may have: NOSPC above it. */
  readonly totalBytes?: number;
  /** The largest size of one file: FBIG above it. */
  readonly fileSizeMax?: number;
  readonly totalObjects?: number;
  readonly linkMax?: number;
}

const pageBytes = 4096;

export class MemoryTree implements Tree {
  readonly generation: number;
  readonly root: ObjectId = 1;
  private readonly clock: Clock;
  private readonly limits: Required<Omit<MemoryTreeOptions, 'clock' | 'generation'>>;
  private readonly objects = new Map<ObjectId, MemoryObject>();
  private nextId = 2;
  private usedBytes = 0;
  private lastTime: Timestamp = { seconds: 0, nanoseconds: 0 };

  constructor(options: MemoryTreeOptions = {}) {
    this.clock = options.clock ?? { now: () => Date.now() };
    this.generation = options.generation ?? 1;
    const { totalBytes = 2 ** 28, totalObjects = 2 ** 20, linkMax = 65_000, fileSizeMax = 2 ** 36 } = options;
    this.limits = { totalBytes, totalObjects, linkMax, fileSizeMax };
    const root = this.make(this.root, { kind: 'directory' }, { mode: 0o755, uid: 0, gid: 0 }, this.root);
    this.objects.set(root.id, root);
  }

  attributes(id: ObjectId): Attributes {
    const { kind, mode, links, uid, gid, size, device, atime, mtime, ctime } = this.object(id);
    return { id, kind, mode, links, uid, gid, size, device, atime, mtime, ctime };
  }

  lookup(directory: ObjectId, name: Name): ObjectId {
    const entry = this.directory(directory).entries.get(checked(name));
    if (entry === undefined) throw new TreeError('NOENT', `no ${name}`);
    return entry.id;
  }

  parent(directory: ObjectId): ObjectId {
    return this.directory(directory).parent;
  }

  *entries(directory: ObjectId, cookie: number): Iterable<DirectoryEntry> {
    for (const [name, entry] of this.directory(directory).entries) if (entry.cookie > cookie) yield { name, ...entry };
  }

  readlink(id: ObjectId): string {
    const { target } = this.object(id);
    if (target === undefined) throw new TreeError('INVAL', 'no symlink');
    return target;
  }

  read(id: ObjectId, offset: number, target: Buffer): number {
    const file = this.file(id);
    const length = Math.max(Math.min(target.length, file.size - offset), 0);
    for (const piece of pieces(offset, length)) {
      const page = file.pages.get(piece.page);
      if (page === undefined) target.fill(0, piece.at, piece.at + piece.length);
      else page.copy(target, piece.at, piece.start, piece.start + piece.length);
    }
    return length;
  }

  write(id: ObjectId, offset: number, bytes: Buffer): void {
    const file = this.file(id);
    if (bytes.length === 0) return;
    const end = offset + bytes.length;
    if (end > this.limits.fileSizeMax) throw new TreeError('FBIG', `${end} bytes`);
    const all = [...pieces(offset, bytes.length)];
    const missing = all.filter(({ page }) => !file.pages.has(page)).length;
    if (this.usedBytes + missing * pageBytes > this.limits.totalBytes) throw new TreeError('NOSPC', 'full');
    this.usedBytes += missing * pageBytes;
    for (const { page: number, start, at, length } of all) {
      const page = file.pages.get(number) ?? Buffer.alloc(pageBytes);
      bytes.copy(page, start, at, at + length);
      file.pages.set(number, page);
    }
    file.size = Math.max(file.size, end);
    file.mtime = file.ctime = this.now();
  }

  create(directory: ObjectId, name: Name, object: NewObject, change: AttributeChange): ObjectId {
    const parent = this.directory(directory);
    if (parent.entries.has(checked(name))) throw new TreeError('EXIST', name);
    if (this.objects.size >= this.limits.totalObjects) throw new TreeError('NOSPC', 'no object left');
    if (object.kind === 'directory') this.countLink(parent, 1);
    const made = this.make(this.nextId, object, change, directory);
    this.nextId += 1;
    this.objects.set(made.id, made);
    this.enter(parent, name, made.id);
    return made.id;
  }

  change(id: ObjectId, change: AttributeChange): void {
    const object = this.object(id);
    const now = this.now();
    if (change.size !== undefined && change.size !== this.file(id).size) this.resize(object, change.size);
    if (change.size !== undefined) object.mtime = now;
    object.mode = change.mode ?? object.mode;
    object.uid = change.uid ?? object.uid;
    object.gid = change.gid ?? object.gid;
    if (change.atime !== undefined) object.atime = change.atime === 'now' ? now : change.atime;
    if (change.mtime !== undefined) object.mtime = change.mtime === 'now' ? now : change.mtime;
    object.ctime = now;
  }

  link(id: ObjectId, directory: ObjectId, name: Name): void {
    const object = this.object(id);
    const parent = this.directory(directory);
    if (object.kind === 'directory') throw new TreeError('ISDIR', 'a directory has one name');
    if (parent.entries.has(checked(name))) throw new TreeError('EXIST', name);
    this.countLink(object, 1);
    object.ctime = this.now();
    this.enter(parent, name, id);
  }

  remove(directory: ObjectId, name: Name): void {
    const object = this.object(this.lookup(directory, name));
    if (object.kind === 'directory') throw new TreeError('ISDIR', name);
    this.leave(this.directory(directory), name);
    this.unlink(object);
  }

  removeDirectory(directory: ObjectId, name: Name): void {
    const object = this.directory(this.lookup(directory, name));
    if (object.entries.size > 0) throw new TreeError('NOTEMPTY', name);
    this.leave(this.directory(directory), name);
    this.unlink(object);
  }

  rename(from: ObjectId, name: Name, to: ObjectId, newName: Name): void {
    const source = this.directory(from);
    const target = this.directory(to);
    const object = this.object(this.lookup(from, name));
    const replaced = this.objects.get(target.entries.get(checked(newName))?.id ?? 0);
    if (replaced === object) return;
    if (object.kind === 'directory' && this.isWithin(to, object.id)) throw new TreeError('INVAL', 'a directory cannot move into itself');
    if (replaced !== undefined && this.isWithin(from, replaced.id)) throw new TreeError('NOTEMPTY', 'it holds what is to be moved');
    if (replaced !== undefined) this.checkReplacing(object, replaced);
    // The directory that is replaced gives up the link that this one needs.
    if (object.kind === 'directory' && source !== target && replaced === undefined) this.countLink(target, 1);
    else if (object.kind === 'directory' && replaced !== undefined) this.directory(to).links += source === target ? 0 : 1;
    this.leave(source, name);
    if (replaced !== undefined) {
      this.leave(target, newName);
      this.unlink(replaced);
    }
    this.enter(target, newName, object.id);
    object.ctime = this.now();
    if (object.kind !== 'directory') return;
    if (source !== target) source.links -= 1;
    object.parent = to;
  }

  space(): Space {
    const { totalBytes, totalObjects } = this.limits;
    return { totalBytes, freeBytes: totalBytes - this.usedBytes, totalObjects, freeObjects: totalObjects - this.objects.size };
  }

  stable(): Promise<void> {
    return Promise.resolve();
  }

  commit(_id: ObjectId): Promise<void> {
    return Promise.resolve();
  }

  /** Throws unless names, link counts, parents, cookies and sizes agree with each other. */
  check(): void {
    const links = new Map<ObjectId, number>([[this.root, 2]]);
    const add = (id: ObjectId, count: number) => links.set(id, (links.get(id) ?? 0) + count);
    const visit = (directory: MemoryObject) => {
      let cookie = 2;
      for (const [name, entry] of directory.entries) {
        const object = this.object(entry.id);
        claim(entry.cookie > cookie, `cookie of ${name} in ${directory.id}`);
        claim(checked(name) === name, 'name');
        cookie = entry.cookie;
        add(object.id, 1);
        if (object.kind !== 'directory') continue;
        claim(object.parent === directory.id, `parent of ${object.id}`);
        add(object.id, 1);
        add(directory.id, 1);
        visit(object);
      }
    };
    visit(this.object(this.root));
    let bytes = 0;
    for (const object of this.objects.values()) {
      claim(object.links === links.get(object.id), `object ${object.id} says ${object.links} links and has ${links.get(object.id)}`);
      for (const number of object.pages.keys()) claim(number * pageBytes < object.size, `page ${number} of ${object.id}`);
      bytes += object.pages.size * pageBytes;
    }
    claim(bytes === this.usedBytes, `pages have ${bytes} bytes, ${this.usedBytes} are counted`);
  }

  private object(id: ObjectId): MemoryObject {
    const object = this.objects.get(id);
    if (object === undefined) throw new TreeError('STALE', `no object ${id}`);
    return object;
  }

  private directory(id: ObjectId): MemoryObject {
    const object = this.object(id);
    if (object.kind !== 'directory') throw new TreeError('NOTDIR', `${id} is a ${object.kind}`);
    return object;
  }

  private file(id: ObjectId): MemoryObject {
    const object = this.object(id);
    if (object.kind === 'directory') throw new TreeError('ISDIR', `${id} is a directory`);
    if (object.kind !== 'file') throw new TreeError('INVAL', `${id} is a ${object.kind}`);
    return object;
  }

  private make(id: ObjectId, object: NewObject, change: AttributeChange, parent: ObjectId): MemoryObject {
    const now = this.now();
    const target = object.kind === 'symlink' ? object.target : undefined;
    const made: MemoryObject = {
      id,
      kind: object.kind,
      mode: change.mode ?? 0,
      uid: change.uid ?? 0,
      gid: change.gid ?? 0,
      links: object.kind === 'directory' ? 2 : 1,
      device: 'device' in object ? object.device : undefined,
      atime: change.atime === undefined || change.atime === 'now' ? now : change.atime,
      mtime: change.mtime === undefined || change.mtime === 'now' ? now : change.mtime,
      ctime: now,
      pages: new Map(),
      size: target?.length ?? (object.kind === 'directory' ? 4096 : 0),
      target,
      entries: new Map(),
      nextCookie: 3,
      parent,
    };
    if (change.size !== undefined && object.kind === 'file') this.resize(made, change.size);
    return made;
  }

  /** Cuts, or extends with zeros. */
  private resize(file: MemoryObject, size: number): void {
    if (size > this.limits.fileSizeMax) throw new TreeError('FBIG', `${size} bytes`);
    const last = Math.floor(size / pageBytes);
    for (const number of [...file.pages.keys()]) if (number > last || number * pageBytes === size) this.dropPage(file, number);
    file.pages.get(last)?.fill(0, size % pageBytes);
    file.size = size;
  }

  private dropPage(file: MemoryObject, number: number): void {
    if (file.pages.delete(number)) this.usedBytes -= pageBytes;
  }

  private enter(directory: MemoryObject, name: Name, id: ObjectId): void {
    directory.entries.set(name, { id, cookie: directory.nextCookie });
    directory.nextCookie += 1;
    directory.mtime = directory.ctime = this.now();
  }

  private leave(directory: MemoryObject, name: Name): void {
    directory.entries.delete(name);
    directory.mtime = directory.ctime = this.now();
  }

  /** Takes a name from an object, and the object away with its last. */
  private unlink(object: MemoryObject): void {
    object.links -= 1;
    object.ctime = this.now();
    if (object.kind === 'directory') this.object(object.parent).links -= 1;
    else if (object.links > 0) return;
    this.resize(object, 0);
    this.objects.delete(object.id);
  }

  private countLink(object: MemoryObject, more: number): void {
    if (object.links + more > this.limits.linkMax) throw new TreeError('MLINK', `object ${object.id}`);
    object.links += more;
  }

  private checkReplacing(object: MemoryObject, replaced: MemoryObject): void {
    if (object.kind === 'directory' && replaced.kind !== 'directory') throw new TreeError('NOTDIR', 'a directory replaces directories only');
    if (object.kind !== 'directory' && replaced.kind === 'directory') throw new TreeError('ISDIR', 'only a directory replaces a directory');
    if (replaced.entries.size > 0) throw new TreeError('NOTEMPTY', 'the directory to be replaced is not empty');
  }

  private isWithin(directory: ObjectId, ancestor: ObjectId): boolean {
    for (let id = directory; ; id = this.directory(id).parent) {
      if (id === ancestor) return true;
      if (id === this.root) return false;
    }
  }

  /** Later than every time given before, so that each change shows in the ctime. */
  private now(): Timestamp {
    const now = this.clock.now();
    const time = { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1_000_000 };
    const { seconds, nanoseconds } = this.lastTime;
    const later = time.seconds > seconds || (time.seconds === seconds && time.nanoseconds > nanoseconds);
    if (later) this.lastTime = time;
    else this.lastTime = nanoseconds === 999_999_999 ? { seconds: seconds + 1, nanoseconds: 0 } : { seconds, nanoseconds: nanoseconds + 1 };
    return this.lastTime;
  }
}

/** The parts of the pages that a range of a file covers; `at` is where each begins within the range. */
function* pieces(offset: number, length: number): Iterable<{ page: number; start: number; at: number; length: number }> {
  for (let at = 0; at < length; ) {
    const start = (offset + at) % pageBytes;
    const part = Math.min(pageBytes - start, length - at);
    yield { page: Math.floor((offset + at) / pageBytes), start, at, length: part };
    at += part;
  }
}

function checked(name: Name): Name {
  if (name.length > nameMax) throw new TreeError('NAMETOOLONG', `${name.length} bytes`);
  if (name === '' || name === '.' || name === '..' || /[/\0]|[^\0-\xff]/.test(name)) throw new TreeError('BADNAME', JSON.stringify(name));
  return name;
}

function claim(truth: boolean, what: string): void {
  if (!truth) throw new Error(`inconsistent tree: ${what}`);
}
