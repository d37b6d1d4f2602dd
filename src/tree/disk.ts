// A directory of the server's file system as a tree that clients read and write. How and why: docs/decisions/disk-tree.md.
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  fsync,
  linkSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
} from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { run } from '../base/processes.ts';
import type { TagIndex } from '../overlay/tag-index.ts';
import { at, type Descriptors, holding, look, reopen, stale } from './disk-descriptors.ts';
import { DiskFiles } from './disk-files.ts';
import { type KnownObject, ObjectNumbers, rootId } from './disk-ids.ts';
import { indexAfter, Listings } from './disk-listing.ts';
import { applyChange, make } from './disk-make.ts';
import { attributesFrom, checkName, diskError, identityOf, kindOf, onDisk } from './disk-object.ts';
import { Reach, type Reached } from './disk-reach.ts';
import { TagIndexes } from './disk-tags.ts';
import { Unsynced } from './disk-unsynced.ts';
import { YoungObjects } from './disk-young.ts';
import { readFully, writeFully } from './files.ts';
import {
  type AttributeChange,
  type Attributes,
  type DirectoryEntry,
  type Name,
  type NewObject,
  nameMax,
  type ObjectId,
  type Space,
  type Tree,
  TreeError,
} from './tree.ts';

export interface DiskTreeOptions {
  /** The root of the tree; exists. */
  readonly directory: string;
  /** Where the numbers of its objects are kept: a directory of its own outside the tree, made if need be. */
  readonly state: string;
  readonly clock: Clock;
  readonly log?: Log;
  /** Serves without being root: all objects are the server's own user's, and giving them to others is PERM. Default false. */
  readonly unprivileged?: boolean;
}

const toDisk = promisify(fsync);

/** statfs(2) */
const overlayMagic = 0x794c7630;
const tmpfsMagic = 0x01021994;

/** How often descriptors that nobody uses are closed, milliseconds: a program that is open for writing cannot be executed. */
const sweepEvery = 1000;

/** Entries of a listing that are looked up at once: what the caller then does between two of them may close descriptors. */
const entriesAtOnce = 64;

/**
 * Throws `FarmError`: `tree.directory` if there is no such directory, `tree.root` if this process may not give files to others, `tree.births` for a file
 * system that cannot tell a file from its predecessor of the same inode number, `journal.damaged`.
 */
export function openDiskTree(options: DiskTreeOptions): DiskTree {
  const { directory, log } = options;
  if (options.unprivileged !== true && process.geteuid?.() !== 0) {
    throw new FarmError('tree.root', `${directory} can be shared by root only: its files get the owners that the nodes say`, 'run farm serve as root');
  }
  let root: number;
  try {
    root = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw new FarmError('tree.directory', `${directory} cannot be opened: ${sentence(error)}`, 'create it, or correct its path', error);
  }
  try {
    const { type } = statfsSync(at(root));
    const stat = fstatSync(root, { bigint: true });
    if (stat.birthtimeNs === 0n && type !== tmpfsMagic) {
      const hint = 'use ext4 with inodes of 256 bytes, xfs with crc=1, btrfs or tmpfs';
      throw new FarmError(
        'tree.births',
        `the file system of ${directory} does not keep when a file was created, so old file handles could mean new files`,
        hint,
      );
    }
    const numbers = ObjectNumbers.open(options.state, identityOf(stat), {
      replaced: () => log?.('warn', 'tree.replaced', { directory }),
      failed: (error) => log?.('error', 'tree.journal', { directory, error: sentence(error) }),
    });
    return new DiskTree(root, numbers, options.clock, type === overlayMagic);
  } catch (error) {
    closeSync(root);
    throw error;
  }
}

export class DiskTree implements Tree {
  readonly root: ObjectId = rootId;
  private readonly rootFd: number;
  private readonly numbers: ObjectNumbers;
  private readonly clock: Clock;
  private readonly reach: Reach;
  private readonly files: DiskFiles;
  private readonly listings: Listings;
  private readonly tagged: TagIndexes;
  private readonly young: YoungObjects;
  private readonly unsynced: Unsynced;
  private readonly descriptors: readonly Descriptors[];
  private readonly isOverlay: boolean;
  private readonly sweeping: NodeJS.Timeout;

