// Where things are in a farm's directory, and how a command finds it: -C DIR, $FARM_DIR, or upwards from here, as git does.
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FarmError } from '../base/errors.ts';
import { configFile } from './config.ts';

/** The farm directory for a command run in `cwd`. Throws `farm.missing`. */
export function findFarmDirectory(explicit: string | undefined, environment: string | undefined, cwd: string): string {
  const named = explicit ?? environment;
  if (named !== undefined && named !== '') {
    const directory = resolve(cwd, named);
    if (existsSync(join(directory, configFile))) return directory;
    throw new FarmError('farm.missing', `there is no ${configFile} in ${directory}`, `make a farm there with: farm init ${named}`);
  }
  for (let at = resolve(cwd); ; at = dirname(at)) {
    if (existsSync(join(at, configFile))) return at;
    if (dirname(at) === at) break;
  }
  throw new FarmError('farm.missing', `no ${configFile} here or in any directory above`, 'make a farm with: farm init, or name one with -C DIR or FARM_DIR');
}

export function imagesDirectory(farm: string): string {
  return join(farm, 'images');
}

/** The farm's own overlay templates, which win over the built-in ones file by file. */
export function overlayDirectory(farm: string): string {
  return join(farm, 'overlays', 'root');
}

export function stateDirectory(farm: string): string {
  return join(farm, 'state');
}

/** What one node has written. */
export function privateDirectory(farm: string, node: string): string {
  return join(stateDirectory(farm), 'private', node);
}

/** What is shared by nodes. */
export function allSharedDirectory(farm: string): string {
  return join(farm, 'shared');
}

/** A shared path, `/home`: what it holds is here as it is. */
export function sharedDirectory(farm: string, path: string): string {
  return join(allSharedDirectory(farm), path);
}

/** What the server keeps about a shared path, beside it because nodes could change it there. */
export function sharedStateDirectory(farm: string, path: string): string {
  return join(stateDirectory(farm), 'shared', encodeURIComponent(path.slice(1)));
}

/** Who holds locks. */
export function locksJournal(farm: string): string {
  return join(stateDirectory(farm), 'locks-monitored');
}

/** What nodes have sent by TFTP or HTTP, a directory for each. */
export function uploadDirectory(farm: string): string {
  return join(farm, 'uploads');
}

/** The running server's local socket, which speaks HTTP. */
export function controlSocket(farm: string): string {
  return join(stateDirectory(farm), 'control.sock');
}

/** Where an NFS process of the running server takes calls that others received. */
export function nfsRelay(farm: string, index: number): string {
  return join(stateDirectory(farm), `nfs-${index}.sock`);
}

/** The virtual farm's sockets and logs. */
export function labDirectory(farm: string): string {
  return join(farm, '.lab');
}
