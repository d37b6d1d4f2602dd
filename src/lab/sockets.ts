// Where a lab's unix sockets are. unix(7): a socket's path has 108 bytes with its final NUL, and a farm's directory may be longer than that.
import { lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';

const longestPath = 107;
const linkName = 'sockets';

export interface MachineSockets {
  readonly serial: string;
  readonly monitor: string;
}

export function machineSockets(sockets: string, name: string): MachineSockets {
  return { serial: join(sockets, `${name}.serial`), monitor: join(sockets, `${name}.qmp`) };
}

export function controlSocket(sockets: string): string {
  return join(sockets, 'control');
}

function fits(directory: string, machines: readonly string[]): boolean {
  const paths = [controlSocket(directory), ...machines.map((name) => machineSockets(directory, name).serial)];
  return paths.every((path) => Buffer.byteLength(path) <= longestPath);
}

/**
 * Makes the directory for the sockets of a lab in `directory` and gives its path: `sockets` there if the paths fit, or else a new one under
 * `runtime` (XDG_RUNTIME_DIR) or /tmp that `sockets` links to. Only its owner may enter: a serial console is a root shell.
 */
export function makeSocketDirectory(directory: string, machines: readonly string[], runtime: string | undefined): string {
  removeSocketDirectory(directory);
  const near = join(directory, linkName);
  if (fits(near, machines)) {
    mkdirSync(near, { mode: 0o700 });
    return near;
  }
  const parent = [runtime].find((candidate) => candidate !== undefined && fits(join(candidate, 'farm-lab-XXXXXX'), machines)) ?? '/tmp';
  const short = mkdtempSync(join(parent, 'farm-lab-'));
  symlinkSync(short, near);
  return short;
}

/** The directory with the sockets of the lab in `directory`, or undefined if there is none. */
function findSocketDirectory(directory: string): string | undefined {
  const near = join(directory, linkName);
  try {
    return lstatSync(near).isSymbolicLink() ? readlinkSync(near) : near;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Removes the sockets, and the directory they were in. */
export function removeSocketDirectory(directory: string): void {
  const sockets = findSocketDirectory(directory);
  if (sockets === undefined) return;
  rmSync(sockets, { recursive: true, force: true });
  rmSync(join(directory, linkName), { force: true });
}
