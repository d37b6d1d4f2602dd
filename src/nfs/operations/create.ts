// CREATE, MKDIR, SYMLINK and MKNOD. RFC 1813 3.3.8 to 3.3.11.
import type { AttributeChange, Kind, NewObject, ObjectId } from '../../tree/tree.ts';
import { initialAttributes, mayChangeNames, permits } from '../access.ts';
import { attributesOf, changing, demand, directory, entryName, handleOf, type OpenObject, type Request } from '../request.ts';
import { Refusal } from '../status.ts';
import type { CreateArguments, MkdirArguments, MknodArguments, NameAt, SymlinkArguments } from './arguments.ts';
import { applyChange } from './attributes.ts';
import { find } from './find.ts';
import type { CreateResult } from './results.ts';

/** PATH_MAX with its NUL: Linux can neither make nor follow a longer target. */
const targetMax = 4095;

const specialKinds: readonly Kind[] = ['block', 'character', 'fifo', 'socket'];

export function create(request: Request, { directory: handle, name, how }: CreateArguments): Promise<CreateResult> {
  return changing(request, handle, (object) => {
    const parent = directory(object);
    const existing = find(parent, entryName(name, 'EXIST'));
    if (how.mode === 'exclusive') return described(request, parent, createExclusively(request, parent, name, existing, how.verifier));
    if (existing === undefined) return described(request, parent, make(request, parent, name, { kind: 'file' }, how.change));
    demand(how.mode === 'unchecked', 'EXIST');
    const { attributes } = attributesOf(parent, existing);
    if (how.opensSpecial && specialKinds.includes(attributes.kind)) {
      demand(permits(attributes, parent.user, 'write'));
      return described(request, parent, existing);
    }
    demand(attributes.kind === 'file', 'EXIST');
    // Of an existing file only the size is set: open(O_CREAT | O_TRUNC).
    if (how.change.size !== undefined) applyChange(request, parent, attributes, { size: how.change.size });
    return described(request, parent, existing);
  });
}

export function mkdir(request: Request, { directory: handle, name, change }: MkdirArguments): Promise<CreateResult> {
  return makeAt(request, { directory: handle, name }, () => ({ object: { kind: 'directory' }, change }));
}

export function symlink(request: Request, { directory: handle, name, change, target }: SymlinkArguments): Promise<CreateResult> {
  return makeAt(request, { directory: handle, name }, () => {
    demand(target.length > 0 && !target.includes('\0'), 'INVAL');
    demand(target.length <= targetMax, 'NAMETOOLONG');
    return { object: { kind: 'symlink', target }, change };
  });
}

export function mknod(request: Request, { directory: handle, name, what }: MknodArguments): Promise<CreateResult> {
  return makeAt(request, { directory: handle, name }, ({ user }) => {
    if (what.kind === 'other') throw new Refusal('BADTYPE');
    if (!('device' in what)) return { object: { kind: what.kind }, change: what.change };
    demand(user.uid === 0, 'PERM');
    return { object: { kind: what.kind, device: what.device }, change: what.change };
  });
}

interface Wanted {
  readonly object: NewObject;
  readonly change: AttributeChange;
}

function makeAt(request: Request, { directory: handle, name }: NameAt, wanted: (parent: OpenObject) => Wanted): Promise<CreateResult> {
  return changing(request, handle, (object) => {
    const parent = directory(object);
    const taken = find(parent, entryName(name, 'EXIST')) !== undefined;
    demand(!taken, 'EXIST');
    const { object: kind, change } = wanted(parent);
    return described(request, parent, make(request, parent, name, kind, change));
  });
}

function make(request: Request, parent: OpenObject, name: string, object: NewObject, asked: AttributeChange): ObjectId {
  demand(mayChangeNames(parent.attributes, parent.user));
  const change = initialAttributes(parent.attributes, parent.user, object.kind, asked);
  demand((change.size ?? 0) <= request.room.fileSize, 'FBIG');
  return parent.tree.create(parent.id, name, object, change);
}

function described(request: Request, parent: OpenObject, id: ObjectId) {
  return { handle: handleOf(request, parent, id), object: attributesOf(parent, id) };
}

/**
 * EXCLUSIVE keeps its verifier in the file's times until the client sets them (RFC 1813 3.3.8), so that a call that comes twice, even to another
 * start of the server, succeeds twice. The highest bit is left out: some file systems have none for it.
 */
function verifierTimes(verifier: Buffer): { readonly atime: number; readonly mtime: number } {
  return { atime: verifier.readUInt32BE(0) & 0x7fff_ffff, mtime: verifier.readUInt32BE(4) & 0x7fff_ffff };
}

function createExclusively(request: Request, parent: OpenObject, name: string, existing: ObjectId | undefined, verifier: Buffer): ObjectId {
  const times = verifierTimes(verifier);
  if (existing === undefined) {
    const change = { atime: { seconds: times.atime, nanoseconds: 0 }, mtime: { seconds: times.mtime, nanoseconds: 0 } };
    return make(request, parent, name, { kind: 'file' }, change);
  }
  const { kind, size, atime, mtime } = parent.tree.attributes(existing);
  demand(kind === 'file' && size === 0 && atime.seconds === times.atime && mtime.seconds === times.mtime, 'EXIST');
  return existing;
}
