// Setting times to the nanosecond with calls that take them as floating-point seconds and cut them to microseconds (uv_fs_utime, libuv 1.x).
import { type BigIntStats, fstatSync, utimesSync } from 'node:fs';
import { at } from './disk-descriptors.ts';
import { type ExactTime, type ExactTimes, exactly, nanosecondsOf } from './disk-object.ts';
import type { AttributeChange, Timestamp } from './tree.ts';

/**
 * Sets the times of what `fd` holds, also of a symlink. The disk has them to the microsecond; what it lacks is returned, to be told to clients for as
 * long as the disk's time stays the same. `now` is the file system's own: the ctime that setting the times leaves.
 */
export function setTimes(
  fd: number,
  before: BigIntStats,
  known: ExactTimes | undefined,
  change: Pick<AttributeChange, 'atime' | 'mtime'>,
): ExactTimes | undefined {
  const oldAtime = exactly(before.atimeNs, known?.atime);
  const oldMtime = exactly(before.mtimeNs, known?.mtime);
  let now = 0n;
  if (change.atime === 'now' || change.mtime === 'now') {
    utimesSync(at(fd), seconds(oldAtime), seconds(oldMtime));
    now = fstatSync(fd, { bigint: true }).ctimeNs;
  }
  const wanted = (time: Timestamp | 'now' | undefined, old: bigint) => (time === undefined ? old : time === 'now' ? now : nanosecondsOf(time));
  const atime = wanted(change.atime, oldAtime);
  const mtime = wanted(change.mtime, oldMtime);
  utimesSync(at(fd), seconds(atime), seconds(mtime));
  const after = fstatSync(fd, { bigint: true });
  const times = { atime: remainder(after.atimeNs, atime), mtime: remainder(after.mtimeNs, mtime) };
  return times.atime === undefined && times.mtime === undefined ? undefined : times;
}

/** The finest that the calls below keep, nanoseconds. */
const microsecond = 1000n;

/** Undefined if the disk has the time itself, or has no room for it (ext4 with small inodes ends in 2038): then its own is the true one. */
function remainder(disk: bigint, exact: bigint): ExactTime | undefined {
  const difference = disk > exact ? disk - exact : exact - disk;
  return difference === 0n || difference > microsecond ? undefined : { disk, exact };
}

/**
 * Seconds as text, because Node takes a negative number for "now" and a text as it is. A quarter of a microsecond more than wanted: a double is off by
 * as much in the 21st century, and what is left of the microsecond is cut off.
 */
function seconds(time: bigint): string {
  const microseconds = Number(time / microsecond);
  return String((microseconds + (microseconds < 0 ? -0.25 : 0.25)) / 1e6);
}
