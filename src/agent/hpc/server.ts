// /hpc on this node: the live tree, served by our NFS on 127.0.0.1 and mounted from there, so that cat and echo of any program work on it.
import { createHmac } from 'node:crypto';
import { type Ipv4, ipv4 } from '../../base/addresses.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Service } from '../../base/service.ts';
import type { NfsExports } from '../../nfs/exports.ts';
import { startNfsServer } from '../../nfs/server.ts';
import { LiveTree } from '../../tree/memory.ts';
import { mountHere, unmount } from './mount.ts';
import type { HpcSource } from './source.ts';
import { hpcTree } from './tree.ts';

/** Beside openMosix's migration daemon at 4660, and never heard outside of the machine. */
export const defaultHpcPort = 4661;

const loopback: Ipv4 = ipv4('127.0.0.1');
const exportPath = '/hpc';

/** One tree, one layout: the same in every start, so that a mount outlives the agent. Another layout takes the next. */
const layout = 1;
const owner = 1;

export interface HpcOptions {
  readonly log: Log;
  /** Of the NFS server, on 127.0.0.1; 0 takes any free one. Default 4661. */
  readonly port?: number;
  /** Where it is mounted; without, it is served only. Mounting needs root. */
  readonly mountPoint?: string;
  /** Any secret of this farm that stays the same: handles are signed with a key derived from it. */
  readonly key: Buffer;
  readonly clock?: Clock;
  /** Whether clients must be root, as the kernel's is. Only tests with other programs say no. Default true. */
  readonly privileged?: boolean;
}

export interface HpcService extends Service {
  readonly port: number;
}

/**
 * Serves /hpc and mounts it. A node whose kernel cannot mount it goes on without, with a line in the log: the agent does not live by it.
 * Throws `FarmError` `port.taken` and what else binding throws.
 */
export async function startHpc(source: HpcSource, options: HpcOptions): Promise<HpcService> {
  const { log, mountPoint, clock = systemClock } = options;
  const tree = new LiveTree(hpcTree(source, log), layout, clock);
  const exports: NfsExports = {
    // libnfs mounts the directory of the file that it wants.
    mount: (client, path) =>
      client === loopback && `${path}/`.startsWith(`${exportPath}/`) ? { owner, tree, within: path.slice(exportPath.length) } : undefined,
    view: (asked, generation, client) => (asked === owner && generation === layout && client === loopback ? tree : undefined),
    paths: () => [exportPath],
  };
  const nfs = await startNfsServer({
    address: loopback,
    port: options.port ?? defaultHpcPort,
    udp: false,
    portmap: false,
    exports,
    privileged: options.privileged ?? true,
    key: createHmac('sha256', options.key).update('farm hpc').digest(),
    log,
    clock,
  });
  const mounted = mountPoint !== undefined && (await mountHere(mountPoint, nfs.port, exportPath).then(told(mountPoint, log), untold(mountPoint, log)));
  return {
    ...nfs,
    name: 'hpc',
    async close() {
      // First, while there is somebody to answer.
      if (mounted) await unmount(mountPoint).catch((error: unknown) => log('warn', 'hpc.not-unmounted', { at: mountPoint, reason: sentence(error) }));
      await nfs.close();
    },
  };
}

function told(at: string, log: Log): () => true {
  return () => {
    log('info', 'hpc.mounted', { at });
    return true;
  };
}

function untold(at: string, log: Log): (error: unknown) => false {
  return (error) => {
    log('warn', 'hpc.not-mounted', { at, reason: sentence(error), hint: error instanceof FarmError ? error.hint : undefined });
    return false;
  };
}
