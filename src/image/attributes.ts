// Extended attributes in a pax archive (POSIX.1-2017 pax, star(1)'s SCHILY.xattr records), raw: tar-stream reads them as UTF-8, and a
// file capability is binary.
import { FarmError } from '../base/errors.ts';

/** By name, `security.capability` -> bytes. */
export type ExtendedAttributes = ReadonlyMap<string, Buffer>;

const block = 512;
const prefix = 'SCHILY.xattr.';

/** Linux has 64 KiB for an attribute, and few of them for a file; what claims more is no archive of a root file system. */
const recordsMax = 1 << 20;

/** Follows an archive as it streams by. */
export class AttributeTap {
  private readonly found = new Map<number, ExtendedAttributes>();
  private entries = 0;
  private pending: ExtendedAttributes | undefined;
  /** Bytes of the current body to pass over, padding included. */
  private skip = 0;
  /** How many bytes are being collected: a header, or the records of one. */
  private need = block;
  private records = false;
  private partial: Buffer[] = [];
  private have = 0;

  /** The next bytes of the archive. Throws `FarmError` `image.tar`. */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.skip > 0) {
        const passed = Math.min(this.skip, chunk.length - at);
        this.skip -= passed;
        at += passed;
        continue;
      }
      const part = chunk.subarray(at, at + this.need - this.have);
      this.partial.push(part);
      this.have += part.length;
      at += part.length;
      if (this.have === this.need) this.take(Buffer.concat(this.partial));
    }
  }

  /** Those of the entry with this number, counted from 0 as tar-stream hands them out; undefined if it has none. Forgotten by that. */
  of(entry: number): ExtendedAttributes | undefined {
    const attributes = this.found.get(entry);
    this.found.delete(entry);
    return attributes;
  }

  private take(bytes: Buffer): void {
    this.partial = [];
    this.have = 0;
    this.need = block;
    if (this.records) {
      this.records = false;
      const attributes = readRecords(bytes);
      if (attributes.size > 0) this.pending = attributes;
      this.skip = -bytes.length & (block - 1);
      return;
    }
    const flag = String.fromCharCode(bytes[156] ?? 0);
    const size = readSize(bytes);
    if (flag === 'x') {
      if (size > recordsMax) throw new FarmError('image.tar', `an entry of the archive has ${size} bytes of attributes`);
      this.records = size > 0;
      if (size > 0) this.need = size;
      return;
    }
    this.skip = Math.ceil(size / block) * block;
    if (flag === 'g' || flag === 'L' || flag === 'K' || bytes.every((byte) => byte === 0)) return;
    if (this.pending !== undefined) this.found.set(this.entries, this.pending);
    this.pending = undefined;
    this.entries += 1;
  }
}

/** Octal digits, or with the first bit set a big-endian number, as GNU writes what needs more than twelve of them. */
function readSize(header: Buffer): number {
  if (((header[124] ?? 0) & 0x80) !== 0) return header.readUIntBE(130, 6);
  return Number.parseInt(header.toString('latin1', 124, 136).replace(/[^0-7].*$/s, '') || '0', 8);
}

function readRecords(bytes: Buffer): ExtendedAttributes {
  const attributes = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(0x20, at);
    const length = blank < 0 ? 0 : Number(bytes.toString('latin1', at, blank));
    const equals = bytes.indexOf(0x3d, blank);
    if (!Number.isInteger(length) || length <= 0 || at + length > bytes.length || equals < 0 || equals >= at + length) break;
    const key = bytes.toString('latin1', blank + 1, equals);
    if (key.startsWith(prefix)) attributes.set(key.slice(prefix.length), Buffer.from(bytes.subarray(equals + 1, at + length - 1)));
    at += length;
  }
  return attributes;
}
