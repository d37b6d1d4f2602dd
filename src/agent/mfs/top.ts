// /mfs itself: a directory of numbers, and the names that mean a node by who asks. Facts sheet 6; proc_pid_fd(5).
import type { LiveDirectory } from '../../tree/memory.ts';

/** What /mfs has to know of a node of the map. */
export interface MfsMember {
  readonly id: number;
  readonly isUp: boolean;
  readonly nomfs: boolean;
}

/**
 * The descriptor on which a process holds the directory of the node that it has selected: kept over fork(2) and execve(2), as openMosix' /proc/self/selected was.
 * Below the 1024 that a process may have by default, and above what programs get to by themselves: an accident must not select a node.
 */
const selectedDescriptor = 511;

/** Shown by `ls -l`; there is no such name, so whoever opens it hears ENOENT, and whoever creates it EPERM. */
const lastexecReason = 'unknown: Linux tells no file system which process asks, docs mfs.md';

/** `members`: this node included. */
export function mfsTop(self: number, members: () => readonly MfsMember[]): LiveDirectory {
  const links: Readonly<Record<string, string>> = {
    // Where the process is: every node has a /mfs of its own, and a job that moves gets that of the node it comes to.
    here: String(self),
    // Whose root the process has: that of a job is its home's, wherever it runs; for all others it is this node's.
    home: '/',
    // What is created goes to the node where the process is.
    magic: String(self),
    // Followed by the kernel, as the process that asks.
    selected: `/proc/self/fd/${selectedDescriptor}`,
    lastexec: lastexecReason,
  };
  return {
    kind: 'directory',
    // Listed is who would answer, so that `ls -l /mfs` does not wait for the others.
    names: () => [...Object.keys(links), ...members().flatMap(({ id, isUp, nomfs }) => (id === self || (isUp && !nomfs) ? [String(id)] : []))],
    child(name) {
      const target = Object.hasOwn(links, name) ? links[name] : undefined;
      if (target !== undefined) return { kind: 'symlink', target };
      return members().some(({ id }) => String(id) === name) ? { kind: 'directory', names: () => [], child: () => undefined } : undefined;
    },
  };
}
