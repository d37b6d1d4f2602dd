// /hpc on this node: the live tree, served by our NFS on 127.0.0.1 and mounted from there, so that cat and echo of any program work on it.
import { createHmac } from 'node:crypto';
import { type Ipv4, ipv4 } from '../../base/addresses.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Service } from '../../base/service.ts';
import { openAccess } from '../../nfs/access.ts';
import type { NfsExports } from '../../nfs/exports.ts';
import { startNfsServer } from '../../nfs/server.ts';
import { LiveTree } from '../../tree/memory.ts';
import { mountHere, unmount } from './mount.ts';
import type { HpcSource } from './source.ts';
import { hpcTree } from './tree.ts';

/** Beside openMosix's migration daemon at 4660, and never heard outside of the machine. */
const defaultHpcPort = 4661;

const loopback: Ipv4 = ipv4('127.0.0.1');
const exportPath = '/hpc';

/** For ten minutes; a kernel without an NFS client does not get one later. */
const mountTries = 60;
const mountPause = 10_000;

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
  const tree = new LiveTree(hpcTree(source, log, clock), layout, clock);
  const exports: NfsExports = {
    // libnfs mounts the directory of the file that it wants.
    mount: (client, path) =>
      client === loopback && `${path}/`.startsWith(`${exportPath}/`) ? { owner, tree, access: openAccess, within: path.slice(exportPath.length) } : undefined,
    view: (asked, generation, client) => (asked === owner && generation === layout && client === loopback ? { tree, access: openAccess } : undefined),
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
  const mount = mountPoint === undefined ? undefined : await keepMounted(mountPoint, nfs.port, log);
  return {
    ...nfs,
    name: 'hpc',
    async close() {
      // First, while there is somebody to answer.
      await mount?.end();
      await nfs.close();
    },
  };
}

/** Mounts, and if that fails tries again now and then: a node that boots may be too busy to answer itself in time. */
async function keepMounted(at: string, port: number, log: Log): Promise<{ readonly end: () => Promise<void> }> {
  let mounted = false;
  let timer: NodeJS.Timeout | undefined;
  let trying: Promise<void> = Promise.resolve();
  const attempt = async (left: number): Promise<void> => {
    try {
      await mountHere(at, port, exportPath);
      mounted = true;
      log('info', 'hpc.mounted', { at });
    } catch (error) {
      if (left === mountTries) log('warn', 'hpc.not-mounted', { at, reason: sentence(error), hint: error instanceof FarmError ? error.hint : undefined });
      if (left <= 1) return;
      timer = setTimeout(() => {
        trying = attempt(left - 1);
      }, mountPause);
    }
  };
  await attempt(mountTries);
  return {
    async end() {
      clearTimeout(timer);
      await trying;
      clearTimeout(timer);
      if (mounted) await unmount(at).catch((error: unknown) => log('warn', 'hpc.not-unmounted', { at, reason: sentence(error) }));
    },
  };
}
