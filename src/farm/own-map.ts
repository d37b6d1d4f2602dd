// The farm's openmosix.map: made from the registry, unless a person wrote one into the overlays, which is then compared with the registry.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ipv4 } from '../base/addresses.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import type { Hosts } from '../cluster/hosts.ts';
import { formatMap, parseMap } from '../cluster/map.ts';
import type { MapWarning } from '../cluster/map-entry.ts';
import { type ClusterMap, expandMap } from '../cluster/nodes.ts';
import { overlayDirectory } from './directory.ts';
import { type Farm, fqdn } from './farm.ts';

export interface MapInForce {
  readonly text: string;
  /** The person's file; undefined: made from the registry. */
  readonly file: string | undefined;
  /** Where the person's map and the registry disagree. A node is known by its address in both, so both have to be right. */
  readonly warnings: readonly MapWarning[];
}

/** The farm's map as made from farm.yaml. Empty of nodes, it is a comment. */
export function farmMap(farm: Farm): string {
  return formatMap(farm.nodes, `openmosix.map of the farm ${farm.name}, made from its farm.yaml`);
}

/** Where a person's map is: in the overlays, as every other file of the nodes that is to be another. */
export function ownMapPath(directory: string): string {
  return join(overlayDirectory(directory), 'etc', 'openmosix.map');
}

/** What nodes get. Throws the `FarmError`s of `parseMap` and `expandMap` for a person's map that is wrong. */
export function mapInForce(farm: Farm, directory: string): MapInForce {
  const file = ownMapPath(directory);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return { text: farmMap(farm), file: undefined, warnings: [] };
    throw new FarmError('map.unreadable', `${file} cannot be read: ${sentence(error)}`, 'check its permissions', error);
  }
  return { text, file, warnings: checkMap(text, farm, file) };
}

/** What a map of this farm should not say. Throws the `FarmError`s of `parseMap` and `expandMap`. */
export function checkMap(text: string, farm: Farm, source: string): readonly MapWarning[] {
  const { entries, warnings } = parseMap(text, source);
  return [...warnings, ...disagreements(expandMap(entries, hostsOf(farm), source), farm)];
}

/** What /etc/hosts of the nodes has, which is where they look a map's names up. */
function hostsOf(farm: Farm): Hosts {
  const hosts = new Map<string, Ipv4[]>();
  for (const node of farm.nodes) for (const each of [node.name, fqdn(farm, node)]) hosts.set(each.toLowerCase(), [node.address]);
  return hosts;
}

function disagreements(map: ClusterMap, { nodes }: Farm): MapWarning[] {
  return nodes.flatMap(({ name, id, address }) => {
    const there = map.ids.get(address);
    if (there === id) return [];
    const what = there === undefined ? `is not in the map: it will not join the cluster` : `is node ${there} in the map`;
    return [{ line: undefined, message: `${name}, ${address}, id ${id} in farm.yaml, ${what}` }];
  });
}
