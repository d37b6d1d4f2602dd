// From an object's number to the object, wherever it is in the tree by now, and never to anything outside of it.
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readlinkSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';
import { at, Descriptors, holdDirectory, look, pathOnly, stale } from './disk-descriptors.ts';
import { type KnownObject, type ObjectNumbers, type Place, rootId } from './disk-ids.ts';
import { type Identity, identityOf, kindOf, type Mounted, onDisk } from './disk-object.ts';
import { type Components, search } from './disk-search.ts';
import { type Name, type ObjectId, TreeError } from './tree.ts';

/** An object by way of the directory that it is in. The descriptor is good until the operation ends. */
export interface Reached {
  readonly object: KnownObject;
  readonly directory: number;
  readonly place: Place;
  readonly stat: BigIntStats;
}

/** Numbers what was seen under a name in a directory. */
type Identify = (parent: ObjectId, directory: number, name: Name, stat: BigIntStats) => KnownObject;

/** Directories kept open. A path of more than this is walked anew each time. */
const directoriesMax = 256;

/** Steps from a directory up to the root, or of records that lead from one to the next; a path that is longer is taken for a circle. */
const depthMax = 4096;

/** Directory entries that searches may look at, and how soon they may again: a client that asks for lost objects costs a tenth of the time at most. */
const searchBudget = 20_000;
const searchRefillPerSecond = 20_000;
/** An object that was not found is not searched for again so soon, milliseconds. */
const searchAgain = 10_000;
const lostMax = 10_000;

export class Reach {
  readonly root: number;
  /** Of the file system of the root; what is mounted in the tree is not part of it. */
  readonly device: bigint;
  readonly directories = new Descriptors(directoriesMax);
  private readonly numbers: ObjectNumbers;
  private readonly now: () => number;
  private readonly identify: Identify;
  private readonly lost = new Map<ObjectId, number>();
  private allowance = searchBudget;
  private allowanceAt: number;

  private readonly mounted: Mounted | undefined;

  constructor(root: number, numbers: ObjectNumbers, now: () => number, identify: Identify, mounted?: Mounted) {
    this.mounted = mounted;
    this.root = root;
    this.identify = identify;
    this.device = fstatSync(root, { bigint: true }).dev;
    this.numbers = numbers;
    this.now = now;
    this.allowanceAt = now();
  }

  /** Whether `stat` is of that object and not of what has its name or number now. */
  is(object: { readonly identity: Identity }, stat: BigIntStats): boolean {
    return stat.dev === this.device && identityOf(stat) === object.identity;
  }

  /**
   * Where the object that `fd` holds is now, from the root. Undefined if it is outside or the name by which it was opened is gone; `tooDeep` if the
   * kernel cannot say.
   */
  path(fd: number): Components | 'tooDeep' | undefined {
    let path: string;
    let root: string;
    try {
      path = readlinkSync(at(fd), { encoding: 'latin1' });
      root = readlinkSync(at(this.root), { encoding: 'latin1' });
    } catch (error) {
      if (systemCode(error) === 'ENAMETOOLONG') return 'tooDeep';
      throw error;
    }
    if (path === root) return [];
    const prefix = root === '/' ? root : `${root}/`;
    if (!path.startsWith(prefix)) return undefined;
    if (path.endsWith(' (deleted)') && !isDirectoryThere(fd)) return undefined;
    return path.slice(prefix.length).split('/');
  }

  /** Whether the directory that `fd` holds is in the tree. */
  private isInside(fd: number): boolean {
    const path = this.path(fd);
    return path === 'tooDeep' ? this.isBelowRoot(fd) : path !== undefined;
  }

  private isBelowRoot(start: number): boolean {
    const root = fstatSync(this.root, { bigint: true });
    let fd = openSync(at(start, '..'), pathFlags);
    try {
      for (let depth = 0; depth < depthMax; depth += 1) {
        const stat = fstatSync(fd, { bigint: true });
        if (stat.dev === root.dev && stat.ino === root.ino) return true;
        const above = openSync(at(fd, '..'), pathFlags);
        closeSync(fd);
        fd = above;
      }
      return false;
    } finally {
      closeSync(fd);
    }
  }

  /** A descriptor of the directory, good until the operation ends. STALE if it is not in the tree any more, NOTDIR for another kind. */
  directory(id: ObjectId): number {
    if (id === rootId) return this.root;
    const open = this.openDirectory(id);
    if (open !== undefined) return open;
    const object = this.numbers.get(id);
    if (object.kind !== 'directory') {
      this.find(object);
      throw new TreeError('NOTDIR');
    }
    return this.descend(object);
  }

  /** The descriptor at hand, if the directory is still in the tree. */
  private openDirectory(id: ObjectId): number | undefined {
    const fd = this.directories.get(id);
    if (fd === undefined) return undefined;
    if (onDisk(() => this.isInside(fd))) return fd;
    this.directories.forget(id);
    return undefined;
  }

