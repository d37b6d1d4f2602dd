// Descriptors of a disk tree, and paths that begin at one: /proc/self/fd/N/name. With them no path is ever walked twice (proc_pid_fd(5), open(2)).
import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import { type Name, type ObjectId, TreeError } from './tree.ts';

/** O_PATH, which Node has no name for: the object itself, also a symlink, without opening what is behind it. The same on all Linux architectures. */
const pathOnly = 0o10000000;

const { O_DIRECTORY, O_NOFOLLOW } = constants;

/** The path of a name in the directory that `fd` is open on, or of the very object that `fd` is open on. */
export function at(fd: number, name?: Name): Buffer | string {
  return name === undefined ? `/proc/self/fd/${fd}` : Buffer.from(`/proc/self/fd/${fd}/${name}`, 'latin1');
}

/** What is called `name` in a directory, whatever its kind; undefined if nothing is. */
export function look(directory: number, name: Name): BigIntStats | undefined {
  return lstatSync(at(directory, name), { bigint: true, throwIfNoEntry: false });
}

/** Takes hold of an object itself. Close it. */
export function hold(directory: number, name: Name): number {
  return openSync(at(directory, name), pathOnly | O_NOFOLLOW);
}

/** Takes hold of a directory, of none behind a symlink. Close it. */
export function holdDirectory(directory: number, name: Name): number {
  return openSync(at(directory, name), pathOnly | O_DIRECTORY | O_NOFOLLOW);
}

/** Runs `act` with hold of what is called `name`. */
export function holding<Result>(directory: number, name: Name, act: (fd: number, stat: BigIntStats) => Result): Result {
  const fd = hold(directory, name);
  try {
    return act(fd, fstatSync(fd, { bigint: true }));
  } finally {
    closeSync(fd);
  }
}

/** Opens what `fd` holds, once more, for reading or writing. */
export function reopen(fd: number, flags: number): number {
  return openSync(at(fd), flags | constants.O_NOCTTY | constants.O_NONBLOCK);
}

/**
 * Descriptors by object. One is closed when it was not used for one to two of `sweep`'s periods, or when there are too many; never in the middle of an
 * operation, because its number would mean something else then.
 */
export class Descriptors {
  private readonly limit: number;
  private recent = new Map<ObjectId, number>();
  private older = new Map<ObjectId, number>();
  /** No longer findable, still open until `settle`. */
  private leaving: number[] = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.recent.size + this.older.size;
  }

  get(id: ObjectId): number | undefined {
    const known = this.recent.get(id);
    if (known !== undefined) return known;
    const aged = this.older.get(id);
    if (aged === undefined) return undefined;
    this.older.delete(id);
    this.recent.set(id, aged);
    return aged;
  }

  add(id: ObjectId, fd: number): void {
    this.forget(id);
    this.recent.set(id, fd);
    if (this.recent.size * 2 >= this.limit) this.sweep();
  }

  forget(id: ObjectId): void {
    for (const map of [this.recent, this.older]) {
      const fd = map.get(id);
      if (fd !== undefined) this.leaving.push(fd);
      map.delete(id);
    }
  }

  /** Lets go of what was not used since the last sweep. */
  sweep(): void {
    this.leaving.push(...this.older.values());
    this.older = this.recent;
    this.recent = new Map();
  }

  /** Closes what has left. Only between operations. */
  settle(): void {
    if (this.leaving.length === 0) return;
    const fds = this.leaving;
    this.leaving = [];
    for (const fd of fds) closeSync(fd);
  }

  close(): void {
    this.sweep();
    this.sweep();
    this.settle();
  }
}

export function stale(message: string): TreeError {
  return new TreeError('STALE', message);
}
