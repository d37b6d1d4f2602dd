// The files of a disk tree that are open for reading and writing.
import { closeSync, constants, fstatSync } from 'node:fs';
import { Descriptors, hold, reopen, stale } from './disk-descriptors.ts';
import type { KnownObject } from './disk-ids.ts';
import { onDisk } from './disk-object.ts';
import type { Reach } from './disk-reach.ts';
import { TreeError } from './tree.ts';

/** Files kept open, of each of the two kinds. */
const filesMax = 256;

export class DiskFiles {
  readonly readers = new Descriptors(filesMax);
  readonly writers = new Descriptors(filesMax);
  private readonly reach: Reach;
  /** overlayfs: a file opened for reading goes on showing the lower layer's after it was copied up (its "non-standard behavior"). */
  private readonly keepReaders: boolean;

  constructor(reach: Reach, keepReaders: boolean) {
    this.reach = reach;
    this.keepReaders = keepReaders;
  }

  /** A descriptor that can be read, good until the operation ends. */
  forReading(object: KnownObject): number {
    const open = this.atHand(object, this.writers) ?? this.atHand(object, this.readers);
    if (open !== undefined) return open;
    const fd = this.open(object, constants.O_RDONLY);
    this.readers.add(object.id, fd);
    if (!this.keepReaders) this.readers.forget(object.id);
    return fd;
  }

  forWriting(object: KnownObject): number {
    const open = this.atHand(object, this.writers);
    if (open !== undefined) return open;
    const fd = this.open(object, constants.O_RDWR);
    this.writers.add(object.id, fd);
    this.readers.forget(object.id);
    return fd;
  }

  /** An open descriptor is of the right object for ever; asked is only whether that is still in the tree. */
  private atHand(object: KnownObject, files: Descriptors): number | undefined {
    const fd = files.get(object.id);
    if (fd === undefined) return undefined;
    if (Array.isArray(onDisk(() => this.reach.path(fd)))) return fd;
    try {
      this.reach.find(object, fd);
      return fd;
    } catch (error) {
      this.forget(object);
      throw error;
    }
  }

  private open(object: KnownObject, flags: number): number {
    if (object.kind !== 'file') throw new TreeError(object.kind === 'directory' ? 'ISDIR' : 'INVAL');
    const { directory, place } = this.reach.find(object);
    return onDisk(() => {
      const held = hold(directory, place.name);
      try {
        if (!this.reach.is(object, fstatSync(held, { bigint: true }))) throw stale(`object ${object.id} was replaced a moment ago`);
        return reopen(held, flags);
      } finally {
        closeSync(held);
      }
    });
  }

  forget({ id }: KnownObject): void {
    this.readers.forget(id);
    this.writers.forget(id);
  }
}
