// mkdir -p that says why not: Node's own says ENOENT where the file system is read-only (libuv's mkdirp takes any error for a missing parent).
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** Makes `path` and what is missing above it; leaves what is there. Throws the system's error, with its code. */
export function makeDirectory(path: string, mode = 0o777): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path, { mode });
}
