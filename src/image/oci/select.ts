// Which manifest of an index: by name (OCI image-spec 1.1, annotations.md, org.opencontainers.image.ref.name) and by platform (image-index.md).
import { FarmError } from '../../base/errors.ts';
import type { Descriptor, Index, Platform, SavedImages } from './documents.ts';

/** `linux/amd64`, `linux/arm/v7`. Throws `FarmError` `image.platform`. */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...more] = text.split('/');
  if (os && architecture && variant !== '' && more.length === 0) return { os, architecture, ...(variant === undefined ? {} : { variant }) };
  throw new FarmError('image.platform', `${JSON.stringify(text)} is no platform`, 'write OS/ARCHITECTURE, e.g. linux/amd64');
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}

/** A wanted variant must be there; one that is not asked for may be. */
export function isFor(wanted: Platform, found: Platform): boolean {
  return found.os === wanted.os && found.architecture === wanted.architecture && (wanted.variant === undefined || found.variant === wanted.variant);
}

/** The first that is for the platform; of several with none named, the only one. Throws `FarmError` `image.platform`. */
export function manifestFor({ manifests }: Index, wanted: Platform, what: string): Descriptor {
  const found = manifests.find(({ platform }) => platform !== undefined && isFor(wanted, platform));
  if (found !== undefined) return found;
  const [only, ...others] = manifests;
  if (only !== undefined && others.length === 0 && only.platform === undefined) return only;
  // BuildKit lists its attestations as images for unknown/unknown.
  const there = manifests.flatMap(({ platform }) => (platform === undefined || platform.os === 'unknown' ? [] : [formatPlatform(platform)]));
  const hint = there.length === 0 ? 'build it for this platform' : `it is for: ${[...new Set(there)].join(', ')}; choose with --platform`;
  throw new FarmError('image.platform', `${what} has no image for ${formatPlatform(wanted)}`, hint);
}

const refName = 'org.opencontainers.image.ref.name';
/** Whole names, as containerd and Docker write them. */
const fullName = 'io.containerd.image.name';

/** The images of a layout or archive that are called `name`, or all if there is one name. Throws `FarmError` `image.tag`. */
export function namedIn(index: Index, name: string | undefined, what: string): Index {
  const named = index.manifests.map((each) => ({
    each,
    names: [each.annotations?.[refName], each.annotations?.[fullName]].filter((text) => text !== undefined),
  }));
  const all = [...new Set(named.map(({ names }) => names.at(-1) ?? ''))];
  if (name === undefined && all.length <= 1) return index;
  const chosen = named.filter(({ names }) => name !== undefined && names.some((each) => shortName(each) === shortName(name)));
  if (chosen.length > 0) return { ...index, manifests: chosen.map(({ each }) => each) };
  throw wrongName(name, all, what);
}

/** The same of a `docker save`. Throws `FarmError` `image.tag`. */
export function savedNamed(images: SavedImages, name: string | undefined, what: string): SavedImages[number] {
  const [first, ...others] = images;
  if (first !== undefined && name === undefined && others.length === 0) return first;
  const found = images.find(({ RepoTags }) => name !== undefined && (RepoTags ?? []).some((each) => shortName(each) === shortName(name)));
  if (found !== undefined) return found;
  throw wrongName(
    name,
    images.flatMap(({ RepoTags }) => RepoTags ?? []),
    what,
  );
}

/** Some programs write Docker Hub's whole names and some do not. */
function shortName(name: string): string {
  return name.replace(/^docker\.io\//, '').replace(/^library\//, '');
}

function wrongName(name: string | undefined, there: readonly string[], what: string): FarmError {
  const names = there.filter((each) => each !== '');
  const says = name === undefined ? `${what} has several images` : `${what} has no image ${name}`;
  return new FarmError('image.tag', says, names.length === 0 ? 'none has a name: make an archive with one image' : `choose with --tag: ${names.join(', ')}`);
}
