// What one client sees of the layers: the private tree over the rendered overlays over the image. Reading only; layered.ts changes.
import { createHash } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { TagClient } from '../overlay/tags.ts';
import { type Base, type BaseObject, firstPrivateId } from './base.ts';
import { type OpenFiles, readFully } from './files.ts';
import type { PrivateStore } from './private.ts';
import { type Disk, type Quota, unlimited } from './room.ts';
import { type Attributes, type DirectoryEntry, type Name, nameMax, type ObjectId, TreeError } from './tree.ts';

export interface LayeredOptions {
  readonly store: PrivateStore;
  readonly client: TagClient;
  /** Descriptors of the image's files, shared by all nodes' trees. */
  readonly imageFiles: OpenFiles;
  readonly clock: Clock;
  /** The file system that holds the private tree. */
  readonly disk: Disk;
  /** What the tree may take, asked at every change; without limits if absent. */
  readonly quota?: () => Quota;
}

/** The reading half of a `Tree`. */
export class LayeredView {
  /** Ids of image objects mean something only with the image's version, private ones only with the store's epoch. */
  readonly generation: number;
  protected readonly store: PrivateStore;
  private readonly client: TagClient;
  private readonly imageFiles: OpenFiles;
  protected readonly clock: Clock;
  protected readonly disk: Disk;
  protected readonly quota: () => Quota;

  constructor(options: LayeredOptions) {
    this.store = options.store;
    this.client = options.client;
    this.imageFiles = options.imageFiles;
    this.clock = options.clock;
    this.disk = options.disk;
    this.quota = options.quota ?? (() => unlimited);
    this.generation = createHash('sha256').update(`${this.base.version}\0${this.store.epoch}`).digest().readUInt32BE(0);
  }

  protected get base(): Base {
    return this.store.base;
  }

  get root(): ObjectId {
    return this.base.root;
  }

  attributes(id: ObjectId): Attributes {
    return this.store.object(id) ?? this.baseObject(id);
  }

  protected baseObject(id: ObjectId): BaseObject {
    const object = this.store.isDropped(id) ? undefined : this.base.object(id);
    if (object === undefined) throw new TreeError('STALE', `object ${id} is gone`);
    return object;
  }

  protected directory(id: ObjectId): void {
    if (this.attributes(id).kind !== 'directory') throw new TreeError('NOTDIR');
  }

  lookup(directory: ObjectId, name: Name): ObjectId {
    this.directory(directory);
    const id = this.find(directory, name);
    if (id === undefined) throw new TreeError(name.length > nameMax ? 'NAMETOOLONG' : 'NOENT');
    return id;
  }

  protected find(directory: ObjectId, name: Name): ObjectId | undefined {
    const own = this.store.entries(directory)?.get(name);
    if (own !== undefined) return own === 'whiteout' ? undefined : own.id;
    return this.findInBase(directory, name);
  }

  /** What the layers below the private one have under a name. */
  protected findInBase(directory: ObjectId, name: Name): ObjectId | undefined {
    if (directory >= firstPrivateId) return undefined;
    return this.base.object(directory)?.directory?.resolve(name, this.client)?.id;
  }

  parent(directory: ObjectId): ObjectId {
    this.directory(directory);
    return this.store.object(directory)?.parent ?? this.baseObject(directory).parent;
  }

  *entries(directory: ObjectId, cookie: number): Iterable<DirectoryEntry> {
    this.directory(directory);
    const own = this.store.entries(directory);
    const below = directory < firstPrivateId ? this.base.object(directory)?.directory : undefined;
    if (below !== undefined && cookie < firstPrivateId) {
      for (const entry of below.visible(this.client, cookie)) if (!own?.has(entry.name)) yield entry;
    }
    for (const [name, entry] of own ?? []) {
      if (entry !== 'whiteout' && entry.cookie > cookie) yield { name, id: entry.id, cookie: entry.cookie };
    }
  }

  readlink(id: ObjectId): string {
    const { target } = this.store.object(id) ?? this.baseObject(id);
    if (target === undefined) throw new TreeError('INVAL', 'not a symlink');
    return target;
  }

  read(id: ObjectId, offset: number, target: Buffer): number {
    const own = this.store.object(id);
    if (typeof own?.content === 'number') return this.store.read(own.content, target, offset);
    const object = this.baseObject(id);
    if (object.content === undefined) throw new TreeError(object.kind === 'directory' ? 'ISDIR' : 'INVAL');
    if (object.content.kind === 'bytes') return object.content.bytes.copy(target, 0, Math.min(offset, object.content.bytes.length));
    const { path } = object.content;
    try {
      return readFully(this.imageFiles.get(path.toString('latin1'), path, 'r'), target, offset);
    } catch (error) {
      throw new TreeError('IO', `${path.toString()} of image ${this.base.version} cannot be read`, error);
    }
  }
}
