// The farm's locks: whose they are, and when they are free because their node boots, has moved or has left.
import type { Ipv4 } from '../base/addresses.ts';
import type { Log } from '../base/log.ts';
import type { NfsExports } from '../nfs/exports.ts';
import { FileHandles } from '../nfs/handles.ts';
import { lockedFields, lockQuestions } from '../nlm/questions.ts';
import { type Locks, openLocks } from '../nlm/server.ts';
import { locksJournal } from './directory.ts';
import type { LiveFarm } from './live.ts';
import { firstSharedOwner } from './shared.ts';
import { handleKey } from './values.ts';

/** Tells who held locks that they were lost, so it is for a server of files only. Throws what `openLocks` throws. */
export function openFarmLocks(live: Pick<LiveFarm, 'directory' | 'published' | 'onPublish'>, key: Buffer, views: NfsExports, log: Log): Locks {
  const handles = new FileHandles(handleKey(key));
  const ownFile = (handle: Buffer, client: Ipv4): string | undefined => {
    const fields = lockedFields(handles, handle);
    if (fields === undefined || fields.owner >= firstSharedOwner) return undefined;
    const { owner, generation, object } = fields;
    return live.published.byAddress.get(client)?.id === owner ? `${owner}/${generation}/${object}` : undefined;
  };
  const common = lockQuestions({ handles, exports: views, admits: (client) => live.published.byAddress.has(client) });
  const locks = openLocks({
    path: locksJournal(live.directory),
    questions: {
      ...common,
      // A node's own tree may be another process's. It is the node's alone, so who can open a file there can lock it.
      identify: (handle, client) => ownFile(handle, client) ?? common.identify(handle, client),
      permit: (handle, caller, exclusive) => (ownFile(handle, caller.client) === undefined ? common.permit(handle, caller, exclusive) : 'yes'),
    },
    log,
  });
  let before = live.published.byAddress;
  live.onPublish(({ byAddress }) => {
    for (const [address, { name }] of before) if (byAddress.get(address)?.name !== name) locks.service.release(address, 'its node has moved or left');
    before = byAddress;
  });
  return locks;
}
