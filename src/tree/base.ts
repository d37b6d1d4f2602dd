// The unchanging lower part of a served root: objects held in memory, file contents on disk or rendered. Shared by all nodes.
import { TagIndex } from '../overlay/tag-index.ts';
import type { TagClient } from '../overlay/tags.ts';
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
  /** The template or file that it was made of; undefined for what is the image's. */
  readonly origin?: string | undefined;
}

/** One image with its rendered overlays. Object ids stay below `firstPrivateId`. */
export interface Base {
  /** Names the image and its version, e.g. `debian-13/4f2a90cc1b7e`. */
  readonly version: string;
  readonly root: ObjectId;
  object(id: ObjectId): BaseObject | undefined;
  readonly objectCount: number;
  readonly totalBytes: number;
  /** Whether any name has a version for a user or group: then what a client gets depends on who asks. */
  readonly byUser: boolean;
}

/** Images number their objects from here (1 and 2 are the cookies of `.` and `..`) ... */
export const firstImageId: ObjectId = 16;
/** ... rendered overlays from here ... */
export const firstOverlayId: ObjectId = 0x4000_0000;
/** ... and what nodes create is numbered from here, so that the three never meet. */
export const firstPrivateId: ObjectId = 0x8000_0000;

/** The names in one directory, with every tagged version of each. */
export class BaseDirectory {
  private readonly index = new TagIndex<DirectoryEntry>();

  constructor(entries: readonly DirectoryEntry[]) {
    for (const entry of [...entries].sort((a, b) => a.cookie - b.cookie)) this.index.add(entry.name, entry);
  }

  /** Raw names, tags included. Cookies ascend in iteration order. */
  get raw(): ReadonlyMap<Name, DirectoryEntry> {
    return this.index.raw;
  }

  /** What names mean here. */
  get tags(): Pick<TagIndex<DirectoryEntry>, 'byUser' | 'candidates'> {
    return this.index;
  }

  /** The entry that `client` sees under a plain name. `name$$$$` is always the plain file (tags(7)). */
  resolve(name: Name, client: TagClient): DirectoryEntry | undefined {
    return this.index.resolve(name, client);
  }

  /** Every plain name that `client` sees, in cookie order, from the first cookie after `cookie`. */
  *visible(client: TagClient, cookie: number): Iterable<DirectoryEntry> {
    for (const entry of this.raw.values()) {
      if (entry.cookie <= cookie) continue;
      // A name is listed where the version that the client gets stands, so that its cookie is that version's own.
      const plain = this.index.isShown(entry.name, client);
      if (plain !== undefined) yield plain === entry.name ? entry : { ...entry, name: plain };
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
