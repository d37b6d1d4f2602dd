// State that survives a crash: an append-only file of JSON lines, fsynced in groups, compacted by replacing it whole.
import { close, closeSync, fdatasync, fsync, fsyncSync, ftruncateSync, open, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { FarmError, sentence } from './errors.ts';
import { lineOf, parse, readIfThere, type Successor, write, writeAll, writeLater } from './journal-lines.ts';

const dataToDisk = promisify(fdatasync);
const toDisk = promisify(fsync);
const openLater = promisify(open);
const closeLater = promisify(close);

/** Entries that `compactInTurns` writes at once: half a millisecond's work. */
const linesInTurn = 200;

/**
 * Each `append` is one write(2): after a crash its lines are there or not from some line on (a torn last line is cut off at the next opening).
 * `append` returns at once; `stable()` settles when everything appended before the call is on disk. Once it has failed it fails until the file is replaced (`compact`).
 */
export class Journal<Entry> {
  private readonly path: string;
  private fd: number;
  /** Bytes in the file. */
  size: number;
  private dirty = false;
  private syncing: Promise<void> | undefined;
  private queued: Promise<void> | undefined;
  private closed = false;
  /** A sync has failed: the kernel may have thrown the bytes away, and a second fdatasync(2) would not say so. Only a new file has them again. */
  private lost = false;
  private compacting: Promise<void> | undefined;
  private successor: Successor | undefined;
  /** The successor is about to take over: what is promised from now on has to be on disk there. */
  private takeover: Promise<void> | undefined;
  /** The file has a new name that a crash may still undo. */
  private isRenamed = false;

  private constructor(path: string, fd: number, size: number) {
    this.path = path;
    this.fd = fd;
    this.size = size;
  }

  /** Opens or creates the file and hands every whole entry to `replay`, oldest first. Throws `journal.damaged`. */
  static open<Entry>(path: string, replay: (entry: Entry) => void): Journal<Entry> {
    const text = readIfThere(path);
    const whole = text.lastIndexOf(0x0a) + 1;
    for (const entry of parse<Entry>(path, text)) replay(entry);
    const fd = openSync(path, 'a', 0o600);
    if (whole < text.length) ftruncateSync(fd, whole);
    return new Journal<Entry>(path, fd, whole);
  }

  append(entry: Entry): void {
    this.appendAll([entry]);
  }

  /** All of them in one write(2). If it throws, none is in the file; they are in the one that `compactInTurns` is writing. */
  appendAll(entries: readonly Entry[]): void {
    const lines = entries.map(lineOf).join('');
    this.successor?.later.push(lines);
    const bytes = Buffer.from(lines);
    try {
      writeAll(this.fd, bytes);
    } catch (error) {
      ftruncateSync(this.fd, this.size); // a disk that fills up takes part of a line, and the next one would be joined to it
      throw error;
    }
    this.size += bytes.length;
    this.dirty = true;
  }

  /** Settles when all appended so far is on disk. Calls that come while a sync runs share the next one. */
  stable(): Promise<void> {
    const { takeover } = this;
    if (takeover !== undefined) return takeover.then(() => this.stable());
    if (this.lost && this.syncing === undefined)
      return Promise.reject(new FarmError('journal.sync', `${this.path} has lost lines that could not be written to disk`, 'check the disk'));
    if (!this.dirty && this.syncing === undefined) return Promise.resolve();
    if (this.syncing === undefined) return this.sync();
    this.queued ??= this.syncing.then(
      () => this.sync(),
      () => this.sync(),
    );
    return this.queued;
  }

  private sync(): Promise<void> {
    this.queued = undefined;
    if (this.closed) return Promise.resolve();
    if (this.lost) return this.stable();
    this.dirty = false;
    this.syncing = this.syncNow(this.isRenamed);
    return this.syncing;
  }

  private async syncNow(isRenamed: boolean): Promise<void> {
    const { fd } = this;
    try {
      await dataToDisk(fd);
      if (isRenamed) {
        await directoryToDisk(dirname(this.path));
        this.isRenamed = false;
      }
    } catch (error) {
      this.dirty = true; // what was not synced is not on disk, whoever asks next
      if (fd === this.fd) this.lost = true;
      throw new FarmError('journal.sync', `${this.path} could not be written to disk: ${sentence(error)}`, 'check the disk', error);
    } finally {
      this.syncing = undefined;
    }
  }

  /** Replaces the whole file by `entries`: written beside it, fsynced, renamed over it. Waits for the disk. If it throws, the old file stays. */
  compact(entries: Iterable<Entry>): void {
    if (this.compacting !== undefined) throw new Error(`${this.path} is being compacted`);
    const beside = `${this.path}.new`;
    const fd = openSync(beside, 'w', 0o600);
    let size = 0;
    let batch: string[] = [];
    const flush = () => {
      const bytes = Buffer.from(batch.join(''));
      writeAll(fd, bytes);
      size += bytes.length;
      batch = [];
    };
    try {
      for (const entry of entries) {
        if (batch.push(lineOf(entry)) === 1000) flush();
      }
      flush();
      fsyncSync(fd);
    } catch (error) {
      rmSync(beside, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
    renameSync(beside, this.path);
    syncDirectory(dirname(this.path));
    this.goOnWith(openSync(this.path, 'a', 0o600), size);
  }

  private goOnWith(fd: number, size: number): void {
    const old = this.fd;
    this.fd = fd;
    this.size = size;
    this.lost = false;
    const release = () => closeSync(old);
    if (this.syncing === undefined) release();
    else void this.syncing.then(release, release);
  }

  /**
   * As `compact`, in slices between which others have their turn; nobody waits for the disk but who calls `stable` at the very end. `entries` are taken one
   * by one while the journal goes on: all that is appended meanwhile follows them, also what they say already. If it rejects, the old file stays.
   */
  compactInTurns(entries: Iterable<Entry>): Promise<void> {
    this.compacting ??= this.replace(entries).finally(() => {
      this.compacting = undefined;
    });
    return this.compacting;
  }

  private async replace(entries: Iterable<Entry>): Promise<void> {
    const beside = `${this.path}.new`;
    rmSync(beside, { force: true });
    const successor: Successor = { fd: openSync(beside, 'a', 0o600), size: 0, later: [] };
    this.successor = successor;
    let begin: () => void = () => {};
    try {
      let slice: string[] = [];
      for (const entry of entries) {
        if (slice.push(lineOf(entry)) < linesInTurn) continue;
        write(successor, slice);
        slice = [];
        await nextTurn();
      }
      write(successor, slice);
      writeLater(successor);
      await toDisk(successor.fd); // the bulk of it: nobody waits yet
      this.takeover = new Promise((resolve) => {
        begin = resolve;
      });
      writeLater(successor);
      await toDisk(successor.fd); // all that was promised by the old file
      writeLater(successor);
      renameSync(beside, this.path);
      this.goOnWith(successor.fd, successor.size);
      this.dirty = true;
      this.isRenamed = true;
    } catch (error) {
      closeSync(successor.fd);
      rmSync(beside, { force: true });
      throw error;
    } finally {
      this.successor = undefined;
      this.takeover = undefined;
      begin();
    }
  }

  async close(): Promise<void> {
    if (this.closed) return;
    await this.compacting?.catch(() => {}); // whoever began it is told
    try {
      await this.stable();
    } finally {
      this.closed = true;
      closeSync(this.fd);
    }
  }
}

/** Every whole entry of a journal that somebody else may be writing; none if there is no such file. */
export function readJournal<Entry>(path: string): Iterable<Entry> {
  return parse<Entry>(path, readIfThere(path));
}

/** Makes a rename or a new name in `path` durable. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

async function directoryToDisk(path: string): Promise<void> {
  const fd = await openLater(path, 'r');
  try {
    await toDisk(fd);
  } finally {
    await closeLater(fd);
  }
}
