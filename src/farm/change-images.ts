// Changes of the images on disk: which version is current, versions removed, images copied and renamed. Every one is a rename(2), and
// has the image's build directory, so that builds and these never meet; a server that runs goes on with the versions its nodes booted.
import { existsSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError, systemCode } from '../base/errors.ts';
import { syncDirectory } from '../base/journal.ts';
import { run } from '../base/processes.ts';
import { makeCurrent, openBuildDirectory, publish, removeTree } from '../image/publish.ts';
import { imagesDirectory } from './directory.ts';
import { type ImageUses, nodeReasons, type Sorted, sortOut, usesOf } from './image-uses.ts';
import { findImage, findVersion, manifestOf, newImageName, type StoredVersion } from './stored-images.ts';

/** Runs `change` with the image's build directory, which is removed with all that was moved into it. Throws `image.busy`. */
function changing<Result>(directory: string, change: (aside: string) => Result): Result {
  const aside = openBuildDirectory(directory);
  try {
    return change(aside);
  } finally {
    removeTree(aside);
  }
}

/** Makes a version the current one; what it replaces, or undefined if it was so already. Throws `image.*`. */
export function useVersion(farm: string, reference: string): { readonly version: StoredVersion; readonly before: string | undefined } {
  const { name, directory } = findImage(farm, reference.split('/')[0] ?? '');
  if (!reference.includes('/')) {
    throw new FarmError('image.version', `${reference} names no version`, `say which: farm image use ${name}/VERSION; farm image list ${name} shows them`);
  }
  findVersion(farm, reference);
  return changing(directory, () => {
    // Looked for again: it may have been removed in between.
    const version = findVersion(farm, reference);
    manifestOf(version);
    const { current } = findImage(farm, name);
    makeCurrent(directory, version.version);
    return { version, before: current === version.version ? undefined : current };
  });
}

/** Makes the previous version current again. Throws `image.previous` if there is none. */
export function rollBack(farm: string, name: string): { readonly version: StoredVersion; readonly before: string | undefined } {
  const { previous, versions } = findImage(farm, name);
  if (previous !== undefined) return useVersion(farm, `${name}/${previous}`);
  const hint = versions.length > 1 ? `say which: farm image use ${name}/VERSION; farm image list ${name} shows them` : 'it has one version only';
  throw new FarmError('image.previous', `no earlier version of image ${name} is known`, hint);
}

/** Removes the versions that nobody needs and what interrupted builds left; what became of each version. Throws `image.busy`. */
export function collectGarbage(farm: string, name: string, uses: ImageUses, keep: number): readonly Sorted[] {
  return changing(findImage(farm, name).directory, (aside) => {
    const sorted = sortOut(findImage(farm, name), uses, keep);
    for (const { version, why } of sorted) if (why.length === 0) moveAside(farm, name, version, aside);
    return sorted;
  });
}

/** Gone at once and whole; a crash while it is removed leaves a leftover like that of a build. */
function moveAside(farm: string, name: string, version: string, aside: string): void {
  const directory = join(imagesDirectory(farm), name);
  renameSync(join(directory, version), join(aside, version));
  syncDirectory(directory);
}

/** Removes one version that is not the current one. Throws `image.used`, unless `force`: then of nodes nothing is asked. */
export function removeVersion(farm: string, reference: string, uses: ImageUses, force: boolean): StoredVersion {
  const { image } = findVersion(farm, reference);
  return changing(join(imagesDirectory(farm), image), (aside) => {
    const found = findVersion(farm, reference);
    const { version } = found;
    if (findImage(farm, image).current === version) {
      throw new FarmError('image.used', `${version} is the current version of image ${image}`, `make another current first: farm image use ${image}/VERSION`);
    }
    refuseNodes([`${image}/${version}`], uses, force);
    moveAside(farm, image, version, aside);
    return found;
  });
}

