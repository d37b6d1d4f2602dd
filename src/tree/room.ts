// How much private trees may grow: each by its quota, all together by what is to stay free on the server's disk.
import type { Clock } from '../base/clock.ts';
import type { Usage } from './state.ts';
import { type Space, TreeError } from './tree.ts';

/** `bytes` as blocks on the server's disk: holes are free, as with the quotas of ext4 and XFS. `objects` that the node made or copied up. */
export interface Quota {
  readonly bytes: number;
  readonly objects: number;
}

export const unlimited: Quota = { bytes: Number.POSITIVE_INFINITY, objects: Number.POSITIVE_INFINITY };

/** What the disk is asked again after, milliseconds: others write to it too. */
const freshMilliseconds = 1000;

/** What a new object is taken to need for its lines in the journal, bytes. */
export const objectBytes = 1024;

/** A file system that several private trees lie on. */
export class Disk {
  private readonly measure: () => Space;
  private readonly reserve: () => number;
  private readonly clock: Clock;
  private asked = Number.NEGATIVE_INFINITY;
  private left = 0;

  /** `reserve` is how much is to stay free, bytes. */
  constructor(measure: () => Space, clock: Clock, reserve: () => number = () => 0) {
    this.measure = measure;
    this.reserve = reserve;
    this.clock = clock;
  }

  get space(): Space {
    const space = this.measure();
    return { ...space, freeBytes: Math.max(0, space.freeBytes - this.reserve()) };
  }

  /** Throws NOSPC if `bytes` more would touch the reserve. */
  take(bytes: number): void {
    const now = this.clock.now();
    if (bytes > this.left || Math.abs(now - this.asked) > freshMilliseconds) {
      this.left = this.space.freeBytes;
      this.asked = now;
    }
    if (bytes > this.left) throw new TreeError('NOSPC', "the rest of the server's disk is kept free");
    this.left -= bytes;
  }
}

/** Throws DQUOT if a tree that has `usage` may not take `bytes` and `objects` more. One that is over its quota already may still shrink. */
export function keepTo(quota: Quota, usage: Usage, bytes: number, objects: number): void {
  if (bytes > 0 && usage.bytes + bytes > quota.bytes) throw new TreeError('DQUOT', `${quota.bytes} bytes are all that this node may write`);
  if (objects > 0 && usage.objects + objects > quota.objects) throw new TreeError('DQUOT', `${quota.objects} objects are all that this node may have`);
}

/** The disk as the node sees it: with a quota that is its size. */
export function spaceWithin(quota: Quota, usage: Usage, disk: Space): Space {
  const bytes = Number.isFinite(quota.bytes)
    ? { totalBytes: quota.bytes, freeBytes: Math.max(0, Math.min(quota.bytes - usage.bytes, disk.freeBytes)) }
    : { totalBytes: disk.totalBytes, freeBytes: disk.freeBytes };
  const objects = Number.isFinite(quota.objects)
    ? { totalObjects: quota.objects, freeObjects: Math.max(0, Math.min(quota.objects - usage.objects, disk.freeObjects)) }
    : { totalObjects: disk.totalObjects, freeObjects: disk.freeObjects };
  return { ...bytes, ...objects };
}
