// Brings a container image from where it is into a root: pulled or opened, checked, unpacked. What it needs on the way lies in a directory of its own.
import { createWriteStream, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { FarmError } from '../../base/errors.ts';
import { decompressed } from '../decompress.ts';
import type { RootWriter } from '../root.ts';
import type { Unpacked } from '../unpack.ts';
import { filesOfArchive, filesOfDirectory } from './files.ts';
import { type ContainerImage, imageIn, openImage } from './image.ts';
import { spanBytes } from './layer.ts';
import { findCredential } from './logins.ts';
import { formatReference, type ImageReference } from './reference.ts';
import { openRegistry } from './registry.ts';
import { requireSpace, writeContainerRoot } from './root.ts';
import type { ContainerPlace, ContainerSource } from './source.ts';

export interface UnpackContainerOptions {
  readonly source: ContainerSource;
  /** Empty. */
  readonly root: RootWriter;
  /** Does not exist yet; removed at the end. */
  readonly workDirectory: string;
  /** Where pulled blobs stay for the next time; undefined: nowhere. */
  readonly store?: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onProgress: (detail: string, fraction?: number) => void;
  readonly signal: AbortSignal;
}

export interface UnpackedContainer extends Unpacked {
  /** The source with the digest of what was taken. */
  readonly origin: string;
}

/** Throws `FarmError` (`image.*`, `registry.*`, `program.*`), or the signal's reason. */
export async function unpackContainer(options: UnpackContainerOptions): Promise<UnpackedContainer> {
  const { source, root, workDirectory, onProgress, signal } = options;
  mkdirSync(workDirectory, { mode: 0o700 });
  try {
    const { place, maxBytes } = source;
    const { digest, layers } = place.kind === 'registry' ? await pull(options, place) : await open(options, place.kind, place.path);
    const unpacked = await writeContainerRoot({ layers, root, directory: workDirectory, maxBytes, onProgress, signal });
    const origin = place.kind === 'registry' ? formatReference({ ...place.reference, digest }) : digest;
    return { ...unpacked, origin };
  } finally {
    rmSync(workDirectory, { recursive: true, force: true });
  }
}

async function open({ source, workDirectory, onProgress, signal }: UnpackContainerOptions, kind: 'layout' | 'archive', path: string): Promise<ContainerImage> {
  const wanted = { platform: source.platform, tag: source.tag, what: path };
  if (kind === 'layout') return imageIn(filesOfDirectory(path), wanted);
  onProgress('reading the archive');
  const plain = await plainArchive(path, join(workDirectory, 'archive.tar'), source.maxBytes, signal);
  return imageIn(await filesOfArchive({ path: plain, offset: 0, size: statSync(plain).size }, signal), wanted);
}

/** The archive itself, or if it is compressed a copy that is not: its files are read by their places. */
async function plainArchive(path: string, copy: string, maxBytes: number, signal: AbortSignal): Promise<string> {
  const span = { path, offset: 0, size: statSync(path).size };
  if (await isPlainTar(span, signal)) return path;
  let left = maxBytes;
  const bounded = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of decompressed(spanBytes(span, signal))) {
      left -= chunk.length;
      if (left < 0) throw new FarmError('image.size', `${path} unpacks to more than is allowed`, 'if it is to be trusted, allow more with --max-size');
      yield chunk;
    }
  };
  await pipeline(Readable.from(bounded(), { objectMode: false }), createWriteStream(copy, { mode: 0o600 }), { signal });
  return copy;
}

/** tar(5): the magic of POSIX and GNU archives. */
async function isPlainTar({ path, size }: { readonly path: string; readonly size: number }, signal: AbortSignal): Promise<boolean> {
  const start: Uint8Array[] = [];
  for await (const chunk of spanBytes({ path, offset: 0, size: Math.min(size, 512) }, signal)) start.push(chunk);
  return Buffer.concat(start).toString('latin1', 257, 262) === 'ustar';
}

async function pull(options: UnpackContainerOptions, { reference, plain }: ContainerPlace & { readonly kind: 'registry' }): Promise<ContainerImage> {
  const { source, workDirectory, onProgress, signal, env } = options;
  if (source.tag !== undefined) throw tagTwice(reference);
  const credential = await findCredential(reference, env, signal);
  let total = 0;
  let come = 0;
  const onBytes = (count: number): void => {
    come += count;
    if (total > 0) onProgress(`${Math.round(come / 1e6)} of ${Math.round(total / 1e6)} MB`, Math.min(1, come / total));
  };
  const pause = (time: number, stop: AbortSignal): Promise<void> => wait(time, undefined, { signal: stop });
  const registry = openRegistry({ reference, plain, credential, directory: workDirectory, store: options.store, wait: pause, onBytes, signal });
  onProgress(`asking ${reference.domain}`);
  const { bytes, digest } = await registry.manifest();
  const begin = (size: number): void => {
    total = size;
    requireSpace(workDirectory, size);
  };
  const document = async (descriptor: { readonly digest: string; readonly size: number; readonly mediaType: string }): Promise<Buffer> =>
    /manifest|index/.test(descriptor.mediaType) ? (await registry.manifest(descriptor.digest)).bytes : registry.document(descriptor);
  return openImage({ document, begin, blob: registry.blob }, bytes, digest, { platform: source.platform, tag: undefined, what: formatReference(reference) });
}

function tagTwice(reference: ImageReference): FarmError {
  return new FarmError('image.tag', '--tag is for layouts and archives', `write it in the reference: ${formatReference(reference)}`);
}
