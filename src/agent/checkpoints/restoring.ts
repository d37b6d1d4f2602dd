// Makes jobs again from their checkpoints on this node: for their home, whose node for them was lost, or for a new home, whose user says mosrun -R.
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Caller } from '../jobs/caller.ts';
import type { Restored } from '../jobs/deputies.ts';
import type { Attach, Attached, JobEngine, JobId, JobSpec, Link, RunningJob } from '../jobs/types.ts';
import { fields, flag, text } from '../moves/shape.ts';
import { readSpec } from '../moves/spec.ts';
import type { Versions } from '../moves/versions.ts';
import type { Luggage } from '../moves/wire.ts';
import { cannotRestore, keyOf } from './record.ts';
import type { Kept, Store } from './store.ts';

export interface RestoringOptions {
  readonly self: number;
  readonly store: Store;
  readonly engine: Pick<JobEngine, 'restart'>;
  readonly link: Link;
  readonly versions: Versions;
  readonly attach: Attach;
  /** It runs here now. */
  readonly take: (job: RunningJob, attached: Attached, luggage: Luggage) => void;
  /** Throws `FarmError` `job.refused` where this node takes no job of another home. */
  readonly admit: (spec: JobSpec) => void;
  /** A job of this home that is known here. */
  readonly isOwn: (id: JobId) => boolean;
  /** The nodes that live, without this one. */
  readonly others: () => readonly number[];
  readonly log: Log;
}

export interface Restoring {
  /** mosrun -R, for `fresh.caller`. Throws `FarmError`. */
  again(old: JobId, fresh: { readonly id: JobId; readonly caller: Pick<Caller, 'uid' | 'pid'>; readonly window: JobSpec['window'] }): Promise<Restored>;
}

export function restorer(options: RestoringOptions): Restoring {
  const { self, store, link, log } = options;

  function ensureFit(kept: Kept, home: number): void {
    const why = cannotRestore(options.versions, kept, home);
    if (why === undefined) return;
    throw new FarmError('checkpoint.version', `node ${self} cannot restore it: ${why}`, 'restore it on a node like the one where it was made');
  }

  /** The newest that can be had; of two that lie there one may be damaged. Throws why the newest could not be. */
  async function restart(key: string, spec: JobSpec): Promise<void> {
    const all = await store.checkpoints(key);
    let failure: unknown;
    for (const kept of all) {
      ensureFit(kept, spec.home);
      try {
        const job = await options.engine.restart(spec, kept.directory);
        options.take(job, options.attach(job, kept.positions), kept.luggage);
        log('info', 'job.restored', { job: spec.id, number: kept.number, made: new Date(kept.at).toISOString(), on: kept.node });
        return;
      } catch (error) {
        failure ??= error;
        log('warn', 'checkpoint.bad', { job: spec.id, number: kept.number, reason: sentence(error) });
      }
    }
    throw failure ?? noneOf(spec.id);
  }

  /** Throws where this node takes no job of that home. */
  function asked(from: number, body: unknown): JobSpec {
    const spec = readSpec(fields(body, 'a request').get('spec'));
    if (spec.home !== from) throw new FarmError('job.home', `node ${from} restores a job of node ${spec.home}`);
    options.admit(spec);
    return spec;
  }

  link.answer('job.restore', async (from, body) => {
    const spec = asked(from, body);
    await restart(keyOf(spec), spec);
    return {};
  });

  /** What can be known before the copy that runs is ended. */
  link.answer('job.restorable', async (from, body) => {
    const spec = asked(from, body);
    const [newest] = await store.checkpoints(keyOf(spec));
    if (newest === undefined) throw noneOf(spec.id);
    ensureFit(newest, spec.home);
    return {};
  });

  /** The newest checkpoint of the job that has this id, or had it first, and what it is now. Throws `FarmError` `checkpoint.none`. */
  async function find(id: JobId): Promise<{ readonly key: string; readonly newest: Kept; readonly current: JobSpec }> {
    for (const key of new Set([id, ...(await store.keys())])) {
      const current = await store.current(key);
      if (current === undefined || (current.id !== id && key !== id)) continue;
      const [newest] = await store.checkpoints(key);
      if (newest !== undefined) return { key, newest, current };
    }
    throw noneOf(id);
  }

  /** Two of one job must not run. Nodes that do not answer are not asked twice: what they have is not the job once it is claimed. */
  async function ensureGone({ id, home }: JobSpec): Promise<void> {
    if (options.isOwn(id)) throw runs(id, self);
    for (const node of options.others()) {
      const ask = async (name: string) => fields(await link.call(node, name, { job: id }), 'an answer');
      try {
        if (node === home && flag(await ask('job.home'), 'known')) throw runs(id, node);
        if (text(await ask('job.holds'), 'holds') !== 'none') throw runs(id, node);
      } catch (error) {
        if (!(error instanceof FarmError) || !error.code.startsWith('link.')) throw error;
        log('debug', 'job.unasked', { node, name: 'job.holds', reason: sentence(error) });
      }
    }
  }

  return {
    async again(old, { id, caller, window }) {
      const { key, newest, current } = await find(old);
      if (caller.uid !== newest.spec.uid && caller.uid !== 0) throw new FarmError('job.others', `job ${old} is not yours`, 'its user and root may restore it');
      ensureFit(newest, self);
      await ensureGone(current);
      const life = (current.life ?? 0) + 1;
      const spec: JobSpec = { ...newest.spec, id, home: self, deputy: caller.pid, window, life, origin: key };
      if (!(await store.claim(key, spec))) throw new FarmError('checkpoint.claimed', `another node is making job ${old} again`, 'farm job list shows where');
      const run = async (): Promise<void> => {
        try {
          await restart(key, spec);
        } catch (error) {
          await store.release(key, life);
          throw error;
        }
      };
      return { spec, options: newest.luggage.wishes, run };
    },
  };
}

function noneOf(id: JobId): FarmError {
  return new FarmError('checkpoint.none', `there is no checkpoint of job ${id}`, 'mosrun -A MINUTES makes some, farm job checkpoint one');
}

function runs(id: JobId, node: number): FarmError {
  return new FarmError('job.runs', `node ${node} has job ${id} still`, 'farm job restart takes it back to its checkpoint');
}
