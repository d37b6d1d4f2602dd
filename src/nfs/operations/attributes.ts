// GETATTR, SETATTR and ACCESS. RFC 1813 3.3.1, 3.3.2, 3.3.4.
import type { AttributeChange, Attributes, Timestamp } from '../../tree/tree.ts';
import { grantedAccess, ruleChange } from '../access.ts';
import { changing, demand, file, looking, type OpenObject, open, type Request, refusal } from '../request.ts';
import { Refusal } from '../status.ts';
import type { AccessArguments, FileHandle, SetattrArguments } from './arguments.ts';
import type { AccessResult, ChangeResult, GetattrResult } from './results.ts';

export function getattr(request: Request, handle: FileHandle): GetattrResult {
  try {
    return { status: 'OK', attributes: open(request, handle) };
  } catch (error) {
    return { status: refusal(request, error) };
  }
}

export function setattr(request: Request, { object: handle, change, guard }: SetattrArguments): Promise<ChangeResult> {
  return changing(request, handle, (object) => {
    if (guard !== undefined && !sameTime(guard, object.attributes.ctime)) throw new Refusal('NOT_SYNC');
    applyChange(request, object, object.attributes, change);
    return {};
  });
}

function sameTime(one: Timestamp, other: Timestamp): boolean {
  return one.seconds === other.seconds && one.nanoseconds === other.nanoseconds;
}

/** Changes an object as far as the user may; `attributes` are the object's own. */
export function applyChange(request: Request, object: OpenObject, attributes: Attributes, asked: AttributeChange): void {
  if (asked.size !== undefined) {
    file({ ...object, attributes });
    demand(asked.size <= request.room.fileSize, 'FBIG');
  }
  const ruling = ruleChange(attributes, object.user, asked);
  if ('refused' in ruling) throw new Refusal(ruling.refused);
  if (Object.keys(ruling.change).length > 0) object.tree.change(attributes.id, ruling.change);
}

export function access(request: Request, { object: handle, access: asked }: AccessArguments): AccessResult {
  return looking(request, handle, ({ attributes, user, readOnly }) => ({ access: grantedAccess(attributes, user, asked, readOnly) }));
}
