// The files a node's agent lives by: openmosix.map with /etc/hosts, read anew when they change, and the farm key.
import { readFile, stat } from 'node:fs/promises';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { parseHosts } from '../cluster/hosts.ts';
import { announcementKey, keyBytesMax, parseFarmKey } from '../cluster/key.ts';
import { mapBytesMax, mapPaths, parseMap } from '../cluster/map.ts';
import type { MapWarning } from '../cluster/map-entry.ts';
import { type ClusterMap, expandMap } from '../cluster/nodes.ts';

const hostsPath = '/etc/hosts';
const hostsBytesMax = 4 * 1024 * 1024;

export interface MapFile {
  readonly path: string;
  /** Differs when the map or /etc/hosts was written since. */
  readonly stamp: string;
  readonly map: ClusterMap;
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
  const named = entries.some((entry) => entry.address === undefined);
  const hosts = parseHosts(named ? await readBounded(hostsPath, hostsBytesMax, 'map.host') : '');
  return { path, stamp, map: expandMap(entries, hosts, path), warnings };
}

const absent = 'absent';

/** Changes when the map or /etc/hosts is replaced or written. By looking, because inotify does not see what an NFS server changes. */
export async function mapStamp(path: string): Promise<string> {
  return `${await fileStamp(path)} ${await fileStamp(hostsPath)}`;
}

async function fileStamp(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return absent;
    throw new FarmError('map.missing', `${path} cannot be looked at: ${sentence(error)}`, 'check its permissions', error);
  }
}

/** The key for announcements, from the farm key in `path`. Throws `FarmError` `key.missing` or `key.invalid`. */
export async function readKeyFile(path: string): Promise<Buffer> {
  return announcementKey(parseFarmKey(await readBounded(path, keyBytesMax, 'key.missing'), path));
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
