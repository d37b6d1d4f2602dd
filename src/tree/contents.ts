// The bytes of files that a node has written: one file each in a directory, named by number.
import { constants, copyFileSync, fsync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sentence, systemCode } from '../base/errors.ts';
import { syncDirectory } from '../base/journal.ts';
import type { Content } from './base.ts';
import { OpenFiles } from './files.ts';
import { type Timestamp, TreeError } from './tree.ts';

export class Contents {
  private readonly directory: string;
  private readonly files = new OpenFiles();
  /** A file was added, and the directory not yet synced. */
  private unsynced = false;

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  private path(content: number): string {
    return join(this.directory, content.toString(16));
  }

  /** The descriptor of a content, created empty if it is not there yet. */
  open(content: number): number {
    const path = this.path(content);
    try {
      return this.files.get(path, path, 'r+');
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw ioError(error);
    }
    this.unsynced = true;
    try {
      return this.files.get(path, path, 'w+');
    } catch (error) {
      throw ioError(error);
    }
  }

  /** Fills a new content with the bytes of `source`: whole or, after a crash, not at all. */
  adopt(content: number, source: Content): void {
    const path = this.path(content);
    try {
      if (source.kind === 'file') copyFileSync(source.path, `${path}.new`, constants.COPYFILE_FICLONE);
      else writeFileSync(`${path}.new`, source.bytes);
      renameSync(`${path}.new`, path);
    } catch (error) {
      throw ioError(error);
    }
    this.unsynced = true;
  }

  remove(content: number): void {
    const path = this.path(content);
    this.files.forget(path);
    rmSync(path, { force: true });
  }

  /** Settles when the bytes of a content are on disk, and its name. */
  async sync(content: number): Promise<void> {
    const fd = this.open(content);
    await new Promise<void>((resolve, reject) => fsync(fd, (error) => (error ? reject(ioError(error)) : resolve())));
    if (!this.unsynced) return;
    this.unsynced = false;
    syncDirectory(this.directory);
  }

  /** Removes every file that is none of `wanted`; gives size and time of the others. */
  recover(wanted: ReadonlySet<number>): ReadonlyMap<number, { readonly size: number; readonly mtime: Timestamp }> {
    const found = new Map<number, { readonly size: number; readonly mtime: Timestamp }>();
    for (const file of readdirSync(this.directory)) {
      const path = join(this.directory, file);
      const content = /^[0-9a-f]{1,8}$/.test(file) ? Number.parseInt(file, 16) : undefined;
      if (content === undefined || !wanted.has(content)) {
        rmSync(path, { force: true });
        continue;
      }
      const { size, mtimeNs } = statSync(path, { bigint: true });
      found.set(content, { size: Number(size), mtime: timestamp(mtimeNs) });
    }
    return found;
  }

  close(): void {
    this.files.close();
  }
}

/** A system error as a tree tells it. */
export function ioError(error: unknown): TreeError {
  if (error instanceof TreeError) return error;
  const code = systemCode(error);
  return new TreeError(code === 'ENOSPC' ? 'NOSPC' : code === 'EDQUOT' ? 'DQUOT' : code === 'EFBIG' ? 'FBIG' : 'IO', sentence(error), error);
}

/** Nanoseconds since the epoch as seconds and a positive rest. */
function timestamp(time: bigint): Timestamp {
  const nanoseconds = ((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: Number((time - nanoseconds) / 1_000_000_000n), nanoseconds: Number(nanoseconds) };
}
