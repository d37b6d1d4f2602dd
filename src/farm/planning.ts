// How a node boots now: its boot plan from the registry and the current image, and the DHCP service's questions answered from it.
import type { BootPlan } from '../boot/plan.ts';
import { nextBootFile } from '../boot/plan.ts';
import type { DhcpAsker, DhcpHost, DhcpQuestions } from '../dhcp/questions.ts';
import type { Farm, Node } from './config.ts';
import type { Images } from './images.ts';
import type { LiveFarm } from './live.ts';

/** undefined if the node's image was never built. `extraArgs` are added to every node's kernel command line. */
export function bootPlan(farm: Farm, node: Node, images: Images, extraArgs: readonly string[]): BootPlan | undefined {
  const [name, version] = images.current(node.profile.image)?.split('/') ?? [];
  if (name === undefined || version === undefined) return undefined;
  return {
    node: node.name,
    mac: node.mac,
    server: node.network.address.address,
    httpPort: farm.httpPort,
    image: { name, version },
    kernelArgs: [...node.profile.kernelArgs, ...extraArgs],
  };
}

export function dhcpQuestions(live: LiveFarm, plan: (node: Node) => BootPlan | undefined): DhcpQuestions {
  const find = ({ mac }: Pick<DhcpAsker, 'mac'>): Node | undefined => live.published.byMac.get(mac);
  return {
    host: (asker) => {
      const node = find(asker);
      return node === undefined ? undefined : dhcpHost(live.published.farm, node);
    },
    bootFile: (client, host) => {
      const node = live.published.byName.get(host.name);
      const boot = node === undefined ? undefined : plan(node);
      return boot === undefined ? undefined : nextBootFile(client, boot);
    },
  };
}

function dhcpHost(farm: Farm, node: Node): DhcpHost {
  const { network } = node;
  return {
    name: node.name,
    address: node.address,
    subnet: network.address,
    server: network.address.address,
    routers: network.router === undefined ? [] : [network.router],
    nameServers: network.nameServers,
    ...(farm.domain === '' ? {} : { domain: farm.domain }),
    // The address carries the node's root: a lease that ended would take the machine with it. It is the node's own in any case.
    leaseSeconds: Number.POSITIVE_INFINITY,
  };
}
