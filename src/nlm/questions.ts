// The lock service's questions, answered from what NFS answers its own with: file handles, and whose views they are of.
import type { Ipv4 } from '../base/addresses.ts';
import { mayRead, mayWrite, userOf } from '../nfs/access.ts';
import type { NfsExports } from '../nfs/exports.ts';
import type { FileHandles, HandleFields } from '../nfs/handles.ts';
import { bareHandle, filledBytes } from '../nfs/v2/handle.ts';
import type { Caller } from '../rpc/program.ts';
import { TreeError } from '../tree/tree.ts';
import type { LockQuestions } from './doors.ts';

export interface LockableExports {
  readonly handles: FileHandles;
  readonly exports: NfsExports;
  readonly admits: (client: Ipv4) => boolean;
}

/** What a handle in a call of NLM names. It has one shape for both versions of NFS; that of version 2 is filled up. */
export function lockedFields(handles: FileHandles, handle: Buffer): HandleFields | undefined {
  return handles.decode(handle) ?? (handle.length === filledBytes ? handles.decode(bareHandle(handle)) : undefined);
}

export function lockQuestions({ handles, exports, admits }: LockableExports): LockQuestions {
  const viewed = (handle: Buffer, client: Ipv4) => {
    const fields = lockedFields(handles, handle);
    const served = fields === undefined ? undefined : exports.view(fields.owner, fields.generation, client);
    return fields === undefined || served?.tree.generation !== fields.generation ? undefined : { fields, ...served };
  };
  const permit = (handle: Buffer, { client, credential }: Caller, exclusive: boolean): ReturnType<LockQuestions['permit']> => {
    const found = viewed(handle, client);
    if (found === undefined) return 'stale';
    try {
      const attributes = found.tree.attributes(found.fields.object);
      if (attributes.kind !== 'file') return 'stale';
      if (exclusive && found.access.readOnly) return 'read-only';
      const user = userOf(credential, found.access);
      // As the Linux server: who may read it may lock it, or an opened file could not be locked after its mode was changed.
      return mayRead(attributes, user) || (exclusive && mayWrite(attributes, user)) ? 'yes' : 'denied';
    } catch (error) {
      if (error instanceof TreeError) return error.code === 'STALE' ? 'stale' : 'denied';
      throw error;
    }
  };
  return {
    admits,
    identify: (handle, client) => {
      const found = viewed(handle, client);
      if (found === undefined) return undefined;
      const { owner, generation, object } = found.fields;
      return `${owner}/${generation}/${object}`;
    },
    permit,
  };
}
