// Record marking: how RPC messages follow each other on a TCP connection. RFC 5531 11.
import { WireError } from '../base/errors.ts';

/** The highest bit of a fragment's header says that it is the record's last; the others are its length. */
export const lastFragment = 0x8000_0000;

const headerBytes = 4;
/** Bounds what one record may cost in bookkeeping: a record of one-byte fragments is legal and nobody sends it. */
const piecesMax = 4096;

/**
 * Takes a connection's chunks as they come and gives back whole records. A record that came in one piece is a view of its chunk.
 * `next` throws `WireError` `rpc.record` for a record above `most` bytes; the connection cannot be read any further then.
 */
export class RecordReader {
  private readonly most: number;
  private chunks: Buffer[] = [];
  private chunk: Buffer | undefined;
  private at = 0;
  /** The header of the current fragment as far as it is there. */
  private header = 0;
  private headerLeft = headerBytes;
  private fragmentLeft = 0;
  private last = false;
  private pieces: Buffer[] = [];
  private length = 0;

  constructor(most: number) {
    this.most = most;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.chunk === undefined) {
      this.chunk = chunk;
      this.at = 0;
    } else this.chunks.push(chunk);
  }

  /** The next whole record, or undefined until more is pushed. */
  next(): Buffer | undefined {
    while (this.chunk !== undefined) {
      if (this.headerLeft > 0) {
        this.readHeader(this.chunk);
        if (this.headerLeft > 0) continue;
      }
      if (this.fragmentLeft > 0 && this.chunk !== undefined) this.readFragment(this.chunk);
      if (this.fragmentLeft > 0) continue;
      this.headerLeft = headerBytes;
      if (this.last) return this.takeRecord();
    }
    return undefined;
  }

  private readHeader(chunk: Buffer): void {
    const available = Math.min(this.headerLeft, chunk.length - this.at);
    for (let index = 0; index < available; index += 1) this.header = ((this.header << 8) | chunk.readUInt8(this.at + index)) >>> 0;
    this.headerLeft -= available;
    if (this.headerLeft === 0) {
      this.last = this.header >= lastFragment;
      this.fragmentLeft = this.header & ~lastFragment;
      if (this.length + this.fragmentLeft > this.most || this.pieces.length > piecesMax) {
        throw new WireError('rpc.record', this.at, `a record above ${this.most} bytes or ${piecesMax} pieces`);
      }
    }
    this.advance(available);
  }

  private readFragment(chunk: Buffer): void {
    const available = Math.min(this.fragmentLeft, chunk.length - this.at);
    this.pieces.push(chunk.subarray(this.at, this.at + available));
    this.length += available;
    this.fragmentLeft -= available;
    this.advance(available);
  }

  private advance(count: number): void {
    this.at += count;
    if (this.chunk !== undefined && this.at === this.chunk.length) {
      this.chunk = this.chunks.shift();
      this.at = 0;
    }
  }

  private takeRecord(): Buffer {
    const [first] = this.pieces;
    const record = first !== undefined && this.pieces.length === 1 ? first : Buffer.concat(this.pieces, this.length);
    this.pieces = [];
    this.length = 0;
    return record;
  }
}
