// Keeps the blocks of a file that a transfer needs now, and reads the next ones while these are sent.
import type { OpenTftpFile } from './files.ts';
import { blockCount, type Terms } from './terms.ts';

/** Enough that reading is not what a transfer waits for, small enough for a thousand transfers at once (three of them each). */
const chunkBytes = 32_768;

export interface ReadAhead {
  /** The bytes of block `block` (from 1), if they are here. Valid until the next call. */
  ready(block: number): Buffer | undefined;
  /** Settles when they are; rejects if they cannot be read. */
  load(block: number): Promise<void>;
}

export function readAhead(file: OpenTftpFile, terms: Terms): ReadAhead {
  const { size, blksize, windowsize } = terms;
  /** Whole blocks, and at least a window, so that going back one window stays within two chunks. */
  const chunkBlocks = Math.max(windowsize, Math.ceil(chunkBytes / blksize));
  const chunkSize = chunkBlocks * blksize;
  const lastChunk = Math.floor((blockCount(terms) - 1) / chunkBlocks);
  const chunks = new Map<number, Buffer>();
  const reading = new Map<number, Promise<void>>();

  async function read(index: number): Promise<void> {
    const chunk = Buffer.allocUnsafe(Math.min(chunkSize, Math.max(0, size - index * chunkSize)));
    const got = await file.read(index * chunkSize, chunk);
    if (got < chunk.length) throw new Error('the file became shorter while it was sent');
    for (const old of chunks.keys()) if (Math.abs(old - index) > 1) chunks.delete(old);
    chunks.set(index, chunk);
  }

  function fetch(index: number): Promise<void> {
    const known = reading.get(index);
    if (known !== undefined) return known;
    const started = read(index).finally(() => reading.delete(index));
    reading.set(index, started);
    return started;
  }

  return {
    ready(block) {
      const index = Math.floor((block - 1) / chunkBlocks);
      const chunk = chunks.get(index);
      if (chunk === undefined) return undefined;
      if (index < lastChunk && !chunks.has(index + 1) && !reading.has(index + 1)) {
        fetch(index + 1).catch(() => {}); // load() tries again, and tells
      }
      const start = (block - 1 - index * chunkBlocks) * blksize;
      return chunk.subarray(start, start + blksize);
    },
    load: (block) => fetch(Math.floor((block - 1) / chunkBlocks)),
  };
}
