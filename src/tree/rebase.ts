// The journal entries of a private tree, and how they are carried over to another version of the image.
import { parseTaggedName } from '../overlay/tags.ts';
import { type Base, firstPrivateId, resolveBasePath } from './base.ts';
import type { Attributes, Name, ObjectId, Timestamp } from './tree.ts';

/** An object that a node made, or one of the base that it changed: then it keeps the base's id. */
export interface PrivateObject extends Attributes {
  /** The directory above; only kept for directories. */
  readonly parent: ObjectId;
  readonly target: string | undefined;
  /** `base`: the bytes are still the image's; a number: they are in the private content of that number; undefined: not a file. */
  readonly content: 'base' | number | undefined;
  /** Of an object of the base: the ctime that it had there when it was looked at last. Another one means that it has been changed below. */
  readonly below?: Timestamp | undefined;
}

/** One step of a change. The journal holds arrays of steps that are applied whole or not at all. */
export type Change =
  /** `path` is the stored path of an object that the base has too. */
  | { readonly put: PrivateObject; readonly path?: string }
  | { readonly name: readonly [directory: ObjectId, name: Name, id: ObjectId, cookie: number] }
  | { readonly whiteout: readonly [directory: ObjectId, name: Name] }
  | { readonly unname: readonly [directory: ObjectId, name: Name] }
  /** Bytes were or will be written that no step tells of: the content's inode knows size and times. A later `put` does again. */
  | { readonly written: ObjectId }
  /** No name of this object is left. */
  | { readonly drop: ObjectId; readonly path?: string }
  | { readonly start: { readonly version: string; readonly epoch: number; readonly next: number } };

/**
 * Looks up every changed base object by the path recorded with it. An object that the new base no longer has becomes the node's own
 * and keeps its place if the node wrote it (a file's bytes, names in a directory), and is forgotten otherwise: nothing is left of it to
 * change or to hide. Returns `changes` itself if all ids still hold.
 */
export function rebase(changes: readonly Change[], base: Base): readonly Change[] {
  const first = 1 + changes.reduce((most, change) => Math.max(most, largestNumber(change)), firstPrivateId);
  const { ids, orphans, unused } = renumbering(changes, base, first);
  if ([...ids].every(([before, after]) => before === after)) return changes;
  let next = unused;

  const kept = changes.flatMap((change) => renumber(change, (id) => (ids.has(id) ? ids.get(id) : id)));
  const named = new Set(kept.flatMap((change) => ('name' in change ? [change.name[2]] : [])));
  const time = base.object(base.root)?.mtime ?? { seconds: 0, nanoseconds: 0 };
  const made: Change[] = [];
  const directoryAt = (path: string): ObjectId => {
    const known = orphans.get(path) ?? resolveBasePath(base, path)?.id;
    if (known !== undefined) return known;
    const id = next++;
    orphans.set(path, id);
    const common = { mode: 0o755, links: 2, uid: 0, gid: 0, size: 4096, device: undefined, atime: time, mtime: time, ctime: time };
    const parent = directoryAt(above(path));
    made.push({ put: { ...common, id, kind: 'directory', parent, target: undefined, content: undefined } });
    made.push({ name: [parent, path.slice(path.lastIndexOf('/') + 1), id, next++] });
    return id;
  };
  for (const [path, id] of [...orphans]) {
    if (named.has(id)) continue;
    const stored = path.slice(path.lastIndexOf('/') + 1);
    made.push({ name: [directoryAt(above(path)), parseTaggedName(stored)?.plain ?? stored, id, next++] });
  }
  // An unmoved directory lies where the new base, or its old path, has it; a moved one was given a name and a parent of its own.
  const placed = kept.map((change): Change => {
    if (!('put' in change) || change.path === undefined || named.has(change.put.id)) return change;
    const parent = base.object(change.put.id)?.parent ?? directoryAt(above(change.path));
    return { put: { ...change.put, parent } };
  });
  return [...placed, ...made];
}

/** The path of the directory that a path lies in; empty for the root. */
function above(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

interface Renumbering {
  /** The id in the new base or a private one; undefined: forgotten. */
  readonly ids: ReadonlyMap<ObjectId, ObjectId | undefined>;
  /** What the node keeps although the base has lost it, by its old path. */
  readonly orphans: Map<string, ObjectId>;
  readonly unused: number;
}

function renumbering(changes: readonly Change[], base: Base, first: number): Renumbering {
  const ids = new Map<ObjectId, ObjectId | undefined>();
  const orphans = new Map<string, ObjectId>();
  let unused = first;
  for (const change of changes) {
    if (!('put' in change || 'drop' in change) || change.path === undefined) continue;
    const id = 'put' in change ? change.put.id : change.drop;
    const there = resolveBasePath(base, change.path);
    if (there !== undefined && ('drop' in change || there.kind === change.put.kind)) ids.set(id, there.id);
    else if ('put' in change && change.put.content !== 'base') {
      const own = ids.get(id) ?? unused++;
      ids.set(id, own);
      orphans.set(change.path, own);
    } else ids.set(id, undefined);
  }
  return { ids, orphans, unused };
}

function largestNumber(change: Change): number {
  if ('put' in change) return Math.max(change.put.id, typeof change.put.content === 'number' ? change.put.content : 0);
  if ('name' in change) return Math.max(change.name[2], change.name[3]);
  return 'start' in change ? change.start.next : 0;
}

/** The same change with other ids; nothing if an object it speaks of is gone. */
function renumber(change: Change, to: (id: ObjectId) => ObjectId | undefined): readonly Change[] {
  if ('put' in change) {
    const id = to(change.put.id);
    return id === undefined ? [] : [{ ...change, put: { ...change.put, id, parent: to(change.put.parent) ?? change.put.parent } }];
  }
  if ('name' in change) {
    const [directory, name, id, cookie] = change.name;
    const newDirectory = to(directory);
    const newId = to(id);
    return newDirectory === undefined || newId === undefined ? [] : [{ name: [newDirectory, name, newId, cookie] }];
  }
  if ('whiteout' in change) {
    const directory = to(change.whiteout[0]);
    return directory === undefined ? [] : [{ whiteout: [directory, change.whiteout[1]] }];
  }
  if ('unname' in change) {
    const directory = to(change.unname[0]);
    return directory === undefined ? [] : [{ unname: [directory, change.unname[1]] }];
  }
  if ('drop' in change) {
    const id = to(change.drop);
    return id === undefined ? [] : [{ drop: id }];
  }
  if ('written' in change) {
    const id = to(change.written);
    return id === undefined ? [] : [{ written: id }];
  }
  return [change];
}
