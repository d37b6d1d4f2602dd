// A tree that all nodes share, as `farm explain` looks at it: a directory of the server, its tagged names resolved for one client.
import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { TagIndex } from '../overlay/tag-index.ts';
import type { TagClient } from '../overlay/tags.ts';
import type { Kind, Name } from '../tree/tree.ts';
import { bestFirst, type Found, join, type Place, rankText, shown, whyMissing } from './explain-layers.ts';

/** `directory` is the shared tree's, one character a byte. Without `client` names with tags are ordinary ones. Throws what the system says of it. */
export function sharedPlace(directory: string, client: TagClient | undefined): Place {
  return placeOf(directory, '', client);
}

function placeOf(directory: string, stored: string, client: TagClient | undefined): Place {
  const path = Buffer.from(join(directory, stored), 'latin1');
  const stat = lstatSync(path);
  const kind = kindOf(stat);
  const { uid, gid, size, mode } = stat;
  return {
    object: { layer: 'shared', stored: shown(stored), kind, mode: mode & 0o7777, uid, gid, size, ...(kind === 'file' ? { at: path.toString() } : {}) },
    target: kind === 'symlink' ? readlinkSync(path, 'latin1') : undefined,
    find: (name) => findIn(directory, stored, name, client),
  };
}

function findIn(directory: string, stored: string, name: Name, client: TagClient | undefined): Found {
  if (client === undefined) return plainName(directory, stored, name);
  const index = new TagIndex<true>();
  for (const each of readdirSync(Buffer.from(join(directory, stored), 'latin1'), 'latin1')) index.add(each, true);
  const taken = index.stored(name, client);
  const candidates = bestFirst(index.candidates(name), client);
  const versions = candidates.map((candidate) => {
    const common = { layer: 'shared' as const, stored: shown(join(stored, candidate)) };
    const rank = rankText(candidate, client);
    if (rank === undefined) return { ...common, verdict: 'other' as const, says: 'not for this node' };
    return candidate === taken
      ? { ...common, verdict: 'taken' as const, says: rank }
      : { ...common, verdict: 'lost' as const, says: `${rank}; another goes first` };
  });
  if (taken === undefined) return { versions, place: undefined, missing: whyMissing(name, candidates) };
  return { versions, place: placeOf(directory, join(stored, taken), client) };
}

function plainName(directory: string, stored: string, name: Name): Found {
  const path = join(stored, name);
  const isThere = readdirSync(Buffer.from(join(directory, stored), 'latin1'), 'latin1').includes(name);
  if (!isThere) return { versions: [], place: undefined, missing: whyMissing(name, []) };
  return { versions: [{ layer: 'shared', stored: shown(path), verdict: 'taken', says: 'the only one' }], place: placeOf(directory, path, undefined) };
}

function kindOf(stat: Stats): Kind {
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isBlockDevice()) return 'block';
  if (stat.isCharacterDevice()) return 'character';
  if (stat.isFIFO()) return 'fifo';
  return stat.isSocket() ? 'socket' : 'file';
}
