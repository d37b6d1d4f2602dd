// Opens files below one directory that cannot be left, neither by `..` nor by a symlink: for the servers that hand out files by name.
import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import { FarmError, systemCode } from './errors.ts';

/** What the system says when there is no such file. */
const absent: readonly (string | undefined)[] = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'ENXIO'];

/**
 * Opens `path`, relative to `directory`, for reading. Symlinks are followed as long as they end below `directory`.
 * Undefined if that is no regular file below it; `FarmError` `file.unreadable` if this process may not read it.
 */
export async function openBelow(directory: string, path: string): Promise<{ readonly handle: FileHandle; readonly stats: Stats } | undefined> {
  if (path.includes('\0') || path.split('/').includes('..')) return undefined;
  let handle: FileHandle | undefined;
  try {
    const root = await realpath(directory);
    const real = await realpath(`${root}/${path}`);
    if (!isBelow(root, real)) return undefined; // before it is opened: opening a device can have effects
    handle = await open(real, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW); // a FIFO must not hold us
    const stats = await handle.stat();
    // Somebody may have changed a directory on the way into a symlink since; the kernel knows what was really opened (proc(5)).
    if (stats.isFile() && isBelow(root, await readlink(`/proc/self/fd/${handle.fd}`))) {
      const opened = { handle, stats };
      handle = undefined;
      return opened;
    }
    return undefined;
  } catch (error) {
    const code = systemCode(error);
    if (absent.includes(code)) return undefined;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new FarmError('file.unreadable', `${directory}/${path} may not be read by this process`, 'give its user read permission (chmod a+r)', error);
    }
    throw error;
  } finally {
    await handle?.close();
  }
}

function isBelow(root: string, path: string): boolean {
  return path.startsWith(root === '/' ? root : `${root}/`);
}
