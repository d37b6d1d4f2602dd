// Whose files a handle is of, in the 32 bits that it has for that (nfs/handles.ts): a node, one of its mounts, and on whose behalf. Also the high half of file ids.

export interface FilesOwner {
  /** openMosix id, 1 to 65535; 0 is /mfs itself, on each node its own. */
  readonly node: number;
  /** One of the node's mounts. */
  readonly mount: number;
  /** As the root of a job that is away from home, which `nomfs` does not refuse. */
  readonly away: boolean;
}

/** The topmost mount, which is there on every node. */
export const topMount = 0;
export const mountsMax = 0x8000;

const awayBit = 0x8000_0000;

export function ownerNumber({ node, mount, away }: FilesOwner): number {
  return ((away ? awayBit : 0) | (mount << 16) | node) >>> 0;
}

export function ownerOf(number: number): FilesOwner {
  return { node: number & 0xffff, mount: (number >>> 16) & 0x7fff, away: number >= awayBit };
}

/** All of /mfs is one file system to its clients, so that a job that uses it has one mount to take along. "mfs" in ASCII. */
export const mfsJoined = 0x6d_6673;
