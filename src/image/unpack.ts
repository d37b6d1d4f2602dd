// Reads the tar of a root file system (POSIX.1-2017 pax, as GNU tar writes it) into a RootWriter, entry by entry as it streams in.
import type { Readable } from 'node:stream';
import { FarmError } from '../base/errors.ts';
import type { ExtendedAttributes } from './attributes.ts';
import { metadataOf, type RootWriter } from './root.ts';
import { readTar, type StreamedMember } from './tar-reader.ts';

export interface UnpackOptions {
  /** Which writer takes a path, and under which name there; undefined leaves it out. */
  readonly route: (path: string) => { readonly writer: RootWriter; readonly path: string } | undefined;
  /** Told now and then, for progress. */
  readonly onEntry: (count: number) => void;
}

export interface Unpacked {
  /** Extended attributes by path, which a root by NFSv3 lacks. */
  readonly attributes: ReadonlyMap<string, ExtendedAttributes>;
  /** Paths that have such or ACLs, sorted. */
  readonly lost: readonly string[];
}

/** Reads the stream to its end. Throws `WireError` (`tar.*`), `FarmError` (`image.*`). */
export async function unpack(tar: Readable, options: UnpackOptions): Promise<Unpacked> {
  const lost: string[] = [];
  const attributes = new Map<string, ExtendedAttributes>();
  const chunks = tar[Symbol.asyncIterator]();
  const whole = { [Symbol.asyncIterator]: () => chunks };
  let count = 0;
  for await (const member of readTar(whole)) {
    const path = normalise(member.path);
    const place = options.route(path);
    if (place !== undefined) {
      await put(place.writer, place.path, member, options);
      if (member.attributes.size > 0 || member.acl) lost.push(path);
      if (member.attributes.size > 0) attributes.set(path, member.attributes);
    }
    count += 1;
    options.onEntry(count);
  }
  for await (const _ of whole); // what fills up an archive's last record
  return { attributes, lost: lost.sort() };
}

async function put(writer: RootWriter, path: string, member: StreamedMember, options: UnpackOptions): Promise<void> {
  const metadata = metadataOf(member);
  switch (member.kind) {
    case 'file':
      return writer.addFile(path, metadata, member.content);
    case 'directory':
      return writer.addDirectory(path, metadata);
    case 'symlink':
      return writer.addSymlink(path, metadata, member.target);
    case 'link': {
      const to = options.route(normalise(member.target));
      if (to?.writer !== writer) throw new FarmError('image.tar', `${path} is a hard link to ${member.target}, which is left out`);
      return writer.addLink(path, to.path);
    }
    case 'fifo':
      return writer.addSpecial(path, metadata, member.kind, undefined);
    case 'character':
    case 'block':
      return writer.addSpecial(path, metadata, member.kind, member.device);
  }
}

/** `./usr/bin/` -> `usr/bin`, `./` -> `.`. */
function normalise(path: string): string {
  const trimmed = path.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
  return trimmed === '' ? '.' : trimmed;
}
