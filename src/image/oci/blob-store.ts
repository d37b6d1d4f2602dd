// Blobs that were pulled, whole ones and beginnings, by digest: a further import takes them from here. `farm image gc` removes them all.
import { linkSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../../base/errors.ts';

/** Beside the images, under a name that none can have. */
export const blobStoreName = '.blobs';

const beginning = '.part';

/**
 * Puts what there is of a blob at `path`, where it is the caller's; whether there is anything. A whole one is a further name of the same file, which
 * must not be written to; a beginning is taken out, so that two imports never write to one.
 */
export function takeBlob(store: string, name: string, path: string): 'whole' | 'beginning' | 'nothing' {
  if (attempt(() => linkSync(join(store, name), path))) return 'whole';
  return attempt(() => renameSync(join(store, `${name}${beginning}`), path)) ? 'beginning' : 'nothing';
}

/** Keeps what was downloaded to `path`; of a whole blob that stays where it is, too. */
export function keepBlob(store: string, name: string, path: string, what: 'whole' | 'beginning'): void {
  mkdirSync(store, { recursive: true, mode: 0o700 });
  if (what === 'whole') attempt(() => linkSync(path, join(store, name)));
  else attempt(() => renameSync(path, join(store, `${name}${beginning}`)));
}

export function dropBlob(store: string, name: string): void {
  rmSync(join(store, name), { force: true });
}

/** How many bytes it holds. */
export function storedBytes(store: string): number {
  try {
    return readdirSync(store).reduce((sum, name) => sum + (statSync(join(store, name), { throwIfNoEntry: false })?.size ?? 0), 0);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}

/** An import that is under way keeps what it has taken. */
export function emptyBlobStore(store: string): void {
  rmSync(store, { recursive: true, force: true });
}

/** False if there is no such blob, or it is there already; or if the image's directory is on another disk, where nothing is kept. */
function attempt(move: () => void): boolean {
  try {
    move();
    return true;
  } catch (error) {
    if (['ENOENT', 'EEXIST', 'EXDEV'].includes(systemCode(error) ?? '')) return false;
    throw error;
  }
}
