// Numbers for the objects of a disk tree: which object each stands for, and where that was last seen. In memory and in a journal.
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { Journal } from '../base/journal.ts';
import { diskError, type ExactTimes, type Identity } from './disk-object.ts';
import { type Kind, type Name, type ObjectId, TreeError } from './tree.ts';

export interface Place {
  readonly parent: ObjectId;
  readonly name: Name;
}

/** An object that has a number. */
export interface KnownObject {
  readonly id: ObjectId;
  readonly identity: Identity;
  readonly kind: Kind;
  /** Where it was last seen, the latest first; each is a hint and nothing more. */
  places: readonly Place[];
  times: ExactTimes | undefined;
}

type Entry =
  | { readonly start: { readonly generation: number; readonly root: Identity } }
  /** Everything before was written by a process that has ended in order (`true`), or one begins. Absent after a crash. */
  | { readonly closed: boolean; readonly next: ObjectId }
  | { readonly object: readonly [id: ObjectId, identity: Identity, kind: Kind, parent: ObjectId, name: Name] }
  | { readonly places: readonly [id: ObjectId, places: readonly (readonly [parent: ObjectId, name: Name])[]] }
  | { readonly times: readonly [id: ObjectId, ...nanoseconds: readonly (string | undefined | null)[]] }
  | { readonly gone: ObjectId }
  /** The root was copied up by an overlay file system. */
  | { readonly root: Identity };

export const rootId: ObjectId = 1;
/** 1 and 2 are the cookies of `.` and `..`; a few more are left free. */
const firstId: ObjectId = 16;
const lastId: ObjectId = 0xffff_ffff;

/** Names kept of one object: enough for what programs do with links; a search finds it under any other. */
const placesMax = 8;

/**
 * A crash of the whole machine may lose the numbers given last; they must not be given again to others. The journal is on its way to disk whenever
 * `syncEvery` lines wait, so that fewer than this are ever lost.
 */
const crashGap = 1 << 20;
const syncEvery = 4096;

/** A journal is rewritten when it is this many times longer than after the last rewriting, and not small. */
const compactFactor = 4;
const compactFloor = 1 << 20;

/** Entries that wait in memory until the operation ends; so many are written at once. */
const pendingMax = 256;

export class ObjectNumbers {
  /** Random for each new table: handles of another one are stale. */
  generation: number;
  private readonly byId = new Map<ObjectId, KnownObject>();
  private readonly byIdentity = new Map<Identity, KnownObject>();
  private readonly journal: Journal<Entry>;
  private pending: Entry[] = [];
  private unsynced = 0;
  private next: ObjectId = firstId;
  private compactedSize: number;
  private rewriting = false;
  private readonly failed: (error: unknown) => void;

  private constructor(directory: string, failed: (error: unknown) => void) {
    this.failed = failed;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.generation = 0;
    let inOrder = true;
    this.journal = Journal.open<Entry>(join(directory, 'ids'), (entry) => {
      inOrder = 'closed' in entry && entry.closed;
      this.replay(entry);
    });
    if (!inOrder) this.next = Math.min(this.next + crashGap, lastId + 1);
    this.compactedSize = this.journal.size;
  }

  /** Opens the table of `directory` for the tree whose root is `root`. `replaced` is called if it was of another root: then a new one is begun. */
  static open(directory: string, root: Identity, options: { readonly replaced: () => void; readonly failed: (error: unknown) => void }): ObjectNumbers {
    const numbers = new ObjectNumbers(directory, options.failed);
    const known = numbers.byId.get(rootId);
    if (known?.identity !== root) {
      if (known !== undefined) options.replaced();
      numbers.begin(root);
    } else {
      numbers.journal.append({ closed: false, next: numbers.next });
    }
    return numbers;
  }

  private begin(root: Identity): void {
    this.byId.clear();
    this.byIdentity.clear();
    this.next = firstId;
    this.replay({ start: { generation: randomBytes(4).readUInt32BE(0), root } });
    this.journal.compact(this.snapshot());
    this.compactedSize = this.journal.size;
  }

  private replay(entry: Entry): void {
    if ('object' in entry) {
      const [id, identity, kind, parent, name] = entry.object;
      this.put({ id, identity, kind, places: [{ parent, name }], times: undefined });
      this.next = Math.max(this.next, id + 1);
    } else if ('places' in entry) {
      const [id, places] = entry.places;
      const object = this.byId.get(id);
      if (object !== undefined) object.places = places.map(([parent, name]) => ({ parent, name }));
    } else if ('times' in entry) {
      const [id, ...times] = entry.times;
      const object = this.byId.get(id);
      if (object !== undefined) object.times = timesFrom(times);
    } else if ('gone' in entry) {
      this.drop(entry.gone);
    } else if ('root' in entry) {
      this.put({ ...this.get(rootId), identity: entry.root });
    } else if ('start' in entry) {
      this.generation = entry.start.generation;
      this.put({ id: rootId, identity: entry.start.root, kind: 'directory', places: [], times: undefined });
    } else {
      this.next = Math.max(this.next, entry.next);
    }
  }

  private put(object: KnownObject): void {
    this.byId.set(object.id, object);
    this.byIdentity.set(object.identity, object);
  }

  private drop(id: ObjectId): void {
    const object = this.byId.get(id);
    if (object === undefined) return;
    this.byId.delete(id);
    if (this.byIdentity.get(object.identity) === object) this.byIdentity.delete(object.identity);
  }

  get count(): number {
    return this.byId.size;
  }

