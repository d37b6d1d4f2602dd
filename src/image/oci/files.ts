// The files of an OCI layout (image-layout.md) or a `docker save`, in a directory or in a tar: where the bytes of each lie.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { posix } from 'node:path';
import { FarmError, systemCode, WireError } from '../../base/errors.ts';
import { readTar } from '../tar-reader.ts';
import { documentMax } from './documents.ts';
import { type Span, spanBytes } from './layer.ts';

/** Where the file with this path from the top is; undefined if there is none. */
export type ContainerFiles = (path: string) => Span | undefined;

export function filesOfDirectory(directory: string): ContainerFiles {
  return (path) => {
    const whole = posix.join(directory, posix.join('/', path));
    try {
      // A fifo must not hold it.
      const fd = openSync(whole, constants.O_RDONLY | constants.O_NONBLOCK);
      const stats = fstatSync(fd);
      closeSync(fd);
      return stats.isFile() ? { path: whole, offset: 0, size: stats.size } : undefined;
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
      throw error;
    }
  };
}

/** An archive of some images has a few hundred files. */
const membersMax = 100_000;
/** Old `docker save`s have a symlink for a layer that is there already. */
const linksMax = 8;

/** Reads the archive, which is not compressed, once to know where everything is. Throws `FarmError` `image.source`. */
export async function filesOfArchive(archive: Span, signal: AbortSignal): Promise<ContainerFiles> {
  const spans = new Map<string, Span>();
  const links = new Map<string, string>();
  try {
    let count = 0;
    for await (const { path, kind, at, size, target } of readTar(spanBytes(archive, signal))) {
      count += 1;
      if (count > membersMax) throw new FarmError('image.source', `${archive.path} has more than ${membersMax} files, which no archive of images has`);
      const name = posix.join('/', path);
      if (kind === 'file' && at !== undefined) spans.set(name, { path: archive.path, offset: archive.offset + at, size });
      else if (kind === 'symlink') links.set(name, posix.resolve(posix.dirname(name), target));
      else if (kind === 'link') links.set(name, posix.join('/', target));
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new FarmError('image.source', `${archive.path} is no whole tar: ${error.message}`, 'make it again', error);
  }
  return (path) => {
    let name: string | undefined = posix.join('/', path);
    for (let hops = 0; name !== undefined && hops <= linksMax; hops += 1) {
      const span = spans.get(name);
      if (span !== undefined) return span;
      name = links.get(name);
    }
    return undefined;
  };
}

/** A file that is read whole. Throws `FarmError` `image.oci`. */
export function readDocument({ path, offset, size }: Span, what: string): Buffer {
  if (size > documentMax) throw new FarmError('image.oci', `${what} has ${size} bytes, which no such document has`);
  const bytes = Buffer.alloc(size);
  const fd = openSync(path, 'r');
  try {
    const read = readSync(fd, bytes, 0, size, offset);
    if (read === size) return bytes;
  } finally {
    closeSync(fd);
  }
  throw new FarmError('image.oci', `${what} ends too soon`);
}
