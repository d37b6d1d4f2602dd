// Which names of a directory on disk have tags, kept so that a look-up need not scan, and seen anew when somebody else has changed the directory.
import { type BigIntStats, readdirSync } from 'node:fs';
import { TagIndex } from '../overlay/tag-index.ts';
import { at } from './disk-descriptors.ts';
import type { Name, ObjectId } from './tree.ts';

interface Indexed {
  /** Only of names that end in `$$`: whether another is there is asked of the disk. */
  readonly index: TagIndex<true>;
  /** The directory's times when it was last known that the index is right. */
  mtime: bigint;
  ctime: bigint;
  /** When it was scanned, and how long that took: milliseconds. */
  readonly scannedAt: number;
  readonly cost: number;
  readonly names: number;
}

/** A change in the same tick of the kernel's clock (10 ms at most) as the scan leaves the times as they are; milliseconds. */
const settledAfter = 20;

/** A directory of so few names is scanned again (a tenth of a millisecond) each time that it may have changed. */
const fewNames = 200;

/** A larger one that does not come to rest is scanned for at most a fifth of the time. */
const restFactor = 4;

/** Directories whose names are kept, and tagged names of all of them: some 100 MB at most. */
const directoriesMax = 50_000;
const taggedMax = 500_000;

export class TagIndexes {
  private readonly known = new Map<ObjectId, Indexed>();
  private tagged = 0;
  private readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  /** The tagged names of a directory as they are now. `stat` is of before. */
  of(id: ObjectId, directory: number, stat: BigIntStats): TagIndex<true> {
    const known = this.known.get(id);
    if (known !== undefined && this.isGood(known, stat)) return known.index;
    return this.scan(id, directory, stat);
  }

  private isGood(known: Indexed, stat: BigIntStats): boolean {
    const isSettled = known.scannedAt - Number(known.ctime / 1_000_000n) > settledAfter;
    if (isSettled && isSame(known, stat)) return true;
    const since = this.now() - known.scannedAt;
    return known.names > fewNames && since >= 0 && since < restFactor * known.cost;
  }

  /** Also what `of` took for good is looked at again: a name that it had was not there. */
  scan(id: ObjectId, directory: number, stat: BigIntStats): TagIndex<true> {
    const scannedAt = this.now();
    const begin = performance.now();
    const names = readdirSync(at(directory), { encoding: 'latin1' });
    const index = new TagIndex<true>();
    for (const name of names) if (name.endsWith('$$')) index.add(name, true);
    this.forget(id);
    this.tagged += index.raw.size;
    this.known.set(id, { index, mtime: stat.mtimeNs, ctime: stat.ctimeNs, scannedAt, cost: performance.now() - begin, names: names.length });
    for (const oldest of this.known.keys()) {
      if (oldest === id || (this.known.size <= directoriesMax && this.tagged <= taggedMax)) break;
      this.forget(oldest);
    }
    return index;
  }

  /** Whether a change that we are about to make can be noted with `changed`: nobody else has made one. */
  isCurrent(id: ObjectId, stat: () => BigIntStats): boolean {
    const known = this.known.get(id);
    return known !== undefined && isSame(known, stat());
  }

  /**
   * We have made a change, and the directory's times are now those of `stat`. One that somebody else made in the same instant is found by the next scan,
   * which is due because the directory has not come to rest.
   */
  changed(id: ObjectId, stat: BigIntStats, change: { readonly added?: Name; readonly removed?: Name }): void {
    const known = this.known.get(id);
    if (known === undefined) return;
    const before = known.index.raw.size;
    if (change.removed?.endsWith('$$') === true) known.index.remove(change.removed);
    if (change.added?.endsWith('$$') === true) known.index.add(change.added, true);
    this.tagged += known.index.raw.size - before;
    known.mtime = stat.mtimeNs;
    known.ctime = stat.ctimeNs;
  }

  forget(id: ObjectId): void {
    this.tagged -= this.known.get(id)?.index.raw.size ?? 0;
    this.known.delete(id);
  }
}

function isSame(known: Indexed, stat: BigIntStats): boolean {
  return known.mtime === stat.mtimeNs && known.ctime === stat.ctimeNs;
}
