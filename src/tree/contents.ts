// The bytes of files that a node has written: one file each in a directory, named by number.
import { closeSync, constants, copyFileSync, fstatSync, fsync, ftruncateSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sentence, systemCode } from '../base/errors.ts';
import type { Content } from './base.ts';
import { OpenFiles, readFully, writeFully } from './files.ts';
import { type Timestamp, TreeError } from './tree.ts';

const toDisk = promisify(fsync);

/** What stat(2) counts blocks in. */
const sectorBytes = 512;

/** How much of a sparse file is looked at and copied at once, and the least hole that its copy has: a block of the usual file systems. */
const pieceBytes = 1 << 20;
const holeBytes = 4096;
const zeros = Buffer.alloc(holeBytes);

/** What a content's inode knows of it after a crash; `allocated` in bytes. */
export interface Found {
  readonly size: number;
  readonly allocated: number;
  readonly mtime: Timestamp;
}

export class Contents {
  private readonly directory: string;
  private readonly files = new OpenFiles();
  /** Written since they were last on disk. */
  private readonly unsynced = new Set<number>();
  /** Of those: what the journal says already is not true before they are on disk (copied up, cut). */
  private readonly promised = new Set<number>();
  /** Promised ones that are on their way. */
  private readonly keeping = new Set<number>();
  /** Files were added or renamed, and the directory not yet synced. */
  private namesUnsynced = false;
  private readonly syncing = new Map<number, { readonly running: Promise<void>; queued: Promise<void> | undefined }>();

  /** A `reader` makes nothing and only asks what is `found`. */
  constructor(directory: string, as: 'owner' | 'reader' = 'owner') {
    this.directory = directory;
    if (as === 'owner') mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  private path(content: number): string {
    return join(this.directory, content.toString(16));
  }

  private open(content: number): number {
    const path = this.path(content);
    try {
      return this.files.get(path, path, 'r+');
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw ioError(error);
    }
    this.namesUnsynced = true;
    try {
      return this.files.get(path, path, 'w+');
    } catch (error) {
      throw ioError(error);
    }
  }

  /** A content that was never written has no file yet, and no bytes. */
  read(content: number, target: Buffer, offset: number): number {
    const path = this.path(content);
    try {
      return readFully(this.files.get(path, path, 'r+'), target, offset);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return 0;
      throw ioError(error);
    }
  }

  /** All of `bytes`; if it throws, the content is no longer than the `size` it had. */
  write(content: number, bytes: Buffer, offset: number, size: number): void {
    const fd = this.open(content);
    this.unsynced.add(content);
    try {
      writeFully(fd, bytes, offset);
    } catch (error) {
      // What a full disk took of them must not show when the file grows again.
      if (offset + bytes.length > size) ftruncateSync(fd, size);
      throw ioError(error);
    }
  }

  resize(content: number, size: number): void {
    const fd = this.open(content);
    this.unsynced.add(content);
    this.promised.add(content);
    try {
      ftruncateSync(fd, size);
    } catch (error) {
      throw ioError(error);
    }
  }

  /** Bytes that a content has on disk, holes not counted. */
  allocated(content: number): number {
    return fstatSync(this.open(content)).blocks * sectorBytes;
  }

  /** What a copy of the first `size` bytes of `source` may take, bytes. */
  footprint(source: Content, size: number): number {
    if (source.kind === 'bytes') return size;
    try {
      return Math.min(statSync(source.path).blocks * sectorBytes, size);
    } catch (error) {
      throw ioError(error);
    }
  }

  /** Fills a new content with the first `size` bytes of `source`: whole or, after a crash of this program, not at all. Holes stay holes. */
  adopt(content: number, source: Content, size: number): void {
    const path = this.path(content);
    const beside = `${path}.new`;
    try {
      copyTo(beside, source, size);
      renameSync(beside, path);
    } catch (error) {
      rmSync(beside, { force: true });
      throw ioError(error);
    }
    this.unsynced.add(content);
    this.promised.add(content);
    this.namesUnsynced = true;
  }

  remove(content: number): void {
    const path = this.path(content);
    this.files.forget(path);
    this.unsynced.delete(content);
    this.promised.delete(content);
    rmSync(path, { force: true });
  }

  /**
   * Settles when all bytes written to a content so far are on disk, and its name. Rejects with IO also if the failure was another call's: the kernel tells
   * each failure once, and what it failed to write is lost (fsync(2)).
   */
  sync(content: number): Promise<void> {
    const known = this.syncing.get(content);
    if (known !== undefined) {
      // It may have begun before the last write. If it fails, our bytes may be among those lost.
      known.queued ??= known.running.then(() => this.sync(content));
      return known.queued;
    }
    if (!this.unsynced.has(content)) return Promise.resolve();
    const running = this.syncNow(content).finally(() => this.syncing.delete(content));
    this.syncing.set(content, { running, queued: undefined });
    return running;
  }

  private async syncNow(content: number): Promise<void> {
    const fd = this.open(content);
    const isPromised = this.promised.delete(content);
    if (isPromised) this.keeping.add(content);
    this.unsynced.delete(content);
    try {
      await this.files.holding(fd, toDisk);
      if (this.namesUnsynced) await this.syncNames();
    } catch (error) {
      this.unsynced.add(content);
      if (isPromised) this.promised.add(content);
      throw ioError(error);
    } finally {
      this.keeping.delete(content);
    }
  }

  private async syncNames(): Promise<void> {
    this.namesUnsynced = false;
    let directory: Awaited<ReturnType<typeof open>> | undefined;
    try {
      directory = await open(this.directory, 'r');
      await directory.sync();
    } catch (error) {
      this.namesUnsynced = true;
      throw error;
    } finally {
      await directory?.close();
    }
  }

  /** Settles when every content that the journal relies on is on disk. */
  async keepPromises(): Promise<void> {
    if (this.promised.size + this.keeping.size === 0) return;
    await Promise.all([...new Set([...this.promised, ...this.keeping])].map((content) => this.sync(content)));
  }

  /** Removes every file that is none of `wanted`. */
  tidy(wanted: ReadonlySet<number>): void {
    for (const file of readdirSync(this.directory)) {
      const content = numberOf(file);
      if (content === undefined || !wanted.has(content)) rmSync(join(this.directory, file), { force: true });
    }
  }

  /** What the inodes say of every content that there is. */
  found(): ReadonlyMap<number, Found> {
    const found = new Map<number, Found>();
    for (const file of readIfThere(this.directory)) {
      const content = numberOf(file);
      const stat = statSync(join(this.directory, file), { bigint: true, throwIfNoEntry: false });
      if (content === undefined || stat === undefined) continue;
      found.set(content, { size: Number(stat.size), mtime: timestamp(stat.mtimeNs), allocated: Number(stat.blocks) * sectorBytes });
    }
    return found;
  }

  close(): void {
    this.files.close();
  }
}

function numberOf(file: string): number | undefined {
  return /^[0-9a-f]{1,8}$/.test(file) ? Number.parseInt(file, 16) : undefined;
}

function readIfThere(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return [];
  }
}

