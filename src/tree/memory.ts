// A live tree: files whose text is computed when it is looked at and that act when they are written, as in proc(5). RFC 1813's model.
import { createHash } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { type Attributes, type DirectoryEntry, type Name, type ObjectId, type Space, type Timestamp, type Tree, TreeError } from './tree.ts';

/** A file of text. Without `write` nobody may write it. */
export interface LiveFile {
  readonly kind: 'file';
  /** Who may write it besides root. Default nobody. */
  readonly owner?: number;
  readonly read: () => string;
  /** Takes all that was written since the file was opened. Throws `TreeError`, mostly INVAL; what it throws is the writer's errno. */
  readonly write?: (text: string) => void;
}

export interface LiveDirectory {
  readonly kind: 'directory';
  readonly names: () => Iterable<Name>;
  /** undefined if there is none of that name. */
  readonly child: (name: Name) => LiveObject | undefined;
}

export interface LiveLink {
  readonly kind: 'symlink';
  readonly target: string;
}

export type LiveObject = LiveFile | LiveDirectory | LiveLink;

/**
 * How long a text that was shown stays as it is, ms: a client asks for the size, then for the bytes, perhaps in pieces, and all of it has to be one text.
 * On a busy machine there is half a second between the two. So it stays while it is looked at again and again, but not longer than the second at which
 * a cluster's values change.
 */
const steady = 500;
const steadyMax = 1000;

/** After open(O_TRUNC) a file is empty until it is written, but no longer than this, ms: `: > FILE` writes nothing. */
const truncated = 1000;

/** The longest text that a file takes, bytes: a map of 65,535 lines. */
const textBytesMax = 4 * 1024 * 1024;

/** Texts remembered to see that they changed. A file that was forgotten is taken for changed, which is always safe. */
const shownMax = 4096;

/** Objects with a number: 65,535 nodes of twenty files. */
const objectsMax = 2 ** 21;

interface Named {
  readonly id: ObjectId;
  readonly path: string;
  readonly parent: ObjectId;
}

/** What clients were last told of a file or directory. */
interface Shown {
  readonly bytes: Buffer;
  readonly time: Timestamp;
  /** Clock times: when it was made, and until when it is told again without looking. */
  readonly madeAt: number;
  until: number;
}

const rootId = 1;

export class LiveTree implements Tree {
  readonly root: ObjectId = rootId;
  readonly generation: number;
  private readonly top: LiveDirectory;
  private readonly clock: Clock;
  private readonly named = new Map<ObjectId, Named>([[rootId, { id: rootId, path: '', parent: rootId }]]);
  private readonly ids = new Map<string, ObjectId>([['', rootId]]);
  private readonly shown = new Map<ObjectId, Shown>();
  private last: Timestamp;
  private readonly began: Timestamp;

  /** Paths have the same ids in every process, so that a mount outlives the server; `generation` says that the layout is another. */
  constructor(top: LiveDirectory, generation: number, clock: Clock) {
    this.top = top;
    this.generation = generation;
    this.clock = clock;
    this.began = timestamp(clock.now());
    this.last = this.began;
  }

  attributes(id: ObjectId): Attributes {
    const object = this.object(id);
    const common = { id, uid: object.kind === 'file' ? (object.owner ?? 0) : 0, gid: 0, device: undefined };
    if (object.kind === 'symlink') {
      const { began } = this;
      return { ...common, kind: 'symlink', mode: 0o777, links: 1, size: object.target.length, atime: began, mtime: began, ctime: began };
    }
    const { bytes, time } = this.look(id, object);
    const times = { atime: time, mtime: time, ctime: time };
    if (object.kind === 'directory') return { ...common, ...times, kind: 'directory', mode: 0o555, links: 2, size: 4096 };
    return { ...common, ...times, kind: 'file', mode: object.write === undefined ? 0o444 : 0o644, links: 1, size: bytes.length };
  }

  lookup(directory: ObjectId, name: Name): ObjectId {
    const object = this.directory(directory);
    if (object.child(name) === undefined) throw new TreeError('NOENT', name);
    return this.number(directory, name);
  }

  parent(directory: ObjectId): ObjectId {
    this.directory(directory);
    return this.named.get(directory)?.parent ?? rootId;
  }

  /** In the order of their ids, which serve as cookies. */
  entries(directory: ObjectId, cookie: number): Iterable<DirectoryEntry> {
    const all = [...this.directory(directory).names()].map((name) => ({ name, id: this.number(directory, name) }));
    const entries = all.map(({ name, id }) => ({ name, id, cookie: id + 2 })).sort((a, b) => a.cookie - b.cookie);
    return entries.filter((entry) => entry.cookie > cookie);
  }

  readlink(id: ObjectId): string {
    const object = this.object(id);
    if (object.kind !== 'symlink') throw new TreeError('INVAL', 'no symlink');
    return object.target;
  }

  read(id: ObjectId, offset: number, target: Buffer): number {
    return this.look(id, this.file(id)).bytes.copy(target, 0, offset);
  }