/** Removes an image with all versions. Throws `image.used` if a profile names it, or nodes need it and not `force`. */
export function removeImage(farm: string, name: string, profiles: readonly string[], uses: ImageUses, force: boolean): void {
  const { directory } = findImage(farm, name);
  refuseProfiles(name, profiles, 'remove');
  changing(directory, (aside) => {
    const versions = findImage(farm, name).versions.map(({ version }) => version);
    refuseNodes(
      versions.map((version) => `${name}/${version}`),
      uses,
      force,
    );
    for (const link of ['current', 'previous']) rmSync(join(directory, link), { force: true });
    for (const version of versions) moveAside(farm, name, version, aside);
  });
  try {
    rmdirSync(directory);
  } catch (error) {
    if (systemCode(error) !== 'ENOTEMPTY') throw error;
    throw new FarmError('image.rest', `the versions of image ${name} are removed, but ${directory} has other files`, 'look at them and remove them', error);
  }
}

/** Gives an image another name. Throws `image.exists`; and `image.used` if a profile names it, or nodes need it and not `force`. */
export function renameImage(farm: string, from: string, to: string, profiles: readonly string[], uses: ImageUses, force: boolean): void {
  const { directory, versions } = findImage(farm, from);
  const target = join(imagesDirectory(farm), newImageName(to));
  refuseProfiles(from, profiles, 'rename');
  refuseNodes(
    versions.map(({ version }) => `${from}/${version}`),
    uses,
    force,
  );
  const aside = openBuildDirectory(directory);
  let moved = directory;
  try {
    if (existsSync(target)) throw new FarmError('image.exists', `there is an image ${to} already`, 'take another name');
    renameSync(directory, target);
    moved = target;
    syncDirectory(imagesDirectory(farm));
  } finally {
    removeTree(join(moved, aside.slice(directory.length + 1)));
  }
}

/**
 * Makes a version, by default the current one, the current version of another image, which may be there already. The files are the same ones
 * under further names (hard links), as no version ever changes: it takes no space.
 */
export async function copyVersion(farm: string, reference: string, to: string): Promise<StoredVersion> {
  const from = findVersion(farm, reference);
  manifestOf(from);
  const target = join(imagesDirectory(farm), newImageName(to));
  if (from.image === to)
    throw new FarmError('image.exists', `${to} is the image itself`, `take another name, or make it current: farm image use ${to}/${from.version}`);
  // Of both: a version that is removed while cp(1) reads it would be copied in part.
  const source = openBuildDirectory(join(imagesDirectory(farm), from.image));
  const isNew = !existsSync(target);
  let building: string | undefined;
  try {
    building = openBuildDirectory(target);
    await run('cp', ['--archive', '--link', '--', `${from.directory}/.`, building]);
    await publish(building, target, from.version);
  } catch (error) {
    if (building !== undefined) removeTree(building);
    if (isNew && existsSync(target)) rmdirSync(target);
    throw error;
  } finally {
    removeTree(source);
  }
  return findVersion(farm, `${to}/${from.version}`);
}

function refuseProfiles(name: string, profiles: readonly string[], verb: string): void {
  if (profiles.length === 0) return;
  const hint = `give ${profiles.length === 1 ? 'it' : 'them'} another image in farm.yaml first${verb === 'rename' ? `, such as a copy: farm image copy ${name} NEW` : ''}`;
  throw new FarmError('image.used', `image ${name} is that of profile ${profiles.join(', ')}: nodes that boot would not find it`, hint);
}

function refuseNodes(versions: readonly string[], uses: ImageUses, force: boolean): void {
  if (force) return;
  for (const version of versions) {
    const reasons = nodeReasons(usesOf(uses, version));
    if (reasons.length === 0) continue;
    const hint = 'restart these nodes with another version, or wipe what they wrote: farm private wipe; or say --force: nodes that run lose their root';
    throw new FarmError('image.used', `image ${version} is needed: ${reasons.join('; ')}`, hint);
  }
}
