// An image as it lies on disk, `<images>/<name>/<version>/`, never changed once it is there: its manifest.json, and how to find the current one.
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { type ManifestEntry, parseMtree } from './mtree.ts';

const contentSchema = z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(0) });

const manifestSchema = z.object({
  name: z.string(),
  /** Of this file's layout. */
  format: z.literal(1),
  suite: z.string(),
  /** Seconds since 1970 that no time in the image is later than. */
  epoch: z.int(),
  kernel: z.object({ release: z.string(), package: z.string(), packageVersion: z.string() }),
  /** Every other file of the image, by path; what `version` is computed from. */
  contents: z.record(z.string(), contentSchema),
  root: z.object({ paths: z.int(), bytes: z.int() }),
  initramfs: z.object({ modules: z.int(), unpackedBytes: z.int() }),
  /** Version of each package in the root. */
  packages: z.record(z.string(), z.string()),
  /** Version of each package that kernel, initramfs and loaders come from. */
  bootPackages: z.record(z.string(), z.string()),
  /** Paths whose file capabilities or ACLs are not served, because NFSv3 has none. */
  lostAttributes: z.array(z.string()),
});

export type ImageManifest = z.infer<typeof manifestSchema>;

/** A built image. All paths are absolute and name the version, not `current`. */
export interface BuiltImage {
  readonly name: string;
  /** Twelve hex digits. */
  readonly version: string;
  readonly directory: string;
  /** Where file contents are; owners and modes there may not be the true ones: `mtree` has those. */
  readonly root: string;
  readonly mtree: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly loaders: string;
  readonly manifest: ImageManifest;
}

/** The current version of image `name`. Throws `FarmError` `image.missing` or `image.damaged`. */
export function findImage(imagesDirectory: string, name: string): BuiltImage {
  let version: string;
  try {
    version = readlinkSync(join(imagesDirectory, name, 'current'));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new FarmError('image.missing', `there is no image ${name} in ${imagesDirectory}`, `build it with: farm image build ${name}`, error);
  }
  return describeImage(join(imagesDirectory, name, version), version);
}

/** The image in `directory`. Throws `FarmError` `image.damaged`. */
export function describeImage(directory: string, version: string): BuiltImage {
  let manifest: ImageManifest;
  try {
    manifest = manifestSchema.parse(JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : sentence(error);
    throw new FarmError('image.damaged', `${directory}/manifest.json cannot be read: ${reason}`, 'remove that directory and build the image again', error);
  }
  return {
    name: manifest.name,
    version,
    directory,
    root: join(directory, 'root'),
    mtree: join(directory, 'root.mtree'),
    kernel: join(directory, 'kernel'),
    initramfs: join(directory, 'initramfs'),
    loaders: join(directory, 'loaders'),
    manifest,
  };
}

/** Everything in an image's root, directories before what is in them. Throws `FarmError` `image.damaged`. */
export function readRoot(image: BuiltImage): readonly ManifestEntry[] {
  try {
    return parseMtree(readFileSync(image.mtree));
  } catch (error) {
    throw new FarmError('image.damaged', `${image.mtree} cannot be read: ${sentence(error)}`, 'remove its directory and build the image again', error);
  }
}
