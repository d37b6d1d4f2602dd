// What every procedure needs: who asks, the object behind a handle, and the three shapes that a procedure has.
import type { LentBuffers } from '../base/lent.ts';
import type { Caller } from '../rpc/program.ts';
import type { Attributes, Name, ObjectId, Tree } from '../tree/tree.ts';
import { nameMax } from '../tree/tree.ts';
import { hears, type User, userOf } from './access.ts';
import type { FileAttributes, Fsid, Wcc } from './attributes.ts';
import type { NfsExports, ServedTree } from './exports.ts';
import type { FileHandles } from './handles.ts';
import { type Failure, type Outcome, Refusal, statusOf } from './status.ts';
import type { WriteVerifier } from './verifier.ts';

/** The parts of one server that procedures use. */
export interface NfsState {
  readonly exports: NfsExports;
  readonly handles: FileHandles;
  readonly verifier: WriteVerifier;
  /** What READ reads into. */
  readonly buffers: LentBuffers;
  /** Told about each exception that is neither a tree's nor the protocol's. */
  readonly fault: (error: unknown) => void;
}

/** What the version of the protocol and the transport under it have room for. */
export interface Room {
  /** The largest size of a file, and the largest offset. A larger file can be read as far as that. */
  readonly fileSize: number;
  /** The most that one READ, WRITE or listing carries, bytes. */
  readonly transfer: number;
}

export interface Request {
  readonly caller: Caller;
  readonly room: Room;
  readonly state: NfsState;
}

/** An object that a handle named, as it was when it was opened. */
export interface OpenObject {
  readonly tree: Tree;
  readonly id: ObjectId;
  readonly fsid: Fsid;
  readonly attributes: Attributes;
  /** Whom the tree's export takes the caller for. */
  readonly user: User;
  readonly readOnly: boolean;
  readonly crossing?: ServedTree['crossing'];
}

/** BADHANDLE for a handle that we never gave, STALE for one of a tree or object that is gone or another client's, PERM for a caller's port. */
export function open(request: Request, handle: Buffer): OpenObject {
  const fields = request.state.handles.decode(handle);
  if (fields === undefined) throw new Refusal('BADHANDLE');
  const { owner, generation, object } = fields;
  const { client, port, credential } = request.caller;
  const served = request.state.exports.view(owner, generation, client);
  if (served === undefined || served.tree.generation !== generation) throw new Refusal('STALE');
  const { tree: common, access, joined, crossing } = served;
  demand(hears(access, port), 'PERM');
  const user = userOf(credential, access);
  const { uid, gid, gids } = user;
  const tree = common.forUser?.({ uid, gids: [gid, ...gids] }) ?? common;
  const opened = { tree, id: object, attributes: tree.attributes(object), user, readOnly: access.readOnly };
  return joined === undefined ? { ...opened, fsid: fields } : { ...opened, fsid: { owner, generation, joined }, crossing };
}

/** As `open`, for what is to be changed: ROFS where nobody may, before it is asked who may. */
export function openToChange(request: Request, handle: Buffer): OpenObject {
  const object = open(request, handle);
  demand(!object.readOnly, 'ROFS');
  return object;
}

/** The attributes of an object of the same view, as they are now. */
export function attributesOf({ tree, fsid }: OpenObject, id: ObjectId): FileAttributes {
  return { fsid, attributes: tree.attributes(id) };
}

export function handleOf(request: Request, { fsid }: OpenObject, id: ObjectId): Buffer {
  return request.state.handles.encode(fsid.owner, fsid.generation, id);
}

export function directory(object: OpenObject): OpenObject {
  if (object.attributes.kind !== 'directory') throw new Refusal('NOTDIR');
  return object;
}

/** Data is read and written in files only (RFC 1813 3.3.6). */
export function file(object: OpenObject): OpenObject {
  if (object.attributes.kind === 'directory') throw new Refusal('ISDIR');
  if (object.attributes.kind !== 'file') throw new Refusal('INVAL');
  return object;
}

export function demand(allowed: boolean, otherwise: Failure = 'ACCES'): void {
  if (!allowed) throw new Refusal(otherwise);
}

/** A name that an entry can have. An empty one is ACCES, as the Linux server has it; `.` and `..` are `dots`. */
export function entryName(name: string, dots: Failure): Name {
  if (name === '') throw new Refusal('ACCES');
  if (name.length > nameMax) throw new Refusal('NAMETOOLONG');
  if (name === '.' || name === '..') throw new Refusal(dots);
  if (name.includes('/') || name.includes('\0')) throw new Refusal('INVAL');
  return name;
}

/** The status for what was thrown; what should not have been thrown is reported and SERVERFAULT. */
export function refusal(request: Request, error: unknown): Failure {
  const status = statusOf(error);
  if (status !== undefined) return status;
  request.state.fault(error);
  return 'SERVERFAULT';
}

/** A procedure that looks at one object: its attributes are in both arms of the result. */
export function looking<Ok>(
  request: Request,
  handle: Buffer,
  act: (object: OpenObject) => Ok,
): Outcome<Ok & { readonly attributes: FileAttributes }, { readonly attributes: FileAttributes | undefined }> {
  let attributes: FileAttributes | undefined;
  try {
    const object = open(request, handle);
    attributes = object;
    return { status: 'OK', attributes, ...act(object) };
  } catch (error) {
    return { status: refusal(request, error), attributes };
  }
}

/**
 * A procedure that changes one object or the names in it. `act` runs at once, and the state after it is taken before anyone else gets a turn, so the
 * wcc data is exact; then `settled` waits for the disk.
 */
export async function changing<Ok>(
  request: Request,
  handle: Buffer,
  act: (object: OpenObject) => Ok,
  settled: (object: OpenObject) => Promise<void> = ({ tree }) => tree.stable(),
): Promise<Outcome<Ok & { readonly wcc: Wcc }, { readonly wcc: Wcc }>> {
  let object: OpenObject | undefined;
  let wcc: Wcc | undefined;
  try {
    object = openToChange(request, handle);
    const ok = act(object);
    wcc = wccOf(request, object);
    await settled(object);
    return { status: 'OK', wcc, ...ok };
  } catch (error) {
    return { status: refusal(request, error), wcc: wcc ?? wccOf(request, object) };
  }
}

/** The wcc data of an object that was open before a change, directly after it. */
export function wccOf(request: Request, object: OpenObject | undefined): Wcc {
  if (object === undefined) return { before: undefined, after: undefined };
  try {
    return { before: object.attributes, after: attributesOf(object, object.id) };
  } catch (error) {
    refusal(request, error); // a directory that removed itself is no reason to fail
    return { before: object.attributes, after: undefined };
  }
}
