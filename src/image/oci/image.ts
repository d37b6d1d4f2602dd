// A container image in an OCI layout, a `docker save` or a registry: its manifest for the platform, and its layers as files.
import { FarmError } from '../../base/errors.ts';
import { type Blob, checkBytes, digestOf } from './digest.ts';
import { type Descriptor, type Index, type Manifest, type Platform, readConfig, readIndex, readManifest, readSaved } from './documents.ts';
import { type ContainerFiles, readDocument } from './files.ts';
import type { Layer, Span } from './layer.ts';
import { formatPlatform, isFor, manifestFor, namedIn, savedNamed } from './select.ts';

export interface ContainerImage {
  /** Of its manifest; of a `docker save`, of its configuration. */
  readonly digest: string;
  readonly layers: readonly Layer[];
}

/** What a blob or document is fetched with. */
export interface BlobDoor {
  /** A manifest, index or configuration, with the bytes that the descriptor says. */
  readonly document: (descriptor: Descriptor) => Promise<Buffer>;
  /** Told once, before the first blob is asked for, how many bytes all layers have. */
  readonly begin: (bytes: number) => void;
  /** Where a layer's bytes are, not checked yet or already. */
  readonly blob: (blob: Blob & { readonly digest: string }) => Promise<Span>;
}

export interface Wanted {
  readonly platform: Platform;
  /** Which of several images in an archive. */
  readonly tag: string | undefined;
  /** For messages: the archive or reference. */
  readonly what: string;
}

/** An index in an index is allowed; a tower of them is not meant. */
const depthMax = 3;

/** From its index or manifest. Throws `FarmError` (`image.oci`, `image.platform`, `image.digest`), and what the door throws. */
export async function openImage(door: BlobDoor, start: Buffer, digest: string, { platform, what }: Wanted): Promise<ContainerImage> {
  let read = readManifest(start, what);
  let from = digest;
  for (let depth = 0; read.kind === 'index'; depth += 1) {
    if (depth === depthMax) throw new FarmError('image.oci', `${what} has an index in an index in an index`);
    const next = manifestFor(read.index, platform, what);
    from = next.digest;
    read = readManifest(await door.document(next), `the manifest ${next.digest}`);
  }
  return { digest: from, layers: await layersOf(door, read.manifest, platform, what) };
}

async function layersOf(door: BlobDoor, { config, layers }: Manifest, platform: Platform, what: string): Promise<readonly Layer[]> {
  const diffIds = diffIdsOf(await door.document(config), layers.length, platform, what);
  door.begin(layers.reduce((sum, { size }) => sum + size, 0));
  const found: Layer[] = [];
  for (const [at, { digest, size }] of layers.entries()) {
    const diffId = diffIds[at];
    if (diffId !== undefined) found.push({ span: await door.blob({ digest, size }), blob: { digest, size }, diffId });
  }
  return found;
}

function diffIdsOf(bytes: Buffer, layers: number, platform: Platform, what: string): readonly string[] {
  const config = readConfig(bytes, `the configuration of ${what}`);
  if (!isFor(platform, config)) {
    throw new FarmError(
      'image.platform',
      `${what} is for ${formatPlatform(config)}, not for ${formatPlatform(platform)}`,
      "choose the nodes' platform with --platform",
    );
  }
  const ids = config.rootfs.diff_ids;
  if (ids.length === layers && layers > 0) return ids;
  throw new FarmError(
    'image.oci',
    `${what} has ${layers} layers, and digests of ${ids.length}`,
    layers === 0 ? 'an image without layers has no root file system' : undefined,
  );
}

/** Of a layout or a `docker save`. Throws `FarmError` as `openImage` does, and `image.tag`. */
export async function imageIn(files: ContainerFiles, wanted: Wanted): Promise<ContainerImage> {
  const { what, tag } = wanted;
  const index = files('index.json');
  if (index !== undefined) {
    const named = namedIn(readIndex(readDocument(index, `index.json of ${what}`), `index.json of ${what}`), tag, what);
    return openLayout(files, named, wanted);
  }
  const saved = files('manifest.json');
  if (saved === undefined)
    throw new FarmError('image.source', `${what} has neither index.json nor manifest.json`, 'make it with: skopeo copy, podman save, or docker save');
  const { Config: configPath, Layers: layerPaths } = savedNamed(
    readSaved(readDocument(saved, `manifest.json of ${what}`), `manifest.json of ${what}`),
    tag,
    what,
  );
  const config = readDocument(there(files, configPath, what), `the configuration of ${what}`);
  const digest = digestOf(config);
  // Both namings, `<hex>.json` and `blobs/sha256/<hex>`, are its digest.
  const [, hex] = /([0-9a-f]{64})(?:\.json)?$/.exec(configPath) ?? [];
  if (hex !== undefined && `sha256:${hex}` !== digest)
    throw new FarmError('image.digest', `the configuration of ${what} has the digest ${digest}, not ${hex}`, 'make the archive again');
  const diffIds = diffIdsOf(config, layerPaths.length, wanted.platform, what);
  const layers = diffIds.map((diffId, at) => ({ span: there(files, layerPaths[at] ?? '', what), blob: { digest: undefined, size: undefined }, diffId }));
  return { digest, layers };
}

async function openLayout(files: ContainerFiles, index: Index, wanted: Wanted): Promise<ContainerImage> {
  const blob = ({ digest }: { readonly digest: string }): Span => there(files, `blobs/${digest.replace(':', '/')}`, wanted.what);
  const document = async (descriptor: Descriptor): Promise<Buffer> => {
    const bytes = readDocument(blob(descriptor), `the blob ${descriptor.digest}`);
    checkBytes(bytes, descriptor);
    return bytes;
  };
  const first = manifestFor(index, wanted.platform, wanted.what);
  return openImage({ document, begin: () => {}, blob: async (each) => blob(each) }, await document(first), first.digest, wanted);
}

function there(files: ContainerFiles, path: string, what: string): Span {
  const span = files(path);
  if (span !== undefined) return span;
  throw new FarmError('image.oci', `${what} names ${JSON.stringify(path)}, which it has not`, 'make the archive again, with all layers');
}
