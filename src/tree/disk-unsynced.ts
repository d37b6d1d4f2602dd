// What a disk tree has changed and not yet brought to the disk: names by fsync(2) of their directories, attributes by that of the objects.
import { close, fsync } from 'node:fs';
import { promisify } from 'node:util';
import { diskError } from './disk-object.ts';
import type { ObjectId } from './tree.ts';

const toDisk = promisify(fsync);
const closeLater = promisify(close);

/** Descriptors waiting for the next sync; more changes than that are brought to disk with the whole file system. */
const waitingMax = 256;

export class Unsynced {
  private waiting = new Map<ObjectId, number>();
  private everything = false;
  private running: Promise<void> | undefined;
  private queued: Promise<void> | undefined;
  private readonly syncEverything: () => Promise<void>;

  /** `syncEverything` is syncfs(2). */
  constructor(syncEverything: () => Promise<void>) {
    this.syncEverything = syncEverything;
  }

  /** An object has changed; `open` gives a descriptor of it that fsync(2) takes. Undefined: there is none for objects of its kind. */
  add(id: ObjectId, open: (() => number) | undefined): void {
    if (this.waiting.has(id)) return;
    if (open === undefined || this.waiting.size >= waitingMax) this.everything = true;
    else this.waiting.set(id, open());
  }

  /** Settles when all changes made before the call are on disk. Calls that come while a sync runs share the next one. */
  stable(): Promise<void> {
    if (this.waiting.size === 0 && !this.everything) return this.running ?? Promise.resolve();
    if (this.running === undefined) return this.start();
    this.queued ??= this.running.then(
      () => this.start(),
      () => this.start(),
    );
    return this.queued;
  }

  private start(): Promise<void> {
    this.queued = undefined;
    this.running = this.run().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async run(): Promise<void> {
    const fds = [...this.waiting.values()];
    const everything = this.everything;
    this.waiting = new Map();
    this.everything = false;
    const results = await Promise.allSettled([...fds.map((fd) => toDisk(fd)), ...(everything ? [this.syncEverything()] : [])]);
    await Promise.all(fds.map((fd) => closeLater(fd)));
    for (const result of results) if (result.status === 'rejected') throw diskError(result.reason);
  }
}
