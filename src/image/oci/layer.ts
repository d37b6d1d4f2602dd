// Reads a layer from the disk: its bytes checked against digest and size, unpacked, checked against the configuration's digest, and told by member.
import { createReadStream } from 'node:fs';
import { FarmError, WireError } from '../../base/errors.ts';
import { decompressed } from '../decompress.ts';
import { readTar, type StreamedMember } from '../tar-reader.ts';
import { type Blob, checked } from './digest.ts';

/** Bytes of a file. */
export interface Span {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

export interface Layer {
  readonly span: Span;
  /** As it is stored. */
  readonly blob: Blob;
  /** Of the tar in it: `rootfs.diff_ids` of the configuration. */
  readonly diffId: string;
}

/** How many bytes may still be unpacked; shared by all layers of an image, for a few kilobytes of gzip can stand for a terabyte. */
export interface Allowance {
  left: number;
}

/**
 * Hands the members to `consume`. That it returns means that every byte was what the digests say. Throws `FarmError` (`image.digest`,
 * `image.layer`, `image.size`, `image.packed`, `program.missing`), the signal's reason, and what `consume` throws.
 */
export async function readLayer(
  { span, blob, diffId }: Layer,
  allowance: Allowance,
  signal: AbortSignal,
  consume: (members: AsyncIterable<StreamedMember>) => Promise<void>,
): Promise<void> {
  const tar = checked(allowed(decompressed(checked(spanBytes(span, signal), blob)), allowance), { digest: diffId, size: undefined });
  try {
    // The reader stops at the archive's end, but the digests go on to that of the bytes.
    await consume(readTar(keptOpen(tar)));
    for await (const _ of tar);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof WireError)) throw error;
    throw new FarmError(
      'image.layer',
      `the layer ${blob.digest ?? diffId} is no tar: ${error.message}, at byte ${error.offset}`,
      'build the image again',
      error,
    );
  } finally {
    await tar.return(undefined);
  }
}

/** Leaving a loop over it does not end it. */
function keptOpen(source: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => source.next() }) };
}

export async function* spanBytes({ path, offset, size }: Span, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (size === 0) return;
  for await (const chunk of createReadStream(path, { start: offset, end: offset + size - 1, signal, highWaterMark: 1 << 18 })) yield chunk;
}

async function* allowed(chunks: AsyncIterable<Uint8Array>, allowance: Allowance): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    allowance.left -= chunk.length;
    if (allowance.left < 0)
      throw new FarmError('image.size', 'the container image unpacks to more than is allowed', 'if it is to be trusted, allow more with --max-size');
    yield chunk;
  }
}
