// Making an object in a directory of the disk, with owner, mode and times as asked; or none at all.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  type BigIntStats,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { at, hold, look } from './disk-descriptors.ts';
import { diskError, type ExactTimes } from './disk-object.ts';
import { setTimes } from './disk-times.ts';
import { type AttributeChange, type Device, type Name, type NewObject, TreeError, type TreeErrorCode } from './tree.ts';

/** A new object, and a descriptor of it that the taker closes: of a file to write it, of anything else to hold it. */
export interface Made {
  readonly fd: number;
  readonly stat: BigIntStats;
  readonly times: ExactTimes | undefined;
}

/** EXIST if the name is taken. `now`: milliseconds since the epoch. */
export function make(directory: number, name: Name, object: NewObject, change: AttributeChange, now: number): Made {
  try {
    if (object.kind === 'file') {
      const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
      return furnish(directory, name, openSync(at(directory, name), O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, 0o600), object, change);
    }
    if (object.kind === 'directory') {
      mkdirSync(at(directory, name), 0o700);
      return furnish(directory, name, holdNew(directory, name, object, now), object, change);
    }
    return makeBeside(directory, name, object, change, now);
  } catch (error) {
    throw diskError(error);
  }
}

/** Gives a new object its attributes; removes it again if that fails. */
function furnish(directory: number, name: Name, fd: number, object: NewObject, change: AttributeChange): Made {
  try {
    const times = applyChange(fd, object.kind, change, undefined);
    return { fd, stat: fstatSync(fd, { bigint: true }), times };
  } catch (error) {
    removeIfSame(directory, name, fd);
    closeSync(fd);
    throw error;
  }
}

/** Births are stamped with the clock of the kernel's ticks, which is behind; milliseconds. */
const clockSlack = 1000;

/** Holds what was just made; not what somebody may have put in its place, to which the new owner and mode would go. */
function holdNew(directory: number, name: Name, object: NewObject, now: number): number {
  const fd = hold(directory, name);
  const stat = fstatSync(fd, { bigint: true });
  const isOld = stat.birthtimeNs !== 0n && Number(stat.birthtimeNs / 1_000_000n) < now - clockSlack;
  const isKind = stat.isDirectory() === (object.kind === 'directory') && stat.isSymbolicLink() === (object.kind === 'symlink') && !stat.isFile();
  const isLinked = object.kind !== 'directory' && stat.nlink !== 1n;
  if (!isOld && isKind && !isLinked) return fd;
  closeSync(fd);
  throw new TreeError('STALE', 'the new object was replaced while it was made');
}

function removeIfSame(directory: number, name: Name, fd: number): void {
  const made = fstatSync(fd, { bigint: true });
  const there = look(directory, name);
  if (there === undefined || there.ino !== made.ino || there.dev !== made.dev) return;
  if (made.isDirectory()) rmdirSync(at(directory, name));
  else unlinkSync(at(directory, name));
}

/**
 * What fsync(2) cannot be called for is made under another name and then given its own: so its attributes are on the disk when the directory is. And
 * mknod(1) takes no names but UTF-8.
 */
function makeBeside(directory: number, name: Name, object: Exclude<NewObject, { kind: 'file' | 'directory' }>, change: AttributeChange, now: number): Made {
  if (look(directory, name) !== undefined) throw new TreeError('EXIST');
  const beside = `.farm-new-${randomBytes(6).toString('hex')}`;
  if (object.kind === 'symlink') symlinkSync(Buffer.from(object.target, 'latin1'), at(directory, beside));
  else if (object.kind === 'socket') bindSocket(directory, beside);
  else runMknod(directory, beside, object.kind, 'device' in object ? object.device : undefined);
  const made = furnish(directory, beside, holdNew(directory, beside, object, now), object, change);
  try {
    linkSync(at(directory, beside), at(directory, name));
    removeIfSame(directory, beside, made.fd);
    return { ...made, stat: fstatSync(made.fd, { bigint: true }) };
  } catch (error) {
    removeIfSame(directory, beside, made.fd);
    closeSync(made.fd);
    throw error;
  }
}

/** A socket is made by bind(2). The server that does it removes the name again when it is closed, but not a further one. */
function bindSocket(directory: number, name: Name): void {
  const bound = `${name}s`;
  const server = createServer();
  let failure: unknown;
  server.on('error', (error) => {
    failure = error;
  });
  server.listen({ path: at(directory, bound).toString(), exclusive: true }); // bind(2) is done when this returns
  try {
    if (look(directory, bound) === undefined) throw new TreeError('NOSPC', 'no socket could be made', failure);
    linkSync(at(directory, bound), at(directory, name));
    unlinkSync(at(directory, bound));
  } finally {
    server.close();
  }
}

/** What mknod(1) says in the C locale: strerror(3). */
const complaints: readonly (readonly [string, TreeErrorCode])[] = [
  ['Operation not permitted', 'PERM'],
  ['Permission denied', 'ACCES'],
  ['No space left', 'NOSPC'],
  ['quota exceeded', 'DQUOT'],
  ['Read-only file system', 'ROFS'],
  ['Invalid', 'INVAL'],
  ['invalid', 'INVAL'],
];

/** mknod(2) by mknod(1): Node has no call for it. */
function runMknod(directory: number, name: Name, kind: 'block' | 'character' | 'fifo', device: Device | undefined): void {
  const path = `/proc/${process.pid}/fd/${directory}/${name}`;
  const args = device === undefined ? [path, 'p'] : [path, kind === 'block' ? 'b' : 'c', String(device.major), String(device.minor)];
  const { status, stderr, error } = spawnSync('mknod', ['-m', '600', ...args], { env: { ...process.env, LC_ALL: 'C' }, encoding: 'utf8' });
  if (error !== undefined) throw new TreeError('IO', 'mknod(1) of coreutils cannot be run', error);
  if (status !== 0) throw new TreeError(complaints.find(([text]) => stderr.includes(text))?.[1] ?? 'IO', stderr.trim());
}

/** Changes what `fd` holds. Owner before mode: chown(2) takes the set-id bits away. */
export function applyChange(fd: number, kind: NewObject['kind'], change: AttributeChange, known: ExactTimes | undefined): ExactTimes | undefined {
  if (change.size !== undefined) truncate(fd, kind, change.size);
  if (change.uid !== undefined || change.gid !== undefined) {
    const { uid, gid } = fstatSync(fd);
    const owner = { uid: change.uid ?? uid, gid: change.gid ?? gid };
    // Who is not root may say that what is his is his.
    if (owner.uid !== uid || owner.gid !== gid) chownSync(at(fd), owner.uid, owner.gid);
  }
  if (change.mode !== undefined && kind !== 'symlink') chmodSync(at(fd), change.mode);
  if (change.atime === undefined && change.mtime === undefined) return known;
  return setTimes(fd, fstatSync(fd, { bigint: true }), known, change);
}

function truncate(held: number, kind: NewObject['kind'], size: number): void {
  if (kind !== 'file') throw new TreeError(kind === 'directory' ? 'ISDIR' : 'INVAL');
  if (!Number.isSafeInteger(size)) throw new TreeError('FBIG');
  const fd = openSync(at(held), constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    ftruncateSync(fd, size);
  } finally {
    closeSync(fd);
  }
}
