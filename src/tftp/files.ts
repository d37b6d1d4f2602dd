// What a TFTP transfer reads from: bytes in memory, or a file on disk below one directory.
import { openBelow } from '../base/below.ts';

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

/** The regular file `path` below `directory`, or undefined if there is none. `FarmError` as of `openBelow`. */
export async function tftpFileBelow(directory: string, path: string): Promise<TftpFile | undefined> {
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
