// What a TFTP transfer reads from: bytes in memory, or a file on disk below one directory.
import { opendir } from 'node:fs/promises';
import { openBelow } from '../base/below.ts';
import { systemCode } from '../base/errors.ts';

/** A file open for one transfer. */
export interface OpenTftpFile {
  /** Reads at `offset` into `target`; how many bytes it got. Less than `target.length` only at the end of the file. */
  read(offset: number, target: Buffer): Promise<number>;
  close(): Promise<void>;
}

export interface TftpFile {
  /** Bytes. */
  readonly size: number;
  open(): Promise<OpenTftpFile>;
}

/** Bytes that were rendered for this client. They must not change while it reads them. */
export function tftpBytes(bytes: Buffer): TftpFile {
  return {
    size: bytes.length,
    open: async () => ({
      read: async (offset, target) => bytes.copy(target, 0, Math.min(offset, bytes.length)),
      close: async () => {},
    }),
  };
}

/** Entries of a directory that are looked through for a name in other letters. */
const mostEntries = 10_000;

/**
 * The regular file `path` below `directory`, or undefined if there is none. If there is none by exactly this name, one that differs only in
 * the case of its letters: Windows loaders ask for `BOOT\BCD` and find `Boot/bcd`. `FarmError` as of `openBelow`.
 */
export async function tftpFileBelow(directory: string, path: string): Promise<TftpFile | undefined> {
  const exact = await fileBelow(directory, path);
  if (exact !== undefined) return exact;
  const other = await otherCase(directory, path);
  return other === undefined ? undefined : fileBelow(directory, other);
}

async function fileBelow(directory: string, path: string): Promise<TftpFile | undefined> {
  const found = await openBelow(directory, path);
  if (found === undefined) return undefined;
  await found.handle.close(); // a size probe goes no further
  return {
    size: found.stats.size,
    open: async () => {
      const again = await openBelow(directory, path);
      if (again === undefined) throw new Error(`${path} is gone`);
      const { handle } = again;
      return {
        read: async (offset, target) => (await handle.read(target, 0, target.length, offset)).bytesRead,
        close: () => handle.close(),
      };
    },
  };
}

/** Names only: whatever it finds still has to pass `openBelow`. Undefined if a part is not there, or if two names fit. */
async function otherCase(directory: string, path: string): Promise<string | undefined> {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) return undefined;
  let found = '';
  for (const part of parts) {
    const name = await nameLike(`${directory}/${found}`, part);
    if (name === undefined) return undefined;
    found += found === '' ? name : `/${name}`;
  }
  return found === path ? undefined : found;
}

async function nameLike(directory: string, wanted: string): Promise<string | undefined> {
  const folded = wanted.toLowerCase();
  let fitting: string | undefined;
  try {
    let entries = 0;
    for await (const { name } of await opendir(directory)) {
      entries += 1;
      if (name === wanted) return name;
      if (entries > mostEntries) return undefined;
      if (name.toLowerCase() !== folded) continue;
      if (fitting !== undefined) return undefined;
      fitting = name;
    }
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES' || code === 'ENAMETOOLONG' || code === 'ELOOP') return undefined;
    throw error;
  }
  return fitting;
}
