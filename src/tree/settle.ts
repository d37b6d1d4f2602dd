// What follows for a private tree from a base that is not the one its changes were made over: link counts, and what was copied of changed objects. Pure.
import type { TagClient } from '../overlay/tags.ts';
import { type Base, type BaseObject, firstPrivateId } from './base.ts';
import type { Change, PrivateObject } from './rebase.ts';
import type { PrivateState } from './state.ts';
import type { ObjectId, Timestamp } from './tree.ts';

/** A base's object as a private tree first has it. */
export function copiedUp(object: BaseObject): PrivateObject {
  const { id, kind, mode, links, uid, gid, size, device, atime, mtime, ctime, parent, target } = object;
  return { id, kind, mode, links, uid, gid, size, device, atime, mtime, ctime, parent, target, content: kind === 'file' ? 'base' : undefined, below: ctime };
}

/** The steps after which `state` is right over `base`; none if it is already. */
export function settle(state: PrivateState, base: Base, client: TagClient): readonly Change[] {
  const { names, subdirectories } = countNames(state, base, client);
  return [...new Set([...state.objects.keys(), ...names.keys()])].flatMap((id) => {
    const known = state.objects.get(id);
    const below = id < firstPrivateId ? base.object(id) : undefined;
    const kind = known?.kind ?? below?.kind;
    if (kind === undefined) return [];
    const isDropped = state.dropped.has(id);
    if (kind === 'directory') return withLinks(known, below, (below?.links ?? 2) + (subdirectories.get(id) ?? 0), isDropped);
    const links = (below?.links ?? 0) + (names.get(id) ?? 0);
    if (links > 0) return withLinks(known, below, links, isDropped);
    return known === undefined && isDropped ? [] : [{ drop: id }];
  });
}

function withLinks(known: PrivateObject | undefined, below: BaseObject | undefined, links: number, isDropped: boolean): readonly Change[] {
  if (known !== undefined) {
    const object = refreshed(known, below);
    return object === known && links === known.links ? [] : [{ put: { ...object, links } }];
  }
  // One that is as the base has it needs no copy.
  return below === undefined || (links === below.links && !isDropped) ? [] : [{ put: { ...copiedUp(below), links } }];
}

/** By how many names each object that is no directory has more or fewer than the base knows, and each directory's subdirectories likewise. */
function countNames(state: PrivateState, base: Base, client: TagClient) {
  const names = new Map<ObjectId, number>();
  const subdirectories = new Map<ObjectId, number>();
  const count = (directory: ObjectId, id: ObjectId, more: 1 | -1): void => {
    const kind = state.objects.get(id)?.kind ?? base.object(id)?.kind;
    const [counted, key] = kind === 'directory' ? [subdirectories, directory] : [names, id];
    counted.set(key, (counted.get(key) ?? 0) + more);
  };
  for (const [directory, entries] of state.names) {
    const below = directory < firstPrivateId ? base.object(directory)?.directory : undefined;
    for (const [name, entry] of entries) {
      const hidden = below?.resolve(name, client)?.id;
      if (hidden !== undefined) count(directory, hidden, -1);
      if (entry !== 'whiteout') count(directory, entry.id, 1);
    }
  }
  // With a directory went the whiteouts in it.
  for (const directory of state.dropped) for (const { id } of base.object(directory)?.directory?.raw.values() ?? []) count(directory, id, -1);
  return { names, subdirectories };
}

/** An object whose original has changed takes over what the node did not make itself; directories show by their times that names have changed. */
function refreshed(object: PrivateObject, below: BaseObject | undefined): PrivateObject {
  if (below === undefined || (object.below !== undefined && same(object.below, below.ctime))) return object;
  const common = { ...object, below: below.ctime, ctime: later(object.ctime) };
  switch (object.kind) {
    case 'directory':
      return { ...common, mtime: later(object.mtime) };
    case 'file':
      return object.content === 'base' ? { ...common, size: below.size, mtime: below.mtime } : { ...object, below: below.ctime };
    default:
      return { ...common, size: below.size, mtime: below.mtime, target: below.target, device: below.device };
  }
}

function same(one: Timestamp, other: Timestamp): boolean {
  return one.seconds === other.seconds && one.nanoseconds === other.nanoseconds;
}

/** The next time there is. */
export function later({ seconds, nanoseconds }: Timestamp): Timestamp {
  return nanoseconds === 999_999_999 ? { seconds: seconds + 1, nanoseconds: 0 } : { seconds, nanoseconds: nanoseconds + 1 };
}
