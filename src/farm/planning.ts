// How a node boots now: its boot plan from the registry and the current image, and the DHCP service's questions answered from it.
import type { BootAction, BootPlan } from '../boot/plan.ts';
import { nextBoot } from '../boot/plan.ts';
import type { DhcpQuestions } from '../dhcp/questions.ts';
import { Cards } from './cards.ts';
import type { Farm, Node } from './farm.ts';
import type { Images, PackedRoot } from './images.ts';
import type { LiveFarm } from './live.ts';
import { place, type Register } from './places.ts';

/** Where a boot plan comes from besides the registry. */
export interface BootSources {
  readonly images: Pick<Images, 'current'>;
  /** Added to every node's kernel command line. */
  readonly kernelArgs: readonly string[];
  /** What was ordered for the node's next boot; undefined: what its profile says. */
  readonly ordered?: (node: Node) => BootAction | undefined;
  /** How often in a row it loaded a loader and no kernel. */
  readonly failedBoots?: (node: Node) => number;
  /** An image's root in one file; undefined if the image has none. */
  readonly packedRoot?: (image: BootPlan['image']) => PackedRoot | undefined;
}

/** undefined if the node's image was never built, or has no root in one file and the profile wants one. */
export function bootPlan(farm: Farm, node: Node, sources: BootSources): BootPlan | undefined {
  const { profile, network } = node;
  const [name, version] = sources.images.current(profile.image)?.split('/') ?? [];
  if (name === undefined || version === undefined) return undefined;
  const image = { name, version };
  const root = rootOf(profile.root, image, sources);
  if (root === undefined) return undefined;
  return {
    node: node.name,
    ...(node.mac === undefined ? {} : { mac: node.mac }),
    ...(node.uuid === undefined ? {} : { uuid: node.uuid }),
    address: node.address,
    server: network.server,
    httpPort: farm.httpPort,
    image,
    kernelArgs: [...profile.kernelArgs, ...sources.kernelArgs],
    root,
    loader: profile.loader,
    action: sources.ordered?.(node) ?? profile.boot,
    failedBoots: sources.failedBoots?.(node) ?? 0,
  };
}

/** Why `bootPlan` has none. */
function withoutPlan({ profile: { name, image, root } }: Node): string {
  return root === 'nfs' ? `its image ${image} is not built` : `its image ${image} is not built, or has no root in one file, which profile ${name} wants`;
}

function rootOf(kind: 'nfs' | 'ram', image: BootPlan['image'], { packedRoot }: BootSources): BootPlan['root'] | undefined {
  if (kind === 'nfs') return { kind };
  const packed = packedRoot?.(image);
  return packed === undefined ? undefined : { kind, ...packed };
}

export function dhcpQuestions(live: LiveFarm, plan: (node: Node) => BootPlan | undefined, register: Register): DhcpQuestions {
  const cards = new Cards();
  return {
    place: (asker) => place(asker, { farm: live.published.farm, registry: live.published, cards, register }),
    bootFile: (client, host) => {
      const node = host.name === undefined ? undefined : live.published.byName.get(host.name);
      if (node === undefined) return { kind: 'nothing', reason: 'it is no node of the farm' };
      const boot = plan(node);
      return boot === undefined ? { kind: 'nothing', reason: withoutPlan(node) } : nextBoot(client, boot);
    },
    mode: (link) => live.published.networkOf(link)?.dhcp ?? 'off',
  };
}
