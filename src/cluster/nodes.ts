// Which node has which address: a map's entries with ranges unrolled and host names looked up, and which of its nodes this machine is.
import { broadcastAddress, type Cidr, type Ipv4, inNetwork, ipv4FromNumber, ipv4Number, networkAddress } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import type { Hosts } from './hosts.ts';
import type { MapEntry, MapWarning } from './map-entry.ts';

export interface ClusterMap {
  /** The address of each node. */
  readonly addresses: ReadonlyMap<number, Ipv4>;
  /** The node of each address, aliases included. */
  readonly ids: ReadonlyMap<Ipv4, number>;
}

/**
 * Unrolls ranges and looks host names up in `hosts`. Throws `FarmError`: `map.host` (a name that /etc/hosts does not have), `map.loopback`
 * (it has only 127.x addresses), `map.invalid` (a name leads to an address that another line has). `source` is for messages.
 */
export function expandMap(entries: readonly MapEntry[], hosts: Hosts, source = 'openmosix.map'): ClusterMap {
  const addresses = new Map<number, Ipv4>();
  const ids = new Map<Ipv4, number>();
  for (const entry of entries) {
    const first = ipv4Number(entry.address ?? lookUp(entry, hosts, source));
    const count = entry.kind === 'range' ? entry.count : 1;
    for (let i = 0; i < count; i += 1) {
      const address = ipv4FromNumber(first + i);
      const other = ids.get(address);
      if (other !== undefined) {
        throw new FarmError(
          'map.invalid',
          `${source} line ${entry.line}: ${entry.host} is ${address}, which node ${other} has`,
          'each address belongs to one node; correct the map or /etc/hosts',
        );
      }
      ids.set(address, entry.id + (entry.kind === 'range' ? i : 0));
      if (entry.kind === 'range') addresses.set(entry.id + i, address);
    }
  }
  return { addresses, ids };
}

/** A 127.x address of a name is passed over if it has another; openMosix took the first and failed (the HOWTO's most frequent question). */
function lookUp(entry: MapEntry, hosts: Hosts, source: string): Ipv4 {
  const found = hosts.get(entry.host.toLowerCase());
  const [first] = found ?? [];
  if (found === undefined || first === undefined) {
    throw new FarmError(
      'map.host',
      `${source} line ${entry.line}: /etc/hosts has no address for ${entry.host}`,
      `add ${entry.host} to /etc/hosts, or write its address into the map`,
    );
  }
  const usable = found.find((address) => !isLoopback(address));
  if (usable !== undefined) return usable;
  throw new FarmError(
    'map.loopback',
    `${source} line ${entry.line}: ${entry.host} is ${first} in /etc/hosts, which other nodes cannot reach`,
    `in /etc/hosts, move ${entry.host} from the line of ${first} to a line with its network address, or write that address into the map`,
  );
}

function isLoopback(address: Ipv4): boolean {
  return address.startsWith('127.');
}

/**
 * The id under which the map has one of this machine's addresses (own or alias). 127.x counts only where nothing else is given, because
 * every machine has it. Throws `FarmError`: `map.self` (none is there), `map.ambiguous` (two ids claim this machine).
 */
export function ownId(map: ClusterMap, local: readonly Ipv4[], source = 'openmosix.map'): number {
  const outside = local.filter((address) => !isLoopback(address));
  const candidates = outside.length > 0 ? outside : local;
  const found = new Map<number, Ipv4>();
  for (const address of candidates) {
    const id = map.ids.get(address);
    if (id !== undefined) found.set(id, address);
  }
  const [only, second] = found;
  if (only === undefined) {
    const list = candidates.length === 0 ? 'no IPv4 address' : candidates.join(', ');
    throw new FarmError(
      'map.self',
      `${source} is well formed, but this machine is not in it: it has ${list}`,
      `add a line to the map, e.g. "ID ${candidates[0] ?? 'ADDRESS'} 1", or name the interface of the cluster network with --interface`,
    );
  }
  if (second !== undefined) {
    throw new FarmError(
      'map.ambiguous',
      `${source} has this machine twice: node ${only[0]} is ${only[1]} and node ${second[0]} is ${second[1]}`,
      `make one of the two a further address: "${only[0]} ${second[1]} ALIAS"`,
    );
  }
  return only[0];
}

/** Nodes that were given the network or broadcast address of one of this machine's subnets, which no machine answers to. */
export function subnetWarnings(map: ClusterMap, subnets: readonly Cidr[]): MapWarning[] {
  const found: MapWarning[] = [];
  for (const [address, id] of map.ids) {
    // /31 and /32 have neither (RFC 3021).
    const subnet = subnets.find((candidate) => candidate.prefix < 31 && inNetwork(candidate, address));
    if (subnet === undefined) continue;
    const role = address === networkAddress(subnet) ? 'network' : address === broadcastAddress(subnet) ? 'broadcast' : undefined;
    if (role !== undefined) found.push({ line: undefined, message: `node ${id} has ${address}, the ${role} address of a local network` });
  }
  return found;
}