  get(id: ObjectId): KnownObject {
    const object = this.byId.get(id);
    if (object === undefined) throw new TreeError('STALE', `object ${id} is gone`);
    return object;
  }

  /** As `get`, for an id that may be gone. */
  known(id: ObjectId): KnownObject | undefined {
    return this.byId.get(id);
  }

  find(identity: Identity): KnownObject | undefined {
    return this.byIdentity.get(identity);
  }

  /** Gives an object that has none a number. */
  add(identity: Identity, kind: Kind, place: Place): KnownObject {
    if (this.next > lastId) throw new TreeError('NOSPC', 'this tree has used up its 2^32 object numbers');
    const object: KnownObject = { id: this.next, identity, kind, places: [place], times: undefined };
    this.next += 1;
    this.put(object);
    this.record({ object: [object.id, identity, kind, place.parent, place.name] });
    return object;
  }

  /** The object was seen at `place`; it is the only one unless it has further links. */
  seen(object: KnownObject, place: Place, links: number): void {
    const [first] = object.places;
    if (first !== undefined && samePlace(first, place)) return;
    const several = links > 1 && object.kind !== 'directory';
    if (several && object.places.some((known) => samePlace(known, place))) return;
    this.setPlaces(object, several ? [place, ...object.places].slice(0, placesMax) : [place]);
  }

  /** The object is not at `place` any more. */
  left(object: KnownObject, place: Place): void {
    const places = object.places.filter((known) => !samePlace(known, place));
    if (places.length < object.places.length) this.setPlaces(object, places);
  }

  private setPlaces(object: KnownObject, places: readonly Place[]): void {
    object.places = places;
    this.record({ places: [object.id, places.map(({ parent, name }) => [parent, name])] });
  }

  setTimes(object: KnownObject, times: ExactTimes | undefined): void {
    if (times === undefined && object.times === undefined) return;
    object.times = times;
    this.record({ times: [object.id, ...timesTexts(times)] });
  }

  /** The object became another one by what we did to it: copied up by an overlay file system. */
  becomes(object: KnownObject, identity: Identity): KnownObject {
    const successor = { ...object, identity };
    this.drop(object.id);
    this.put(successor);
    if (object.id === rootId) {
      this.record({ root: identity });
      return successor;
    }
    const [place] = object.places;
    this.record({ object: [object.id, identity, object.kind, place?.parent ?? rootId, place?.name ?? ''] });
    if (object.places.length !== 1) this.setPlaces(successor, object.places);
    if (object.times !== undefined) this.record({ times: [object.id, ...timesTexts(object.times)] });
    return successor;
  }

  /** No name of the object is left. */
  gone(id: ObjectId): void {
    if (!this.byId.has(id)) return;
    this.drop(id);
    this.record({ gone: id });
  }

  private record(entry: Entry): void {
    if (this.pending.push(entry) >= pendingMax) this.flush();
  }

  /** Hands what was recorded to the kernel, so that it outlives this process. */
  flush(): void {
    if (this.pending.length === 0) return;
    try {
      this.journal.appendAll(this.pending);
    } catch (error) {
      throw diskError(error);
    }
    this.unsynced += this.pending.length;
    this.pending = [];
    if (this.unsynced >= syncEvery) {
      this.unsynced = 0;
      this.journal.stable().catch(this.failed);
    }
    if (this.journal.size > compactFloor && this.journal.size > compactFactor * this.compactedSize) this.compact();
  }

  stable(): Promise<void> {
    this.unsynced = 0;
    return this.journal.stable();
  }

  private compact(): void {
    if (this.rewriting) return;
    this.rewriting = true;
    this.journal
      .compactInTurns(this.snapshot())
      .catch((error: unknown) => {
        if (systemCode(error) === undefined) throw error;
        this.failed(error);
      })
      .finally(() => {
        this.rewriting = false;
        this.compactedSize = this.journal.size;
      })
      .catch(this.failed);
  }

  private *snapshot(): Iterable<Entry> {
    const root = this.get(rootId).identity;
    yield { start: { generation: this.generation, root } };
    for (const { id, identity, kind, places, times } of this.byId.values()) {
      if (id === rootId) continue;
      const [first, ...more] = places;
      yield { object: [id, identity, kind, first?.parent ?? rootId, first?.name ?? ''] };
      if (first === undefined || more.length > 0) yield { places: [id, places.map(({ parent, name }) => [parent, name])] };
      if (times !== undefined) yield { times: [id, ...timesTexts(times)] };
    }
    yield { closed: false, next: this.next };
  }

  async close(): Promise<void> {
    this.flush();
    this.journal.append({ closed: true, next: this.next });
    await this.journal.close();
  }
}

function samePlace(one: Place, other: Place): boolean {
  return one.parent === other.parent && one.name === other.name;
}

function timesTexts(times: ExactTimes | undefined): readonly (string | undefined)[] {
  return [times?.atime?.disk, times?.atime?.exact, times?.mtime?.disk, times?.mtime?.exact].map((time) => time?.toString());
}

function timesFrom(texts: readonly (string | undefined | null)[]): ExactTimes | undefined {
  const [atime, mtime] = [texts.slice(0, 2), texts.slice(2, 4)].map(([disk, exact]) =>
    typeof disk === 'string' && typeof exact === 'string' ? { disk: BigInt(disk), exact: BigInt(exact) } : undefined,
  );
  return atime === undefined && mtime === undefined ? undefined : { atime, mtime };
}
