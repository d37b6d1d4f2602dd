// What a directory of the server's file system looks like as a tree. Reading only; disk.ts changes.
import { type BigIntStats, closeSync, fstatSync, readlinkSync, statfsSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { run } from '../base/processes.ts';
import type { TagIndex } from '../overlay/tag-index.ts';
import { at, type Descriptors, holding, look, pathOnly, reopen, stale } from './disk-descriptors.ts';
import { DiskFiles } from './disk-files.ts';
import { type KnownObject, type ObjectNumbers, rootId } from './disk-ids.ts';
import { indexAfter, Listings } from './disk-listing.ts';
import { attributesFrom, checkName, type Identity, identityOf, kindOf, type Mounted, onDisk } from './disk-object.ts';
import { Reach, type Reached } from './disk-reach.ts';
import { TagIndexes } from './disk-tags.ts';
import { Unsynced } from './disk-unsynced.ts';
import { YoungObjects } from './disk-young.ts';
import { readFully } from './files.ts';
import { type Attributes, type DirectoryEntry, type Name, nameMax, type ObjectId, type Space, TreeError } from './tree.ts';

/** How often descriptors that nobody uses are closed, milliseconds: a program that is open for writing cannot be executed. */
const sweepEvery = 1000;

/** Entries of a listing that are looked up at once: what the caller then does between two of them may close descriptors. */
const entriesAtOnce = 64;

/** What a listing has for such a name: never an object's number. */
const mountedId: ObjectId = 3;

/** The reading half of a `Tree`. */
export class DiskView {
  readonly root: ObjectId = rootId;
  protected readonly rootFd: number;
  protected readonly numbers: ObjectNumbers;
  protected readonly clock: Clock;
  protected readonly reach: Reach;
  protected readonly files: DiskFiles;
  protected readonly listings: Listings;
  protected readonly tagged: TagIndexes;
  protected readonly young: YoungObjects;
  protected readonly unsynced: Unsynced;
  protected readonly descriptors: readonly Descriptors[];
  protected readonly isOverlay: boolean;
  protected readonly sweeping: NodeJS.Timeout;
  protected isClosed = false;

  private readonly mounted: Mounted | undefined;

  constructor(rootFd: number, numbers: ObjectNumbers, clock: Clock, isOverlay: boolean, mounted?: Mounted) {
    const now = () => clock.now();
    this.rootFd = rootFd;
    this.numbers = numbers;
    this.clock = clock;
    this.isOverlay = isOverlay;
    this.mounted = mounted;
    this.reach = new Reach(rootFd, numbers, now, (parent, directory, name, stat) => this.identify(parent, directory, name, stat), mounted);
    this.files = new DiskFiles(this.reach, !isOverlay);
    this.listings = new Listings(now);
    this.tagged = new TagIndexes(now);
    this.young = new YoungObjects(now);
    this.unsynced = new Unsynced(async () => {
      await run('sync', ['-f', `/proc/${process.pid}/fd/${rootFd}`]);
    });
    this.descriptors = [this.reach.directories, this.files.readers, this.files.writers];
    this.sweeping = setInterval(() => this.sweep(), sweepEvery).unref();
  }

  get generation(): number {
    return this.numbers.generation;
  }

  /** What tells an object from all others of its file system. STALE if the number is of none. */
  identity(id: ObjectId): Identity {
    return this.numbers.get(id).identity;
  }

  private isMounted(directory: ObjectId, name: Name): boolean {
    return this.mounted?.(this.numbers.get(directory).identity, name) === true;
  }

  /** How many objects have numbers. */
  get objectCount(): number {
    return this.numbers.count;
  }

  /** One operation. After it, descriptors that are not kept are closed and new numbers are written. */
  protected operation<Result>(act: () => Result): Result {
    this.young.release();
    try {
      return onDisk(act);
    } finally {
      for (const descriptors of this.descriptors) descriptors.settle();
      this.numbers.flush();
    }
  }

  protected sweep(): void {
    for (const descriptors of this.descriptors) {
      descriptors.sweep();
      descriptors.settle();
    }
    this.young.release();
  }

  attributes(id: ObjectId): Attributes {
    return this.operation(() => {
      const object = this.numbers.get(id);
      return attributesFrom(id, this.statOf(object), object.times);
    });
  }

  protected statOf(object: KnownObject): BigIntStats {
    if (object.kind === 'directory') return fstatSync(this.reach.directory(object.id), { bigint: true });
    return this.find(object).stat;
  }

  protected find(object: KnownObject): Reached {
    return this.reach.find(object, this.files.writers.get(object.id) ?? this.files.readers.get(object.id));
  }

  lookup(directory: ObjectId, name: Name): ObjectId {
    return this.operation(() => {
      const fd = this.reach.directory(directory);
      checkName(name);
      if (this.isMounted(directory, name)) throw new TreeError('ACCES', `${name} is a mount point`);
      const stat = look(fd, name);
      if (stat === undefined) throw new TreeError('NOENT');
      if (stat.dev !== this.reach.device) throw new TreeError('ACCES', `${name} is the mount point of another file system`);
      return this.identify(directory, fd, name, stat).id;
    });
  }

  /** The number of what was seen in a directory: the one that it has, or a new one. */
  protected identify(parent: ObjectId, directory: number, name: Name, stat: BigIntStats): KnownObject {
    const identity = identityOf(stat);
    const place = { parent, name };
    const known = this.numbers.find(identity);
    if (known !== undefined && known.kind === kindOf(stat)) {
      this.numbers.seen(known, place, Number(stat.nlink));
      this.reach.found(known.id);
      return known;
    }
    if (known !== undefined) this.gone(known);
    if (this.young.isYoung(stat.birthtimeNs)) this.holdYoung(directory, name, stat);
    return this.numbers.add(identity, kindOf(stat), place);
  }

  protected holdYoung(directory: number, name: Name, stat: BigIntStats): void {
    holding(directory, name, (fd, held) => {
      if (held.dev !== stat.dev || identityOf(held) !== identityOf(stat)) throw stale(`${name} was replaced a moment ago`);
      this.young.hold(identityOf(held), reopen(fd, pathOnly));
    });
  }

  protected gone(object: KnownObject): void {
    this.numbers.gone(object.id);
    this.files.forget(object);
    this.reach.directories.forget(object.id);
    this.young.letGo(object.identity);
    this.unsynced.forget(object.id);
    this.listings.forget(object.id);
    this.tagged.forget(object.id);
  }

  parent(directory: ObjectId): ObjectId {
    if (directory === rootId) return rootId;
    return this.operation(() => {
      const fd = this.reach.directory(directory);
      const object = this.numbers.get(directory);
      const [place] = object.places;
      if (place !== undefined && this.reach.isAt(object, place)) return place.parent;
      const path = this.reach.path(fd);
      const parent = Array.isArray(path) ? this.reach.walk(path.slice(0, -1)) : undefined;
      if (parent === undefined) throw stale(`directory ${directory} moves about`);
      this.numbers.seen(object, { parent, name: path?.at(-1) ?? '' }, 1);
      return parent;
    });
  }

  *entries(directory: ObjectId, cookie: number): Iterable<DirectoryEntry> {
    for (let next: number | undefined = cookie; next !== undefined; ) {
      const { entries, more } = this.someEntries(directory, next);
      yield* entries;
      next = more;
    }
  }

  /** The next few entries, and after which cookie it goes on. */
  protected someEntries(id: ObjectId, cookie: number): { readonly entries: readonly DirectoryEntry[]; readonly more: number | undefined } {
    return this.operation(() => {
      const directory = this.reach.directory(id);
      const listing = this.listings.of(id, directory, fstatSync(directory, { bigint: true }), cookie > 2);
      const entries: DirectoryEntry[] = [];
      const from = indexAfter(listing, cookie);
      const to = Math.min(from + entriesAtOnce, listing.names.length);
      for (let index = from; index < to; index += 1) {
        const name = listing.names[index] ?? '';
        if (this.isMounted(id, name)) {
          entries.push({ name, id: mountedId, cookie: listing.cookies[index] ?? 0 });
          continue;
        }
        const stat = look(directory, name);
        // Gone since the directory was scanned, or another file system's.
        if (stat === undefined || stat.dev !== this.reach.device) continue;
        entries.push({ name, id: this.identify(id, directory, name, stat).id, cookie: listing.cookies[index] ?? 0 });
      }
      return { entries, more: to < listing.names.length ? listing.cookies[to - 1] : undefined };
    });
  }

  /** The names in a directory that have tags; `anew` if one of them was found not to be there. */
  tags(directory: ObjectId, how?: 'anew'): TagIndex<true> {
    return this.operation(() => {
      const fd = this.reach.directory(directory);
      const stat = fstatSync(fd, { bigint: true });
      return how === 'anew' ? this.tagged.scan(directory, fd, stat) : this.tagged.of(directory, fd, stat);
    });
  }

  /** Whether a directory has a name. */
  has(directory: ObjectId, name: Name): boolean {
    return this.operation(() => name.length <= nameMax && look(this.reach.directory(directory), name) !== undefined);
  }

  readlink(id: ObjectId): string {
    return this.operation(() => {
      const object = this.numbers.get(id);
      const { directory, place, stat } = this.find(object);
      if (object.kind !== 'symlink') throw new TreeError('INVAL', 'not a symlink');
      const target = readlinkSync(at(directory, place.name), { encoding: 'latin1' });
      const after = look(directory, place.name);
      if (after === undefined || !this.reach.is(object, after) || after.ctimeNs !== stat.ctimeNs) throw stale(`object ${id} was replaced a moment ago`);
      return target;
    });
  }

  read(id: ObjectId, offset: number, target: Buffer): number {
    return this.operation(() => readFully(this.files.forReading(this.numbers.get(id)), target, offset));
  }

  space(): Space {
    return this.operation(() => {
      const { bsize, blocks, bavail, files, ffree } = statfsSync(at(this.rootFd));
      return { totalBytes: blocks * bsize, freeBytes: bavail * bsize, totalObjects: files, freeObjects: ffree };
    });
  }

  async stable(): Promise<void> {
    this.numbers.flush();
    await Promise.all([this.unsynced.stable(), this.numbers.stable()]);
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    clearInterval(this.sweeping);
    await this.stable();
    await this.numbers.close();
    for (const descriptors of this.descriptors) descriptors.close();
    this.young.close();
    closeSync(this.rootFd);
  }
}
