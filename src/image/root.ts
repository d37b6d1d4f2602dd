// Writes a root file system to disk: file contents under a directory, everything about them into manifest entries.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { FarmError } from '../base/errors.ts';
import type { Device, Timestamp } from '../tree/tree.ts';
import type { ManifestEntry } from './mtree.ts';

/** What every object has. */
export interface Metadata {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Timestamp;
}

/** Nothing but that of what may have more: a writer takes all it is given. */
export function metadataOf({ mode, uid, gid, mtime }: Metadata): Metadata {
  return { mode, uid, gid, mtime };
}

/**
 * A root being written. As root the files get their true owners, so that it can be chrooted into; any other user owns them all and may
 * read them all. Set-id bits and device nodes are in the manifest only: on the server they would be a way to become root.
 * Paths are from the root, one character a byte. What would leave the directory throws `FarmError` `image.path`.
 */
export class RootWriter {
  private readonly directory: string;
  private readonly owner = process.geteuid?.() === 0;
  private readonly byPath = new Map<string, ManifestEntry>();
  private lastInode = 0;
  /** Bytes of all files so far. */
  bytes = 0;

  constructor(directory: string) {
    this.directory = Buffer.from(directory).toString('latin1');
    mkdirSync(directory, { mode: 0o700 });
  }

  private onDisk(path: string): Buffer {
    return Buffer.from(path === '.' ? this.directory : `${this.directory}/${path}`, 'latin1');
  }

  /** Each directory above has been made by this writer, so no symlink in the archive can lead a write out of the root. */
  private claim(path: string): void {
    const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '.';
    const bad = path.includes('\0') || path.split('/').some((part) => part === '' || part === '.' || part === '..');
    if (bad || this.byPath.has(path)) throw new FarmError('image.path', `${printable(path)} ${bad ? 'is no path' : 'is twice'} in the root file system`);
    if (parent !== '.' && this.byPath.get(parent)?.kind !== 'directory') {
      throw new FarmError(
        'image.path',
        `${printable(path)} lies in ${printable(parent)}, which is no directory`,
        'if that is a symlink, write the path that it leads to',
      );
    }
  }

  private add(entry: Pick<ManifestEntry, 'path' | 'kind'> & Metadata & Partial<ManifestEntry>): void {
    this.byPath.set(entry.path, { size: 0, target: undefined, device: undefined, inode: undefined, sha256: undefined, ...entry });
  }

  /** What has been written there. */
  entry(path: string): ManifestEntry | undefined {
    return this.byPath.get(path);
  }

  has(path: string): boolean {
    return this.byPath.has(path);
  }

  addDirectory(path: string, metadata: Metadata): void {
    if (path !== '.') {
      this.claim(path);
      mkdirSync(this.onDisk(path), { mode: 0o700 });
    }
    this.add({ ...metadata, path, kind: 'directory' });
  }

  async addFile(path: string, metadata: Metadata, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    this.claim(path);
    const hash = createHash('sha256');
    let size = 0;
    const fd = openSync(this.onDisk(path), 'wx', 0o600);
    try {
      for await (const chunk of content) {
        hash.update(chunk);
        for (let done = 0; done < chunk.length; ) done += writeSync(fd, chunk, done);
        size += chunk.length;
        this.bytes += chunk.length;
      }
      if (this.owner) fchownSync(fd, metadata.uid, metadata.gid);
      fchmodSync(fd, this.owner ? metadata.mode & 0o777 : (metadata.mode & 0o777) | 0o600);
      futimesSync(fd, metadata.mtime.seconds, metadata.mtime.seconds);
    } finally {
      closeSync(fd);
    }
    this.add({ ...metadata, path, kind: 'file', size, sha256: hash.digest('hex') });
  }

  addSymlink(path: string, metadata: Metadata, target: string): void {
    this.claim(path);
    symlinkSync(Buffer.from(target, 'latin1'), this.onDisk(path));
    if (this.owner) lchownSync(this.onDisk(path), metadata.uid, metadata.gid);
    this.add({ ...metadata, path, kind: 'symlink', size: target.length, target, mode: 0o777 });
  }

  /** A device node, fifo or socket; of these there is nothing on disk. */
  addSpecial(path: string, metadata: Metadata, kind: 'block' | 'character' | 'fifo' | 'socket', device: Device | undefined): void {
    this.claim(path);
    this.add({ ...metadata, path, kind, device });
  }

  /** A further name of an object that is there already. */
  addLink(path: string, to: string): void {
    this.claim(path);
    const first = this.byPath.get(to);
    if (first === undefined || first.kind === 'directory')
      throw new FarmError('image.path', `${printable(path)} is a link to ${printable(to)}, which is not there`);
    const inode = first.inode ?? ++this.lastInode;
    if (first.kind === 'file' || first.kind === 'symlink') linkSync(this.onDisk(to), this.onDisk(path));
    this.byPath.set(to, { ...first, inode });
    this.byPath.set(path, { ...first, inode, path });
  }

  /** Removes what is no directory; nothing happens if it is not there. */
  remove(path: string): void {
    const entry = this.byPath.get(path);
    if (entry === undefined) return;
    if (entry.kind === 'directory') throw new FarmError('image.path', `${printable(path)} is a directory in the root file system`, 'name a file in it');
    rmSync(this.onDisk(path), { force: true });
    this.byPath.delete(path);
  }

  /** Makes the directories above `path` that are not there, owned by root. */
  addParents(path: string, mtime: Timestamp): void {
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
      if (!this.byPath.has(path.slice(0, slash))) this.addDirectory(path.slice(0, slash), { mode: 0o755, uid: 0, gid: 0, mtime });
    }
  }

  /** Gives the directories their modes and times, last because they may forbid writing and writing changes them, and returns all entries. */
  finish(): ManifestEntry[] {
    for (const entry of [...this.byPath.values()].reverse()) {
      if (entry.kind !== 'directory') continue;
      if (this.owner) chownSync(this.onDisk(entry.path), entry.uid, entry.gid);
      chmodSync(this.onDisk(entry.path), this.owner ? entry.mode & 0o1777 : (entry.mode & 0o1777) | 0o700);
      utimesSync(this.onDisk(entry.path), entry.mtime.seconds, entry.mtime.seconds);
    }
    return [...this.byPath.values()];
  }
}

function printable(path: string): string {
  return JSON.stringify(`/${Buffer.from(path, 'latin1').toString()}`);
}
