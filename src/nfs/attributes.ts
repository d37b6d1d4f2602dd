// Attributes as the protocol has them, whatever its version: with the file system they belong to, and around a change.
import type { Attributes, Timestamp } from '../tree/tree.ts';

/** What space a file is said to take is its size rounded up to this, unless the tree knows of holes: less than the size means a sparse file. */
export const blockBytes = 4096;

/** What of a mode is permissions; the rest is the object's kind. */
export const permissionBits = 0o7777;

const secondsMax = 0xffff_ffff;

export interface Fsid {
  readonly owner: number;
  readonly generation: number;
  /** Views that clients shall see as one file system have this number in common; what tells their objects apart is the owner, in the fileid. */
  readonly joined?: number | undefined;
}

export interface FileAttributes {
  /** Whose view, and of which tree. The same for every object of a view, or the client would see mounts inside it. */
  readonly fsid: Fsid;
  readonly attributes: Attributes;
}

/** What an object was like before a change: enough for the client to see that it knew its latest state (wcc_attr of RFC 1813 2.6). */
export type Before = Pick<Attributes, 'size' | 'mtime' | 'ctime'>;

export interface Wcc {
  readonly before: Before | undefined;
  readonly after: FileAttributes | undefined;
}

export function allocatedBytes({ size, allocated }: Attributes): number {
  return allocated ?? Math.ceil(size / blockBytes) * blockBytes;
}

/** Times count from 1970 to 2106 in both versions; what lies outside becomes its nearest end. */
export function wireSeconds(time: Timestamp): number {
  return Math.min(Math.max(time.seconds, 0), secondsMax);
}
