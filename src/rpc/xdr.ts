// XDR, RFC 4506, on the byte cursor of base/bytes.ts: what RPC programs are written in.
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';

/** XDR fills everything up to a multiple of four bytes (RFC 4506 3). */
export function padding(length: number): number {
  return -length & 3;
}

/** Fixed-length opaque data: a view of `length` bytes. What the padding holds is not looked at; old clients leave rubbish there. */
export function readFixedOpaque(reader: ByteReader, length: number): Buffer {
  const bytes = reader.take(length);
  reader.skip(padding(length));
  return bytes;
}

/** Variable-length opaque data of at most `most` bytes; a view. `xdr.length` if it claims more. */
export function readOpaque(reader: ByteReader, most: number): Buffer {
  const at = reader.offset;
  const length = reader.u32();
  if (length > most) throw new WireError('xdr.length', at, `${length} bytes of opaque data where ${most} are allowed`);
  return readFixedOpaque(reader, length);
}

/** A string of at most `most` bytes, one character a byte: XDR says ASCII, file names are any bytes. */
export function readString(reader: ByteReader, most: number): string {
  return readOpaque(reader, most).toString('latin1');
}

export function readBool(reader: ByteReader): boolean {
  const at = reader.offset;
  const value = reader.u32();
  if (value > 1) throw new WireError('xdr.bool', at, `${value} is no boolean`);
  return value === 1;
}

/** Optional data (RFC 4506 4.19). */
export function readOptional<Value>(reader: ByteReader, read: (reader: ByteReader) => Value): Value | undefined {
  return readBool(reader) ? read(reader) : undefined;
}

/** An enumeration or the discriminant of a union, given by the words for 0, 1, 2 …; `xdr.enum` for a number that has none. */
export function readEnum<Word>(reader: ByteReader, words: readonly Word[]): Word {
  const at = reader.offset;
  const value = reader.u32();
  const word = words[value];
  if (word === undefined) throw new WireError('xdr.enum', at, `${value} is none of ${words.join(', ')}`);
  return word;
}

/** An unsigned hyper as a number. Above 2^53 it is rounded, so whoever asks compares it with a limit below that. */
export function readHyper(reader: ByteReader): number {
  const high = reader.u32();
  return high * 0x1_0000_0000 + reader.u32();
}

export function writeFixedOpaque(writer: ByteWriter, bytes: Uint8Array): void {
  writer.put(bytes);
  const fill = padding(bytes.length);
  if (fill > 0) writer.zeros(fill);
}

export function writeOpaque(writer: ByteWriter, bytes: Uint8Array): void {
  writer.u32(bytes.length);
  writeFixedOpaque(writer, bytes);
}

/** The inverse of `readString`. */
export function writeString(writer: ByteWriter, text: string): void {
  writeOpaque(writer, Buffer.from(text, 'latin1'));
}

export function writeBool(writer: ByteWriter, value: boolean): void {
  writer.u32(value ? 1 : 0);
}

export function writeOptional<Value>(writer: ByteWriter, value: Value | undefined, write: (writer: ByteWriter, value: Value) => void): void {
  writeBool(writer, value !== undefined);
  if (value !== undefined) write(writer, value);
}

/** An unsigned hyper from a whole number of 0..2^53-1. */
export function writeHyper(writer: ByteWriter, value: number): void {
  writer.u32(Math.floor(value / 0x1_0000_0000));
  writer.u32(value >>> 0);
}

/** A linked list, which RPC programs have for sequences of unknown length: each entry behind a TRUE, the end is a FALSE. */
export function writeList<Entry>(writer: ByteWriter, entries: Iterable<Entry>, write: (writer: ByteWriter, entry: Entry) => void): void {
  for (const entry of entries) {
    writeBool(writer, true);
    write(writer, entry);
  }
  writeBool(writer, false);
}
