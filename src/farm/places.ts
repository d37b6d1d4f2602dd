// Who a machine is and where it belongs: its node by what it says of itself, else what its network does with strangers.
import type { Ipv4 } from '../base/addresses.ts';
import type { DhcpAsker, DhcpHost, Placement, Pool } from '../dhcp/questions.ts';
import type { Cards } from './cards.ts';
import { type Farm, type FarmOption, type Network, type Node, reserved } from './farm.ts';
import { type Registry, relayPortKeys } from './registry.ts';

/** By what a node was recognised, in the order in which it is tried. */
export type IdentityKind = 'mac' | 'client-id' | 'uuid' | 'relay-port';

export interface Recognised {
  readonly node: Node;
  readonly by: IdentityKind;
}

type Identifiers = Pick<DhcpAsker, 'mac' | 'clientId' | 'uuid' | 'circuitId' | 'remoteId' | 'relay'>;

/**
 * The node that this machine is. The MAC address goes first: a client id differs between a ROM, its loader and the system they start,
 * boards share GUIDs (talos#7694), and whatever is plugged into a port answers for it. So none of these beats a registered card.
 */
export function recognise(registry: Registry, asker: Identifiers): Recognised | undefined {
  const { mac, clientId, uuid, relay } = asker;
  const byMac = mac === undefined ? undefined : registry.byMac.get(mac);
  if (byMac !== undefined) return { node: byMac, by: 'mac' };
  const byClientId = clientId === undefined || registry.byClientId.size === 0 ? undefined : registry.byClientId.get(clientId.toString('hex'));
  if (byClientId !== undefined) return { node: byClientId, by: 'client-id' };
  const byUuid = uuid === undefined ? undefined : registry.byUuid.get(uuid);
  if (byUuid !== undefined) return { node: byUuid, by: 'uuid' };
  if (registry.byRelayPort.size === 0) return undefined;
  for (const key of relayPortKeys(portOf(asker, relay))) {
    const node = registry.byRelayPort.get(key);
    if (node !== undefined) return { node, by: 'relay-port' };
  }
  return undefined;
}

function portOf({ circuitId, remoteId }: Identifiers, relay: Ipv4 | undefined): Parameters<typeof relayPortKeys>[0] {
  return {
    ...(circuitId === undefined ? {} : { circuit: circuitId }),
    ...(remoteId === undefined ? {} : { remote: remoteId }),
    ...(relay === undefined ? {} : { relay }),
  };
}

/** What is said of a machine that asks in a network where strangers become nodes. */
export interface Registered {
  readonly reason: 'registering' | 'unknown-machine';
  /** A clause for people. */
  readonly detail: string;
}

/** Notes the machine, if it may become a node, and says what becomes of it. */
export type Register = (asker: DhcpAsker, network: Network) => Registered;

export interface Questioned {
  readonly farm: Farm;
  readonly registry: Registry;
  readonly cards: Cards;
  readonly register: Register;
}

export function place(asker: DhcpAsker, { farm, registry, cards, register }: Questioned): Placement {
  const node = recognise(registry, asker)?.node ?? registry.byName.get(cards.nodeOf(asker.mac) ?? '');
  if (node !== undefined) {
    if (node.mac === undefined && node.relayPort === undefined && asker.mac !== undefined) cards.note(asker.mac, node.name);
    // In its own network or another: where an address is of no use, the DHCP rules refuse it and say so.
    return { kind: 'host', host: nodeHost(farm, node) };
  }
  const network = registry.networkOf(asker.link);
  if (network === undefined) return { kind: 'nobody', reason: 'no-network', detail: `${asker.link} is in none of the farm's networks` };
  const { unknown } = network;
  if (unknown.kind === 'ignore' || network.dhcp !== 'full') return { kind: 'nobody', reason: 'unknown-machine', detail: strangerText(asker) };
  if (unknown.kind === 'register') {
    if (network.range === undefined) return { kind: 'nobody', reason: 'no-pool', detail: `network ${network.name} has no \`range\` to register machines in` };
    return { kind: 'nobody', ...register(asker, network) };
  }
  const pool = networkPool(farm, registry, network);
  return pool === undefined
    ? { kind: 'nobody', reason: 'no-pool', detail: `network ${network.name} has no \`dynamic\` range to lease from` }
    : { kind: 'pool', pool };
}

function strangerText({ mac, clientId, uuid }: Pick<DhcpAsker, 'mac' | 'clientId' | 'uuid'>): string {
  const known = [
    ...(mac === undefined ? [] : [`the MAC address ${mac}`]),
    ...(clientId === undefined || mac !== undefined ? [] : [`the client id ${clientId.toString('hex')}`]),
    ...(uuid === undefined ? [] : [`the GUID ${uuid}`]),
  ];
  return `no node has ${known.join(' or ') || 'what it is known by'}`;
}

// Farms, nodes and registries are never changed, only replaced: what is made of them is made once.
const hosts = new WeakMap<Node, { readonly farm: Farm; readonly host: DhcpHost }>();
const pools = new WeakMap<Network, { readonly registry: Registry; readonly pool: Pool }>();

function nodeHost(farm: Farm, node: Node): DhcpHost {
  const known = hosts.get(node);
  if (known?.farm === farm) return known.host;
  const host: DhcpHost = {
    ...networkHost(farm, node.network),
    name: node.name,
    address: node.address,
    options: mergedOptions([farm.options, node.network.options, node.profile.options, node.options]),
    // The address carries the node's root: a lease that ended would take the machine with it. It is the node's own in any case.
    leaseSeconds: Number.POSITIVE_INFINITY,
  };
  hosts.set(node, { farm, host });
  return host;
}

/** What all machines of a network are told. */
function networkHost(farm: Farm, network: Network): Pool['host'] {
  return {
    subnet: network.subnet,
    server: network.server,
    routers: network.router === undefined ? [] : [network.router],
    nameServers: network.nameServers,
    ...(farm.domain === '' ? {} : { domain: farm.domain }),
    options: mergedOptions([farm.options, network.options]),
  };
}

/** One option for each code: the narrower one, which comes later. */
export function mergedOptions<Option extends Pick<FarmOption, 'code'>>(scopes: readonly (readonly Option[])[]): readonly Option[] {
  if (scopes.every((options) => options.length === 0)) return [];
  const merged = new Map<number, Option>();
  for (const option of scopes.flat()) merged.set(option.code, option);
  return [...merged.values()].sort((a, b) => a.code - b.code);
}

/** undefined if the network has no dynamic range. */
export function networkPool(farm: Farm, registry: Registry, network: Network): Pool | undefined {
  const { dynamic, subnet, leaseSeconds } = network;
  if (dynamic === undefined) return undefined;
  const known = pools.get(network);
  if (known?.registry === registry) return known.pool;
  const others = new Set<Ipv4>(farm.networks.flatMap(({ server, router, nameServers }) => [server, ...(router === undefined ? [] : [router]), ...nameServers]));
  const pool: Pool = {
    name: network.name,
    first: dynamic.first,
    last: dynamic.last,
    subnet,
    leaseSeconds,
    isReserved: (address) => registry.byAddress.has(address) || others.has(address) || reserved(network, address) !== undefined,
    host: networkHost(farm, network),
  };
  pools.set(network, { registry, pool });
  return pool;
}
