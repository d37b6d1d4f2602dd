// Keeps the DATA packets that a transfer needs now, and reads the next ones while these are sent.
import type { OpenTftpFile } from './files.ts';
import { dataHeader } from './packet.ts';
import { blockCount, type Terms } from './terms.ts';

/** Enough that reading is not what a transfer waits for, small enough for a thousand transfers at once (three of them each). */
const chunkBytes = 65_536;
/** With blocks that no frame holds. Only a server that is told to agrees to them, and reading eight blocks at a time would be what it waits for. */
const largeChunkBytes = 262_144;
const largeBlock = 4096;

export interface ReadAhead {
  /** The DATA packet of block `block` (from 1), if it is here; its number is still to be written. Valid until the next call. */
  ready(block: number): Buffer | undefined;
  /** Settles when it is; rejects if it cannot be read. */
  load(block: number): Promise<void>;
}

export function readAhead(file: OpenTftpFile, terms: Terms): ReadAhead {
  const { size, blksize, windowsize } = terms;
  const blocks = blockCount(terms);
  /** Whole blocks, and at least a window, so that going back one window stays within two chunks. */
  const chunkBlocks = Math.max(windowsize, Math.ceil((blksize < largeBlock ? chunkBytes : largeChunkBytes) / blksize));
  const lastChunk = Math.floor((blocks - 1) / chunkBlocks);
  const chunks = new Map<number, readonly Buffer[]>();
  const reading = new Map<number, Promise<void>>();

  async function read(index: number): Promise<void> {
    const count = Math.min(chunkBlocks, blocks - index * chunkBlocks);
    const offset = index * chunkBlocks * blksize;
    const room = count * dataHeader;
    const whole = Buffer.allocUnsafeSlow(room + Math.min(count * blksize, size - offset));
    // Read to the end of the buffer; then each block moves forward to behind its header.
    const content = whole.subarray(room);
    if ((await file.read(offset, content)) < content.length) throw new Error('the file became shorter while it was sent');
    const packets: Buffer[] = [];
    for (let block = 0; block < count; block += 1) {
      const at = block * (dataHeader + blksize);
      const from = room + block * blksize;
      const until = Math.min(from + blksize, whole.length);
      whole.copyWithin(at + dataHeader, from, until);
      packets.push(whole.subarray(at, at + dataHeader + until - from));
    }
    for (const old of chunks.keys()) if (Math.abs(old - index) > 1) chunks.delete(old);
    chunks.set(index, packets);
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
      const packets = chunks.get(index);
      if (packets === undefined) return undefined;
      if (index < lastChunk && !chunks.has(index + 1) && !reading.has(index + 1)) {
        fetch(index + 1).catch(() => {}); // load() tries again, and tells
      }
      return packets[block - 1 - index * chunkBlocks];
    },
    load: (block) => fetch(Math.floor((block - 1) / chunkBlocks)),
  };
}
