// netascii (RFC 764 by RFC 1350 1): lines end with CR LF, a lone CR is CR NUL. For the few clients that use text by habit.
import type { OpenTftpFile, TftpFile } from './files.ts';

const lf = 0x0a;
const cr = 0x0d;

/** Bytes of the file that are converted at a time; each becomes one or two. */
const chunkBytes = 32_768;

/** The octets of `bytes` in netascii. Byte by byte, so that it can be done in pieces. */
export function toNetascii(bytes: Buffer): Buffer {
  const text = Buffer.allocUnsafe(bytes.length + expansion(bytes));
  let at = 0;
  for (const byte of bytes) {
    if (byte === lf) text[at++] = cr;
    text[at++] = byte;
    if (byte === cr) text[at++] = 0;
  }
  return text;
}

function expansion(bytes: Buffer): number {
  let count = 0;
  for (const byte of bytes) if (byte === lf || byte === cr) count += 1;
  return count;
}

/**
 * The same file in netascii. Reads it once to learn its new size (RFC 2349 wants that one in `tsize`) and where each chunk of it begins,
 * so that a lost window can be read again; nothing but these offsets is kept.
 */
export async function netasciiFile(file: TftpFile): Promise<TftpFile> {
  /** Where chunk n begins in the converted file; one more at its end. */
  const starts: number[] = [0];
  const source = await file.open();
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let size = 0;
  try {
    for (let offset = 0; offset < file.size; offset += chunkBytes) {
      const wanted = chunk.subarray(0, Math.min(chunkBytes, file.size - offset));
      if ((await source.read(offset, wanted)) < wanted.length) throw new Error('the file became shorter while it was read');
      size += wanted.length + expansion(wanted);
      starts.push(size);
    }
  } finally {
    await source.close();
  }
  return { size, open: async () => converted(await file.open(), file.size, starts) };
}

function converted(source: OpenTftpFile, sourceSize: number, starts: readonly number[]): OpenTftpFile {
  return {
    async read(offset, target) {
      let filled = 0;
      for (let index = chunkAt(starts, offset); filled < target.length && index < starts.length - 1; index += 1) {
        const begin = index * chunkBytes;
        const raw = Buffer.allocUnsafe(Math.min(chunkBytes, sourceSize - begin));
        const got = await source.read(begin, raw);
        const text = toNetascii(raw.subarray(0, got));
        filled += text.copy(target, filled, offset + filled - (starts[index] ?? 0));
        if (got < raw.length) break;
      }
      return filled;
    },
    close: () => source.close(),
  };
}

/** The last chunk that begins at or before `offset`. */
function chunkAt(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Takes a netascii text in pieces and gives its octets: CR LF is LF, CR NUL is CR, and what follows any other CR is left as it is. */
export function netasciiReader(): (piece: Buffer, isLast: boolean) => Buffer {
  let afterCr = false;
  return (piece, isLast) => {
    const octets = Buffer.allocUnsafe(piece.length + 2);
    let at = 0;
    for (const byte of piece) {
      if (afterCr && byte !== lf) octets[at++] = cr;
      const isPair = afterCr && byte === 0;
      afterCr = byte === cr;
      if (!afterCr && !isPair) octets[at++] = byte;
    }
    if (isLast && afterCr) octets[at++] = cr;
    return octets.subarray(0, at);
  };
}
