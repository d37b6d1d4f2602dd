// What files contain, in pieces that all who download a file at the same time share: one read and one copy in memory for a rack that boots.
import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Clock } from '../base/clock.ts';

/** Bytes of a piece: what is read at a time, and the most that a client is sent at a time. */
export const pieceBytes = 1_048_576;

export interface PieceLimits {
  /** Bytes kept of all files together: a kernel with its initramfs, and a stretch of a root file system that many fetch. */
  readonly kept: number;
  /** Milliseconds after the last use until nothing is kept any more. A farm that has booted needs its memory for other things. */
  readonly unused: number;
  /** Reads at once. Node has four threads for files; a slow disk must leave some for the lease journal. */
  readonly reads: number;
}

const defaultLimits: PieceLimits = { kept: 128 * 1_048_576, unused: 60_000, reads: 2 };

/** A file whose times are this recent could change once more without showing it: the clock of file times ticks 100 to 250 times a second. */
const settledMilliseconds = 2000;

export interface OpenFile {
  readonly handle: FileHandle;
  /** As when it was opened; the file is told from its next version by them. */
  readonly stats: Stats;
}

export class Pieces {
  private readonly clock: Clock;
  private readonly limits: PieceLimits;
  /** The least recently used first. */
  private readonly kept = new Map<string, Buffer>();
  private keptBytes = 0;
  private readonly underWay = new Map<string, Promise<Buffer>>();
  private reading = 0;
  private readonly waiting: (() => void)[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock, limits: Partial<PieceLimits> = {}) {
    this.clock = clock;
    this.limits = { ...defaultLimits, ...limits };
  }

  /** Bytes in memory now. */
  get size(): number {
    return this.keptBytes;
  }

  /** Piece number `index`, shared: not to be written to. Rejects when the file cannot be read or has become shorter. */
  async get(file: OpenFile, index: number): Promise<Buffer> {
    const { stats } = file;
    if (this.clock.now() - Math.max(stats.mtimeMs, stats.ctimeMs) < settledMilliseconds) return this.read(file, index);
    const key = `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}/${index}`;
    const kept = this.kept.get(key);
    if (kept !== undefined) {
      this.kept.delete(key);
      this.kept.set(key, kept);
      this.timer?.refresh();
      return kept;
    }
    const shared = this.underWay.get(key);
    if (shared !== undefined) return shared;
    const reading = this.read(file, index)
      .then((piece) => this.keep(key, piece))
      .finally(() => this.underWay.delete(key));
    this.underWay.set(key, reading);
    return reading;
  }

  private keep(key: string, piece: Buffer): Buffer {
    this.kept.set(key, piece);
    this.keptBytes += piece.length;
    for (const [oldest, { length }] of this.kept) {
      if (this.keptBytes <= this.limits.kept) break;
      this.kept.delete(oldest);
      this.keptBytes -= length;
    }
    this.timer ??= setTimeout(() => this.forget(), this.limits.unused).unref();
    this.timer.refresh();
    return piece;
  }

  /** Lets go of everything. */
  forget(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.kept.clear();
    this.keptBytes = 0;
  }

  private async read({ handle, stats }: OpenFile, index: number): Promise<Buffer> {
    if (this.reading >= this.limits.reads) await new Promise<void>((go) => this.waiting.push(go));
    else this.reading += 1;
    try {
      const offset = index * pieceBytes;
      const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, stats.size - offset));
      for (let got = 0; got < piece.length; ) {
        const { bytesRead } = await handle.read(piece, got, piece.length - got, offset + got);
        if (bytesRead === 0) throw new Error('the file became shorter while it was sent');
        got += bytesRead;
      }
      return piece;
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.reading -= 1;
      else next(); // it takes this one's place
    }
  }
}
