// State that survives a crash: an append-only file of JSON lines, fsynced in groups, compacted by replacing it whole.
import { closeSync, fdatasync, fsyncSync, ftruncateSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { FarmError, systemCode } from './errors.ts';

/**
 * Each `append` is one line and one write(2): after a crash it is there whole or not at all (a torn last line is cut off at the next opening).
 * `append` returns at once; `stable()` settles when everything appended before the call is on disk.
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
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    try {
      writeAll(this.fd, line);
    } catch (error) {
      ftruncateSync(this.fd, this.size); // a disk that fills up takes part of a line, and the next one would be joined to it
      throw error;
    }
    this.size += line.length;
    this.dirty = true;
  }

  /** Settles when all appended so far is on disk. Calls that come while a sync runs share the next one. */
  stable(): Promise<void> {
    if (!this.dirty && this.syncing === undefined) return Promise.resolve();
    if (this.syncing !== undefined) {
      this.queued ??= this.syncing.then(
        () => this.sync(),
        () => this.sync(),
      );
      return this.queued;
    }
    return this.sync();
  }

  private sync(): Promise<void> {
    this.queued = undefined;
    if (this.closed) return Promise.resolve();
    this.dirty = false;
    this.syncing = new Promise<void>((resolve, reject) => {
      fdatasync(this.fd, (error) => {
        this.syncing = undefined;
        if (error) {
          this.dirty = true; // what was not synced is not on disk, whoever asks next
          reject(new FarmError('journal.sync', `${this.path} could not be written to disk: ${error.message}`, 'check the disk', error));
        } else resolve();
      });
    });
    return this.syncing;
  }

  /** Replaces the whole file by `entries`: written beside it, fsynced, renamed over it. Waits for the disk. If it throws, the old file stays. */
  compact(entries: Iterable<Entry>): void {
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
        if (batch.push(`${JSON.stringify(entry)}\n`) === 1000) flush();
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
    const old = this.fd;
    this.fd = openSync(this.path, 'a', 0o600);
    this.size = size;
    const release = () => closeSync(old);
    if (this.syncing === undefined) release();
    else void this.syncing.then(release, release);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    await this.stable();
    this.closed = true;
    closeSync(this.fd);
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

/** Every whole entry of a journal that somebody else may be writing; none if there is no such file. */
export function readJournal<Entry>(path: string): Iterable<Entry> {
  return parse<Entry>(path, readIfThere(path));
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return Buffer.alloc(0);
  }
}

function* parse<Entry>(path: string, text: Buffer): Iterable<Entry> {
  let at = 0;
  for (let line = 1; ; line++) {
    const end = text.indexOf(0x0a, at);
    if (end < 0) return;
    try {
      yield JSON.parse(text.toString('utf8', at, end));
    } catch (error) {
      const remedy = 'the disk or an editor damaged it; restore the file, or delete the line to lose that change only';
      throw new FarmError('journal.damaged', `${path} line ${line} is not valid JSON`, remedy, error);
    }
    at = end + 1;
  }
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
