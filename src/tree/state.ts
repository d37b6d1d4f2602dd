// What a node has changed, as its journal tells it step by step: objects, names, whiteouts, and how much they take. Pure.
import { firstPrivateId } from './base.ts';
import type { Change, PrivateObject } from './rebase.ts';
import type { Name, ObjectId } from './tree.ts';

/** A name in a private directory: an object, or a whiteout that hides the base's entry of that name. */
export type PrivateEntry = { readonly id: ObjectId; readonly cookie: number } | 'whiteout';

/** What a private tree takes: `bytes` that its contents have on disk, `objects` that the node made or copied up. */
export interface Usage {
  readonly bytes: number;
  readonly objects: number;
}

/** What file systems give files, bytes. */
const blockBytes = 4096;

/** Rounded up to whole blocks. */
export function inBlocks(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}

/** What an object's own content has on disk, bytes. */
export function heldBytes({ content, allocated, size }: PrivateObject): number {
  return typeof content === 'number' ? (allocated ?? inBlocks(size)) : 0;
}

function counts({ id, content }: PrivateObject): number {
  return id >= firstPrivateId || typeof content === 'number' ? 1 : 0;
}

export class PrivateState {
  readonly objects = new Map<ObjectId, PrivateObject>();
  readonly names = new Map<ObjectId, Map<Name, PrivateEntry>>();
  /** Base objects of which no name is left. */
  readonly dropped = new Set<ObjectId>();
  /** Changed base objects: their stored paths, by which another version of the image is searched. */
  readonly paths = new Map<ObjectId, string>();
  /** Whose size and times the journal does not know. */
  readonly written = new Set<ObjectId>();
  start: { readonly version: string; readonly epoch: number } | undefined;
  /** Greater than every number given so far. */
  next: number = firstPrivateId;
  usage: Usage = { bytes: 0, objects: 0 };

  /** Takes one step. Returns the number of a content that nothing has any more. */
  apply(change: Change): number | undefined {
    if ('put' in change) return this.put(change.put, change.path);
    if ('drop' in change) return this.drop(change.drop, change.path);
    if ('name' in change) {
      const [directory, name, id, cookie] = change.name;
      this.setName(directory, name, { id, cookie });
      this.used(cookie);
    } else if ('whiteout' in change) {
      this.setName(change.whiteout[0], change.whiteout[1], 'whiteout');
    } else if ('unname' in change) {
      this.names.get(change.unname[0])?.delete(change.unname[1]);
    } else if ('written' in change) {
      this.written.add(change.written);
    } else {
      this.start = change.start;
      this.used(change.start.next - 1);
    }
    return undefined;
  }

  private put(object: PrivateObject, path: string | undefined): number | undefined {
    const { id, content } = object;
    const before = this.objects.get(id)?.content;
    this.set(object);
    this.dropped.delete(id);
    this.written.delete(id);
    if (path !== undefined) this.paths.set(id, path);
    this.used(id, typeof content === 'number' ? content : 0);
    return typeof before === 'number' && before !== content ? before : undefined;
  }

  private drop(id: ObjectId, path: string | undefined): number | undefined {
    const object = this.objects.get(id);
    if (object !== undefined) this.count(object, -1);
    this.objects.delete(id);
    this.names.delete(id);
    this.written.delete(id);
    if (id < firstPrivateId) this.dropped.add(id);
    if (path !== undefined) this.paths.set(id, path);
    return typeof object?.content === 'number' ? object.content : undefined;
  }

  /** An object as it is now, without its being a step. */
  set(object: PrivateObject): void {
    const before = this.objects.get(object.id);
    if (before !== undefined) this.count(before, -1);
    this.objects.set(object.id, object);
    this.count(object, 1);
  }

  private count(object: PrivateObject, sign: 1 | -1): void {
    const { bytes, objects } = this.usage;
    this.usage = { bytes: bytes + sign * heldBytes(object), objects: objects + sign * counts(object) };
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

  /** The fewest steps that lead here. */
  *snapshot(): Iterable<readonly Change[]> {
    if (this.start !== undefined) yield [{ start: { ...this.start, next: this.next } }];
    for (const put of this.objects.values()) {
      const step: Change = { put, ...this.pathOf(put.id) };
      yield this.written.has(put.id) ? [step, { written: put.id }] : [step];
    }
    for (const drop of this.dropped) yield [{ drop, ...this.pathOf(drop) }];
    for (const [directory, names] of this.names) {
      for (const [name, entry] of names) {
        yield entry === 'whiteout' ? [{ whiteout: [directory, name] }] : [{ name: [directory, name, entry.id, entry.cookie] }];
      }
    }
  }

  private pathOf(id: ObjectId): { readonly path?: string } {
    const path = this.paths.get(id);
    return path === undefined ? {} : { path };
  }
}

/** The state that `changes` lead to. */
export function stateAfter(changes: Iterable<Change>): PrivateState {
  const state = new PrivateState();
  for (const change of changes) state.apply(change);
  return state;
}
