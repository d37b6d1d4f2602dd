// Jobs whose home is lost, where HOMELOST=restart: the nodes that are left make them again, each job once, by a mosrun -R that no terminal belongs to.
import { sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { JobId, JobSpec } from '../jobs/types.ts';
import { rank } from './due.ts';
import type { Store } from './store.ts';

/** Nodes that ran a job of that home kill their copies first; they may have given it up that much later, ms. */
const settling = 15_000;
/** Between one node's try and the next one's, ms: the first has claimed it by then. */
const turn = 20_000;
/** Nodes that try. */
const turnsMax = 8;

export interface OrphansOptions {
  readonly self: number;
  readonly store: Store;
  /** All that live, this one too. */
  readonly alive: () => readonly number[];
  /** Starts `mosrun -R` as the job's user. */
  readonly adopt: (spec: JobSpec, key: string) => Promise<void>;
  readonly after: (milliseconds: number, run: () => void) => void;
  readonly log: Log;
}

/** Gives what is called with a home that is lost. */
export function orphanage({ self, store, alive, adopt, after, log }: OrphansOptions): (home: number) => void {
  const waits = new Set<JobId>();

  async function attempt(key: string, home: number): Promise<void> {
    try {
      const spec = await store.current(key);
      if (spec?.home !== home || alive().includes(home)) return;
      log('info', 'job.adopting', { job: spec.id, home });
      await adopt(spec, key);
    } catch (error) {
      log('warn', 'job.unadopted', { job: key, home, reason: sentence(error) });
    } finally {
      waits.delete(key);
    }
  }

  async function look(home: number): Promise<void> {
    for (const key of await store.keys()) {
      const spec = await store.current(key);
      const place = rank(key, self, alive());
      if (spec?.home !== home || waits.has(key) || place >= turnsMax) continue;
      waits.add(key);
      after(settling + place * turn, () => void attempt(key, home));
    }
  }

  return (home) => {
    look(home).catch((error: unknown) => log('warn', 'job.unadopted', { home, reason: sentence(error) }));
  };
}
