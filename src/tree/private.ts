// What one node has written: objects, names and whiteouts in memory and in a journal, file contents in one file each.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { Journal } from '../base/journal.ts';
import { type Base, basePath, type Content, firstPrivateId } from './base.ts';
import { Contents, ioError } from './contents.ts';
import { type Change, type PrivateObject, rebase } from './rebase.ts';
import { type Name, type ObjectId, TreeError } from './tree.ts';

/** A name in a private directory: an object, or a whiteout that hides the base's entry of that name. */
export type PrivateEntry = { readonly id: ObjectId; readonly cookie: number } | 'whiteout';

/** A journal is rewritten when it is this many times longer than after the last rewriting, and not small. */
const compactFactor = 4;
const compactFloor = 1 << 20;

export class PrivateStore {
  /** What lies below; replaced when the overlays are rendered anew. */
  base: Base;
  /** Random at creation: a wiped and refilled store is told from its predecessor by it. */
  readonly epoch: number;
  private readonly objects = new Map<ObjectId, PrivateObject>();
  private readonly names = new Map<ObjectId, Map<Name, PrivateEntry>>();
  /** Base objects of which no name is left. */
  private readonly dropped = new Set<ObjectId>();
  private readonly journal: Journal<readonly Change[]>;
  private readonly contents: Contents;
  private next: number = firstPrivateId;
  private compactedSize: number;

  private constructor(directory: string, base: Base) {
    this.base = base;
    this.contents = new Contents(join(directory, 'content'));
    const recorded: Change[] = [];
    this.journal = Journal.open<readonly Change[]>(join(directory, 'journal'), (changes) => recorded.push(...changes));
    const start = recorded.findLast((change) => 'start' in change)?.start;
    this.epoch = start?.epoch ?? randomBytes(4).readUInt32BE(0);
    const changes = rebase(recorded, base);
    for (const change of changes) this.apply(change);
    this.recoverContents();
    if (start === undefined) this.journal.append([this.startRecord()]);
    else if (changes !== recorded || start.version !== base.version) this.compact();
    this.compactedSize = this.journal.size;
  }

