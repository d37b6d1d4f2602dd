// Who needs which version of an image, and which versions nobody needs: rules over what is known of the farm.
import type { Farm } from './farm.ts';
import { foldNames } from './host-range.ts';
import type { ImageVersion } from './images.ts';
import type { NodeStatus } from './status.ts';
import type { StoredImage } from './stored-images.ts';

/** Names of nodes, of one version. */
export interface VersionUses {
  /** They run from it, as far as is known: not those with the root in memory, which need it no more. */
  readonly running: readonly string[];
  /** They are off, and what they wrote was written over it. Also nodes that have left the farm. */
  readonly written: readonly string[];
}

export type ImageUses = ReadonlyMap<ImageVersion, VersionUses>;

const nobody: VersionUses = { running: [], written: [] };

export function usesOf(uses: ImageUses, version: ImageVersion): VersionUses {
  return uses.get(version) ?? nobody;
}

/** `recorded`: the version that each private tree was last opened over, by node. */
export function imageUses(recorded: ReadonlyMap<string, ImageVersion>, nodes: readonly Pick<NodeStatus, 'name' | 'stage'>[]): ImageUses {
  const on = new Set(nodes.filter(({ stage }) => stage !== 'off' && stage !== 'silent').map(({ name }) => name));
  const uses = new Map<ImageVersion, { running: string[]; written: string[] }>();
  for (const [node, version] of recorded) {
    const use = uses.get(version) ?? { running: [], written: [] };
    (on.has(node) ? use.running : use.written).push(node);
    uses.set(version, use);
  }
  return uses;
}

/** The nodes whose next boot is from this image. */
export function bootsNext(farm: Pick<Farm, 'nodes'>, image: string): readonly string[] {
  return farm.nodes.filter(({ profile }) => profile.image === image).map(({ name }) => name);
}

/** The profiles that name it. */
export function namedBy(farm: Pick<Farm, 'profiles'>, image: string): readonly string[] {
  return farm.profiles.filter((profile) => profile.image === image).map(({ name }) => name);
}

/** A clause for each reason that nodes are; none if no node needs the version. */
export function nodeReasons({ running, written }: VersionUses): readonly string[] {
  return [
    ...(running.length === 0 ? [] : [`${foldNames(running)} ${running.length === 1 ? 'runs' : 'run'} from it`]),
    ...(written.length === 0 ? [] : [`what ${foldNames(written)} wrote is over it`]),
  ];
}

export interface Sorted {
  readonly version: string;
  /** Why it stays; empty: it goes. */
  readonly why: readonly string[];
}

/** What becomes of each version of an image; the newest `keep` stay in any case. */
export function sortOut(image: Pick<StoredImage, 'name' | 'versions' | 'current' | 'previous'>, uses: ImageUses, keep: number): readonly Sorted[] {
  return image.versions.map(({ version }, position) => ({
    version,
    why: [
      ...(version === image.current ? ['current'] : []),
      ...(version === image.previous ? ['previous: farm image rollback goes back to it'] : []),
      ...nodeReasons(usesOf(uses, `${image.name}/${version}`)),
      ...(position < keep ? [keep === 1 ? 'the newest' : `one of the newest ${keep}`] : []),
    ],
  }));
}
