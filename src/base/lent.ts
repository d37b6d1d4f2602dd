// Buffers that are lent and given back: a fresh one of 64 KiB or more is memory that the kernel maps and clears each time, which costs more than filling it.

/** Sizes are powers of two from here; what is smaller is cheap to make. */
const smallest = 16 * 1024;
/** What may lie ready, bytes: what some busy connections have on the way. */
const readyBytes = 8 * 1024 * 1024;

export class LentBuffers {
  /** By size. */
  private readonly ready = new Map<number, Buffer[]>();
  private bytes = 0;

  /** A buffer of at least `length` bytes, with anything in it. It need not be given back. */
  lend(length: number): Buffer {
    if (length < smallest) return Buffer.allocUnsafe(length);
    const size = 2 ** Math.ceil(Math.log2(length));
    const buffer = this.ready.get(size)?.pop();
    if (buffer === undefined) return Buffer.allocUnsafeSlow(size);
    this.bytes -= size;
    return buffer;
  }

  /** Takes a lent buffer back, whole, when nobody reads it any more. */
  giveBack(buffer: Buffer): void {
    const size = buffer.length;
    if (size < smallest || this.bytes + size > readyBytes) return;
    this.bytes += size;
    const same = this.ready.get(size);
    if (same === undefined) this.ready.set(size, [buffer]);
    else same.push(buffer);
  }
}