  constructor(rootFd: number, numbers: ObjectNumbers, clock: Clock, isOverlay: boolean) {
    const now = () => clock.now();
    this.rootFd = rootFd;
    this.numbers = numbers;
    this.clock = clock;
    this.isOverlay = isOverlay;
    this.reach = new Reach(rootFd, numbers, now);
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

  /** How many objects have numbers. */
  get objectCount(): number {
    return this.numbers.count;
  }

  /** One operation: descriptors are closed before it, numbers are written after it. */
  private operation<Result>(act: () => Result): Result {
    for (const descriptors of this.descriptors) descriptors.settle();
    this.young.release();
    try {
      return onDisk(act);
    } finally {
      this.numbers.flush();
    }
  }

  private sweep(): void {
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

  private statOf(object: KnownObject): BigIntStats {
    if (object.kind === 'directory') return fstatSync(this.reach.directory(object.id), { bigint: true });
    return this.find(object).stat;
  }

  private find(object: KnownObject): Reached {
    return this.reach.find(object, this.files.writers.get(object.id) ?? this.files.readers.get(object.id));
  }

  lookup(directory: ObjectId, name: Name): ObjectId {
    return this.operation(() => {
      const fd = this.reach.directory(directory);
      checkName(name);
      const stat = look(fd, name);
      if (stat === undefined) throw new TreeError('NOENT');
      if (stat.dev !== this.reach.device) throw new TreeError('ACCES', `${name} is the mount point of another file system`);
      return this.identify(directory, fd, name, stat).id;
    });
  }

  /** The number of what was seen in a directory: the one that it has, or a new one. */
  private identify(parent: ObjectId, directory: number, name: Name, stat: BigIntStats): KnownObject {
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

  private holdYoung(directory: number, name: Name, stat: BigIntStats): void {
    holding(directory, name, (fd, held) => {
      if (held.dev !== stat.dev || identityOf(held) !== identityOf(stat)) throw stale(`${name} was replaced a moment ago`);
      this.young.hold(openSync(at(fd), constants.O_NOFOLLOW | 0o10000000));
    });
  }

  private gone(object: KnownObject): void {
    this.numbers.gone(object.id);
    this.files.forget(object);
    this.reach.directories.forget(object.id);
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
  private someEntries(id: ObjectId, cookie: number): { readonly entries: readonly DirectoryEntry[]; readonly more: number | undefined } {
    return this.operation(() => {
      const directory = this.reach.directory(id);
      const listing = this.listings.of(id, directory, fstatSync(directory, { bigint: true }), cookie > 2);
      const entries: DirectoryEntry[] = [];
      const from = indexAfter(listing, cookie);
      const to = Math.min(from + entriesAtOnce, listing.names.length);
      for (let index = from; index < to; index += 1) {
        const name = listing.names[index] ?? '';
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

  write(id: ObjectId, offset: number, bytes: Buffer): void {
    this.operation(() => {
      if (!Number.isSafeInteger(offset + bytes.length)) throw new TreeError('FBIG');
      const object = this.numbers.get(id);
      const fd = this.files.forWriting(object);
      if (this.isOverlay) this.copiedUp(object, fd);
      writeFully(fd, bytes, offset);
    });
  }

  create(directory: ObjectId, name: Name, object: NewObject, change: AttributeChange): ObjectId {
    return this.operation(() => {
      const fd = this.reach.directory(directory);
      checkName(name);
      const made = this.changeNames(directory, fd, { added: name }, () => make(fd, name, object, change, this.clock.now()));
      try {
        const known = this.identify(directory, fd, name, made.stat);
        this.numbers.setTimes(known, made.times);
        if (object.kind === 'file' || object.kind === 'directory') this.changed(known, made.fd);
        if (object.kind !== 'file') return known.id;
        this.files.writers.add(known.id, openSync(at(made.fd), constants.O_RDWR));
        return known.id;
      } finally {
        closeSync(made.fd);
      }
    });
  }

  change(id: ObjectId, change: AttributeChange): void {
    this.operation(() => {
      const object = this.numbers.get(id);
      if (object.kind === 'directory') {
        this.changeHeld(object, this.reach.directory(id), change);
      } else {
        const { directory, place } = this.find(object);
        holding(directory, place.name, (fd, stat) => {
          if (!this.reach.is(object, stat)) throw stale(`object ${id} was replaced a moment ago`);
          this.changeHeld(object, fd, change);
        });
      }
    });
  }

  private changeHeld(object: KnownObject, fd: number, change: AttributeChange): void {
    const { kind } = object;
    const times = applyChange(fd, kind, change, object.times);
    const now = this.copiedUp(object, fd);
    if (change.atime !== undefined || change.mtime !== undefined) this.numbers.setTimes(now, times);
    this.changed(now, fd);
  }

  /** Attributes have changed of what `fd` holds. */
  private changed({ id, kind }: KnownObject, fd: number): void {
    const canSync = kind === 'file' || kind === 'directory';
    this.unsynced.add(id, canSync ? () => reopen(fd, constants.O_RDONLY) : undefined);
  }

  /** Changes names in a directory by `act`. */
  private changeNames<Result>(id: ObjectId, fd: number, change: { readonly added?: Name; readonly removed?: Name }, act: () => Result): Result {
    const isCurrent = this.tagged.isCurrent(id, () => fstatSync(fd, { bigint: true }));
    const result = act();
    if (isCurrent) this.tagged.changed(id, fstatSync(fd, { bigint: true }), change);
    this.changed(this.copiedUp(this.numbers.get(id), fd), fd);
    return result;
  }

  /** Changing an object of an overlay's lower layer copies it up, and all directories above it: they are born again, with the same inode numbers. */
  private copiedUp(object: KnownObject, fd: number): KnownObject {
    if (!this.isOverlay) return object;
    const stat = fstatSync(fd, { bigint: true });
    if (this.reach.is(object, stat)) return object;
    if (object.identity.split('.')[0] !== stat.ino.toString()) throw stale(`object ${object.id} was replaced a moment ago`);
    const now = this.numbers.becomes(object, identityOf(stat));
    const above = object.places[0]?.parent;
    if (above !== undefined && object.id !== rootId) this.copiedUp(this.numbers.get(above), this.reach.directory(above));
    return now;
  }

  link(id: ObjectId, directory: ObjectId, name: Name): void {
    this.operation(() => {
      const object = this.numbers.get(id);
      if (object.kind === 'directory') throw new TreeError('ISDIR');
      const from = this.find(object);
      const fd = this.reach.directory(directory);
      checkName(name);
      this.changeNames(directory, fd, { added: name }, () => linkSync(at(from.directory, from.place.name), at(fd, name)));
      holding(fd, name, (held, stat) => {
        const now = this.isOverlay ? this.copiedUp(object, held) : object;
        if (!this.reach.is(now, stat)) {
          unlinkSync(at(fd, name));
          throw stale(`object ${id} was replaced a moment ago`);
        }
        this.numbers.seen(now, { parent: directory, name }, Number(stat.nlink));
        if (now.kind === 'file') this.changed(now, held);
      });
    });
  }

  remove(directory: ObjectId, name: Name): void {
    this.operation(() => {
      const fd = this.reach.directory(directory);
      const stat = this.existing(fd, name);
      if (stat.isDirectory()) throw new TreeError('ISDIR');
      this.changeNames(directory, fd, { removed: name }, () => unlinkSync(at(fd, name)));
      this.lostName(directory, name, stat);
    });
  }

  removeDirectory(directory: ObjectId, name: Name): void {
    this.operation(() => {
      const fd = this.reach.directory(directory);
      const stat = this.existing(fd, name);
      if (!stat.isDirectory()) throw new TreeError('NOTDIR');
      this.changeNames(directory, fd, { removed: name }, () => removeEmpty(fd, name));
      this.lostName(directory, name, stat);
    });
  }

  private existing(directory: number, name: Name): BigIntStats {
    checkName(name);
    const stat = look(directory, name);
    if (stat === undefined) throw new TreeError('NOENT');
    return stat;
  }

  /** A name has gone; `stat` is of its object, before. */
  private lostName(parent: ObjectId, name: Name, stat: BigIntStats): void {
    const object = stat.dev === this.reach.device ? this.numbers.find(identityOf(stat)) : undefined;
    if (object === undefined) return;
    if (stat.nlink <= 1n || object.kind === 'directory') this.gone(object);
    else this.numbers.left(object, { parent, name });
  }

  rename(from: ObjectId, name: Name, to: ObjectId, newName: Name): void {
    this.operation(() => {
      const source = this.reach.directory(from);
      const target = this.reach.directory(to);
      checkName(newName);
      const stat = this.existing(source, name);
      const replaced = look(target, newName);
      const isSame = replaced?.ino === stat.ino && replaced.dev === stat.dev;
      const act = () => renameReplacing(at(source, name), at(target, newName));
      const leaving = () => this.changeNames(from, source, isSame ? {} : { removed: name }, act);
      this.changeNames(to, target, isSame ? {} : { added: newName }, leaving);
      if (isSame) return; // two names of one object, of which both stay
      if (replaced !== undefined) this.lostName(to, newName, replaced);
      this.moved(from, name, to, newName, stat);
    });
  }

  private moved(from: ObjectId, name: Name, to: ObjectId, newName: Name, before: BigIntStats): void {
    const object = this.numbers.find(identityOf(before));
    if (object === undefined) return;
    this.numbers.left(object, { parent: from, name });
    const directory = this.reach.directory(to);
    holding(directory, newName, (fd, after) => {
      if (after.ino !== before.ino) return; // already something else's
      const now = this.isOverlay ? this.copiedUp(object, fd) : object;
      this.numbers.seen(now, { parent: to, name: newName }, Number(after.nlink));
    });
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

  async commit(id: ObjectId): Promise<void> {
    const fd = this.operation(() => reopen(this.files.forReading(this.numbers.get(id)), constants.O_RDONLY));
    try {
      await toDisk(fd);
    } catch (error) {
      throw diskError(error);
    } finally {
      closeSync(fd);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.sweeping);
    await this.stable();
    await this.numbers.close();
    for (const descriptors of this.descriptors) descriptors.close();
    this.young.close();
    closeSync(this.rootFd);
  }
}

function removeEmpty(directory: number, name: Name): void {
  try {
    rmdirSync(at(directory, name));
  } catch (error) {
    throw notEmpty(error);
  }
}

function renameReplacing(from: Buffer | string, to: Buffer | string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    throw notEmpty(error);
  }
}

/** rmdir(2) and rename(2) may say EEXIST of a directory that is not empty. */
function notEmpty(error: unknown): unknown {
  const told = diskError(error);
  return told instanceof TreeError && told.code === 'EXIST' ? new TreeError('NOTEMPTY', told.message, error) : told;
}
