// farm image use, rollback, gc, copy, rename, remove: what changes the images that are there.
import { join } from 'node:path';
import { Command } from 'commander';
import { collectGarbage, copyVersion, removeImage, removeVersion, renameImage, rollBack, useVersion } from '../farm/change-images.ts';
import { loadFarm } from '../farm/config.ts';
import { imagesDirectory } from '../farm/directory.ts';
import { foldNames } from '../farm/host-range.ts';
import { bootsNext, namedBy, sortOut } from '../farm/image-uses.ts';
import { type StoredImage, type StoredVersion, storedImages } from '../farm/stored-images.ts';
import { blobStoreName, emptyBlobStore, storedBytes } from '../image/oci/blob-store.ts';
import { knownUses } from './image-list.ts';
import { farmDirectory, numberArgument } from './options.ts';

export function imageUse(): Command {
  return new Command('use')
    .description('make a version the current one: nodes get it at their next boot')
    .argument('<version>', 'NAME/VERSION; the beginning of a version is enough')
    .action((reference: string, _options: unknown, command: Command) => {
      const directory = farmDirectory(command);
      tellSwitch(directory, useVersion(directory, reference));
    });
}

export function imageRollback(): Command {
  return new Command('rollback')
    .description('make the version current that was it before')
    .argument('<image>', 'its name')
    .action((name: string, _options: unknown, command: Command) => {
      const directory = farmDirectory(command);
      tellSwitch(directory, rollBack(directory, name));
    });
}

function tellSwitch(directory: string, { version, before }: { readonly version: StoredVersion; readonly before: string | undefined }): void {
  const { image } = version;
  if (before === undefined) console.log(`image ${image}: ${version.version} is current already`);
  else {
    const nodes = bootsNext(loadFarm(directory), image);
    console.log(`image ${image}: ${version.version} instead of ${before}${nodes.length === 0 ? '' : `; ${foldNames(nodes)} get it at their next boot`}`);
  }
}

/** How many versions stay though nobody needs them: what one has just left, and may want to look at. */
const keptByDefault = 2;

export function imageGc(): Command {
  return new Command('gc')
    .description('remove versions that no node needs, what interrupted builds left, and layers kept of pulled images')
    .option('--keep <n>', 'so many of the newest versions of each image stay in any case', numberArgument(0, 1000), keptByDefault)
    .option('--dry-run', 'only say what would be removed')
    .option('--json', 'for programs')
    .action(async ({ keep, dryRun = false, json = false }: { keep: number; dryRun?: boolean; json?: boolean }, command: Command) => {
      const directory = farmDirectory(command);
      const uses = await knownUses(directory);
      const outcomes = storedImages(directory).map((image): Outcome => {
        const { name, busy, abandoned } = image;
        if (busy !== undefined) return { image: name, busy, left: 0, versions: [] };
        const sorted = dryRun ? sortOut(image, uses, keep) : collectGarbage(directory, name, uses, keep);
        return { image: name, left: abandoned.length, versions: sorted.map(({ version, why }) => ({ version, removed: why.length === 0, why })) };
      });
      const store = join(imagesDirectory(directory), blobStoreName);
      const blobs = storedBytes(store);
      if (!dryRun) emptyBlobStore(store);
      if (json) console.log(JSON.stringify(outcomes, undefined, 2));
      else {
        process.stdout.write(outcomes.map((outcome) => outcomeText(outcome, dryRun)).join('') || 'There are no images.\n');
        if (blobs > 0) console.log(`layers of pulled images, ${Math.ceil(blobs / 1e6)} MB: ${dryRun ? 'would remove' : 'removed'}`);
      }
    });
}

interface Outcome {
  readonly image: StoredImage['name'];
  /** The process that is building it: then nothing was removed. */
  readonly busy?: string;
  /** How many leftovers of interrupted builds. */
  readonly left: number;
  readonly versions: readonly { readonly version: string; readonly removed: boolean; readonly why: readonly string[] }[];
}

function outcomeText({ image, busy, left, versions }: Outcome, dryRun: boolean): string {
  if (busy !== undefined) return `${image}: nothing removed, because process ${busy} is building or changing it\n`;
  const remove = dryRun ? 'would remove' : 'removed';
  return [
    ...versions.map(({ version, removed, why }) => (removed ? `${image}/${version}: ${remove}\n` : `${image}/${version}: kept, ${why.join('; ')}\n`)),
    ...(left === 0 ? [] : [`${image}: ${remove} what ${left === 1 ? 'an interrupted build' : `${left} interrupted builds`} left\n`]),
  ].join('');
}

export function imageCopy(): Command {
  return new Command('copy')
    .description('make a version of an image the current one of another, new or not; it takes no space')
    .argument('<version>', 'NAME, which is its current version, or NAME/VERSION')
    .argument('<image>', 'the name of the other')
    .action(async (reference: string, name: string, _options: unknown, command: Command) => {
      const { image, version } = await copyVersion(farmDirectory(command), reference, name);
      console.log(`image ${image}: ${version} is current`);
    });
}

export function imageRename(): Command {
  return new Command('rename')
    .description('give an image another name')
    .argument('<image>', 'its name; no profile has it')
    .argument('<name>', 'the new one')
    .option('--force', 'although nodes need it: those that run lose their root and must be restarted')
    .action(async (image: string, name: string, { force = false }: { force?: boolean }, command: Command) => {
      const directory = farmDirectory(command);
      renameImage(directory, image, name, namedBy(loadFarm(directory), image), await knownUses(directory), force);
      console.log(`image ${image} is ${name} now`);
    });
}

export function imageRemove(): Command {
  return new Command('remove')
    .description('remove an image, or one version of it')
    .argument('<image>', 'NAME or NAME/VERSION')
    .option('--force', 'although nodes need it: those that run lose their root and must be restarted')
    .action(async (reference: string, { force = false }: { force?: boolean }, command: Command) => {
      const directory = farmDirectory(command);
      const uses = await knownUses(directory);
      if (reference.includes('/')) {
        const { image, version } = removeVersion(directory, reference, uses, force);
        console.log(`image ${image}/${version} is removed`);
      } else {
        removeImage(directory, reference, namedBy(loadFarm(directory), reference), uses, force);
        console.log(`image ${reference} is removed`);
      }
    });
}
