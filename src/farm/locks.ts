// The farm's locks: whose they are, and when they are free because their node boots, has moved or has left.
import type { Log } from '../base/log.ts';
import { FileHandles } from '../nfs/handles.ts';
import { lockQuestions } from '../nlm/questions.ts';
import { type Locks, openLocks } from '../nlm/server.ts';
import { locksJournal } from './directory.ts';
import type { LiveFarm } from './live.ts';
import { handleKey } from './values.ts';
import type { NodeViews } from './views.ts';

/** Tells who held locks that they were lost, so it is for a server of files only. Throws what `openLocks` throws. */
export function openFarmLocks(live: LiveFarm, views: NodeViews, log: Log): Locks {
  const locks = openLocks({
    path: locksJournal(live.directory),
    questions: lockQuestions({
      handles: new FileHandles(handleKey(live.key)),
      exports: views,
      admits: (client) => live.published.byAddress.has(client),
    }),
    log,
  });
  let before = live.published.byAddress;
  live.onPublish(({ byAddress }) => {
    for (const [address, { name }] of before) if (byAddress.get(address)?.name !== name) locks.service.release(address, 'its node has moved or left');
    before = byAddress;
  });
  return locks;
}
