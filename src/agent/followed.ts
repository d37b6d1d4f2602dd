// The files that others write and this agent follows while it runs: the farm's key, and the map with what it makes of this machine. By looking, because inotify does
// not see what an NFS server changes.
import { FarmError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { subnetWarnings } from '../cluster/nodes.ts';
import { absent, fileStamp, findMap, type KeyFile, type MapFile, mapStamp, readKeyFile, readMapFile } from './files.ts';
import { identify, localNetworks, type Self } from './identity.ts';
import { tablePath } from './map-source.ts';
import type { Settings } from './settings.ts';

export interface FollowedKey {
  readonly keys: KeyFile['keys'];
  /** Reads it again if it was written. A bad one is said, and the last good one stays. */
  look(): Promise<void>;
}

/** Throws what readKeyFile throws. */
export async function followKey(path: string, log: Log): Promise<FollowedKey> {
  let key = await readKeyFile(path);

  async function look(): Promise<void> {
    try {
      const stamp = await fileStamp(path);
      if (stamp === key.stamp) return;
      key = { ...key, stamp }; // a bad one is complained about once
      key = await readKeyFile(path);
      log('info', 'key.read', { file: path, keys: key.keys.length });
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      log('error', 'key.refused', { code: error.code, reason: error.message, hint: error.hint });
    }
  }

  return {
    get keys() {
      return key.keys;
    },
    look: oneAtATime(look),
  };
}

export interface FollowedMapOptions {
  readonly settings: Settings;
  readonly file: MapFile;
  /** Undefined: no node of the map is this machine. */
  readonly self: Self | undefined;
  /** The id that this node's own configuration gives it. */
  readonly configured: number | undefined;
  /** The map is made by discovery, until there is one. */
  readonly isDiscovering: boolean;
  /** Another map, in which this machine is who it was. */
  readonly onMap: () => void;
  /** The agent cannot go on as what it is: `agent.restart`, `map.self`, `map.renumbered`. */
  readonly fail: (error: FarmError) => void;
  readonly log: Log;
}

export interface FollowedMap {
  readonly file: MapFile;
  /** A map that was not read from a file. */
  take(file: MapFile): void;
  /** Never rejects for what the files say. */
  look(): Promise<void>;
  /** Nothing that is read from now on counts. */
  close(): void;
}

export function followMap(options: FollowedMapOptions): FollowedMap {
  const { settings, self, log } = options;
  let { file } = options;
  let isClosed = false;
  logMap(file, log);

  async function look(): Promise<void> {
    try {
      const isSet = (await fileStamp(tablePath(settings))) !== absent;
      if (!options.isDiscovering) await readIfChanged(isSet ? tablePath(settings) : await findMap(settings.mapPath), isSet);
      else if (isSet || (settings.discovery === 'fallback' && (await hasMap()))) restart('there is a map now');
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      if (['map.self', 'map.renumbered', 'agent.restart'].includes(error.code)) options.fail(error);
      else log('error', 'map.refused', { code: error.code, reason: error.message, hint: error.hint });
    }
  }

  async function readIfChanged(path: string, isSet: boolean): Promise<void> {
    const found = await mapStamp(path);
    if ((path === file.path && found === file.stamp) || isClosed) return;
    file = { ...file, stamp: found, path }; // a bad map is complained about once
    consider(await readMapFile(path), isSet);
  }

  /** Another map: goes on with it, or as somebody else. */
  function consider(fresh: MapFile, isSet: boolean): void {
    const isEmpty = fresh.entries.length === 0;
    if (self === undefined || isEmpty) {
      if (isEmpty !== (self === undefined)) restart(`${fresh.path} has ${isEmpty ? 'no node' : 'nodes'} now`);
      return;
    }
    checkIdentity(identify(fresh.map, settings, fresh.path, options.configured), self, fresh.path, isSet);
    take(fresh);
  }

  async function hasMap(): Promise<boolean> {
    try {
      await readMapFile(await findMap(settings.mapPath));
      return true;
    } catch (error) {
      if (error instanceof FarmError) return false;
      throw error;
    }
  }

  function restart(why: string): void {
    options.fail(new FarmError('agent.restart', why));
  }

  function take(fresh: MapFile): void {
    file = fresh;
    logMap(file, log);
    options.onMap();
  }

  return {
    get file() {
      return file;
    },
    take,
    look: oneAtATime(look),
    close() {
      isClosed = true;
    },
  };
}

/** Does nothing while the last call still waits: for an NFS server that does not answer. */
function oneAtATime(act: () => Promise<void>): () => Promise<void> {
  let busy = false;
  return async () => {
    if (busy) return;
    busy = true;
    await act().finally(() => {
      busy = false;
    });
  };
}

function logMap(file: MapFile, log: Log): void {
  for (const { line, message } of [...file.warnings, ...subnetWarnings(file.map, localNetworks())]) {
    log('warn', 'map.doubtful', { file: file.path, line, message });
  }
  log('info', 'map.read', { file: file.path, nodes: file.map.addresses.size });
}

/** `isSet`: by setpe, whose user means it. */
function checkIdentity(fresh: Self, self: Self, path: string, isSet: boolean): void {
  if (fresh.id === self.id && fresh.address === self.address) return;
  throw new FarmError(
    isSet ? 'agent.restart' : 'map.renumbered',
    `${path} now says that this machine is node ${fresh.id} at ${fresh.address}, it was node ${self.id} at ${self.address}`,
    'the agent takes a new identity when it is started again: systemctl restart farm-agent',
  );
}
