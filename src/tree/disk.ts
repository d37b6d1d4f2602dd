// A directory of the server's file system as a tree that clients read (disk-view.ts) and write. How and why: docs/decisions/disk-tree.md.
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  fsync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
} from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { at, holding, look, reopen, stale } from './disk-descriptors.ts';
import { type KnownObject, ObjectNumbers, rootId } from './disk-ids.ts';
import { applyChange, make } from './disk-make.ts';
import { checkName, diskError, identityOf, type Mounted } from './disk-object.ts';
import { DiskView } from './disk-view.ts';
import { writeFully } from './files.ts';
import { type AttributeChange, type Name, type NewObject, type ObjectId, type Tree, TreeError } from './tree.ts';

export interface DiskTreeOptions {
  /** The root of the tree; exists. */
  readonly directory: string;
  /** Where the numbers of its objects are kept: a directory of its own outside the tree, made if need be. */
  readonly state: string;
  readonly clock: Clock;
  readonly log?: Log;
  /** What other trees are mounted on, by its directory's identity: it is listed with `mountedId`, ACCES otherwise, and not looked at. */
  readonly mounted?: Mounted;
  /** Takes a file system that does not keep births: because it never uses an inode number again. Default false. */
  readonly unborn?: boolean;
  /** Serves without being root: all objects are the server's own user's, and giving them to others is PERM. Default false. */
  readonly unprivileged?: boolean;
}

const toDisk = promisify(fsync);

/** statfs(2) */
const overlayMagic = 0x794c7630;
const tmpfsMagic = 0x01021994;

/** CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD: capability.h */
const rootsRights = [0, 1, 3, 4, 27];

/** Whether this process, which is not root's, has root's rights over files. proc(5) */
function mayGiveFiles(): boolean {
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
  const held = BigInt(`0x${effective}`);
  return rootsRights.every((bit) => ((held >> BigInt(bit)) & 1n) === 1n);
}

/**
 * Throws `FarmError`: `tree.directory` if there is no such directory, `tree.root` if this process may not give files to others, `tree.births` for a file
 * system that cannot tell a file from its predecessor of the same inode number, `journal.damaged`.
 */
export function openDiskTree(options: DiskTreeOptions): DiskTree {
  const { directory, log } = options;
  if (options.unprivileged !== true && process.geteuid?.() !== 0 && !mayGiveFiles()) {
    throw new FarmError(
      'tree.root',
      `${directory} can be shared by root only: its files get the owners that the nodes say`,
      'run farm serve as root, or as the service that farm unit --user NAME makes',
    );
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
    if (stat.birthtimeNs === 0n && type !== tmpfsMagic && options.unborn !== true) {
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
    return new DiskTree(root, numbers, options.clock, type === overlayMagic, options.mounted);
  } catch (error) {
    closeSync(root);
    throw error;
  }
}

export class DiskTree extends DiskView implements Tree {
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
