// The lines of a journal as they are written and read: one JSON value each.
import { readFileSync, writeSync } from 'node:fs';
import { FarmError, systemCode } from './errors.ts';

/** The file that is to replace the journal, while it is written. */
export interface Successor {
  readonly fd: number;
  size: number;
  /** Lines that were appended since they were last written to it. */
  later: string[];
}

export function lineOf(entry: unknown): string {
  return `${JSON.stringify(entry)}\n`;
}

export function write(successor: Successor, lines: readonly string[]): void {
  const bytes = Buffer.from(lines.join(''));
  writeAll(successor.fd, bytes);
  successor.size += bytes.length;
}

/** What was appended to the journal since. */
export function writeLater(successor: Successor): void {
  write(successor, successor.later);
  successor.later = [];
}

export function writeAll(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

export function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return Buffer.alloc(0);
  }
}

export function* parse<Entry>(path: string, text: Buffer): Iterable<Entry> {
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
