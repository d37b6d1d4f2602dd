// Files that nodes send by PUT, such as logs and crash dumps: into one directory for each client, whole or not at all, within a limit.
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { basename, join } from 'node:path';
import type { Ipv4 } from '../base/addresses.ts';
import { FarmError, systemCode } from '../base/errors.ts';

export interface UploadPlace {
  /** Made if it is not there. */
  readonly directory: string;
  /** Bytes on disk that all files in it may have together. */
  readonly limit: number;
}

/** Where a client's files go; undefined if it may send none. */
export type UploadTo = (client: Ipv4) => UploadPlace | undefined;

export type Uploaded =
  | { readonly kind: 'kept'; readonly name: string; readonly bytes: number }
  | { readonly kind: 'refused'; readonly status: 400 | 403 | 413; readonly message: string }
  /** The client went away; nothing is kept. */
  | { readonly kind: 'gone' };

/** The resource is `/uploads/NAME`. A leading dot is ours. */
const resource = /^\/uploads\/([\w+][\w.+-]{0,199})$/;

/** What a file that is not whole yet is called, with a number behind. TFTP, which writes to the same directories, calls its own otherwise. */
const unfinished = '.put-';

/** What a file takes on disk besides its bytes, rounded up: empty files are not free either. */
const blockBytes = 4096;

function onDisk(bytes: number): number {
  return blockBytes + Math.ceil(bytes / blockBytes) * blockBytes;
}

/** A directory into which something is being sent. */
interface Target {
  readonly under: Map<string, number>;
  /** By name, bytes of what is whole. */
  readonly whole: Map<string, number>;
}

export class Uploads {
  private readonly targets = new Map<string, Promise<Target>>();
  private count = 0;

  /** Takes the body of a PUT of `path`. `progress` is told the bytes so far. Throws `upload.failed` when they cannot be written. */
  async take(place: UploadPlace | undefined, path: string, request: IncomingMessage, progress: (bytes: number) => void): Promise<Uploaded> {
    if (place === undefined) return { kind: 'refused', status: 403, message: 'This server takes no files from you' };
    const name = resource.exec(path)?.[1];
    if (name === undefined) return { kind: 'refused', status: 400, message: 'Send it to /uploads/NAME, with letters, digits, dots and dashes in NAME' };
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > place.limit) return { kind: 'refused', status: 413, message: full(place) };
    this.count += 1;
    const own = `${unfinished}${process.pid}-${this.count}`;
    try {
      const target = await this.open(place.directory);
      target.under.set(own, announced);
      try {
        if (taken(target, name) > place.limit) return { kind: 'refused', status: 413, message: full(place) };
        return await receive(place, target, { name, own, announced }, request, progress);
      } finally {
        target.under.delete(own);
        if (target.under.size === 0) this.targets.delete(place.directory);
      }
    } catch (error) {
      throw new FarmError(
        'upload.failed',
        `${join(place.directory, name)} cannot be written: ${systemCode(error) ?? 'see cause'}`,
        'make room, or mend permissions',
        error,
      );
    }
  }

  private open(directory: string): Promise<Target> {
    const known = this.targets.get(directory);
    if (known !== undefined) return known;
    const found = survey(directory);
    this.targets.set(directory, found);
    found.catch(() => this.targets.delete(directory));
    return found;
  }
}

/** What is in the directory, after what a killed server left half is removed. */
async function survey(directory: string): Promise<Target> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const whole = new Map<string, number>();
  for (const name of await readdir(directory)) {
    if (name.startsWith(unfinished)) await rm(join(directory, name), { force: true });
    else whole.set(name, await sizeOf(join(directory, name)));
  }
  return { under: new Map(), whole };
}

/** 0 for a file that TFTP renames just now. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}

interface Named {
  readonly name: string;
  /** The file's name until it is whole. */
  readonly own: string;
  /** Content-Length, or 0. */
  readonly announced: number;
}

async function receive(
  place: UploadPlace,
  target: Target,
  { name, own, announced }: Named,
  request: IncomingMessage,
  progress: (bytes: number) => void,
): Promise<Uploaded> {
  const path = join(place.directory, own);
  const handle = await open(path, 'wx', 0o600);
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      const piece = Buffer.from(chunk);
      bytes += piece.length;
      target.under.set(own, Math.max(bytes, announced));
      if (taken(target, name) > place.limit) return { kind: 'refused', status: 413, message: full(place) };
      await handle.writeFile(piece);
      progress(bytes);
    }
    await handle.datasync();
    await rename(path, join(place.directory, name));
    target.whole.set(name, bytes);
    return { kind: 'kept', name, bytes };
  } catch (error) {
    if (request.destroyed && !request.complete) return { kind: 'gone' };
    throw error;
  } finally {
    await handle.close();
    await rm(path, { force: true });
  }
}

/** Bytes on disk once what is under way is whole, without the file that `name` replaces. */
function taken({ under, whole }: Target, name: string): number {
  let sum = 0;
  for (const bytes of under.values()) sum += onDisk(bytes);
  for (const [other, bytes] of whole) if (other !== name) sum += onDisk(bytes);
  return sum;
}

function full({ directory, limit }: UploadPlace): string {
  return `All files of ${basename(directory)} may have ${limit} bytes together`;
}