  /** The version of the base that the store in `directory` was last opened over; undefined for a new one. */
  static version(directory: string): string | undefined {
    let first: string | undefined;
    try {
      [first] = readFileSync(join(directory, 'journal'), 'utf8').split('\n', 1);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
    if (first === undefined || first === '') return undefined;
    const changes: readonly Change[] = JSON.parse(first);
    return changes.find((change) => 'start' in change)?.start.version;
  }

  /** Opens the store in `directory` over `base`; changes made over another version of the image are carried over by path. */
  static open(directory: string, base: Base): PrivateStore {
    return new PrivateStore(directory, base);
  }

  private startRecord(): Change {
    return { start: { version: this.base.version, epoch: this.epoch, next: this.next } };
  }

  object(id: ObjectId): PrivateObject | undefined {
    return this.objects.get(id);
  }

  isDropped(id: ObjectId): boolean {
    return this.dropped.has(id);
  }

  /** Names in the order of their cookies, whiteouts among them; undefined if the node changed nothing in this directory. */
  entries(directory: ObjectId): ReadonlyMap<Name, PrivateEntry> | undefined {
    return this.names.get(directory);
  }

  /** A number never given before: for an object, an entry's cookie or a content. */
  number(): number {
    if (this.next > 0xffff_ffff) throw new TreeError('NOSPC', 'this private tree has used up its 2^31 numbers; wipe it');
    return this.next++;
  }

  /** Journals `changes` as one and applies them. */
  commit(changes: readonly Change[]): void {
    const recorded = changes.map((change) => this.withPath(change));
    try {
      this.journal.append(recorded);
    } catch (error) {
      throw ioError(error);
    }
    for (const change of recorded) this.apply(change);
    if (this.journal.size > compactFloor && this.journal.size > compactFactor * this.compactedSize) this.compactIfPossible();
  }

  /** Base objects are recorded with their path, by which another version of the image is searched. */
  private withPath(change: Change): Change {
    const id = 'put' in change ? change.put.id : 'drop' in change ? change.drop : firstPrivateId;
    const object = id < firstPrivateId ? this.base.object(id) : undefined;
    return object === undefined ? change : { ...change, path: basePath(this.base, object) };
  }

  private apply(change: Change): void {
    if ('put' in change) {
      const { id, content } = change.put;
      const before = this.objects.get(id)?.content;
      if (typeof before === 'number' && before !== content) this.contents.remove(before);
      this.objects.set(id, change.put);
      this.used(id, typeof content === 'number' ? content : 0);
    } else if ('name' in change) {
      const [directory, name, id, cookie] = change.name;
      this.setName(directory, name, { id, cookie });
      this.used(cookie);
    } else if ('whiteout' in change) {
      this.setName(change.whiteout[0], change.whiteout[1], 'whiteout');
    } else if ('unname' in change) {
      this.names.get(change.unname[0])?.delete(change.unname[1]);
    } else if ('drop' in change) {
      this.drop(change.drop);
    } else {
      this.used(change.start.next - 1);
    }
  }

  private drop(id: ObjectId): void {
    const content = this.objects.get(id)?.content;
    this.objects.delete(id);
    this.names.delete(id);
    if (id < firstPrivateId) this.dropped.add(id);
    if (typeof content === 'number') this.contents.remove(content);
  }

  private used(...numbers: readonly number[]): void {
    this.next = Math.max(this.next, ...numbers.map((number) => number + 1));
  }

  private setName(directory: ObjectId, name: Name, entry: PrivateEntry): void {
    let names = this.names.get(directory);
    if (names === undefined) {
      names = new Map();
      this.names.set(directory, names);
    }
    names.delete(name); // a name given anew goes to the end, where its cookie belongs
    names.set(name, entry);
  }

  /** Notes a written file's new size and times. They are in the content's inode as well, so nothing is journalled. */
  touch(object: PrivateObject): void {
    this.objects.set(object.id, object);
  }

  /** The descriptor of an own content, created empty if it is not there yet. */
  open(content: number): number {
    return this.contents.open(content);
  }

  /** A new own content with the bytes of `source`. */
  adopt(source: Content): number {
    const content = this.number();
    this.contents.adopt(content, source);
    return content;
  }

  /** Settles when the journal, so every name and attribute, is on disk. */
  stable(): Promise<void> {
    return this.journal.stable();
  }

  /** Settles when an object's bytes and everything that leads to them are on disk. */
  async sync(id: ObjectId): Promise<void> {
    const content = this.objects.get(id)?.content;
    if (typeof content === 'number') await this.contents.sync(content);
    await this.journal.stable();
  }

  /** After a restart: sizes and times of own contents come from their inodes, because writes are not journalled. */
  private recoverContents(): void {
    const owners = new Map<number, PrivateObject>();
    for (const object of this.objects.values()) if (typeof object.content === 'number') owners.set(object.content, object);
    for (const [content, { size, mtime }] of this.contents.recover(new Set(owners.keys()))) {
      const owner = owners.get(content);
      if (owner === undefined) continue;
      // futimes(2) takes a float in Node, so a time that was set comes back a little short: then the recorded one is the true one.
      const same = Math.abs(mtime.seconds - owner.mtime.seconds + (mtime.nanoseconds - owner.mtime.nanoseconds) / 1e9) < 1e-6;
      this.objects.set(owner.id, { ...owner, size, mtime: same ? owner.mtime : mtime });
    }
  }

  /** The change is journalled already and must not fail for this: on a full disk the long journal stays, and the next change says NOSPC. */
  private compactIfPossible(): void {
    try {
      this.compact();
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      this.compactedSize = this.journal.size;
    }
  }

  private compact(): void {
    this.journal.compact(this.snapshot());
    this.compactedSize = this.journal.size;
  }

  private *snapshot(): Iterable<readonly Change[]> {
    yield [this.startRecord()];
    for (const put of this.objects.values()) yield [this.withPath({ put })];
    for (const drop of this.dropped) yield [this.withPath({ drop })];
    for (const [directory, names] of this.names) {
      for (const [name, entry] of names) {
        yield entry === 'whiteout' ? [{ whiteout: [directory, name] }] : [{ name: [directory, name, entry.id, entry.cookie] }];
      }
    }
  }

  async close(): Promise<void> {
    this.contents.close();
    await this.journal.close();
  }
}
