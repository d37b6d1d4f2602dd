// The file services of one network: NFS and MOUNT, the lock manager and status monitor, and the port mapper that tells of all of them.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { NfsEvent } from '../nfs/exports.ts';
import { startNfsServer } from '../nfs/server.ts';
import { type Locks, startLockServer } from '../nlm/server.ts';
import type { Network } from './farm.ts';
import type { LiveFarm } from './live.ts';
import { firstSharedOwner } from './shared.ts';
import type { Sightings } from './sightings.ts';
import { handleKey } from './values.ts';
import type { NodeViews } from './views.ts';

export interface FileServices {
  readonly live: LiveFarm;
  readonly views: NodeViews;
  /** One for all networks. */
  readonly locks: Locks;
  readonly sightings: Sightings;
  readonly log: Log;
  readonly clock: Clock;
}

/** Throws what it cannot bind. */
export async function startFileServices({ server: address }: Network, { live, views, locks, sightings, log, clock }: FileServices): Promise<Service> {
  const observe = (event: NfsEvent): void => {
    // Where another server answers DHCP, this is the first that is heard of a boot.
    if (event.kind === 'mounted' && views.begins(event.path)) locks.service.release(event.client, 'it boots');
    // A shared path is mounted by a system that runs already.
    if (event.kind !== 'mounted' || event.owner < firstSharedOwner) sightings.mounted(event);
  };
  // Without a status monitor's: any program of a node that could call NLM could free the locks of all others there.
  const lockServer = await startLockServer({ locks, address, privileged: true, log });
  try {
    const nfs = await startNfsServer({
      address,
      portmap: true,
      alsoMapped: lockServer.mappings,
      privileged: false, // each export says for itself
      exports: views,
      key: handleKey(live.key),
      observe,
      log,
      clock,
    });
    const close = async () => {
      await Promise.all([nfs.close(), lockServer.close()]);
    };
    return { name: 'nfs', sockets: [...nfs.sockets, ...lockServer.sockets], close };
  } catch (error) {
    await lockServer.close();
    throw error;
  }
}
