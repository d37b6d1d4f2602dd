// The files of one criu image directory in one buffer, for a frame of the link: u32 count, then for each u16 length of the name, u32 length of the content, both.
import { WireError } from '../../base/errors.ts';

export interface ImageFile {
  readonly name: string;
  readonly content: Buffer;
}

const nameMax = 255;
const filesMax = 100_000;
/** criu's own names; no directory in between. */
const nameForm = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

export function packImages(files: readonly ImageFile[]): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(files.length);
  return Buffer.concat([
    head,
    ...files.flatMap(({ name, content }) => {
      const lengths = Buffer.alloc(6);
      lengths.writeUInt16BE(Buffer.byteLength(name), 0);
      lengths.writeUInt32BE(content.length, 2);
      return [lengths, Buffer.from(name), content];
    }),
  ]);
}

/** Views into `bytes`. Throws WireError `images.*`. */
export function unpackImages(bytes: Buffer): readonly ImageFile[] {
  let at = 0;
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new WireError('images.short', at, `${length} bytes at ${at}, but there are ${bytes.length}`);
    at += length;
    return bytes.subarray(at - length, at);
  };
  const count = take(4).readUInt32BE();
  if (count > filesMax) throw new WireError('images.count', 0, `${count} files`);
  const files: ImageFile[] = [];
  for (let index = 0; index < count; index += 1) {
    const lengths = take(6);
    const name = take(lengths.readUInt16BE(0)).toString('latin1');
    if (name.length > nameMax || !nameForm.test(name)) throw new WireError('images.name', at, `"${name.slice(0, 80)}" is no name of an image`);
    files.push({ name, content: take(lengths.readUInt32BE(2)) });
  }
  if (at !== bytes.length) throw new WireError('images.long', at, `${bytes.length - at} bytes follow the last file`);
  return files;
}
