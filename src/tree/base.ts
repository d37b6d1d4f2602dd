// The unchanging lower part of a served root: objects held in memory, file contents on disk or rendered. Shared by all nodes.
import { parseTaggedName, plainRank, type Tag, type TagClient, tagRank } from '../overlay/tags.ts';
import type { Attributes, DirectoryEntry, Name, ObjectId } from './tree.ts';

/** Where a file's bytes are. */
export type Content = { readonly kind: 'bytes'; readonly bytes: Buffer } | { readonly kind: 'file'; readonly path: Buffer };

export interface BaseObject extends Attributes {
  /** The directory that holds its first name, and that name as it is stored: with its tag. The root is its own parent. */
  readonly parent: ObjectId;
  readonly name: Name;
  readonly target: string | undefined;
  readonly content: Content | undefined;
  readonly directory: BaseDirectory | undefined;
}

/** One image with its rendered overlays. Object ids stay below `firstPrivateId`. */
export interface Base {
  /** Names the image and its version, e.g. `debian-13/4f2a90cc1b7e`. */
  readonly version: string;
  readonly root: ObjectId;
  object(id: ObjectId): BaseObject | undefined;
  readonly objectCount: number;
  readonly totalBytes: number;
}

/** Images number their objects from here (1 and 2 are the cookies of `.` and `..`) ... */
export const firstImageId: ObjectId = 16;
/** ... rendered overlays from here ... */
export const firstOverlayId: ObjectId = 0x4000_0000;
/** ... and what nodes create is numbered from here, so that the three never meet. */
export const firstPrivateId: ObjectId = 0x8000_0000;

interface Variant {
  readonly tag: Tag;
  readonly entry: DirectoryEntry;
}

/** The names in one directory, with every tagged version of each. */
export class BaseDirectory {
  /** Raw names, tags included. Cookies ascend in iteration order. */
  readonly raw: ReadonlyMap<Name, DirectoryEntry>;
  /** Plain name -> its tagged versions; undefined in the common case that nothing here is tagged. */
  private readonly variants: ReadonlyMap<Name, readonly Variant[]> | undefined;

  constructor(entries: readonly DirectoryEntry[]) {
    this.raw = new Map([...entries].sort((a, b) => a.cookie - b.cookie).map((entry) => [entry.name, entry]));
    const variants = new Map<Name, Variant[]>();
    for (const entry of this.raw.values()) {
      const tagged = parseTaggedName(entry.name);
      if (tagged === undefined) continue;
      const list = variants.get(tagged.plain) ?? [];
      list.push({ tag: tagged.tag, entry });
      variants.set(tagged.plain, list);
    }
    this.variants = variants.size === 0 ? undefined : variants;
  }

  /** The entry that `client` sees under a plain name. `name$$$$` is always the plain file (tags(7)). */
  resolve(name: Name, client: TagClient): DirectoryEntry | undefined {
    if (name.endsWith('$$$$')) {
      const plain = name.slice(0, -4);
      return parseTaggedName(plain) === undefined ? (this.raw.get(plain) ?? this.raw.get(name)) : undefined; // not another client's version
    }
    if (this.variants === undefined) return this.raw.get(name);
    let best = this.raw.get(name);
    if (best !== undefined && parseTaggedName(name) !== undefined) best = undefined;
    let bestRank = plainRank;
    for (const variant of this.variants.get(name) ?? []) {
      const rank = tagRank(variant.tag, client);
      if (rank !== undefined && rank < bestRank) {
        best = variant.entry;
        bestRank = rank;
      }
    }
    return best;
  }

  /** Every plain name that `client` sees, in cookie order, from the first cookie after `cookie`. */
  *visible(client: TagClient, cookie: number): Iterable<DirectoryEntry> {
    if (this.variants === undefined) {
      for (const entry of this.raw.values()) if (entry.cookie > cookie) yield entry;
      return;
    }
    for (const entry of this.raw.values()) {
      if (entry.cookie <= cookie) continue;
      const plain = parseTaggedName(entry.name)?.plain ?? entry.name;
      // A name is listed where the version that the client gets stands, so that its cookie is that version's own.
      if (this.resolve(plain, client) === entry) yield plain === entry.name ? entry : { ...entry, name: plain };
    }
  }
}

/** The stored path of an object from the root, without a leading slash, tags included; empty for the root. */
export function basePath(base: Base, object: BaseObject): string {
  const parts: string[] = [];
  for (let at = object; at.id !== base.root; ) {
    parts.push(at.name);
    const parent = base.object(at.parent);
    if (parent === undefined) break;
    at = parent;
  }
  return parts.reverse().join('/');
}

/** The inverse of `basePath`; undefined if there is no such path in this base. */
export function resolveBasePath(base: Base, path: string): BaseObject | undefined {
  let at = base.object(base.root);
  for (const part of path.split('/')) {
    if (part === '') continue;
    const entry = at?.directory?.raw.get(part);
    if (entry === undefined) return undefined;
    at = base.object(entry.id);
  }
  return at;
}
