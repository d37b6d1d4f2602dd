// Reads the tar of a root file system (POSIX.1-2017 pax, as GNU tar writes it) into a RootWriter, entry by entry as it streams in.
import type { Readable } from 'node:stream';
import { extract, type Header as TarHeader } from 'tar-stream';
import { FarmError } from '../base/errors.ts';
import type { Timestamp } from '../tree/tree.ts';
import { AttributeTap, type ExtendedAttributes } from './attributes.ts';
import type { Metadata, RootWriter } from './root.ts';

export interface UnpackOptions {
  /** Which writer takes a path, and under which name there; undefined leaves it out. */
  readonly route: (path: string) => { readonly writer: RootWriter; readonly path: string } | undefined;
  /** Told now and then, for progress. */
  readonly onEntry: (count: number) => void;
}

/** tar-stream reads `filenameEncoding`, which its type leaves out. 16 KiB is its own highWaterMark. */
const latin1Names = { highWaterMark: 16_384, filenameEncoding: 'latin1' };

export interface Unpacked {
  /** Extended attributes by path, which a root by NFSv3 lacks. */
  readonly attributes: ReadonlyMap<string, ExtendedAttributes>;
  /** Paths that have such or ACLs, sorted. */
  readonly lost: readonly string[];
}

export async function unpack(tar: Readable, options: UnpackOptions): Promise<Unpacked> {
  const lost: string[] = [];
  const attributes = new Map<string, ExtendedAttributes>();
  const tap = new AttributeTap();
  const extractor = extract(latin1Names);
  tar.once('error', (error) => extractor.destroy(error));
  // Before the extractor has them, so that an entry's attributes are known when it comes out.
  tar.on('data', (chunk: Buffer) => {
    try {
      tap.push(chunk);
    } catch (error) {
      extractor.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  });
  tar.pipe(extractor);
  let count = 0;
  for await (const entry of extractor) {
    const header = readHeader(entry.header);
    const extended = tap.of(count);
    const place = options.route(header.path);
    if (place === undefined) {
      entry.resume();
    } else {
      // streamx's readables are async iterables, which their type leaves out.
      await put(place.writer, place.path, header, entry as unknown as AsyncIterable<Uint8Array>, options);
      entry.resume(); // what has no content must be read to its end too
      if (header.attributes) lost.push(header.path);
      if (extended !== undefined) attributes.set(header.path, extended);
    }
    count += 1;
    options.onEntry(count);
  }
  return { attributes, lost: lost.sort() };
}

interface Header {
  readonly path: string;
  readonly linkPath: string;
  readonly type: TarHeader['type'];
  readonly metadata: Metadata;
  readonly device: { readonly major: number; readonly minor: number };
  readonly attributes: boolean;
}

async function put(writer: RootWriter, path: string, header: Header, content: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<void> {
  const { metadata } = header;
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      await writer.addFile(path, metadata, content);
      return;
    case 'directory':
      writer.addDirectory(path, metadata);
      break;
    case 'symlink':
      writer.addSymlink(path, metadata, header.linkPath);
      break;
    case 'link': {
      const to = options.route(normalise(header.linkPath));
      if (to?.writer !== writer) throw new FarmError('image.tar', `${path} is a hard link to ${header.linkPath}, which is left out`);
      writer.addLink(path, to.path);
      break;
    }
    case 'character-device':
      writer.addSpecial(path, metadata, 'character', header.device);
      break;
    case 'block-device':
      writer.addSpecial(path, metadata, 'block', header.device);
      break;
    case 'fifo':
      writer.addSpecial(path, metadata, 'fifo', undefined);
      break;
    default:
      throw new FarmError('image.tar', `${path} is a ${String(header.type)} in the archive, which no root file system has`);
  }
}

function readHeader(headers: TarHeader): Header {
  const records = headers.pax;
  const pax = new Map<string, unknown>(typeof records === 'object' && records !== null ? Object.entries(records) : []);
  const text = (key: string): string | undefined => {
    const value = pax.get(key);
    return typeof value === 'string' ? value : undefined;
  };
  return {
    path: normalise(paxBytes(text('path')) ?? headers.name),
    linkPath: paxBytes(text('linkpath')) ?? headers.linkname,
    type: headers.type,
    metadata: {
      mode: headers.mode & 0o7777,
      uid: Number(text('uid') ?? headers.uid),
      gid: Number(text('gid') ?? headers.gid),
      mtime: paxTime(text('mtime')) ?? { seconds: Math.floor(headers.mtime.getTime() / 1000), nanoseconds: 0 },
    },
    device: { major: headers.devmajor, minor: headers.devminor },
    attributes: [...pax.keys()].some((key) => key.startsWith('SCHILY.xattr.') || key.startsWith('SCHILY.acl.')),
  };
}

/** `./usr/bin/` -> `usr/bin`, `./` -> `.`. */
function normalise(path: string): string {
  const trimmed = path.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
  return trimmed === '' ? '.' : trimmed;
}

/** tar-stream has decoded the record as UTF-8, which is what pax says it is; other bytes are gone by then. */
function paxBytes(text: string | undefined): string | undefined {
  if (text?.includes('�') === true) throw new FarmError('image.tar', `the name ${text} in the archive is not UTF-8`);
  return text === undefined ? undefined : Buffer.from(text).toString('latin1');
}

function paxTime(text: string | undefined): Timestamp | undefined {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text ?? '');
  if (match === null) return undefined;
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  const seconds = Number(match[2]);
  if (match[1] === '') return { seconds, nanoseconds };
  return nanoseconds === 0 ? { seconds: -seconds, nanoseconds: 0 } : { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}