function copyTo(path: string, source: Content, size: number): void {
  if (source.kind === 'file') {
    const from = statSync(source.path);
    if (size >= from.size && from.blocks * sectorBytes >= from.size) {
      copyFileSync(source.path, path, constants.COPYFILE_FICLONE);
      return;
    }
  }
  const to = openSync(path, 'w', 0o600);
  try {
    if (source.kind === 'bytes') writeFully(to, source.bytes.subarray(0, size), 0);
    else copyPieces(source.path, to, size);
    ftruncateSync(to, size); // a hole at the end
  } finally {
    closeSync(to);
  }
}

/** Leaves out blocks of zeros. */
function copyPieces(path: Buffer, to: number, size: number): void {
  const from = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, size));
    for (let at = 0; at < size; ) {
      const count = readFully(from, buffer.subarray(0, Math.min(buffer.length, size - at)), at);
      if (count === 0) break;
      for (const [start, end] of filled(buffer.subarray(0, count))) writeFully(to, buffer.subarray(start, end), at + start);
      at += count;
    }
  } finally {
    closeSync(from);
  }
}

/** The runs of blocks that are not all zeros. */
function* filled(bytes: Buffer): Iterable<readonly [start: number, end: number]> {
  let start: number | undefined;
  for (let at = 0; at < bytes.length; at += holeBytes) {
    const block = bytes.subarray(at, at + holeBytes);
    const isEmpty = block.equals(block.length === holeBytes ? zeros : zeros.subarray(0, block.length));
    if (!isEmpty) start ??= at;
    else if (start !== undefined) {
      yield [start, at];
      start = undefined;
    }
  }
  if (start !== undefined) yield [start, bytes.length];
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
