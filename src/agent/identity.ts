// Which node of the map this machine is, by the addresses of its interfaces.
import { networkInterfaces } from 'node:os';
import { type Cidr, type Ipv4, parseCidr, parseIpv4 } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { type ClusterMap, ownId } from '../cluster/nodes.ts';
import type { Settings } from './settings.ts';

export interface Self {
  readonly id: number;
  /** The address to speak from: the node's own in the map, or an alias of it. */
  readonly address: Ipv4;
}

interface LocalAddress {
  readonly interface: string;
  readonly address: Ipv4;
  readonly network: Cidr | undefined;
}

function localAddresses(): LocalAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, infos]) =>
    (infos ?? []).flatMap((info) => {
      const address = info.family === 'IPv4' ? parseIpv4(info.address) : undefined;
      return address === undefined ? [] : [{ interface: name, address, network: parseCidr(info.cidr ?? '') }];
    }),
  );
}

/** The networks this machine is in. */
export function localNetworks(): Cidr[] {
  return localAddresses().flatMap(({ network }) => network ?? []);
}

/**
 * Our id, and our own address in the map to speak from. Options are obeyed; what the boot said is only preferred, and then every local address
 * is tried. `known`: the id, if it was said (setpe -p). Throws `FarmError`: `map.self`, `map.ambiguous`, `interface.absent`.
 */
export function identify(map: ClusterMap, settings: Settings, source: string, known?: number): Self {
  const local = localAddresses();
  const all = local.map(({ address }) => address);
  const id = known ?? ownId(map, candidates(map, settings, local, all), source);
  const own = map.addresses.get(id);
  // The map's main address of a node may be one that only its gateway has; an alias is then what it speaks from.
  const address = own !== undefined && (own === settings.address || all.includes(own)) ? own : (all.find((one) => map.ids.get(one) === id) ?? own);
  if (address === undefined) throw new FarmError('map.self', `${source} has no address for node ${id}`, 'add a line for it');
  return { id, address };
}

function candidates(map: ClusterMap, settings: Settings, local: readonly LocalAddress[], all: readonly Ipv4[]): readonly Ipv4[] {
  const of = (name: string) => local.filter((one) => one.interface === name).map(({ address }) => address);
  if (settings.address !== undefined) return [settings.address];
  if (settings.interface !== undefined) {
    const found = of(settings.interface);
    if (found.length > 0) return found;
    throw new FarmError('interface.absent', `the interface ${settings.interface} has no IPv4 address`, 'list them with: ip -4 -br address');
  }
  const { booted } = settings;
  const preferred = [booted.address === undefined ? [] : [booted.address], booted.interface === undefined ? [] : of(booted.interface)];
  return preferred.find((addresses) => addresses.some((address) => map.ids.has(address))) ?? all;
}
