// The images of a farm as they lie on disk: `images/<name>/<version>/`, the links beside them, and what a person's NAME[/VERSION] means.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError, systemCode } from '../base/errors.ts';
import type { ImageManifest } from '../image/built.ts';
import { linkedVersion, unfinished } from '../image/publish.ts';
import { nearest } from './complaints.ts';
import { imagesDirectory } from './directory.ts';

export interface StoredVersion {
  readonly image: string;
  /** Twelve hex digits. */
  readonly version: string;
  readonly directory: string;
  /** undefined: there is none that can be read. */
  readonly manifest: ImageManifest | undefined;
  /** Milliseconds since the epoch: when its manifest, the last of its files, was written; 0 without one. */
  readonly built: number;
}

export interface StoredImage {
  readonly name: string;
  readonly directory: string;
  /** The newest first. */
  readonly versions: readonly StoredVersion[];
  /** What nodes boot; undefined if none of its versions is it. */
  readonly current: string | undefined;
  /** What they booted before; never the current one. */
  readonly previous: string | undefined;
  /** The process that is building or changing it. */
  readonly busy: string | undefined;
  /** Names of what interrupted builds left. */
  readonly abandoned: readonly string[];
}

/** What an image may be called. */
const nameShape = /^[a-z0-9][a-z0-9._-]*$/;
const versionShape = /^[0-9a-f]{12}$/;

/** Sorted by name. */
export function storedImages(farm: string): readonly StoredImage[] {
  return namesIn(imagesDirectory(farm))
    .filter((name) => nameShape.test(name))
    .map((name) => storedImage(farm, name))
    .filter(({ versions, busy, abandoned }) => versions.length > 0 || busy !== undefined || abandoned.length > 0);
}

function storedImage(farm: string, name: string): StoredImage {
  const directory = join(imagesDirectory(farm), name);
  const versions = namesIn(directory)
    .filter((version) => versionShape.test(version))
    .map((version) => storedVersion(name, version, join(directory, version)))
    .sort((a, b) => b.built - a.built || (a.version < b.version ? -1 : 1));
  const there = (version: string | undefined): string | undefined => versions.find((each) => each.version === version)?.version;
  const current = there(linkedVersion(directory, 'current'));
  const previous = there(linkedVersion(directory, 'previous'));
  const { builder, abandoned } = unfinished(directory);
  return { name, directory, versions, current, previous: previous === current ? undefined : previous, busy: builder?.pid, abandoned };
}

function storedVersion(image: string, version: string, directory: string): StoredVersion {
  const path = join(directory, 'manifest.json');
  try {
    const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (isManifest(manifest)) return { image, version, directory, manifest, built: statSync(path).mtimeMs };
    return { image, version, directory, manifest: undefined, built: 0 };
  } catch (error) {
    // Shown as damaged, and `farm image verify` says why: one bad image must not hide the others.
    if (error instanceof SyntaxError || systemCode(error) === 'ENOENT') return { image, version, directory, manifest: undefined, built: 0 };
    throw error;
  }
}

/** Whether it has the parts of one: it was written by farm, but may have been damaged since. */
function isManifest(value: unknown): value is ImageManifest {
  const has = (of: unknown, ...keys: readonly string[]): boolean => typeof of === 'object' && of !== null && keys.every((key) => key in of);
  if (!has(value, 'contents', 'root', 'kernel', 'packages', 'bootPackages')) return false;
  const { contents, root, kernel, packages, bootPackages } = value as Readonly<Record<string, unknown>>;
  const files = typeof contents === 'object' && contents !== null ? Object.values(contents) : [undefined];
  return files.every((file) => has(file, 'sha256', 'size')) && has(root, 'bytes') && has(kernel, 'release') && has(packages) && has(bootPackages);
}

/** Of the directories in `directory`; none if it is not there. */
function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Throws `image.unknown`. */
export function findImage(farm: string, name: string): StoredImage {
  const images = storedImages(farm);
  const image = images.find((each) => each.name === name);
  if (image !== undefined) return image;
  const names = images.map((each) => each.name);
  const hint = names.length === 0 ? 'build one: farm image build' : `there are: ${names.join(', ')}`;
  throw new FarmError('image.unknown', `there is no image ${name}${nearest(name, names)}`, hint);
}

/** `NAME` is its current version, `NAME/VERSION` that one; the beginning of a version is enough. Throws `image.unknown`, `image.version`. */
export function findVersion(farm: string, reference: string): StoredVersion {
  const [name = '', wanted, ...rest] = reference.split('/');
  const image = findImage(farm, name);
  const known = image.versions.map(({ version }) => version);
  const hint = known.length === 0 ? `build it: farm image build ${name}` : `it has: ${known.join(', ')}`;
  if (wanted === undefined) {
    const current = image.versions.find(({ version }) => version === image.current);
    if (current === undefined) throw new FarmError('image.version', `image ${name} has no current version`, hint);
    return current;
  }
  const found = wanted === '' || rest.length > 0 ? [] : image.versions.filter(({ version }) => version.startsWith(wanted));
  const [version] = found;
  if (version !== undefined && found.length === 1) return version;
  const guess = found.length === 0 ? nearest(wanted, known) : '';
  throw new FarmError(
    'image.version',
    `image ${name} has ${found.length === 0 ? 'no' : `${found.length} versions that begin with`} ${found.length === 0 ? 'version ' : ''}${wanted}${guess}`,
    hint,
  );
}

/** A name for a new image. Throws `image.name`. */
export function newImageName(name: string): string {
  if (nameShape.test(name)) return name;
  throw new FarmError(
    'image.name',
    `${JSON.stringify(name)} can be no image's name`,
    'write small letters, digits, dots, hyphens and underscores, a letter or digit first',
  );
}

/** What the manifest says. Throws `image.damaged`. */
export function manifestOf({ image, version, directory, manifest }: StoredVersion): ImageManifest {
  if (manifest !== undefined) return manifest;
  const path = join(directory, 'manifest.json');
  const why = existsSync(path) ? `${path} is no manifest` : `${path} is missing`;
  throw new FarmError('image.damaged', `image ${image}/${version} is damaged: ${why}`, `see: farm image verify ${image}/${version}`);
}
