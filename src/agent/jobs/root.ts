// The root of jobs: for those at home the node's own, for others their home's whole tree, mounted when the first needs it and kept as long as one is here.
import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { isNfsMount, mountHere, unmount } from '../hpc/mount.ts';
import { rootOptions } from '../mfs/mount-options.ts';
import { nodeNumber, rootsPath } from '../mfs/relay.ts';
import type { RootOf } from './types.ts';

const defaultDirectory = '/run/farm-agent/roots';

/** How often unused roots are looked for, and how long one that was asked for waits for its job, ms. */
const sweepEvery = 30_000;
const graceTime = 120_000;

export interface RootsOptions {
  readonly self: number;
  /** The port of `startMfs`. */
  readonly port: number;
  /** The homes of the jobs that are here. */
  readonly inUse: () => ReadonlySet<number>;
  readonly log: Log;
  /** Where they are mounted. Default /run/farm-agent/roots. */
  readonly directory?: string;
}

export interface Roots {
  /** Throws FarmError `hpc.mount`. */
  readonly rootOf: RootOf;
  /** Unmounts what no job uses: at once, without waiting for the next look. */
  readonly sweep: () => Promise<void>;
  /** Mounts stay: jobs run on without the agent, and the next one takes the mounts over. */
  readonly close: () => Promise<void>;
}

export async function startRoots({ self, port, inUse, log, directory = defaultDirectory }: RootsOptions): Promise<Roots> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const asked = new Map<number, { readonly ready: Promise<string>; readonly at: number }>();
  let sweeping: Promise<void> = Promise.resolve();

  /** What an agent before this one has mounted is good: the handles are the same. It is not looked at, because its home may not answer. */
  const mountRoot = async (home: number): Promise<string> => {
    await sweeping;
    const at = join(directory, String(home));
    if (isNfsMount(await readFile('/proc/self/mountinfo', 'utf8'), at)) return at;
    await mountHere(at, port, `${rootsPath}${home}`, rootOptions);
    log('info', 'root.mounted', { home, at });
    return at;
  };

  const rootOf: RootOf = (home) => {
    if (home === self) return Promise.resolve('/');
    const ready = asked.get(home)?.ready ?? mountRoot(home);
    asked.set(home, { ready, at: performance.now() });
    ready.catch(() => asked.delete(home)); // the next job tries again
    return ready;
  };

  /** Lazily, so that nothing waits for a home that is gone; the kernel keeps what a job still holds. */
  const sweepOnce = async (grace: number): Promise<void> => {
    const used = inUse();
    const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
    for (const name of await readdir(directory)) {
      const home = nodeNumber(name);
      const at = join(directory, name);
      if (home === undefined || used.has(home) || performance.now() - (asked.get(home)?.at ?? Number.NEGATIVE_INFINITY) < grace) continue;
      asked.delete(home);
      try {
        if (isNfsMount(mountinfo, at)) await unmount(at);
        await rmdir(at);
        log('info', 'root.unmounted', { home, at });
      } catch (error) {
        log('warn', 'root.not-unmounted', { home, at, reason: sentence(error) });
      }
    }
  };
  const sweep = (grace: number): Promise<void> => {
    sweeping = sweeping.then(() => sweepOnce(grace)).catch((error: unknown) => log('warn', 'root.not-unmounted', { at: directory, reason: sentence(error) }));
    return sweeping;
  };
  const timer = setInterval(() => void sweep(graceTime), sweepEvery).unref();
  return {
    rootOf,
    sweep: () => sweep(0),
    async close() {
      clearInterval(timer);
      await sweeping;
    },
  };
}
