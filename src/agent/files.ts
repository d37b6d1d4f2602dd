// The files a node's agent lives by: openmosix.map with /etc/hosts, read anew when they change, and the farm key.
import { readFile, stat } from 'node:fs/promises';
import type { Ipv4 } from '../base/addresses.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { type Hosts, parseHosts } from '../cluster/hosts.ts';
import { keyBytesMax, parseFarmKeys } from '../cluster/key.ts';
import { mapBytesMax, mapPaths, parseMap } from '../cluster/map.ts';
import type { MapEntry, MapWarning } from '../cluster/map-entry.ts';
import { type ClusterMap, expandMap } from '../cluster/nodes.ts';

const hostsPath = '/etc/hosts';
const hostsBytesMax = 4 * 1024 * 1024;

export interface MapFile {
  readonly path: string;
  /** Differs when the map or /etc/hosts was written since. */
  readonly stamp: string;
  readonly map: ClusterMap;
  readonly entries: readonly MapEntry[];
  /** Host name of each address, as far as /etc/hosts has them. */
  readonly names: ReadonlyMap<Ipv4, string>;
  readonly warnings: readonly MapWarning[];
}

/** The map file: `path` if given, else the first of the usual places that exists. Throws `FarmError` `map.missing`. */
export async function findMap(path: string | undefined): Promise<string> {
  const candidates = path === undefined ? mapPaths : [path];
  for (const candidate of candidates) {
    if ((await fileStamp(candidate)) !== absent) return candidate;
  }
  throw new FarmError('map.missing', `there is no ${candidates.join(' or ')}`, 'the farm server writes it into the root of its nodes; or name one with --map');
}

/** Reads the map at `path`. Throws the `FarmError`s of parseMap and expandMap, and `map.missing`. */
export async function readMapFile(path: string): Promise<MapFile> {
  const stamp = await mapStamp(path);
  const text = await readBounded(path, mapBytesMax, 'map.missing');
  const { entries, warnings } = parseMap(text, path);
  const hosts = await readHosts();
  return { path, stamp, entries, map: expandMap(entries, hosts, path), names: namesOf(hosts), warnings };
}

/** A machine without /etc/hosts knows no names. */
async function readHosts(): Promise<Hosts> {
  return parseHosts((await fileStamp(hostsPath)) === absent ? '' : await readBounded(hostsPath, hostsBytesMax, 'map.host'));
}

function namesOf(hosts: Hosts): ReadonlyMap<Ipv4, string> {
  const names = new Map<Ipv4, string>();
  for (const [name, addresses] of hosts) for (const address of addresses) if (!names.has(address)) names.set(address, name);
  return names;
}

/** The map in the words of a map file, for people and for nodes that have none. */
export function mapText(entries: readonly MapEntry[]): string {
  return entries.map((entry) => `${entry.id} ${entry.host} ${entry.kind === 'range' ? entry.count : 'ALIAS'}\n`).join('');
}

export const absent = 'absent';

/** Changes when the map or /etc/hosts is replaced or written. By looking, because inotify does not see what an NFS server changes. */
export async function mapStamp(path: string): Promise<string> {
  return `${await fileStamp(path)} ${await fileStamp(hostsPath)}`;
}

export async function fileStamp(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return absent;
    throw new FarmError('map.missing', `${path} cannot be looked at: ${sentence(error)}`, 'check its permissions', error);
  }
}

export interface KeyFile {
  /** Differs when the file was written since. */
  readonly stamp: string;
  /** The first is the one to sign with. */
  readonly keys: readonly [Buffer, ...Buffer[]];
}

/** The farm keys in `path`. Throws `FarmError` `key.missing` or `key.invalid`. */
export async function readKeyFile(path: string): Promise<KeyFile> {
  const stamp = await fileStamp(path);
  return { stamp, keys: parseFarmKeys(await readBounded(path, keyBytesMax, 'key.missing'), path) };
}

async function readBounded(path: string, most: number, code: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > most) throw new FarmError(code, `${path} has ${size} bytes, more than the ${most} it may have`, 'name the right file');
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof FarmError) throw error;
    const missing = systemCode(error) === 'ENOENT';
    throw new FarmError(
      code,
      missing ? `there is no ${path}` : `${path} cannot be read: ${sentence(error)}`,
      missing ? 'the farm server writes it into the root of its nodes; copy it from there' : 'check its permissions',
      error,
    );
  }
}
