// The registry by everything that is asked for: each look-up takes the same time in a farm of 50,000 nodes as in one of two.
import { type Ipv4, ipv4Number, type Mac, prefixMask } from '../base/addresses.ts';
import type { Farm, Network, Node, RelayPort } from './farm.ts';

export interface Registry {
  readonly byMac: ReadonlyMap<Mac, Node>;
  /** By option 61 in hex. */
  readonly byClientId: ReadonlyMap<string, Node>;
  /** By GUID, lower case, in either order of its first three groups. */
  readonly byUuid: ReadonlyMap<string, Node>;
  /** By `relayPortKey`. */
  readonly byRelayPort: ReadonlyMap<string, Node>;
  readonly byAddress: ReadonlyMap<Ipv4, Node>;
  readonly byName: ReadonlyMap<string, Node>;
  /** The network that an address belongs to. */
  networkOf(address: Ipv4): Network | undefined;
}

export function indexFarm(farm: Pick<Farm, 'networks' | 'nodes'>): Registry {
  const byMac = new Map<Mac, Node>();
  const byClientId = new Map<string, Node>();
  const byUuid = new Map<string, Node>();
  const byRelayPort = new Map<string, Node>();
  const byAddress = new Map<Ipv4, Node>();
  const byName = new Map<string, Node>();
  for (const node of farm.nodes) {
    const { mac, clientId, uuid, relayPort } = node;
    byName.set(node.name, node);
    byAddress.set(node.address, node);
    if (mac !== undefined) byMac.set(mac, node);
    if (clientId !== undefined) byClientId.set(clientId.toString('hex'), node);
    if (uuid !== undefined) byUuid.set(uuid, node).set(swappedUuid(uuid), node);
    if (relayPort !== undefined) byRelayPort.set(relayPortKey(relayPort), node);
  }
  return { byMac, byClientId, byUuid, byRelayPort, byAddress, byName, networkOf: networkFinder(farm.networks) };
}

/** Finds the network of an address: one look-up for each prefix length that there is. */
export function networkFinder(networks: readonly Network[]): (address: Ipv4) => Network | undefined {
  const byPrefix = new Map<number, Map<number, Network>>();
  for (const network of networks) {
    const { address, prefix } = network.subnet;
    const ofPrefix = byPrefix.get(prefix) ?? new Map<number, Network>();
    byPrefix.set(prefix, ofPrefix.set(masked(ipv4Number(address), prefix), network));
  }
  return (address) => {
    const number = ipv4Number(address);
    for (const [prefix, ofPrefix] of byPrefix) {
      const network = ofPrefix.get(masked(number, prefix));
      if (network !== undefined) return network;
    }
    return undefined;
  };
}

function masked(number: number, prefix: number): number {
  return (number & prefixMask(prefix)) >>> 0;
}

/** SMBIOS 2.6 has the first three groups little-endian and RFC 4578 says nothing: some firmware swaps them, some does not. */
export function swappedUuid(uuid: string): string {
  const swap = (group: string): string => group.replace(/../g, ' $&').trim().split(' ').reverse().join('');
  const [a = '', b = '', c = '', ...rest] = uuid.split('-');
  return [swap(a), swap(b), swap(c), ...rest].join('-');
}

/** One word for what a relay's port is known by; equal ports have equal words. */
export function relayPortKey({ circuit, remote, relay }: RelayPort): string {
  return `${circuit?.toString('hex') ?? ''}/${remote?.toString('hex') ?? ''}/${relay ?? ''}`;
}

/** What a registered port may be written as that a machine with these ids hangs on: what says most goes first. */
export function relayPortKeys({ circuit, remote, relay }: RelayPort): readonly string[] {
  const ids: readonly RelayPort[] = [
    ...(circuit !== undefined && remote !== undefined ? [{ circuit, remote }] : []),
    ...(circuit === undefined ? [] : [{ circuit }]),
    ...(remote === undefined ? [] : [{ remote }]),
  ];
  return ids.flatMap((id) => [...(relay === undefined ? [] : [relayPortKey({ ...id, relay })]), relayPortKey(id)]);
}