  /** Opens what leads to a directory, from the last one at hand downwards. */
  private descend(target: KnownObject): number {
    const chain: KnownObject[] = [];
    let fd: number | undefined;
    for (let object = target; fd === undefined; ) {
      if (chain.push(object) > depthMax) throw stale('the records of where directories are go round in a circle');
      const parent = object.places[0]?.parent;
      fd = parent === undefined || parent === rootId ? this.root : this.openDirectory(parent);
      if (fd === undefined && parent !== undefined) object = this.numbers.get(parent);
    }
    for (const object of chain.reverse()) fd = this.step(fd, object);
    return fd;
  }

  private step(above: number, object: KnownObject): number {
    const name = object.places[0]?.name;
    const fd = (name === undefined ? undefined : this.holdIf(above, name, object)) ?? this.searchDirectory(object);
    this.directories.add(object.id, fd);
    return fd;
  }

  private holdIf(above: number, name: Name, object: KnownObject): number | undefined {
    let fd: number;
    try {
      fd = holdDirectory(above, name);
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE'].includes(systemCode(error) ?? '')) return undefined;
      throw error;
    }
    if (this.is(object, fstatSync(fd, { bigint: true }))) return fd;
    closeSync(fd);
    return undefined;
  }

  private searchDirectory(object: KnownObject): number {
    const { directory, place } = this.search(object);
    const fd = this.holdIf(directory, place.name, object);
    if (fd === undefined) throw stale(`object ${object.id} moves about`);
    return fd;
  }

  /** Finds an object by where it was seen, else by its descriptor, else by searching. STALE if it is not in the tree. */
  find(object: KnownObject, descriptor?: number): Reached {
    for (const place of object.places) {
      const reached = this.tryPlace(object, place);
      if (reached !== undefined) return reached;
    }
    const path = descriptor === undefined ? undefined : onDisk(() => this.path(descriptor));
    return (Array.isArray(path) ? this.tryPath(object, path) : undefined) ?? this.search(object);
  }

  private tryPlace(object: KnownObject, place: Place): Reached | undefined {
    let directory: number;
    try {
      directory = this.directory(place.parent);
    } catch (error) {
      if (error instanceof TreeError && (error.code === 'STALE' || error.code === 'NOTDIR')) return undefined;
      throw error;
    }
    const stat = onDisk(() => look(directory, place.name));
    return stat !== undefined && this.is(object, stat) ? { object, directory, place, stat } : undefined;
  }

  /** Whether the object is in that place now. */
  isAt(object: KnownObject, place: Place): boolean {
    return this.tryPlace(object, place) !== undefined;
  }

  /** The object, if it is what `path` leads to; notes that it is there. */
  private tryPath(object: KnownObject, path: Components): Reached | undefined {
    const name = path.at(-1);
    if (name === undefined) return undefined;
    const parent = this.walk(path.slice(0, -1));
    const reached = parent === undefined ? undefined : this.tryPlace(object, { parent, name });
    if (reached !== undefined) this.numbers.seen(object, reached.place, Number(reached.stat.nlink));
    return reached;
  }

  /** The number of the directory that a path from the root leads to. */
  walk(path: Components): ObjectId | undefined {
    let id = rootId;
    for (const name of path) {
      const directory = this.directory(id);
      const stat = onDisk(() => look(directory, name));
      if (stat === undefined || stat.dev !== this.device || kindOf(stat) !== 'directory') return undefined;
      id = this.identify(id, directory, name, stat).id;
    }
    return id;
  }

  private search(object: KnownObject): Reached {
    const now = this.now();
    if (now < (this.lost.get(object.id) ?? 0)) throw stale(`object ${object.id} was looked for a moment ago`);
    this.allowance = Math.min(searchBudget, this.allowance + (Math.max(now - this.allowanceAt, 0) * searchRefillPerSecond) / 1000);
    this.allowanceAt = now;
    const looksLike = (stat: BigIntStats) => this.is(object, stat);
    const { path, looked } = onDisk(() =>
      search({ root: this.root, device: this.device, kind: object.kind, looksLike, near: this.lastSeen(object), most: this.allowance, mounted: this.mounted }),
    );
    this.allowance -= looked;
    const reached = path === undefined ? undefined : this.tryPath(object, path);
    if (reached === undefined) {
      if (this.lost.size >= lostMax) this.lost.clear();
      this.lost.set(object.id, now + searchAgain);
      throw stale(`object ${object.id} is not where it was, nor anywhere near`);
    }
    this.lost.delete(object.id);
    return reached;
  }

  /** The path of the directory in which an object was last seen, as far as it can still be walked. */
  private lastSeen(object: KnownObject): Components {
    const path: Name[] = [];
    for (let at = object.places[0]?.parent; at !== undefined && at !== rootId && path.length < depthMax; ) {
      const place: Place | undefined = this.numbers.known(at)?.places[0];
      if (place !== undefined) path.unshift(place.name);
      at = place?.parent;
    }
    return path;
  }

  /** What was lost may be found again at once: it was seen. */
  found(id: ObjectId): void {
    if (this.lost.size > 0) this.lost.delete(id);
  }
}

const pathFlags = pathOnly | constants.O_DIRECTORY;

/** A directory may be called `x (deleted)`; one that is has no links. */
function isDirectoryThere(fd: number): boolean {
  const stat = fstatSync(fd, { bigint: true });
  return stat.isDirectory() && stat.nlink > 0n;
}
