// What this node does with the others beside gossip: the link to their agents, /mfs over it, and jobs that move. Each goes without the next.
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { parseIpv4 } from '../base/addresses.ts';
import { FarmError, sentence } from '../base/errors.ts';
import { noFlags } from '../cluster/entry.ts';
import { type RootsOptions, startRoots } from './jobs/root.ts';
import { startLink } from './link/link.ts';
import { mfsPlace, startMfs } from './mfs/server.ts';
import { type Migration, type MigrationOptions, startMigration } from './migration.ts';

export interface PeersOptions extends Omit<MigrationOptions, 'link' | 'rootOf' | 'image'> {
  /** This program's file. */
  readonly program: string | undefined;
  /** Seconds for which /mfs keeps names and attributes. */
  readonly mfsCache: number;
}

export interface Peers {
  /** Undefined where jobs do not move. */
  readonly migration: Migration | undefined;
  close(): Promise<void>;
}

/** Throws `FarmError` `link.port`. Without criu, or without an NFS client, the rest works, and the log says what does not. */
export async function startPeers({ program, mfsCache, ...options }: PeersOptions): Promise<Peers> {
  const { self, table, state, keys, map, refuse, log } = options;
  const server = await lookup(options.server, 4).then(
    ({ address }) => parseIpv4(address),
    () => undefined, // then it cannot ask anything of this node
  );
  const link = await startLink({ self, map, keys, refuse, log, server: () => server });
  let migration: Migration | undefined;
  const members = () =>
    [...map().addresses.keys()].map((id) => {
      const member = table.members.get(id);
      return { id, isUp: id === self.id || member?.state === 'alive' || member?.state === 'suspect', nomfs: (member?.facts?.flags ?? noFlags).nomfs };
    });
  const mfs = await startMfs({
    ...{ self: self.id, link, members, nomfs: () => state.get().flags.nomfs, key: keys()[0], log, mountPoint: mfsPlace, cache: mfsCache },
    ...(program === undefined ? {} : { program }),
  }).catch((error: unknown) => {
    log('error', 'mfs.absent', { reason: sentence(error) });
    return undefined;
  });
  const rootsOptions = (port: number): RootsOptions => ({ self: self.id, port, inUse: () => migration?.homes() ?? new Set(), log });
  const roots = mfs === undefined ? undefined : await startRoots(rootsOptions(mfs.port));
  if (roots !== undefined) {
    try {
      migration = await startMigration({ ...options, link, rootOf: roots.rootOf, image: bootedImage(await readFile('/proc/self/mountinfo', 'utf8')) });
    } catch (error) {
      log('warn', 'migration.absent', { reason: sentence(error), hint: error instanceof FarmError ? error.hint : undefined });
    }
  }
  return {
    get migration() {
      return migration;
    },
    async close() {
      await migration?.close();
      await roots?.close();
      await mfs?.close();
      await link.close();
    },
  };
}

/** `/NAME/VERSION` of a root that the farm's server serves, from proc_pid_mountinfo(5); empty for another root. */
function bootedImage(mountinfo: string): string {
  const root = mountinfo.split('\n').find((line) => line.split(' ')[4] === '/' && / - nfs4? /.test(line));
  const [, image = ''] = / - nfs4? [^ :]+:(\/[^ /]+\/[^ /]+) /.exec(root ?? '') ?? [];
  return image;
}
