// What a shared path holds at first: owner, mode and content of the image's directory of that path, so that nothing disappears from the nodes when it is
// mounted over. All of it appears at once, by rename.
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Base, type BaseObject, type Content, resolveBasePath } from '../tree/base.ts';
import type { ObjectId, Timestamp } from '../tree/tree.ts';

/** What it is if the image has no such directory. */
const plainMode = 0o755;

const pieceBytes = 1024 * 1024;

/**
 * Makes `directory` for the shared `path`, like the directory of that path in `image` if there is one. Returns paths below it that were left out:
 * devices, FIFOs and sockets, which belong to a machine. Throws what the file system has to say; then there is no `directory`.
 */
export function makeFromImage(directory: string, path: string, image: Base | undefined): readonly string[] {
  const parent = dirname(directory);
  // Beside it, in the same file system. One server has a farm: what is there is left from a crash.
  const unfinished = join(parent, `.${basename(directory)}.new`);
  mkdirSync(parent, { recursive: true });
  rmSync(unfinished, { recursive: true, force: true });
  const origin = image === undefined ? undefined : resolveBasePath(image, path);
  const leftOut: string[] = [];
  if (image === undefined || origin?.kind !== 'directory') makeDirectory(Buffer.from(unfinished), plainMode);
  else copy(image, origin, Buffer.from(unfinished), '', { leftOut, links: new Map() });
  renameSync(unfinished, directory);
  sync(parent);
  return leftOut;
}

interface Copying {
  readonly leftOut: string[];
  /** Where objects with several names already are. */
  readonly links: Map<ObjectId, Buffer>;
}

function copy(image: Base, object: BaseObject, to: Buffer, path: string, copying: Copying): void {
  const first = copying.links.get(object.id);
  if (first !== undefined) {
    linkSync(first, to);
    return;
  }
  if (object.kind !== 'directory' && object.links > 1) copying.links.set(object.id, to);
  switch (object.kind) {
    case 'directory':
      mkdirSync(to, { mode: 0o700 });
      for (const { name, id } of object.directory?.raw.values() ?? []) {
        const child = image.object(id);
        if (child !== undefined) copy(image, child, Buffer.concat([to, Buffer.from(`/${name}`, 'latin1')]), `${path}/${name}`, copying);
      }
      break;
    case 'file':
      writeFile(to, object.content);
      break;
    case 'symlink':
      symlinkSync(Buffer.from(object.target ?? '', 'latin1'), to);
      break;
    default:
      copying.leftOut.push(path);
      return;
  }
  lchownSync(to, object.uid, object.gid);
  if (object.kind !== 'symlink') chmodSync(to, object.mode);
  lutimesSync(to, seconds(object.atime), seconds(object.mtime));
  if (object.kind !== 'symlink') sync(to);
}

function writeFile(to: Buffer, content: Content | undefined): void {
  const target = openSync(to, 'wx', 0o600);
  try {
    if (content?.kind === 'bytes') writeAll(target, content.bytes);
    else if (content?.kind === 'file') copyBytes(content.path, target);
  } finally {
    closeSync(target);
  }
}

function copyBytes(from: Buffer, target: number): void {
  const source = openSync(from, 'r');
  try {
    const piece = Buffer.allocUnsafe(pieceBytes);
    for (let got = readSync(source, piece); got > 0; got = readSync(source, piece)) writeAll(target, piece.subarray(0, got));
  } finally {
    closeSync(source);
  }
}

function writeAll(target: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(target, bytes, done);
}

function makeDirectory(path: Buffer, mode: number): void {
  mkdirSync(path);
  chmodSync(path, mode);
  sync(path);
}

/** Directories too: fsync(2) of a directory has its names on disk. */
function sync(path: Buffer | string): void {
  const opened = openSync(path, 'r');
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

function seconds({ seconds: whole, nanoseconds }: Timestamp): number {
  return whole + nanoseconds / 1e9;
}
