// What one node has written: its state (state.ts) in memory and in a journal, file contents in one file each.
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { Journal, readJournal } from '../base/journal.ts';
import type { TagClient } from '../overlay/tags.ts';
import { type Base, basePath, type Content, firstPrivateId } from './base.ts';
import { Contents, type Found, ioError } from './contents.ts';
import { type Change, type PrivateObject, rebase } from './rebase.ts';
import { settle } from './settle.ts';
import { inBlocks, type PrivateEntry, type PrivateState, stateAfter, type Usage } from './state.ts';
import { type Name, type ObjectId, TreeError } from './tree.ts';

/** A journal is rewritten when it is this many times longer than after the last rewriting, and not small. */
const compactFactor = 4;
const compactFloor = 1 << 20;

export class PrivateStore {
  private below: Base;
  /** Random at creation: a wiped and refilled store is told from its predecessor by it. */
  readonly epoch: number;
  private readonly client: TagClient;
  private state: PrivateState;
  private readonly journal: Journal<readonly Change[]>;
  private readonly contents: Contents;
  private compactedSize: number;

  private constructor(directory: string, base: Base, client: TagClient) {
    this.below = base;
    this.client = client;
    this.contents = new Contents(join(directory, 'content'));
    const recorded: Change[] = [];
    this.journal = Journal.open<readonly Change[]>(join(directory, 'journal'), (changes) => recorded.push(...changes));
    this.state = stateAfter(recorded);
    const { start } = this.state;
    this.epoch = start?.epoch ?? randomBytes(4).readUInt32BE(0);
    this.state.start = { version: base.version, epoch: this.epoch };
    this.recoverContents();
    const isMoved = this.rebase();
    const settled = this.settle();
    if (start === undefined) this.journal.append([{ start: { ...this.state.start, next: this.state.next } }]);
    else if (isMoved || settled.length > 0 || start.version !== base.version) this.journal.compact(this.state.snapshot());
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

  /** Opens the store in `directory` over `base`, as `client` sees it; changes made over another version of the image are carried over by path. */
  static open(directory: string, base: Base, client: TagClient): PrivateStore {
    return new PrivateStore(directory, base, client);
  }

  /** What lies below. */
  get base(): Base {
    return this.below;
  }

  /** The same version with other overlays: what they changed below is seen at once. */
  replaceBase(base: Base): void {
    const before = this.below;
    this.below = base;
    const isSame = [...this.state.objects.keys(), ...this.state.dropped].every((id) => id >= firstPrivateId || before.object(id) === base.object(id));
    if (isSame) return;
    if (this.rebase()) this.compact();
    const changes = settle(this.state, base, this.client);
    if (changes.length > 0) this.commit(changes);
  }

  /** Carries all changes over to the base; whether any object has another number now. */
  private rebase(): boolean {
    const changes = [...this.state.snapshot()].flat();
    const moved = rebase(changes, this.below);
    if (moved === changes) return false;
    this.state = stateAfter(moved.map((change) => this.withPath(change)));
    this.state.start = { version: this.below.version, epoch: this.epoch };
    return true;
  }

  private settle(): readonly Change[] {
    const changes = settle(this.state, this.below, this.client);
    for (const change of changes) this.apply(this.withPath(change));
    return changes;
  }

  object(id: ObjectId): PrivateObject | undefined {
    return this.state.objects.get(id);
  }

  isDropped(id: ObjectId): boolean {
    return this.state.dropped.has(id);
  }

  /** Names in the order of their cookies, whiteouts among them; undefined if the node changed nothing in this directory. */
  entries(directory: ObjectId): ReadonlyMap<Name, PrivateEntry> | undefined {
    return this.state.names.get(directory);
  }

  get usage(): Usage {
    return this.state.usage;
  }

  /** A number never given before: for an object, an entry's cookie or a content. */
  number(): number {
    if (this.state.next > 0xffff_ffff) throw new TreeError('NOSPC', 'this private tree has used up its 2^31 numbers; wipe it');
    return this.state.next++;
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
    const object = id < firstPrivateId ? this.below.object(id) : undefined;
    return object === undefined ? change : { ...change, path: basePath(this.below, object) };
  }

  private apply(change: Change): void {
    const unused = this.state.apply(change);
    if (unused !== undefined) this.contents.remove(unused);
  }

  /** Notes before bytes are written that size and times are the inode's from now on: a crash must not bring the recorded ones back. */
  writing(id: ObjectId): void {
    if (!this.state.written.has(id)) this.commit([{ written: id }]);
  }

  /** A written file's new size and times: not journalled, see `writing`. */
  touch(object: PrivateObject): void {
    this.state.set(object);
  }

  read(content: number, target: Buffer, offset: number): number {
    return this.contents.read(content, target, offset);
  }

  /** As `Contents.write`. Returns what the content has on disk then, if holes make it less than `newSize`. */
  write(object: PrivateObject & { readonly content: number }, bytes: Buffer, offset: number): number | undefined {
    this.contents.write(object.content, bytes, offset, object.size);
    const isDense = object.allocated === undefined && offset <= inBlocks(object.size);
    return isDense ? undefined : this.allocated(object.content, Math.max(object.size, offset + bytes.length));
  }

  resize(content: number, size: number): number | undefined {
    this.contents.resize(content, size);
    return this.allocated(content, size);
  }

  private allocated(content: number, size: number): number | undefined {
    return sparse(this.contents.allocated(content), size);
  }

  /** What a copy of the first `size` bytes of `source` may take, bytes. */
  footprint(source: Content, size: number): number {
    return this.contents.footprint(source, size);
  }

  /** A new own content with the first `size` bytes of `source`. */
  adopt(source: Content, size: number): { readonly content: number; readonly allocated: number | undefined } {
    const content = this.number();
    this.contents.adopt(content, source, size);
    return { content, allocated: this.allocated(content, size) };
  }

  /** Settles when the journal, so every name and attribute, is on disk, and every content that it says has been copied or cut. */
  async stable(): Promise<void> {
    await this.contents.keepPromises();
    try {
      await this.journal.stable();
    } catch (error) {
      // What the kernel could not write it has forgotten, but the whole state is here: it goes to a new file.
      try {
        this.compact();
      } catch {
        throw ioError(error);
      }
    }
  }

  /** Settles when an object's bytes and everything that leads to them are on disk. */
  async sync(id: ObjectId): Promise<void> {
    const content = this.state.objects.get(id)?.content;
    if (typeof content === 'number') await this.contents.sync(content);
    await this.stable();
  }

  /** After a restart: sizes come from the inodes, and the times of files that were written since they were journalled. */
  private recoverContents(): void {
    const { objects, written } = this.state;
    const wanted = new Set([...objects.values()].flatMap(({ content }) => (typeof content === 'number' ? [content] : [])));
    this.contents.tidy(wanted);
    const found = this.contents.found();
    for (const object of [...objects.values()]) {
      if (typeof object.content === 'number') this.state.set(recovered(object, found.get(object.content), written.has(object.id)));
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
    this.journal.compact(this.state.snapshot());
    this.compactedSize = this.journal.size;
  }

  /** After it, sizes and times are in the journal to the nanosecond. */
  async close(): Promise<void> {
    const puts = [...this.state.written].flatMap((id) => this.state.objects.get(id) ?? []).map((put): Change => ({ put }));
    try {
      if (puts.length > 0) this.commit(puts);
      await this.contents.keepPromises();
    } finally {
      this.contents.close();
      await this.journal.close();
    }
  }

  /** Ends when the directory is gone: nothing can be kept any more. */
  async abandon(): Promise<void> {
    this.contents.close();
    await this.journal.close();
  }
}

/** The state in `directory` and when it last changed (milliseconds since the epoch), read without taking it over, also while a server writes it. */
export function readPrivate(directory: string): { readonly state: PrivateState; readonly changed: number } {
  const journal = join(directory, 'journal');
  const state = stateAfter([...readJournal<readonly Change[]>(journal)].flat());
  let changed = statSync(journal, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const found = new Contents(join(directory, 'content'), 'reader').found();
  for (const object of [...state.objects.values()]) {
    const content = typeof object.content === 'number' ? found.get(object.content) : undefined;
    if (content === undefined) continue;
    state.set(recovered(object, content, state.written.has(object.id)));
    changed = Math.max(changed, content.mtime.seconds * 1000 + content.mtime.nanoseconds / 1e6);
  }
  return { state, changed };
}

function sparse(allocated: number, size: number): number | undefined {
  return allocated < inBlocks(size) ? allocated : undefined;
}

function recovered(object: PrivateObject, found: Found | undefined, isWritten: boolean): PrivateObject {
  if (found === undefined) {
    // Power failed before the copy was on disk: the original is what there is.
    if (object.id < firstPrivateId && object.size > 0) return { ...object, content: 'base', allocated: undefined, below: undefined };
    return { ...object, size: 0, allocated: undefined };
  }
  const { size, mtime } = found;
  const allocated = sparse(found.allocated, size);
  if (!isWritten) return { ...object, size, allocated };
  const isLater = mtime.seconds > object.ctime.seconds || (mtime.seconds === object.ctime.seconds && mtime.nanoseconds > object.ctime.nanoseconds);
  return { ...object, size, allocated, mtime, ctime: isLater ? mtime : object.ctime };
}
