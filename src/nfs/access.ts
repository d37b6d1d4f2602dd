// Who may do what, from an object's attributes and the caller's credential: POSIX permissions as the Linux server applies them to NFS
// (RFC 1813 4.4), and what an export makes of a caller (exports(5)).
import type { Credential } from '../rpc/message.ts';
import { lastPrivilegedPort } from '../rpc/program.ts';
import type { AttributeChange, Attributes, Kind } from '../tree/tree.ts';

export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly gids: readonly number[];
}

/** What an export grants, whoever asks. */
export interface Access {
  readonly readOnly: boolean;
  /** Who is taken for `anonuid` and `anongid`: nobody, user and group 0, or everybody. Who says nothing about himself always is. */
  readonly squash: 'none' | 'root' | 'all';
  readonly anonuid: number;
  readonly anongid: number;
  /** Whether a source port below 1024 is asked for, which only root of a node has: else any program there could claim to be root. */
  readonly privileged: boolean;
}

/** The ids of Linux' overflow user, nobody. */
export const overflowId = 65_534;

/** Everybody may do as whom he says he is, from any port: where the tree itself says what can be done. */
export const openAccess: Access = { readOnly: false, squash: 'none', anonuid: overflowId, anongid: overflowId, privileged: false };

const setUid = 0o4000;
const setGid = 0o2000;
const sticky = 0o1000;
const groupExecute = 0o010;

const rights = { read: 4, write: 2, execute: 1 } as const;

/** The bits of ACCESS (RFC 1813 3.3.4). */
export const accessBits = { read: 1, lookup: 2, modify: 4, extend: 8, delete: 16, execute: 32 } as const;

/** As the Linux server: with `root`, group 0 is taken away wherever it stands. */
export function userOf(credential: Credential, { squash, anonuid, anongid }: Access): User {
  if (credential.flavor === 'none' || squash === 'all') return { uid: anonuid, gid: anongid, gids: [] };
  const { uid, gid, gids } = credential;
  if (squash === 'none' || (uid !== 0 && gid !== 0 && !gids.includes(0))) return credential;
  const group = (id: number) => (id === 0 ? anongid : id);
  return { uid: uid === 0 ? anonuid : uid, gid: group(gid), gids: gids.map(group) };
}

/** Whether a call from this port is heard at all. */
export function hears({ privileged }: Access, port: number): boolean {
  return !privileged || port <= lastPrivilegedPort;
}

function isMember(user: User, gid: number): boolean {
  return user.gid === gid || user.gids.includes(gid);
}

/** The mode's word for this user. Root may do all but execute a file that nobody may execute. */
export function permits(object: Attributes, user: User, right: keyof typeof rights): boolean {
  if (user.uid === 0) return right !== 'execute' || object.kind === 'directory' || (object.mode & 0o111) !== 0;
  const shift = user.uid === object.uid ? 6 : isMember(user, object.gid) ? 3 : 0;
  return ((object.mode >> shift) & rights[right]) !== 0;
}

/**
 * Whether READ is allowed. The owner always may, for a file opened before its mode changed; and who may execute may read, because
 * that is how a client executes (RFC 1813 4.4).
 */
export function mayRead(file: Attributes, user: User): boolean {
  return user.uid === file.uid || permits(file, user, 'read') || permits(file, user, 'execute');
}

/** Whether WRITE, COMMIT and a new size are allowed; the owner always may, as with `mayRead`. */
export function mayWrite(file: Attributes, user: User): boolean {
  return user.uid === file.uid || permits(file, user, 'write');
}

/** Whether names may be added to and removed from a directory. */
export function mayChangeNames(directory: Attributes, user: User): boolean {
  return permits(directory, user, 'write') && permits(directory, user, 'execute');
}

/** Whether the name of `object` may be taken out of `directory`: in a sticky one only by the owner of either. */
export function mayRemove(directory: Attributes, object: Attributes, user: User): boolean {
  if (!mayChangeNames(directory, user)) return false;
  return (directory.mode & sticky) === 0 || user.uid === 0 || user.uid === directory.uid || user.uid === object.uid;
}

/** What of the `asked` ACCESS bits is granted. Devices, FIFOs and sockets are written to on the client, whatever their file system. */
export function grantedAccess(object: Attributes, user: User, asked: number, readOnly: boolean): number {
  const read = permits(object, user, 'read');
  const write = permits(object, user, 'write') && !(readOnly && ['file', 'directory', 'symlink'].includes(object.kind));
  const execute = permits(object, user, 'execute');
  let granted = read ? accessBits.read : 0;
  if (object.kind === 'directory') {
    if (execute) granted |= accessBits.lookup;
    if (write && execute) granted |= accessBits.modify | accessBits.extend | accessBits.delete;
  } else {
    if (write) granted |= accessBits.modify | accessBits.extend;
    if (execute) granted |= accessBits.execute;
  }
  return granted & asked;
}

