// The layers of a node's root as `farm explain` looks at them: every version of a name, where it comes from, and why it is taken or not.
import { fitOf, isHiddenName, order, parseTaggedName, plainOf, type TagClient } from '../overlay/tags.ts';
import { type Base, type BaseObject, basePath, firstOverlayId, firstPrivateId } from '../tree/base.ts';
import type { PrivateObject } from '../tree/rebase.ts';
import type { PrivateEntry, PrivateState } from '../tree/state.ts';
import type { DirectoryEntry, Kind, Name, ObjectId } from '../tree/tree.ts';

export type Layer = 'private' | 'overlay' | 'image' | 'shared';

/** One candidate for a name. */
export interface WhyVersion {
  readonly layer: Layer;
  /** Its path from the layer's root as it is stored there, tags included. */
  readonly stored: string;
  /** The template or file that an overlay's was made of. */
  readonly from?: string;
  /** `lost`: it is for this node, and another goes before it. `other`: it is not for this node. */
  readonly verdict: 'taken' | 'lost' | 'other';
  readonly says: string;
}

/** An object, as far as an answer tells it. */
export interface WhyObject {
  readonly layer: Layer;
  readonly stored: string;
  readonly from?: string;
  readonly kind: Kind;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** The server's file that has the bytes; absent if they are rendered or there are none. */
  readonly at?: string;
}

/** One object on the way, and what is below it. */
export interface Place {
  readonly object: WhyObject;
  /** Of a symlink. */
  readonly target: string | undefined;
  /** What a directory has under a name. */
  readonly find: (name: Name) => Found;
}

export interface Found {
  readonly versions: readonly WhyVersion[];
  readonly place: Place | undefined;
  /** Why there is none. */
  readonly missing?: string;
}

export interface Layers {
  readonly base: Base;
  /** The same image without overlays: what they hide. */
  readonly image: Base;
  readonly written: PrivateState;
  readonly client: TagClient;
  /** Where the node's contents are. */
  readonly contents: string;
}

/** A name or path as people read it: trees have one character a byte. */
export function shown(name: Name): string {
  return Buffer.from(name, 'latin1').toString();
}

export function rootPlace(layers: Layers): Place {
  return placeOf(layers, layers.base.root, '', '');
}

function placeOf(layers: Layers, id: ObjectId, stored: string, seen: string): Place {
  const { written, base } = layers;
  const own = written.objects.get(id);
  const below = id < firstPrivateId ? base.object(id) : undefined;
  const known = own ?? below;
  if (known === undefined) throw new Error(`object ${id} at ${seen} is in no layer`);
  const { kind, mode, uid, gid, size, target } = known;
  const layer = below === undefined || typeof own?.content === 'number' ? 'private' : layerOf(id);
  const from = below?.origin;
  const at = contentPath(layers, own, below);
  const object = { layer, stored: shown(below === undefined ? seen : stored), kind, mode, uid, gid, size };
  return {
    object: { ...object, ...(from === undefined ? {} : { from }), ...(at === undefined ? {} : { at }) },
    target,
    find: (name) => findIn(layers, id, stored, seen, name),
  };
}

function layerOf(id: ObjectId): Layer {
  return id >= firstPrivateId ? 'private' : id >= firstOverlayId ? 'overlay' : 'image';
}

function contentPath({ contents }: Layers, own: PrivateObject | undefined, below: BaseObject | undefined): string | undefined {
  if (typeof own?.content === 'number') return `${contents}/${own.content.toString(16)}`;
  return below?.content?.kind === 'file' ? below.content.path.toString() : undefined;
}

/** As `LayeredView.find`: the private tree, then the versions below it. */
function findIn(layers: Layers, id: ObjectId, stored: string, seen: string, asked: Name): Found {
  const { written, base, client } = layers;
  const directory = id < firstPrivateId ? base.object(id)?.directory : undefined;
  const below = (wanted: Name): DirectoryEntry | undefined => {
    const entry = directory?.resolve(wanted, client);
    return entry === undefined || written.dropped.has(entry.id) ? undefined : entry;
  };
  const plain = plainOf(asked);
  const name = plain !== undefined && below(plain) === below(asked) ? plain : asked;
  const own = written.names.get(id)?.get(name);
  const entry = own === undefined ? below(name) : undefined;
  const candidates = bestFirst([...new Set([plainOf(name) ?? name, name].flatMap((each) => directory?.tags.candidates(each) ?? []))], client);
  const isOnly = own === undefined && candidates.length === 1;
  const versions = [
    ...ownVersion(own, join(seen, name)),
    ...candidates.map((candidate) =>
      version(layers, directory?.raw.get(candidate), join(stored, candidate), { isTaken: entry?.name === candidate, isOwn: own !== undefined, isOnly }),
    ),
    ...candidates.flatMap((candidate) => hiddenByOverlay(layers, id, stored, candidate)),
  ];
  if (own !== undefined && own !== 'whiteout') return { versions, place: placeOf(layers, own.id, storedPath(layers, own.id), join(seen, name)) };
  if (entry !== undefined) return { versions, place: placeOf(layers, entry.id, join(stored, entry.name), join(seen, name)) };
  const isRemoved = own === 'whiteout' || candidates.some((candidate) => written.dropped.has(directory?.raw.get(candidate)?.id ?? 0));
  return { versions, place: undefined, missing: isRemoved ? 'the node removed it' : whyMissing(asked, candidates) };
}

