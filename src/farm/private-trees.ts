// The private trees under state/private, for commands: how large each is, and how one is forgotten, with a server or without.
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { syncDirectory } from '../base/journal.ts';
import { startHttpServer } from '../boot/http.ts';
import { PrivateStore, readPrivate } from '../tree/private.ts';
import { controlSocket, privateDirectory, stateDirectory } from './directory.ts';

/** The resource of the control socket that forgets the private tree named by a POST's body. */
export const wipePath = '/private/wipe';

/** What was wiped is renamed to this and then removed, so that a crash leaves none half there. */
const wipedPrefix = '.wiped-';

export interface PrivateTree {
  readonly node: string;
  /** On disk, bytes. */
  readonly bytes: number;
  readonly objects: number;
  /** Of the image that the node last booted. */
  readonly version: string | undefined;
  /** Milliseconds since the epoch. */
  readonly changed: number;
}

/** The names of all private trees, also of nodes that have left the farm. */
export function privateTrees(farm: string): readonly string[] {
  const top = join(stateDirectory(farm), 'private');
  try {
    return readdirSync(top)
      .filter((name) => !name.startsWith('.'))
      .sort();
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return [];
  }
}

export function privateTree(farm: string, node: string): PrivateTree {
  const directory = privateDirectory(farm, node);
  const { state, changed } = readPrivate(directory);
  const { bytes, objects } = state.usage;
  return { node, bytes, objects, version: state.start?.version, changed };
}

/** The version of an image that each private tree was last opened over, by node. Throws `private.unreadable`: what is unknown may be needed. */
export function recordedVersions(farm: string): ReadonlyMap<string, string> {
  const versions = new Map<string, string>();
  for (const node of privateTrees(farm)) {
    try {
      const version = PrivateStore.version(privateDirectory(farm, node));
      if (version !== undefined) versions.set(node, version);
    } catch (error) {
      throw new FarmError('private.unreadable', `the private tree of ${node} cannot be read: ${sentence(error)}`, 'check the disk', error);
    }
  }
  return versions;
}

/** Takes the directory of a private tree away, at once and for good. */
export function removePrivate(farm: string, node: string): void {
  const top = join(stateDirectory(farm), 'private');
  const aside = join(top, `${wipedPrefix}${node}-${randomBytes(4).toString('hex')}`);
  try {
    renameSync(join(top, node), aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  syncDirectory(top);
  rmSync(aside, { recursive: true, force: true });
}

/** Removes what a crash has left of wiped trees. */
export function finishWiping(farm: string): void {
  const top = join(stateDirectory(farm), 'private');
  if (!existsSync(top)) return;
  for (const name of readdirSync(top)) if (name.startsWith(wipedPrefix)) rmSync(join(top, name), { recursive: true, force: true });
}

/** Has the running server forget a private tree; without one it is done here, with the server's lock. Throws `private.refused`. */
export async function wipePrivate(farm: string, node: string, clock: Clock): Promise<void> {
  if (await askServer(farm, node)) return;
  const routes = async () => ({ kind: 'error', status: 503, message: 'a private tree is being wiped: try again' }) as const;
  const lock = await startHttpServer({ socketPath: controlSocket(farm), routes, log: () => {}, clock }).catch((error: unknown) => {
    if (error instanceof FarmError && error.code === 'port.taken') return undefined; // a server that has started in between
    throw error;
  });
  if (lock === undefined) {
    if (await askServer(farm, node)) return;
    throw new FarmError('private.refused', 'a server starts or ends at this moment', 'try again');
  }
  try {
    removePrivate(farm, node);
  } finally {
    await lock.close();
  }
}

const answerMilliseconds = 60_000;

/** Whether a server runs; then it has done it. */
function askServer(farm: string, node: string): Promise<boolean> {
  const socketPath = controlSocket(farm);
  if (!existsSync(socketPath)) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: wipePath, method: 'POST', timeout: answerMilliseconds }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(true);
        else reject(new FarmError('private.refused', `the running server did not do it: ${Buffer.concat(chunks).toString().trim()}`, 'see its log'));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`the server at ${socketPath} does not answer`)));
    asked.on('error', (error) => (['ECONNREFUSED', 'ENOENT'].includes(systemCode(error) ?? '') ? resolve(false) : reject(error)));
    asked.end(node);
  });
}

/** Which file is a tree's journal now; undefined if there is none. */
export function journalInode(farm: string, node: string): number | undefined {
  try {
    return statSync(join(privateDirectory(farm, node), 'journal')).ino;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new FarmError('private.unreadable', `the private tree of ${node} cannot be read: ${sentence(error)}`, 'check the disk', error);
  }
}
