// Mounts what our own agent serves, and if that fails tries again now and then: a node that boots may be too busy to answer itself in time.
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { mountHere, unmount } from '../hpc/mount.ts';

/** For ten minutes; a kernel without an NFS client does not get one later. */
const tries = 60;
const pause = 10_000;

export interface Mounting {
  readonly at: string;
  readonly port: number;
  readonly path: string;
  readonly options: string;
  readonly log: Log;
}

export async function keepMounted({ at, port, path, options, log }: Mounting): Promise<{ readonly end: () => Promise<void> }> {
  let mounted = false;
  let timer: NodeJS.Timeout | undefined;
  let trying: Promise<void> = Promise.resolve();
  const attempt = async (left: number): Promise<void> => {
    try {
      await mountHere(at, port, path, options);
      mounted = true;
      log('info', 'mfs.mounted', { at });
    } catch (error) {
      if (left === tries) log('warn', 'mfs.not-mounted', { at, reason: sentence(error), hint: error instanceof FarmError ? error.hint : undefined });
      if (left <= 1) return;
      timer = setTimeout(() => {
        trying = attempt(left - 1);
      }, pause);
    }
  };
  await attempt(tries);
  return {
    async end() {
      clearTimeout(timer);
      await trying;
      clearTimeout(timer);
      if (mounted) await unmount(at).catch((error: unknown) => log('warn', 'mfs.not-unmounted', { at, reason: sentence(error) }));
    },
  };
}
