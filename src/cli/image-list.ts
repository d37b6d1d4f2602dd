// farm image list: every version of every image, which one nodes boot, and who needs it.
import { Command } from 'commander';
import { loadFarm } from '../farm/config.ts';
import type { Farm } from '../farm/farm.ts';
import { foldNames } from '../farm/host-range.ts';
import { bootsNext, type ImageUses, imageUses, usesOf, type VersionUses } from '../farm/image-uses.ts';
import { recordedVersions } from '../farm/private-trees.ts';
import { findImage, type StoredImage, type StoredVersion, storedImages } from '../farm/stored-images.ts';
import { farmDirectory, table } from './options.ts';
import { sizeText } from './private.ts';
import { fetchStatus } from './status.ts';

export function imageList(): Command {
  return new Command('list')
    .description('show images with their versions, and which nodes need them')
    .argument('[images...]', 'all')
    .option('--json', 'for programs')
    .action(async (names: readonly string[], options: { json?: boolean }, command: Command) => {
      const directory = farmDirectory(command);
      const farm = loadFarm(directory);
      const images = names.length === 0 ? storedImages(directory) : names.map((name) => findImage(directory, name));
      const uses = await knownUses(directory);
      const rows = images.flatMap((image) => image.versions.map((version) => listed(image, version, farm, uses)));
      if (options.json === true) console.log(JSON.stringify(rows, undefined, 2));
      else process.stdout.write(listText(images, rows, farm, names.length === 0));
    });
}

/** Who needs which version, from the private trees and the running server, or from what the last one saw. */
export async function knownUses(directory: string): Promise<ImageUses> {
  const { nodes } = await fetchStatus(directory);
  return imageUses(recordedVersions(directory), nodes);
}

interface Listed extends VersionUses {
  readonly image: string;
  readonly version: string;
  readonly state: 'current' | 'previous' | 'old';
  /** Its manifest cannot be read: the next three are unknown. */
  readonly damaged: boolean;
  /** All its files, not blocks on disk. */
  readonly bytes: number | undefined;
  readonly kernel: string | undefined;
  readonly built: string | undefined;
  /** Nodes whose next boot is from it. */
  readonly boots: readonly string[];
}

function listed({ name, current, previous }: StoredImage, { version, manifest, built }: StoredVersion, farm: Farm, uses: ImageUses): Listed {
  return {
    image: name,
    version,
    state: version === current ? 'current' : version === previous ? 'previous' : 'old',
    damaged: manifest === undefined,
    bytes: manifest && Object.values(manifest.contents).reduce((sum, { size }) => sum + size, manifest.root.bytes),
    kernel: manifest?.kernel.release,
    built: manifest && new Date(built).toISOString(),
    boots: version === current ? bootsNext(farm, name) : [],
    ...usesOf(uses, `${name}/${version}`),
  };
}

function listText(images: readonly StoredImage[], rows: readonly Listed[], farm: Farm, all: boolean): string {
  const lines = rows.length === 0 ? 'No image yet. Build one with: farm image build\n' : table([heading, ...rows.map(row)]);
  const wanted = new Set(farm.nodes.map(({ profile }) => profile.image));
  const notes = [
    ...images.flatMap(({ name, busy }) => (busy === undefined ? [] : [`${name}: process ${busy} is building or changing it`])),
    ...images.flatMap(({ name, abandoned }) => (abandoned.length === 0 ? [] : [`${name}: an interrupted build left something; farm image gc removes it`])),
    ...images.flatMap(({ name, current }) =>
      current === undefined && wanted.has(name) ? [`${name}: no version is current: farm image use ${name}/VERSION`] : [],
    ),
    ...[...wanted]
      .filter((name) => all && rows.length > 0 && !images.some((image) => image.name === name))
      .map((name) => `${name}: not built, and ${foldNames(bootsNext(farm, name))} would boot it: farm image build ${name}`),
  ];
  return `${lines}${notes.length === 0 ? '' : `\n${notes.join('\n')}\n`}`;
}

const heading = ['IMAGE', 'VERSION', 'STATE', 'SIZE', 'KERNEL', 'BUILT', 'RUN IT', 'BOOT IT NEXT', 'WROTE OVER IT'] as const;

function row({ image, version, state, damaged, bytes, kernel, built, running, boots, written }: Listed): readonly string[] {
  return [
    image,
    version,
    damaged ? 'damaged' : state,
    bytes === undefined ? '' : sizeText(bytes),
    kernel ?? '',
    built === undefined ? '' : `${built.slice(0, 10)} ${built.slice(11, 16)} UTC`,
    foldNames(running),
    foldNames(boots),
    foldNames(written),
  ];
}
