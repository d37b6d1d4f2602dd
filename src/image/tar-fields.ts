// The fields of tar headers, pax records, and an archive's bytes block by block (POSIX.1-2017 pax, tar(5)).
import { WireError } from '../base/errors.ts';
import type { Timestamp } from '../tree/tree.ts';

export const block = 512;

/** A hole of a sparse file, and the stored bytes after it. Of another file there is one, without a hole. */
export interface Segment {
  readonly hole: number;
  readonly length: number;
}

/** What a hole is read as, a piece at a time. */
const zeros = Buffer.alloc(65_536);

/** An archive's bytes, taken in their order. */
export class Blocks {
  /** From the archive's start. */
  offset = 0;
  private readonly source: AsyncIterator<Uint8Array>;
  private chunk: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.source = source[Symbol.asyncIterator]();
  }

  /** At least one byte and at most `max`; undefined at the end. */
  private async some(max: number): Promise<Buffer | undefined> {
    while (this.chunk.length === 0) {
      const { done, value } = await this.source.next();
      if (done === true) return undefined;
      this.chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
    const piece = this.chunk.subarray(0, max);
    this.chunk = this.chunk.subarray(piece.length);
    this.offset += piece.length;
    return piece;
  }

  /** The next header; undefined at the end of the bytes. */
  async next(): Promise<Buffer | undefined> {
    const first = await this.some(block);
    if (first === undefined || first.length === block) return first;
    return Buffer.concat([first, await this.exactly(block - first.length)]);
  }

  async exactly(size: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let left = size; left > 0; ) {
      const piece = await this.some(left);
      if (piece === undefined) throw this.short();
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  async skip(size: number): Promise<void> {
    for (let left = size; left > 0; ) {
      const piece = await this.some(left);
      if (piece === undefined) throw this.short();
      left -= piece.length;
    }
  }

  /** The content of a member: what is stored, and zeros for holes. `end` is where the member ends; who comes later finds nothing. */
  async *pieces(segments: readonly Segment[], end: number): AsyncGenerator<Buffer> {
    for (const { hole, length } of segments) {
      for (let left = hole; left > 0; left -= zeros.length) yield zeros.subarray(0, Math.min(left, zeros.length));
      for (let left = length; left > 0; ) {
        const piece = this.offset + left <= end ? await this.some(left) : undefined;
        if (piece === undefined) throw this.short();
        left -= piece.length;
        yield piece;
      }
    }
  }

  private short(): WireError {
    return new WireError('tar.short', this.offset, 'the archive ends in the middle of a member');
  }
}

/** Up to the first NUL. */
export function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? undefined : end);
}

/** Octal digits, or with the first bit set a big-endian two's complement number, as GNU writes what needs more digits. Throws `tar.number`. */
export function numeric(header: Buffer, at: number, length: number, offset: number): number {
  const field = header.subarray(at, at + length);
  if ((field.readUInt8(0) & 0x80) !== 0) {
    const value = Number(BigInt.asIntN(length * 8 - 1, BigInt(`0x${field.toString('hex')}`)));
    if (Number.isSafeInteger(value)) return value;
    throw new WireError('tar.number', offset + at, 'a number of more than 53 bits');
  }
  const digits = cString(field).trim();
  if (!/^[0-7]*$/.test(digits)) throw new WireError('tar.number', offset + at, `${JSON.stringify(digits)} is no octal number`);
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** Of a pax record. Throws `tar.number`. */
export function wholeNumber(text: string | undefined, offset: number): number {
  const value = /^\d{1,16}$/.test(text ?? '') ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new WireError('tar.number', offset, `${JSON.stringify(text ?? '')} is no number`);
  return value;
}

/** `LENGTH KEY=VALUE\n`, bytes as characters. Records of GNU's sparse format 0.0 are given as those of 0.1. Throws `tar.pax`. */
export function paxRecords(bytes: Buffer, offset: number): Map<string, string> {
  const records = new Map<string, string>();
  const map: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(0x20, at);
    const digits = bytes.toString('latin1', at, Math.max(blank, at));
    const length = /^\d{1,7}$/.test(digits) ? Number(digits) : 0;
    const equals = bytes.indexOf(0x3d, blank);
    if (length === 0 || at + length > bytes.length || equals < 0 || equals >= at + length || bytes[at + length - 1] !== 0x0a) {
      throw new WireError('tar.pax', offset + block + at, 'a malformed pax record');
    }
    const key = bytes.toString('latin1', blank + 1, equals);
    const value = bytes.toString('latin1', equals + 1, at + length - 1);
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') map.push(value);
    else records.set(key, value);
    at += length;
  }
  if (map.length > 0) records.set('GNU.sparse.map', map.join(','));
  return records;
}

/** Seconds since 1970 with a fraction, before 1970 too. Throws `tar.number`. */
export function paxTime(text: string | undefined, offset: number): Timestamp | undefined {
  if (text === undefined || text === '') return undefined;
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
  if (match === null) throw new WireError('tar.number', offset, `${JSON.stringify(text)} is no time`);
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  const seconds = Number(match[2]);
  if (match[1] === '') return { seconds, nanoseconds };
  return nanoseconds === 0 ? { seconds: 0 - seconds, nanoseconds: 0 } : { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}
