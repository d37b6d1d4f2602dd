// A plain directory of the machine's own file system behind the operations that a model test has: errno where NFS has a status.

import { spawnSync } from 'node:child_process';
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  fstatSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import type { Kind } from '../../src/tree/tree.ts';

export type Path = readonly string[];

export interface PlainObject {
  readonly kind: Kind;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly inode: bigint;
  readonly device: readonly [number, number];
  /** Nanoseconds since 1970. */
  readonly atime: bigint;
  readonly mtime: bigint;
}

class PlainError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const kinds: readonly (readonly [number, Kind])[] = [
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'symlink'],
  [0o060000, 'block'],
  [0o020000, 'character'],
  [0o010000, 'fifo'],
  [0o140000, 'socket'],
];

export class PlainDirectory {
  private readonly top: string;

  constructor(top: string) {
    this.top = top;
  }

  private at(path: Path): Buffer {
    return Buffer.from([this.top, ...path].join('/'), 'latin1');
  }

  /** The object at a path, no symlink followed; ENOENT or ENOTDIR of whatever component. */
  object(path: Path): PlainObject {
    for (let depth = 0; depth < path.length; depth++) {
      if (this.stat(path.slice(0, depth)).kind !== 'directory') throw new PlainError('ENOTDIR');
      if (Buffer.byteLength(path[depth] ?? '', 'latin1') > 255) throw new PlainError('ENAMETOOLONG');
    }
    return this.stat(path);
  }

  private stat(path: Path): PlainObject {
    return described(lstatSync(this.at(path), { bigint: true }));
  }

  /** The directory at `path` has to be one before a name in it is looked at. */
  private directory(path: Path): void {
    if (this.object(path).kind !== 'directory') throw new PlainError('ENOTDIR');
  }

  private file(path: Path): Buffer {
    const { kind } = this.object(path);
    if (kind !== 'file') throw new PlainError(kind === 'directory' ? 'EISDIR' : 'EINVAL');
    return this.at(path);
  }

  private newName(path: Path): Buffer {
    this.directory(path.slice(0, -1));
    return this.at(path);
  }

  create(path: Path, mode: number): void {
    const at = this.newName(path);
    closeSync(openSync(at, 'wx', mode));
    chmodSync(at, mode);
  }

  mkdir(path: Path, mode: number): void {
    const at = this.newName(path);
    mkdirSync(at);
    chmodSync(at, mode | (lstatSync(at).mode & 0o2000)); // inherited
  }

  symlink(path: Path, target: string): void {
    symlinkSync(Buffer.from(target, 'latin1'), this.newName(path));
  }

  /** mknod(1): Node has no mknod(2). */
  mknod(path: Path, kind: 'block' | 'character' | 'fifo', device: readonly [number, number], mode: number): void {
    const at = this.newName(path);
    try {
      lstatSync(at);
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOENT') throw error;
      const what = kind === 'fifo' ? 'p' : kind === 'block' ? 'b' : 'c';
      const script = `mkfifo=${what}; name=$(printf "$1"; echo .); name=\${name%.}; mknod -- "$name" ${what} ${kind === 'fifo' ? '' : device.join(' ')}`;
      const octal = [...at].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
      const { status, stderr } = spawnSync('sh', ['-c', script, 'sh', octal]);
      if (status !== 0) throw new Error(`mknod: ${stderr.toString()}`);
      chmodSync(at, mode);
      return;
    }
    throw new PlainError('EEXIST');
  }

  link(path: Path, newPath: Path): void {
    const { kind } = this.object(path);
    const at = this.newName(newPath);
    if (kind === 'directory') throw new PlainError('EISDIR'); // what the Linux NFS server says for link(2)'s EPERM
    linkSync(this.at(path), at);
  }

  rename(path: Path, newPath: Path): void {
    this.directory(path.slice(0, -1));
    this.directory(newPath.slice(0, -1));
    renameSync(this.at(path), this.at(newPath));
  }

  remove(path: Path): void {
    unlinkSync(this.newName(path));
  }

  rmdir(path: Path): void {
    rmdirSync(this.newName(path));
  }

  write(path: Path, offset: number, bytes: Buffer): void {
    const fd = openSync(this.file(path), 'r+');
    try {
      writeSync(fd, bytes, 0, bytes.length, offset);
    } finally {
      closeSync(fd);
    }
  }

  truncate(path: Path, size: number): void {
    truncateSync(this.file(path), size);
  }

  chmod(path: Path, mode: number): void {
    if (this.object(path).kind !== 'symlink') chmodSync(this.at(path), mode);
  }

  chown(path: Path, uid: number, gid: number): void {
    this.object(path);
    lchownSync(this.at(path), uid, gid);
  }

  /** Seconds that a double has exactly. */
  utimes(path: Path, atime: number, mtime: number): void {
    this.object(path);
    lutimesSync(this.at(path), atime, mtime);
  }

  names(path: Path): readonly string[] {
    return readdirSync(this.at(path), { encoding: 'buffer' }).map((name) => name.toString('latin1'));
  }

  /** Up to `length` bytes from `start`. */
  slice(path: Path, start: number, length: number): Buffer {
    const fd = openSync(this.at(path), 'r');
    try {
      const target = Buffer.alloc(length);
      return target.subarray(0, readSync(fd, target, 0, length, start));
    } finally {
      closeSync(fd);
    }
  }

  target(path: Path): string {
    return readlinkSync(this.at(path), { encoding: 'buffer' }).toString('latin1');
  }

  /** A descriptor that outlives names. */
  hold(path: Path): number {
    return openSync(this.file(path), 'r+');
  }

  heldLinks(fd: number): number {
    return fstatSync(fd).nlink;
  }

  writeHeld(fd: number, offset: number, bytes: Buffer): void {
    writeSync(fd, bytes, 0, bytes.length, offset);
  }
}

function described(stat: BigIntStats): PlainObject {
  const mode = Number(stat.mode);
  const device = Number(stat.rdev);
  return {
    kind: kinds.find(([bits]) => bits === (mode & 0o170000))?.[1] ?? 'file',
    mode: mode & 0o7777,
    links: Number(stat.nlink),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(stat.size),
    inode: BigInt(stat.ino),
    device: [(device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00)],
    atime: stat.atimeNs,
    mtime: stat.mtimeNs,
  };
}
