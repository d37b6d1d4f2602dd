// The names of a directory in the order of cookies that depend on nothing but the name, so that a listing goes on where it was, whatever happened meanwhile.
import { type BigIntStats, readdirSync } from 'node:fs';
import { at } from './disk-descriptors.ts';
import type { Name, ObjectId } from './tree.ts';

export interface Listing {
  readonly names: readonly Name[];
  /** Ascending; of the name at the same index. */
  readonly cookies: Float64Array;
}

interface Scanned extends Listing {
  /** The directory's own times when it was scanned. */
  readonly mtime: bigint;
  readonly ctime: bigint;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Names whose cookie is not their hash, because others had it; kept when the name has gone. */
  readonly moved: ReadonlyMap<Name, number>;
}

/** Cookies from 3 (1 and 2 are `.` and `..`) to what NFSv2 has room for. */
const firstCookie = 3;
const cookieSpan = 2 ** 32 - firstCookie;

/** A change in the same tick of the kernel's clock (10 ms at most) as the scan leaves the times as they are; milliseconds. */
const settledAfter = 20;

/** A listing that began earlier need not know what came later (readdir(3)); so it may go on with a scan of this age, milliseconds. */
const goOnFor = 1000;

/** Names kept of all directories together: about 50 MB. */
const namesMax = 500_000;

/** Names with another's hash that are remembered of one directory: more are there only if somebody has sought them. */
const movedMax = 10_000;

export class Listings {
  private readonly scanned = new Map<ObjectId, Scanned>();
  private readonly now: () => number;
  private names = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  /** What is in a directory: as it is now, or for a listing that goes on, as it was a moment ago. */
  of(id: ObjectId, directory: number, stat: BigIntStats, goesOn: boolean): Listing {
    const known = this.scanned.get(id);
    const now = this.now();
    if (known !== undefined) {
      const settled = Math.abs(known.at - Number(known.ctime / 1_000_000n)) > settledAfter;
      if (settled && known.mtime === stat.mtimeNs && known.ctime === stat.ctimeNs) return known;
      if (goesOn && now - known.at < goOnFor && now >= known.at) return known;
    }
    const names = readdirSync(at(directory), { encoding: 'latin1' });
    const moved = known !== undefined && known.moved.size < movedMax ? known.moved : new Map<Name, number>();
    const scanned = { ...withCookies(names, moved), mtime: stat.mtimeNs, ctime: stat.ctimeNs, at: now };
    this.keep(id, scanned);
    return scanned;
  }

  private keep(id: ObjectId, scanned: Scanned): void {
    this.forget(id);
    this.scanned.set(id, scanned);
    this.names += scanned.names.length;
    for (const oldest of this.scanned.keys()) {
      if (this.names <= namesMax || oldest === id) break;
      this.forget(oldest);
    }
  }

  forget(id: ObjectId): void {
    this.names -= this.scanned.get(id)?.names.length ?? 0;
    this.scanned.delete(id);
  }
}

/** The first index whose cookie is greater. */
export function indexAfter({ cookies }: Listing, cookie: number): number {
  let low = 0;
  let high = cookies.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((cookies[middle] ?? 0) > cookie) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Room for the index of a name beside its cookie in one double: 2^21 names, 2^32 cookies. */
const indexSpan = 2 ** 21;

/**
 * Names with their cookies, in order. Of names with the same hash, one in 40,000 names, the later ones get the next free number, and keep it as long as
 * `moved` remembers.
 */
export function withCookies(names: readonly Name[], moved: ReadonlyMap<Name, number>): Listing & { readonly moved: ReadonlyMap<Name, number> } {
  if (names.length >= indexSpan) return withCookiesOfMany(names, moved);
  const keys = new Float64Array(names.length);
  names.forEach((name, index) => {
    keys[index] = (moved.get(name) ?? cookieOf(name)) * indexSpan + index;
  });
  keys.sort();
  return place(
    [...keys].map((key) => names[key % indexSpan] ?? ''),
    moved,
  );
}

function withCookiesOfMany(names: readonly Name[], moved: ReadonlyMap<Name, number>) {
  const keyed = names.map((name) => ({ name, cookie: moved.get(name) ?? cookieOf(name) }));
  return place(
    keyed.sort((one, other) => one.cookie - other.cookie).map(({ name }) => name),
    moved,
  );
}

function place(names: readonly Name[], moved: ReadonlyMap<Name, number>): Listing & { readonly moved: ReadonlyMap<Name, number> } {
  const cookies = new Float64Array(names.length);
  const movedNow = new Map(moved);
  let last = firstCookie - 1;
  names.forEach((name, index) => {
    const wanted = moved.get(name) ?? cookieOf(name);
    const cookie = Math.max(wanted, last + 1);
    if (cookie !== wanted) movedNow.set(name, cookie);
    cookies[index] = cookie;
    last = cookie;
  });
  return { names, cookies, moved: movedNow };
}

/** FNV-1a with a last stirring (MurmurHash3's): names that differ in one digit spread over the whole range. Room is left at the end for moved ones. */
export function cookieOf(name: Name): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index += 1) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return firstCookie + (((hash ^ (hash >>> 16)) >>> 0) % (cookieSpan - 0x1_0000));
}
