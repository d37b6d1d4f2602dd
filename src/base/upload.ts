// Files that remotes send, such as logs and crash dumps: whole or not at all, and within one limit for a directory, whichever way they come.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { FarmError, systemCode } from './errors.ts';

/** Where a client's files go. */
export interface UploadPlace {
  /** Made if it is not there, readable by this user alone. */
  readonly directory: string;
  /** Bytes on disk that all files in it may have together: see `onDisk`. */
  readonly limit: number;
}

export interface UploadName extends UploadPlace {
  /** A single name, with no slash in it and no dot before it. */
  readonly name: string;
  /** Whether a file of this name is replaced, or the upload refused. */
  readonly replace: boolean;
}

export interface UploadFile {
  /** Bytes that this file may have, as far as is known at the beginning. */
  readonly limit: number;
  /** In order. Rejects with `upload.full` or what the system says; nothing more is to be written then. */
  write(bytes: Uint8Array): Promise<void>;
  /** Safe on the disk and in its place. Rejects if it cannot be, with `upload.exists` or what the system says; the partial file is then gone. */
  commit(): Promise<void>;
  /** Forgets it, unless it is in its place. */
  discard(): Promise<void>;
}

/** A directory into which something is being sent. Uploads of one directory share one, so that each counts with all others. */
interface Area {
  /** Those that go on or are about to. */
  uploads: number;
  /** By the partial file's name: bytes that are there or announced. */
  readonly under: Map<string, number>;
  /** By name: bytes of what is whole. */
  readonly whole: Map<string, number>;
  readonly surveyed: Promise<void>;
}

const areas = new Map<string, Area>();

/** What a file takes on disk besides its bytes, rounded up: empty files are not free either. */
const blockBytes = 4096;
/** Files in one directory: it is listed when an upload begins. */
const mostFiles = 1000;
/** One byte less than most file systems allow would do; this leaves room for whoever copies them. */
const longestName = 200;
const partial = '.upload-';

/** `announced`: bytes that the client says it will send; they are kept free for it. Throws `upload.name`, `upload.exists`, `upload.full`, and what the system says. */
export async function openUpload({ directory, limit, name, replace }: UploadName, announced = 0): Promise<UploadFile> {
  if (name === '' || name.startsWith('.') || /[/\0]/.test(name) || Buffer.byteLength(name) > longestName) {
    throw new FarmError('upload.name', 'A file name without directories is needed', 'only the last part of the path may be given');
  }
  const area = enter(directory);
  const own = `${partial}${randomBytes(8).toString('hex')}`;
  const beside = `${directory}/${own}`;
  let handle: FileHandle;
  let room: number;
  try {
    await area.surveyed;
    if (!replace && area.whole.has(name)) throw taken(name);
    const files = area.whole.size + area.under.size;
    if (files >= mostFiles && !area.whole.has(name)) throw new FarmError('upload.full', `${basename(directory)} has sent ${files} files`, remedy(directory));
    room = roomIn(limit - used(area, name));
    if (room < announced) throw full(directory, limit);
    area.under.set(own, announced);
    handle = await open(beside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    leave(directory, area, own);
    throw error;
  }
  let size = 0;
  let isOver = false;

  async function discard(): Promise<void> {
    if (isOver) return;
    isOver = true;
    await handle.close().catch(() => {}); // closed already, or its last write failed: it goes either way
    try {
      await rm(beside, { force: true });
    } finally {
      leave(directory, area, own);
    }
  }

  return {
    limit: room,
    async write(bytes) {
      size += bytes.length;
      area.under.set(own, Math.max(size, announced));
      if (used(area, name) > limit) throw full(directory, limit);
      for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
    },
    async commit() {
      const place = `${directory}/${name}`;
      try {
        await handle.datasync();
        await handle.close();
        if (replace) await rename(beside, place);
        else await link(beside, place); // unlike rename(2) it refuses to replace
        area.whole.set(name, size);
        await syncDirectory(directory);
      } catch (error) {
        throw systemCode(error) === 'EEXIST' ? taken(name) : error;
      } finally {
        await discard();
      }
    },
    discard,
  };
}

/** Counted before anything is waited for, so that nobody who comes meanwhile gets an area of his own. */
function enter(directory: string): Area {
  const known = areas.get(directory);
  if (known !== undefined) {
    known.uploads += 1;
    return known;
  }
  const whole = new Map<string, number>();
  const area: Area = { uploads: 1, under: new Map(), whole, surveyed: survey(directory, whole) };
  areas.set(directory, area);
  return area;
}

/** What is there is looked at anew when the next upload comes: people may have taken files away. */
function leave(directory: string, area: Area, own: string): void {
  area.under.delete(own);
  area.uploads -= 1;
  if (area.uploads === 0) areas.delete(directory);
}

/** Finds what is in the directory, and removes what a killed server has left half: nobody is sending now. */
async function survey(directory: string, whole: Map<string, number>): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const name of await readdir(directory)) {
    const path = `${directory}/${name}`;
    if (name.startsWith(partial)) await rm(path, { force: true });
    else whole.set(name, await sizeOf(path));
  }
}

/** 0 for what somebody has just taken away, and for a link to nowhere. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}

/** Bytes on disk once what is under way is whole, without the file that `name` replaces. */
function used({ under, whole }: Area, name: string): number {
  let sum = 0;
  for (const bytes of under.values()) sum += onDisk(bytes);
  for (const [other, bytes] of whole) if (other !== name) sum += onDisk(bytes);
  return sum;
}

function onDisk(bytes: number): number {
  return blockBytes + Math.ceil(bytes / blockBytes) * blockBytes;
}

/** The largest file that fits; less than 0 if not even an empty one does. */
function roomIn(free: number): number {
  return (Math.floor(free / blockBytes) - 1) * blockBytes;
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
  return new FarmError('upload.full', `All files of ${basename(directory)} may have ${limit} bytes on disk together`, remedy(directory));
}

function remedy(directory: string): string {
  return `remove files from ${directory}`;
}

function taken(name: string): FarmError {
  return new FarmError('upload.exists', `${name} is there already`, 'choose another name');
}
