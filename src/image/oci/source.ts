// What a person names as the source of an import: a path that is there, a transport of skopeo's with a path, or an image in a registry.
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FarmError } from '../../base/errors.ts';
import { decompressed } from '../decompress.ts';
import { type RootSource, rootSource } from '../root-source.ts';
import { readTar } from '../tar-reader.ts';
import type { Platform } from './documents.ts';
import { spanBytes } from './layer.ts';
import { type ImageReference, parseReference } from './reference.ts';

export type ContainerPlace =
  | { readonly kind: 'layout' | 'archive'; readonly path: string }
  | { readonly kind: 'registry'; readonly reference: ImageReference; readonly plain: boolean };

export interface ContainerSource {
  readonly kind: 'container';
  readonly place: ContainerPlace;
  readonly platform: Platform;
  /** Which of several images in a layout or archive. */
  readonly tag: string | undefined;
  /** Bytes that it may have unpacked. */
  readonly maxBytes: number;
}

const remedy = 'name a root directory, a tar of one, an OCI layout, an archive of docker save, or an image with its registry: docker.io/library/debian:13';

/** What `text` is. Throws `FarmError` `image.source`, `image.reference`. */
export async function sourceOf(
  text: string,
  insecure: boolean,
  about: Omit<ContainerSource, 'kind' | 'place'>,
  signal: AbortSignal,
): Promise<RootSource | ContainerSource> {
  const place = await placeOf(text, insecure, signal);
  return place === undefined ? rootSource(resolve(text)) : { kind: 'container', place, ...about };
}

async function placeOf(text: string, insecure: boolean, signal: AbortSignal): Promise<ContainerPlace | undefined> {
  const [, transport = '', rest = ''] = /^(oci|oci-archive|docker-archive|docker|https?):(.*)$/.exec(text) ?? [];
  switch (transport) {
    case 'docker':
    case 'http':
    case 'https':
      if (!rest.startsWith('//')) break;
      return { kind: 'registry', reference: parseReference(rest.slice(2)), plain: insecure || transport === 'http' };
    case 'oci':
      return { kind: 'layout', path: existing(rest) };
    case 'oci-archive':
    case 'docker-archive':
      return { kind: 'archive', path: existing(rest) };
  }
  if (existsSync(text)) return atPath(resolve(text), signal);
  const first = text.includes('/') ? text.slice(0, text.indexOf('/')) : '';
  if (first === 'localhost' || (/[.:]/.test(first) && !/^\.{1,2}$/.test(first))) return { kind: 'registry', reference: parseReference(text), plain: insecure };
  throw new FarmError('image.source', `there is no ${text}`, remedy);
}

function existing(path: string): string {
  if (existsSync(path)) return resolve(path);
  throw new FarmError('image.source', `there is no ${path}`, remedy);
}

async function atPath(path: string, signal: AbortSignal): Promise<ContainerPlace | undefined> {
  if (statSync(path).isDirectory()) return existsSync(join(path, 'oci-layout')) && existsSync(join(path, 'index.json')) ? { kind: 'layout', path } : undefined;
  return (await beginsAsArchive(path, signal)) ? { kind: 'archive', path } : undefined;
}

/** What skopeo, podman, buildah and docker begin an archive of images with; a root file system has nothing of the kind at its top. */
const archiveMember = /^(?:\.?\/)*(?:blobs(?:\/.*)?|oci-layout|index\.json|manifest\.json|repositories|[0-9a-f]{64}(?:\/.*|\.json|\.tar)?)$/;

async function beginsAsArchive(path: string, signal: AbortSignal): Promise<boolean> {
  const { size } = statSync(path);
  try {
    for await (const member of readTar(decompressed(spanBytes({ path, offset: 0, size }, signal)))) {
      if (/^(?:\.?\/)*\.?$/.test(member.path)) continue;
      return archiveMember.test(member.path);
    }
    return false;
  } catch {
    signal.throwIfAborted();
    return false; // then it is no archive, and the import of a tar says what is wrong with it
  }
}