/** What SETATTR may do, with what it brings with it; or why it may not. */
export type ChangeRuling = { readonly change: AttributeChange } | { readonly refused: 'PERM' | 'ACCES' };

export function ruleChange(object: Attributes, user: User, asked: AttributeChange): ChangeRuling {
  const root = user.uid === 0;
  const owner = root || user.uid === object.uid;
  const { uid, gid, size } = asked;
  // A symlink's mode means nothing and cannot be changed on Linux; clients that copy attributes must not fail over it.
  const mode = object.kind === 'symlink' ? undefined : asked.mode;
  const givenTime = (asked.atime !== undefined && asked.atime !== 'now') || (asked.mtime !== undefined && asked.mtime !== 'now');
  const nowTime = asked.atime === 'now' || asked.mtime === 'now';
  if ((mode !== undefined || uid !== undefined || gid !== undefined || givenTime) && !owner) return { refused: 'PERM' };
  if (!root && uid !== undefined && uid !== object.uid) return { refused: 'PERM' };
  if (!root && gid !== undefined && gid !== object.gid && !isMember(user, gid)) return { refused: 'PERM' };
  if (nowTime && !owner && !permits(object, user, 'write')) return { refused: 'ACCES' };
  if (size !== undefined && !mayWrite(object, user)) return { refused: 'ACCES' };
  const { mode: _, ...rest } = asked;
  const newMode = modeAfterChange(object, user, { ...rest, ...(mode !== undefined && { mode }) });
  return { change: { ...rest, ...(newMode !== undefined && { mode: newMode }) } };
}

/** The mode that a permitted change leads to; undefined if it leaves the mode alone. */
function modeAfterChange(object: Attributes, user: User, change: AttributeChange): number | undefined {
  let mode = change.mode ?? object.mode;
  const owned = change.uid !== undefined || change.gid !== undefined;
  const written = change.size !== undefined && user.uid !== 0;
  if (object.kind !== 'directory' && object.kind !== 'symlink' && (owned || written)) mode = withoutSetId(mode);
  // Nobody gives a program the rights of a group he is not in (POSIX chmod).
  if (change.mode !== undefined && user.uid !== 0 && !isMember(user, change.gid ?? object.gid)) mode &= ~setGid;
  return change.mode !== undefined || mode !== object.mode ? mode : undefined;
}

/** Set-gid without group execute is no right but the old mark for mandatory locks, and stays. */
function withoutSetId(mode: number): number {
  return (mode & groupExecute) !== 0 ? mode & ~(setUid | setGid) : mode & ~setUid;
}

/** The mode that a WRITE of `user` leaves behind, undefined if it is the same: set-id bits go unless root writes. */
export function modeAfterWrite(file: Attributes, user: User): number | undefined {
  if (user.uid === 0 || (file.mode & (setUid | setGid)) === 0) return undefined;
  const mode = withoutSetId(file.mode);
  return mode === file.mode ? undefined : mode;
}

/** Owner and mode of a new object: the caller's, or the directory's group if that is set-gid. Only root makes things that belong to others. */
export function initialAttributes(directory: Attributes, user: User, kind: Kind, asked: AttributeChange): AttributeChange {
  const inherited = (directory.mode & setGid) !== 0 ? directory.gid : user.gid;
  const uid = user.uid === 0 ? (asked.uid ?? user.uid) : user.uid;
  const gid = asked.gid !== undefined && (user.uid === 0 || isMember(user, asked.gid)) ? asked.gid : inherited;
  const { size, ...rest } = asked;
  return { ...rest, ...(kind === 'file' && size !== undefined && { size }), uid, gid, mode: initialMode(directory, user, kind, asked.mode, gid) };
}

function initialMode(directory: Attributes, user: User, kind: Kind, asked: number | undefined, gid: number): number {
  if (kind === 'symlink') return 0o777;
  if (kind === 'directory') {
    const mode = asked ?? 0o700;
    return (directory.mode & setGid) !== 0 ? mode | setGid : mode;
  }
  const mode = asked ?? 0o600;
  return user.uid !== 0 && !isMember(user, gid) && (mode & groupExecute) !== 0 ? mode & ~setGid : mode;
}
