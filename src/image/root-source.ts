// A root file system that somebody else made, as a tar stream: from a directory by tar(1), or from a tar file, compressed or not.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { FarmError, systemCode } from '../base/errors.ts';
import { isSystemError } from './failure.ts';

export type RootSource = { readonly kind: 'directory' | 'tar'; readonly path: string };

/** Says what `path` is. Throws `image.source`. */
export function rootSource(path: string): RootSource {
  try {
    const stats = statSync(path);
    if (stats.isDirectory()) return { kind: 'directory', path };
    if (stats.isFile()) return { kind: 'tar', path };
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ENOTDIR') throw error;
  }
  throw new FarmError('image.source', `${path} is neither a directory nor a file`, 'name a root directory or a tar of one');
}

// What a running system has there is not of the image; the directories themselves are.
const left = ['proc', 'sys', 'dev', 'run', 'tmp'].map((name) => `--exclude=./${name}/*`);
const fromDirectory = ['--create', '--format=pax', '--sort=name', '--numeric-owner', '--xattrs', '--xattrs-include=*', '--acls', '--one-file-system', ...left];

/** By the bytes that a compressed file begins with. */
const packed: readonly { readonly magic: string; readonly program: string }[] = [
  { magic: '1f8b', program: 'gzip' },
  { magic: 'fd377a585a00', program: 'xz' },
  { magic: '28b52ffd', program: 'zstd' },
  { magic: '425a68', program: 'bzip2' },
];

/** Hands the tar to `consume`. Throws `program.missing`, `program.failed`, and what `consume` throws. */
export async function readRoot<T>({ kind, path }: RootSource, signal: AbortSignal, consume: (tar: Readable) => Promise<T>): Promise<T> {
  const [program, ...args] = kind === 'directory' ? ['tar', ...fromDirectory, '--directory', path, '.'] : [unpacker(path), ...unpackArguments(path)];
  return readTar(program, args, path, signal, consume);
}

/** Runs a program that writes the tar of a root; `path` names its source in errors. Throws as `readRoot` does. */
export async function readTar<T>(
  program: string,
  args: readonly string[],
  path: string,
  signal: AbortSignal,
  consume: (tar: Readable) => Promise<T>,
): Promise<T> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], signal });
  const complaints: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
  const ended = once(child, 'close');
  const consumed = consume(child.stdout);
  consumed.catch(() => child.stdout.destroy()); // or the program would wait for ever with a full pipe
  const [result, ending] = await Promise.allSettled([consumed, ended]);
  signal.throwIfAborted();
  if (ending.status === 'rejected') {
    if (systemCode(ending.reason) === 'ENOENT')
      throw new FarmError('program.missing', `${program} is not installed`, `apt-get install ${program}`, ending.reason);
    throw ending.reason;
  }
  if (result.status === 'rejected' && (result.reason instanceof FarmError || isSystemError(result.reason))) throw result.reason;
  const [code, by] = ending.value;
  if (code !== 0) throw new FarmError('program.failed', `${program} ended with ${by ?? code}:\n  ${Buffer.concat(complaints).toString().trim().slice(-2000)}`);
  if (result.status === 'rejected')
    throw new FarmError('image.source', `${path} is no tar: ${String(result.reason)}`, 'name a root directory or a tar of one', result.reason);
  return result.value;
}

function unpacker(path: string): string {
  const start = Buffer.alloc(8);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, start, 0, start.length, 0);
  } finally {
    closeSync(fd);
  }
  return packed.find(({ magic }) => start.toString('hex').startsWith(magic))?.program ?? 'cat';
}

function unpackArguments(path: string): readonly string[] {
  return unpacker(path) === 'cat' ? ['--', path] : ['--decompress', '--stdout', '--', path];
}
