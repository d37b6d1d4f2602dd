// Where the agent's map comes from: a table set at this boot (setpe), else a map file, else what calling out finds. In the order of openMosix's init script.
import { FarmError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { absent, fileStamp, findMap, type MapFile, readMapFile } from './files.ts';
import type { Settings } from './settings.ts';

/** Reasons for which the init script went on to omdiscd. A map that does not have this machine is none: the others would not take it. */
const unusable = new Set(['map.missing', 'map.invalid', 'map.host', 'map.loopback']);

/** What setpe has set, until the next boot: beside the agent's socket. An empty table: this node is in no cluster. */
export function tablePath(settings: Settings): string {
  return `${settings.socketPath.replace(/\.sock$/, '')}.map`;
}

/** The map to use; undefined: call out. Throws the `FarmError`s of the map where calling out is not allowed. */
export async function chooseMap(settings: Settings, log: Log): Promise<MapFile | undefined> {
  const table = tablePath(settings);
  if ((await fileStamp(table)) !== absent) return readMapFile(table);
  if (settings.discovery === 'always') return undefined;
  try {
    return await readMapFile(await findMap(settings.mapPath));
  } catch (error) {
    if (settings.discovery === 'never' || !(error instanceof FarmError) || !unusable.has(error.code)) throw error;
    log('warn', 'map.unusable', { code: error.code, reason: error.message });
    return undefined;
  }
}
