// Writes the root of a container image: reads all layers once for their headers, decides what stays, and a second time for the files that do.
import { statfsSync } from 'node:fs';
import { FarmError } from '../../base/errors.ts';
import type { ExtendedAttributes } from '../attributes.ts';
import { metadataOf, type RootWriter } from '../root.ts';
import type { StreamedMember, TarMember } from '../tar-reader.ts';
import type { Unpacked } from '../unpack.ts';
import { type Layer, readLayer } from './layer.ts';
import { applyLayer, emptyRoot, holdMember, namesOf, type RootName, type RootObject } from './layering.ts';

export interface RootOptions {
  readonly layers: readonly Layer[];
  readonly root: RootWriter;
  /** Where `root` writes. */
  readonly directory: string;
  /** Bytes that all layers may have unpacked, and all files of the root. */
  readonly maxBytes: number;
  readonly onProgress: (detail: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Nothing is written before the whole of it is known and fits. Throws `FarmError` (`image.layer`, `image.digest`, `image.size`, `image.space`, ...).
 */
export async function writeContainerRoot(options: RootOptions): Promise<Unpacked> {
  const { layers, root, signal, onProgress } = options;
  const names = await planRoot(options);
  const objects = new Map<RootObject, RootName>();
  for (const name of names) if (!objects.has(name.object)) objects.set(name.object, name);
  for (const { path, object } of names) if (object.member.kind === 'directory') root.addDirectory(path, metadataOf(object.member));
  const files = layers.map((): Map<number, RootName> => new Map());
  for (const name of objects.values()) {
    if (name.object.member.kind !== 'file') addWithoutContent(root, name);
    else if (name.object.ordinal !== undefined) files[name.object.layer]?.set(name.object.ordinal, name);
  }
  for (const [layer, wanted] of files.entries()) {
    const read = layers[layer];
    if (wanted.size === 0 || read === undefined) continue;
    const detail = `layer ${layer + 1} of ${layers.length}`;
    await readLayer(read, { left: options.maxBytes }, signal, (members) =>
      writeFiles(members, wanted, root, () => onProgress(`${detail}, ${Math.round(root.bytes / 1e6)} MB`)),
    );
  }
  for (const { path, object } of names) {
    const first = objects.get(object)?.path;
    if (first !== undefined && first !== path) root.addLink(path, first);
  }
  return attributesOf(names);
}

function addWithoutContent(root: RootWriter, { path, object: { member } }: RootName): void {
  const { kind, target, device } = member;
  if (kind === 'symlink') root.addSymlink(path, metadataOf(member), target);
  else if (kind === 'fifo') root.addSpecial(path, metadataOf(member), kind, undefined);
  else if (kind === 'character' || kind === 'block') root.addSpecial(path, metadataOf(member), kind, device);
}

async function writeFiles(members: AsyncIterable<StreamedMember>, wanted: ReadonlyMap<number, RootName>, root: RootWriter, onFile: () => void): Promise<void> {
  let ordinal = 0;
  for await (const { content } of members) {
    const name = wanted.get(ordinal);
    ordinal += 1;
    if (name === undefined) continue;
    await root.addFile(name.path, metadataOf(name.object.member), content);
    onFile();
  }
}

async function planRoot({ layers, directory, maxBytes, onProgress, signal }: RootOptions): Promise<readonly RootName[]> {
  const root = emptyRoot();
  const allowance = { left: maxBytes };
  for (const [layer, each] of layers.entries()) {
    const held: TarMember[] = [];
    onProgress(`checking layer ${layer + 1} of ${layers.length}`);
    await readLayer(each, allowance, signal, async (members) => {
      for await (const { content: _, at: __, ...member } of members) {
        holdMember(root, member);
        held.push(member);
      }
    });
    applyLayer(root, layer, held);
  }
  const names = namesOf(root);
  const bytes = [...new Set(names.map(({ object }) => object))].reduce((sum, { member }) => sum + member.size, 0);
  if (bytes > maxBytes)
    throw new FarmError(
      'image.size',
      `the files of the container image have ${bytes} bytes, more than is allowed`,
      'if it is to be trusted, allow more with --max-size',
    );
  requireSpace(directory, bytes);
  return names;
}

/** Throws `FarmError` `image.space` if `bytes` do not fit on the file system of a directory. */
export function requireSpace(directory: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(directory);
  if (bytes <= bavail * bsize) return;
  const megabytes = (count: number): string => `${Math.ceil(count / 1e6)} MB`;
  throw new FarmError(
    'image.space',
    `${megabytes(bytes)} do not fit on the disk of ${directory}, which has ${megabytes(bavail * bsize)} free`,
    'remove versions that nobody needs: farm image gc',
  );
}

function attributesOf(names: readonly RootName[]): Unpacked {
  const attributes = new Map<string, ExtendedAttributes>();
  const lost: string[] = [];
  for (const { path, object } of names) {
    if (object.member.attributes.size > 0) attributes.set(path, object.member.attributes);
    if (object.member.attributes.size > 0 || object.member.acl) lost.push(path);
  }
  return { attributes, lost: lost.sort() };
}