/** The path of a base object that the node has given another name; empty for one of its own. */
function storedPath({ base }: Layers, id: ObjectId): string {
  const object = id < firstPrivateId ? base.object(id) : undefined;
  return object === undefined ? '' : basePath(base, object);
}

function ownVersion(own: PrivateEntry | undefined, path: string): readonly WhyVersion[] {
  if (own === undefined) return [];
  const verdict = own === 'whiteout' ? 'other' : 'taken';
  return [{ layer: 'private', stored: shown(path), verdict, says: own === 'whiteout' ? 'the node removed this name' : 'the node made this name itself' }];
}

function version(
  { base, written, client }: Layers,
  entry: DirectoryEntry | undefined,
  stored: string,
  { isTaken, isOwn, isOnly }: { readonly isTaken: boolean; readonly isOwn: boolean; readonly isOnly: boolean },
): WhyVersion {
  const id = entry?.id ?? 0;
  const from = base.object(id)?.origin;
  const common = { layer: layerOf(id), stored: shown(stored), ...(from === undefined ? {} : { from }) };
  const rank = rankText(entry?.name ?? '', client);
  if (rank === undefined) return { ...common, verdict: 'other', says: 'not for this node' };
  const isPlain = isOnly && !isHiddenName(entry?.name ?? '');
  if (isTaken) return { ...common, verdict: 'taken', says: `${isPlain ? 'the only one' : rank}${changed(written, id)}` };
  const reason = written.dropped.has(id) ? 'the node removed it' : isOwn ? 'what the node did to this name goes first' : 'another goes first';
  return { ...common, verdict: 'lost', says: `${rank}; ${reason}` };
}

/** In the order in which they are tried; those for others come last. */
export function bestFirst(candidates: readonly Name[], client: TagClient): readonly Name[] {
  const ranked = candidates.map((name) => {
    const tag = parseTaggedName(name)?.tag;
    return { name, fits: tag === undefined ? { row: order.length, within: 0 } : (fitOf(tag, client) ?? { row: order.length + 1, within: 0 }) };
  });
  ranked.sort((a, b) => a.fits.row - b.fits.row || a.fits.within - b.fits.within || (a.name < b.name ? -1 : 1));
  return ranked.map(({ name }) => name);
}

/** Which row of the order a stored name is for a client; undefined if it is for others. */
export function rankText(name: Name, client: TagClient): string | undefined {
  const tag = parseTaggedName(name)?.tag;
  if (tag === undefined) return `rank ${order.length + 1}, the plain name`;
  const fits = fitOf(tag, client);
  const row = fits === undefined ? undefined : order[fits.row];
  return fits === undefined || row === undefined ? undefined : `rank ${fits.row + 1}, ${row.tag}: ${row.fits}`;
}

function changed({ objects }: PrivateState, id: ObjectId): string {
  const own = objects.get(id);
  if (own === undefined) return '';
  return typeof own.content === 'number' ? '; the node has written to it and has a copy of its own' : '; the node has changed it';
}

/** The image's own file where an overlay has one of the same name. */
function hiddenByOverlay({ base, image }: Layers, id: ObjectId, stored: string, name: Name): readonly WhyVersion[] {
  const below = image.object(id)?.directory?.raw.get(name);
  const above = base.object(id)?.directory?.raw.get(name);
  if (below === undefined || above === undefined || below.id === above.id) return [];
  return [{ layer: 'image', stored: shown(join(stored, name)), verdict: 'lost', says: 'an overlay has a file of the same name' }];
}

/** Also of a shared tree. `candidates` are the stored names that could have been meant. */
export function whyMissing(asked: Name, candidates: readonly Name[]): string {
  if (isHiddenName(asked)) return 'a tagged name is never seen as it is stored: ask for the plain name';
  if (candidates.includes(asked)) return 'ALWAYS hides the plain file, and the node has no version of its own';
  return candidates.length === 0 ? 'no layer has that name' : 'all versions are for other nodes, and there is no plain file';
}

export function join(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`;
}
