// Small files of images kept in memory: they never change, every node reads the same ones, and a READ from memory is neither a system call nor a copy.
import { closeSync, openSync } from 'node:fs';
import { readFully } from './files.ts';

/** Of a boot's 400 files nine in ten are no larger, and read whole; of the others parts are read. */
const largestFile = 256 * 1024;
/** Of all files together: the small files of several images' boots. */
const heldBytes = 24 * 1024 * 1024;
/** XDR fills up to a multiple of four with zeros. */
const fillBytes = 3;

/** By path, the least recently read dropped first. */
export class HeldFiles {
  private readonly files = new Map<string, Buffer>();
  private bytes = 0;

  /** The whole file and three zeros behind it; undefined if it is too large. Throws what open(2) and read(2) throw, or when the file has another size. */
  get(key: string, path: Buffer, size: number): Buffer | undefined {
    const known = this.files.get(key);
    if (known !== undefined) {
      this.files.delete(key);
      this.files.set(key, known);
      return known;
    }
    if (size > largestFile) return undefined;
    const file = Buffer.alloc(size + fillBytes);
    const fd = openSync(path, 'r');
    try {
      const got = readFully(fd, file.subarray(0, size), 0);
      if (got !== size) throw new Error(`${got} bytes where the image has ${size}`);
    } finally {
      closeSync(fd);
    }
    this.files.set(key, file);
    this.bytes += file.length;
    for (const [oldest, { length }] of this.files) {
      if (this.bytes <= heldBytes) break;
      this.files.delete(oldest);
      this.bytes -= length;
    }
    return file;
  }
}
