// READDIR and READDIRPLUS. RFC 1813 3.3.16, 3.3.17.
import type { DirectoryEntry, Name } from '../../tree/tree.ts';
import { permits } from '../access.ts';
import { attributesOf, demand, directory, handleOf, looking, type OpenObject, type Request } from '../request.ts';
import type { ReaddirArguments, ReaddirplusArguments } from './arguments.ts';
import type { ListedEntry, ListResult } from './results.ts';

/** The longest listing given at once, bytes, whatever is asked for: some 1500 entries with attributes, a few milliseconds of everybody's time. */
const listMax = 256 * 1024;

/** What a listing takes on the wire, bytes. */
export interface ListLayout {
  /** Everything beside the entries. */
  readonly frameBytes: number;
  readonly entryBytes: (name: Name) => number;
  /** What READDIRPLUS adds to an entry. */
  readonly objectBytes: number;
}

interface Bounds {
  /** Of the whole result, bytes. */
  readonly total: number;
  /** Of names, ids and cookies; the first entry is given in any case. */
  readonly names: number;
}

export function readdir(layout: ListLayout) {
  return (request: Request, { directory: handle, cookie, count }: ReaddirArguments): ListResult =>
    looking(request, handle, (object) => list(request, object, cookie, { total: count, names: listMax }, layout, false));
}

export function readdirplus(layout: ListLayout) {
  return (request: Request, { directory: handle, cookie, directoryCount, count }: ReaddirplusArguments): ListResult =>
    looking(request, handle, (object) => list(request, object, cookie, { total: count, names: directoryCount }, layout, true));
}

function list(request: Request, object: OpenObject, cookie: number, bounds: Bounds, layout: ListLayout, plus: boolean) {
  const parent = directory(object);
  demand(permits(parent.attributes, parent.user, 'read'));
  demand(Number.isSafeInteger(cookie), 'BAD_COOKIE');
  // Who may not search a directory learns its names and nothing else.
  const withObjects = plus && permits(parent.attributes, parent.user, 'execute');
  const limit = Math.min(bounds.total, listMax, request.room.transfer);
  const entries: ListedEntry[] = [];
  let total = layout.frameBytes;
  let names = 0;
  for (const entry of allEntries(parent, cookie)) {
    const size = layout.entryBytes(entry.name);
    total += plus ? size + layout.objectBytes : size;
    names += size;
    if (total > limit || (names > bounds.names && entries.length > 0)) {
      demand(entries.length > 0, 'TOOSMALL');
      return { entries, endOfDirectory: false };
    }
    const { name, id, cookie: resume } = entry;
    const isItself = parent.crossing === undefined || name === '.' || name === '..' || parent.crossing(parent.id, name) === undefined;
    const more = withObjects && isItself ? { attributes: attributesOf(parent, id), handle: handleOf(request, parent, id) } : undefined;
    entries.push({ name, id, cookie: resume, object: more });
  }
  return { entries, endOfDirectory: true };
}

/** The directory's entries after `cookie`, with the two that every directory has. */
function* allEntries({ tree, id }: OpenObject, cookie: number): Iterable<DirectoryEntry> {
  if (cookie < 1) yield { name: '.', id, cookie: 1 };
  if (cookie < 2) yield { name: '..', id: tree.parent(id), cookie: 2 };
  yield* tree.entries(id, Math.max(cookie, 2));
}
