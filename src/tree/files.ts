// Open files kept ready: READ and WRITE carry no open and close, so the descriptors of recently used files stay open.
import { closeSync, openSync, readSync, writeSync } from 'node:fs';

/** Enough for the working set of a boot storm, far below the usual limit of 1024 or more descriptors. */
const openLimit = 400;

/** Descriptors by key, the least recently used closed first. */
export class OpenFiles {
  private readonly open = new Map<string, number>();
  /** Descriptors that a call in another thread uses: closed, and their numbers given to other files, only when that ends. */
  private readonly held = new Map<number, { holders: number; closing: boolean }>();
  private readonly limit: number;

  constructor(limit: number = openLimit) {
    this.limit = limit;
  }

  /** The descriptor for `key`, opened by `path` and `flags` if it is not at hand. Throws what open(2) throws. */
  get(key: string, path: Buffer | string, flags: string): number {
    const known = this.open.get(key);
    if (known !== undefined) {
      this.open.delete(key);
      this.open.set(key, known);
      return known;
    }
    const fd = openSync(path, flags, 0o600);
    this.open.set(key, fd);
    if (this.open.size > this.limit) {
      const [oldest] = this.open.keys();
      if (oldest !== undefined) this.forget(oldest);
    }
    return fd;
  }

  /** Closes the descriptor for `key`, if it is open. */
  forget(key: string): void {
    const fd = this.open.get(key);
    if (fd === undefined) return;
    this.open.delete(key);
    const held = this.held.get(fd);
    if (held === undefined) closeSync(fd);
    else held.closing = true;
  }

  /** Runs `use` with a descriptor from `get`, which stays open until the promise settles. */
  async holding(fd: number, use: (fd: number) => Promise<void>): Promise<void> {
    const held = this.held.get(fd) ?? { holders: 0, closing: false };
    this.held.set(fd, held);
    held.holders += 1;
    try {
      await use(fd);
    } finally {
      held.holders -= 1;
      if (held.holders === 0) {
        this.held.delete(fd);
        if (held.closing) closeSync(fd);
      }
    }
  }

  close(): void {
    for (const key of [...this.open.keys()]) this.forget(key);
  }
}

/** Reads until `target` is full or the file ends; returns how many bytes. */
export function readFully(fd: number, target: Buffer, offset: number): number {
  let done = 0;
  while (done < target.length) {
    const count = readSync(fd, target, done, target.length - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

export function writeFully(fd: number, bytes: Buffer, offset: number | null): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, offset === null ? null : offset + done);
  }
}
