// A file that arrives: written beside its place under a name of its own, and put into place when it is whole and safe.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { FarmError, systemCode } from '../base/errors.ts';

/** Where a client may write. */
export interface UploadPlace {
  /** Made if it is not there. Of this client alone: what it holds counts against `limit`. */
  readonly directory: string;
  /** A single name, with no slash in it and no dot before it. */
  readonly name: string;
  /** Bytes that the directory may hold. */
  readonly limit: number;
  /** Whether a file of this name is replaced, or the upload refused. */
  readonly replace: boolean;
}

export interface UploadFile {
  /** Bytes that this file may have. */
  readonly limit: number;
  /** In order. Rejects with what the system says; nothing more is to be written then. */
  write(bytes: Buffer): Promise<void>;
  /** Safe on the disk and in its place. Rejects if it cannot be; the partial file is then gone. */
  commit(): Promise<void>;
  /** Forgets it. */
  discard(): Promise<void>;
}

/** Files in one directory: it is listed for every upload. */
const mostFiles = 1000;
const partial = /^\.upload-[0-9a-f]{16}$/;
/** Partial files that this process is writing; others are what a crash has left. */
const writing = new Set<string>();
/** By directory: bytes in it, with those of uploads that go on at once. */
const areas = new Map<string, { held: number; uploads: number }>();

/** Throws `FarmError`: `upload.name`, `upload.exists`, `upload.full`; and what the system says. */
export async function openUpload({ directory, name, limit, replace }: UploadPlace): Promise<UploadFile> {
  if (name === '' || name.startsWith('.') || /[/\0]/.test(name) || Buffer.byteLength(name) > 200) {
    throw new FarmError('upload.name', 'A file name without directories is needed', 'only the last part of the path may be given');
  }
  await mkdir(directory, { recursive: true, mode: 0o750 });
  const held = await heldBy(directory, name, replace);
  if (held >= limit) throw full(directory, limit);
  const place = `${directory}/${name}`;
  const beside = `${directory}/.upload-${randomBytes(8).toString('hex')}`;
  writing.add(beside);
  let handle: FileHandle;
  try {
    handle = await open(beside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o640);
  } catch (error) {
    writing.delete(beside);
    throw error;
  }
  const area = areas.get(directory) ?? { held: 0, uploads: 0 };
  areas.set(directory, area);
  area.held = held;
  area.uploads += 1;
  let size = 0;

  async function discard(): Promise<void> {
    await handle.close().catch(() => {}); // closed already, or its last write failed: it goes either way
    await rm(beside, { force: true });
    if (!writing.delete(beside)) return;
    area.held -= size;
    area.uploads -= 1;
    if (area.uploads === 0) areas.delete(directory);
  }

  return {
    limit: limit - held,
    write: async (bytes) => {
      size += bytes.length;
      area.held += bytes.length;
      if (area.held > limit) throw full(directory, limit);
      for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
    },
    async commit() {
      try {
        await handle.datasync();
        await handle.close();
        if (replace) await rename(beside, place);
        else await link(beside, place); // unlike rename(2) it refuses to replace
        await syncDirectory(directory);
        size = 0; // it stays
      } catch (error) {
        throw systemCode(error) === 'EEXIST' ? taken(name) : error;
      } finally {
        await discard();
      }
    },
    discard,
  };
}

/** Bytes in the directory, without the file that may be replaced. Removes what a crash has left. */
async function heldBy(directory: string, name: string, replace: boolean): Promise<number> {
  const names = await readdir(directory);
  if (!replace && names.includes(name)) throw taken(name);
  if (names.length >= mostFiles) throw new FarmError('upload.full', 'There are too many files in this upload area', `remove files from ${directory}`);
  let bytes = 0;
  for (const each of names) {
    const path = `${directory}/${each}`;
    if (partial.test(each) && !writing.has(path)) await rm(path, { force: true });
    else if (each !== name) bytes += await sizeOf(path);
  }
  return bytes;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0; // another upload has just ended
    throw error;
  }
}

/** A rename is safe when the directory is. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function full(directory: string, limit: number): FarmError {
  return new FarmError('upload.full', `The ${limit} bytes of this upload area are used`, `remove files from ${directory}`);
}

function taken(name: string): FarmError {
  return new FarmError('upload.exists', `${name} is there already`, 'choose another name');
}
