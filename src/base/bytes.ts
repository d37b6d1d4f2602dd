// A bounds-checked cursor over received bytes, and a growing writer. Network byte order throughout.
import { WireError } from './errors.ts';

/** Reads from the front of `bytes`; any read past the end throws a `WireError` with code `short`. */
export class ByteReader {
  readonly bytes: Buffer;
  offset: number;
  readonly end: number;

  constructor(bytes: Buffer, offset = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  get left(): number {
    return this.end - this.offset;
  }

  /** Claims the next `count` bytes and returns where they start. */
  private claim(count: number): number {
    const at = this.offset;
    if (count > this.end - at) {
      throw new WireError('short', at, `${count} bytes wanted at offset ${at}, ${this.end - at} left`);
    }
    this.offset = at + count;
    return at;
  }

  u8(): number {
    return this.bytes.readUInt8(this.claim(1));
  }

  u16(): number {
    return this.bytes.readUInt16BE(this.claim(2));
  }

  u32(): number {
    return this.bytes.readUInt32BE(this.claim(4));
  }

  i32(): number {
    return this.bytes.readInt32BE(this.claim(4));
  }

  /** 64 bits, exact. */
  u64(): bigint {
    return this.bytes.readBigUInt64BE(this.claim(8));
  }

  /** A view, not a copy, of the next `count` bytes. */
  take(count: number): Buffer {
    const at = this.claim(count);
    return this.bytes.subarray(at, at + count);
  }

  skip(count: number): void {
    this.claim(count);
  }

  /** A view of everything that is left. */
  rest(): Buffer {
    return this.take(this.left);
  }
}

/** Appends to a buffer that doubles as it fills. */
export class ByteWriter {
  private buffer: Buffer;
  /** Of the same bytes: the compiler makes its setters one instruction each, Buffer's are calls. */
  private view: DataView;
  length = 0;

  constructor(capacity = 512) {
    this.buffer = Buffer.allocUnsafe(capacity);
    this.view = viewOf(this.buffer);
  }

  private grow(count: number): number {
    const at = this.length;
    const needed = at + count;
    if (needed > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
      this.buffer.copy(larger, 0, 0, at);
      this.buffer = larger;
      this.view = viewOf(larger);
    }
    this.length = needed;
    return at;
  }

  u8(value: number): void {
    const at = this.grow(1);
    this.buffer.writeUInt8(value, at);
  }

  u16(value: number): void {
    const at = this.grow(2);
    this.buffer.writeUInt16BE(value, at);
  }

  u32(value: number): void {
    if (value >>> 0 !== value) throw new RangeError(`${value} is no unsigned 32-bit number`);
    const at = this.grow(4);
    this.view.setUint32(at, value);
  }

  i32(value: number): void {
    const at = this.grow(4);
    this.buffer.writeInt32BE(value, at);
  }

  u64(value: bigint): void {
    const at = this.grow(8);
    this.buffer.writeBigUInt64BE(value, at);
  }

  put(bytes: Uint8Array): void {
    const at = this.grow(bytes.length);
    this.buffer.set(bytes, at);
  }

  zeros(count: number): void {
    const at = this.grow(count);
    this.buffer.fill(0, at, at + count);
  }

  /** Overwrites four bytes written earlier, for lengths known only afterwards. */
  setU32(at: number, value: number): void {
    this.buffer.writeUInt32BE(value, at);
  }

  /** What was written so far; a view that the next write may invalidate. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
