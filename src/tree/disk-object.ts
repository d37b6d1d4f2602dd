// An object of the server's file system as statx(2) tells of it: what it is like, and what tells it from every other.
import type { BigIntStats } from 'node:fs';
import { sentence, systemCode } from '../base/errors.ts';
import { type Attributes, type Device, type Kind, type Name, nameMax, type ObjectId, type Timestamp, TreeError, type TreeErrorCode } from './tree.ts';

/** Inode number and time of birth. Inode numbers are used again, but not with the same birth: docs/decisions/disk-tree.md. */
export type Identity = string;

export function identityOf(stat: BigIntStats): Identity {
  return `${stat.ino}.${stat.birthtimeNs}`;
}

/** Whether another tree is mounted on a name in a directory. */
export type Mounted = (directory: Identity, name: Name) => boolean;

/** A time that a client has set, and what the disk made of it: Node sets times in whole microseconds. Nanoseconds since the epoch. */
export interface ExactTime {
  readonly disk: bigint;
  readonly exact: bigint;
}

export interface ExactTimes {
  readonly atime: ExactTime | undefined;
  readonly mtime: ExactTime | undefined;
}

const kinds: ReadonlyMap<number, Kind> = new Map<number, Kind>([
  [0o010000, 'fifo'],
  [0o020000, 'character'],
  [0o040000, 'directory'],
  [0o060000, 'block'],
  [0o100000, 'file'],
  [0o120000, 'symlink'],
  [0o140000, 'socket'],
]);

export function kindOf(stat: BigIntStats): Kind {
  const kind = kinds.get(Number(stat.mode) & 0o170000);
  if (kind === undefined) throw new TreeError('IO', `mode ${stat.mode.toString(8)} is of no kind that NFS knows`);
  return kind;
}

export function attributesFrom(id: ObjectId, stat: BigIntStats, times: ExactTimes | undefined): Attributes {
  const kind = kindOf(stat);
  return {
    id,
    kind,
    mode: Number(stat.mode) & 0o7777,
    links: Number(stat.nlink),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(stat.size),
    device: kind === 'block' || kind === 'character' ? deviceOf(stat.rdev) : undefined,
    atime: timestamp(exactly(stat.atimeNs, times?.atime)),
    mtime: timestamp(exactly(stat.mtimeNs, times?.mtime)),
    ctime: timestamp(stat.ctimeNs),
  };
}

/** The time to tell clients: what one of them has set, as long as it is the same time. */
export function exactly(disk: bigint, time: ExactTime | undefined): bigint {
  return time !== undefined && time.disk === disk ? time.exact : disk;
}

/** Linux' 64-bit dev_t: makedev(3). */
function deviceOf(rdev: bigint): Device {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

const second = 1_000_000_000n;

/** Nanoseconds since the epoch as seconds and a rest that is never negative. */
function timestamp(time: bigint): Timestamp {
  const nanoseconds = ((time % second) + second) % second;
  return { seconds: Number((time - nanoseconds) / second), nanoseconds: Number(nanoseconds) };
}

export function nanosecondsOf({ seconds, nanoseconds }: Timestamp): bigint {
  return BigInt(seconds) * second + BigInt(nanoseconds);
}

/** Names become paths here, so this is asked although the protocol has asked before. */
export function checkName(name: Name): void {
  if (name.length > nameMax) throw new TreeError('NAMETOOLONG');
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) throw new TreeError('BADNAME');
}

/** What a system error means in a tree. EBUSY is a mount point or a swap file, ELOOP a symlink where none may be followed. */
const codes: Readonly<Record<string, TreeErrorCode>> = {
  EACCES: 'ACCES',
  EBUSY: 'ACCES',
  EDQUOT: 'DQUOT',
  EEXIST: 'EXIST',
  EFBIG: 'FBIG',
  EINVAL: 'INVAL',
  EISDIR: 'ISDIR',
  ELOOP: 'INVAL',
  EMLINK: 'MLINK',
  ENAMETOOLONG: 'NAMETOOLONG',
  ENOENT: 'NOENT',
  ENOSPC: 'NOSPC',
  ENOTDIR: 'NOTDIR',
  ENOTEMPTY: 'NOTEMPTY',
  EOVERFLOW: 'FBIG',
  EPERM: 'PERM',
  EROFS: 'ROFS',
  ESTALE: 'STALE',
  EXDEV: 'XDEV',
};

/** An error of node:fs as a tree tells it; all others as they are, because they are faults of ours. */
export function diskError(error: unknown): unknown {
  const code = systemCode(error);
  if (error instanceof TreeError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  return new TreeError(codes[code] ?? 'IO', sentence(error), error);
}

/** Does `act`; what node:fs throws comes out as a `TreeError`. */
export function onDisk<Result>(act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw diskError(error);
  }
}