  write(id: ObjectId, offset: number, bytes: Buffer): void {
    const { write } = this.file(id);
    if (write === undefined) throw new TreeError('ACCES', 'this file only tells');
    const end = offset + bytes.length;
    if (end > textBytesMax) throw new TreeError('FBIG', `${end} bytes`);
    const before = this.shown.get(id)?.bytes ?? Buffer.alloc(0);
    if (offset > before.length) throw new TreeError('INVAL', `${offset} bytes are missing before what was written`);
    const text = Buffer.concat([before.subarray(0, offset), bytes]);
    // Whatever comes of it, every text may be another now.
    this.shown.clear();
    write(text.toString('utf8'));
    // The writer's own text for a moment: its next piece goes behind it, and a client that keeps it sees a later time when we show ours.
    this.show(id, text, steady);
  }

  change(id: ObjectId, change: { readonly size?: number }): void {
    if (change.size === undefined) {
      this.object(id);
      return; // times and modes are ours; utimes(2) and chmod(2) of a program that copies are no reason to fail
    }
    const { write } = this.file(id);
    if (write === undefined) throw new TreeError('ACCES', 'this file only tells');
    if (change.size === 0) this.show(id, Buffer.alloc(0), truncated);
  }

  create(): never {
    throw new TreeError('PERM', 'names are given here, not made');
  }

  link(): never {
    throw new TreeError('PERM', 'names are given here, not made');
  }

  remove(): never {
    throw new TreeError('PERM', 'names are given here, not made');
  }

  removeDirectory(): never {
    throw new TreeError('PERM', 'names are given here, not made');
  }

  rename(): never {
    throw new TreeError('PERM', 'names are given here, not made');
  }

  /** Nothing is stored. */
  space(): Space {
    return { totalBytes: 0, freeBytes: 0, totalObjects: this.named.size, freeObjects: 0 };
  }

  stable(): Promise<void> {
    return Promise.resolve();
  }

  commit(): Promise<void> {
    return Promise.resolve();
  }

  private object(id: ObjectId): LiveObject {
    const named = this.named.get(id);
    if (named === undefined) throw new TreeError('STALE', `no object ${id}`);
    if (id === rootId) return this.top;
    const parent = this.object(named.parent);
    const object = parent.kind === 'directory' ? parent.child(named.path.slice(named.path.lastIndexOf('/') + 1)) : undefined;
    if (object === undefined) throw new TreeError('STALE', named.path);
    return object;
  }

  private directory(id: ObjectId): LiveDirectory {
    const object = this.object(id);
    if (object.kind !== 'directory') throw new TreeError('NOTDIR', `${id} is a ${object.kind}`);
    return object;
  }

  private file(id: ObjectId): LiveFile {
    const object = this.object(id);
    if (object.kind === 'directory') throw new TreeError('ISDIR', `${id} is a directory`);
    if (object.kind !== 'file') throw new TreeError('INVAL', `${id} is a ${object.kind}`);
    return object;
  }

  /** The id of a name that is there. */
  private number(parent: ObjectId, name: Name): ObjectId {
    const path = `${this.named.get(parent)?.path ?? ''}/${name}`;
    const known = this.ids.get(path);
    if (known !== undefined) return known;
    if (this.named.size >= objectsMax) throw new TreeError('NOSPC', `more than ${objectsMax} objects`);
    for (let salt = 0; ; salt += 1) {
      const id = createHash('sha256').update(`${path}\0${salt}`).digest().readUInt32BE(0) >>> 1;
      if (id <= rootId || this.named.has(id)) continue;
      this.named.set(id, { id, path, parent });
      this.ids.set(path, id);
      return id;
    }
  }

  /** What is told of an object now. A directory's text is the list of its names, which only its time depends on. */
  private look(id: ObjectId, object: LiveFile | LiveDirectory): Shown {
    const shown = this.shown.get(id);
    const now = this.clock.now();
    if (shown !== undefined && now < shown.until && now >= shown.madeAt) {
      shown.until = Math.max(shown.until, Math.min(now + steady, shown.madeAt + steadyMax));
      return shown;
    }
    const text = object.kind === 'file' ? object.read() : [...object.names()].join('/');
    return this.show(id, Buffer.from(text, 'utf8'), steady);
  }

  private show(id: ObjectId, bytes: Buffer, milliseconds: number): Shown {
    const before = this.shown.get(id);
    const time = before?.bytes.equals(bytes) === true ? before.time : this.now();
    const madeAt = this.clock.now();
    const shown = { bytes, time, madeAt, until: madeAt + milliseconds };
    this.shown.delete(id);
    this.shown.set(id, shown);
    if (this.shown.size > shownMax) for (const oldest of this.shown.keys()) return this.forget(oldest, shown);
    return shown;
  }

  private forget(id: ObjectId, shown: Shown): Shown {
    this.shown.delete(id);
    return shown;
  }

  /** Later than every time given before: a client that keeps a text has to see that it is another. */
  private now(): Timestamp {
    const now = timestamp(this.clock.now());
    const { seconds, nanoseconds } = this.last;
    const later = now.seconds > seconds || (now.seconds === seconds && now.nanoseconds > nanoseconds);
    this.last = later ? now : nanoseconds === 999_999_999 ? { seconds: seconds + 1, nanoseconds: 0 } : { seconds, nanoseconds: nanoseconds + 1 };
    return this.last;
  }
}

function timestamp(milliseconds: number): Timestamp {
  return { seconds: Math.floor(milliseconds / 1000), nanoseconds: Math.floor((milliseconds % 1000) * 1_000_000) };
}
