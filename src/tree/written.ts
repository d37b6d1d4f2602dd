// What a node has written, read from its journal while a server may be writing it: nothing is opened for writing.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { parse, readIfThere } from '../base/journal-lines.ts';
import type { Base } from './base.ts';
import type { PrivateEntry } from './private.ts';
import { type Change, type PrivateObject, rebase } from './rebase.ts';
import type { Name, ObjectId } from './tree.ts';

export interface Written {
  readonly objects: ReadonlyMap<ObjectId, PrivateObject>;
  readonly names: ReadonlyMap<ObjectId, ReadonlyMap<Name, PrivateEntry>>;
  /** Base objects of which no name is left. */
  readonly dropped: ReadonlySet<ObjectId>;
}

/** The private tree in `directory` over `base`; empty if there is none. Throws `journal.damaged`. */
export function readWritten(directory: string, base: Base): Written {
  const path = join(directory, 'journal');
  const changes = [...parse<readonly Change[]>(path, readIfThere(path))].flat();
  const objects = new Map<ObjectId, PrivateObject>();
  const names = new Map<ObjectId, Map<Name, PrivateEntry>>();
  const dropped = new Set<ObjectId>();
  const name = (holder: ObjectId, text: Name, entry: PrivateEntry): void => {
    names.set(holder, (names.get(holder) ?? new Map<Name, PrivateEntry>()).set(text, entry));
  };
  for (const change of rebase(changes, base)) {
    if ('put' in change) {
      objects.set(change.put.id, change.put);
      dropped.delete(change.put.id);
    } else if ('name' in change) name(change.name[0], change.name[1], { id: change.name[2], cookie: change.name[3] });
    else if ('whiteout' in change) name(change.whiteout[0], change.whiteout[1], 'whiteout');
    else if ('unname' in change) names.get(change.unname[0])?.delete(change.unname[1]);
    else if ('drop' in change) {
      objects.delete(change.drop);
      names.delete(change.drop);
      dropped.add(change.drop);
    }
  }
  for (const object of objects.values()) objects.set(object.id, { ...object, size: sizeNow(directory, object) });
  return { objects, names, dropped };
}

/** Writes are not journalled: how long a file is its content knows. */
function sizeNow(directory: string, { content, size }: PrivateObject): number {
  if (typeof content !== 'number') return size;
  try {
    return statSync(join(directory, 'content', content.toString(16))).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return size; // nothing was written to it yet, or it was removed meanwhile
    throw error;
  }
}
