// What a home does for its jobs whose node is lost, or that are to go back: their next life begins, from the last checkpoint, on the best node that can restore it.
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Deputies } from '../jobs/deputies.ts';
import type { HomeJob } from '../jobs/home.ts';
import type { JobId, JobSpec, Link } from '../jobs/types.ts';
import { fields, whole } from '../moves/shape.ts';
import { readJobId } from '../moves/wire.ts';
import { keyOf } from './record.ts';
import type { Store } from './store.ts';

/** A node that is not lost but cut off gives up this home as well, and kills its copy; it may be that much later, ms. */
const settling = 10_000;
/** Places that are tried for one job. */
const triesMax = 8;

export interface ReturningOptions {
  readonly self: number;
  readonly store: Store;
  readonly link: Link;
  readonly deputies: Pick<Deputies, 'jobs' | 'lives' | 'keep' | 'give' | 'discard'>;
  /** Where a job of this home would do best. */
  readonly place: (job: HomeJob) => number;
  /** The nodes that live, without this one. */
  readonly others: () => readonly number[];
  readonly after: (milliseconds: number, run: () => void) => void;
  readonly log: Log;
}

export interface Returning {
  /** The node of this job is lost. Whether it will be made again. */
  lost(job: HomeJob): boolean;
  /** Back to its last checkpoint, on that node or where it does best. Throws `FarmError`; what ran goes on if nothing has begun. */
  back(id: JobId, node: number | undefined): Promise<number>;
}

export function returner({ self, store, link, deputies, place, others, after, log }: ReturningOptions): Returning {
  const returning = new Set<JobId>();

  link.answer('job.keep', (from, body) => {
    const { id, life, from: offsets, made } = readKeep(body);
    const job = deputies.jobs.get(id);
    if (job === undefined || job.node !== from || (job.spec.life ?? 0) !== life) throw new FarmError('job.unknown', `node ${self} has no such job there`);
    deputies.keep(id, offsets, made === undefined ? undefined : { ...made, node: from });
    return Promise.resolve({});
  });

  link.answer('job.discard', async (from, body) => {
    const said = fields(body, 'a request');
    const id = readJobId(said);
    if (whole(said, 'home') !== from || !id.startsWith(`${from}-`)) throw new FarmError('job.home', `node ${from} discards a job of another`);
    await deputies.discard(id);
    return {};
  });

  /** The best, those that live, this one; without the one that is lost. */
  function nodesFor(job: HomeJob, wanted: number | undefined, lost: number | undefined): readonly number[] {
    if (wanted !== undefined) return [wanted];
    const { allowed } = job.options;
    const all = [...new Set([place(job), ...others(), self])].filter((node) => node !== lost && (allowed === undefined || allowed.includes(node)));
    return all.slice(0, triesMax);
  }

  /** Its next life; only one node can begin it. */
  async function nextLife({ spec }: HomeJob): Promise<JobSpec> {
    const next = { ...spec, life: (spec.life ?? 0) + 1 };
    if (await store.claim(keyOf(spec), next)) return next;
    throw new FarmError('checkpoint.claimed', 'another node has made this job again', 'farm job list shows where');
  }

  async function begin(job: HomeJob, nodes: readonly number[]): Promise<number> {
    let spec = await nextLife(job);
    let isUnknown = false;
    let failure: unknown = nowhere();
    for (const node of nodes) {
      deputies.lives(spec.id, spec, node);
      try {
        await link.call(node, 'job.restore', { spec });
        return node;
      } catch (error) {
        failure = error;
        log('warn', 'job.unrestored', { job: spec.id, node, reason: sentence(error) });
        // Perhaps it runs there all the same: that is not the job any more.
        isUnknown = error instanceof FarmError && error.code === 'link.cut';
        if (isUnknown) spec = await nextLife({ ...job, spec });
      }
    }
    if (!isUnknown) await store.release(keyOf(spec), spec.life ?? 0);
    throw failure;
  }

  async function back(id: JobId, node: number | undefined): Promise<number> {
    const job = deputies.jobs.get(id);
    if (job === undefined) throw new FarmError('job.unknown', 'this job has ended');
    if (returning.has(id)) throw new FarmError('job.returning', 'it is being made again already', 'say it again in a second');
    const [newest] = await store.checkpoints(keyOf(job.spec));
    if (newest === undefined) throw new FarmError('checkpoint.none', `there is no checkpoint of job ${id}`, `farm job checkpoint ${id} makes one`);
    if (node !== undefined && node !== self && !others().includes(node)) throw new FarmError('node.down', `node ${node} is not up`, 'farm status shows it');
    returning.add(id);
    let isDiscarded = false;
    try {
      const able = await ableOf(job, nodesFor(job, node, undefined));
      isDiscarded = true; // if the answer is lost, nobody knows: a later life is the job, then
      await link.call(job.node, 'job.discard', { job: id, home: self }).catch((error: unknown) => {
        isDiscarded = error instanceof FarmError && error.code === 'link.cut';
        if (!isDiscarded) throw error;
      });
      // Rather on another node than nowhere.
      return await begin(job, [...new Set([...able, ...nodesFor(job, undefined, undefined)])]);
    } catch (error) {
      if (isDiscarded) deputies.give(id, sentence(error));
      throw error;
    } finally {
      returning.delete(id);
    }
  }

  /** Those that say that they can restore it. Throws why the first cannot, while what runs still runs. */
  async function ableOf({ spec }: HomeJob, nodes: readonly number[]): Promise<readonly number[]> {
    const said = await Promise.allSettled(nodes.map((node) => link.call(node, 'job.restorable', { spec })));
    const able = nodes.filter((_, index) => said[index]?.status === 'fulfilled');
    if (able.length === 0) throw said.find((each) => each.status === 'rejected')?.reason ?? nowhere();
    return able;
  }

  async function recover(job: HomeJob): Promise<void> {
    const { id } = job.spec;
    try {
      const [newest] = await store.checkpoints(keyOf(job.spec));
      if (newest === undefined) throw new FarmError('checkpoint.none', `node ${job.node}, where it ran, is down, and there is no checkpoint of it yet`);
      await begin(job, nodesFor(job, undefined, job.node));
    } catch (error) {
      deputies.give(id, sentence(error));
    } finally {
      returning.delete(id);
    }
  }

  return {
    lost(job) {
      if (job.checkpoint === undefined && job.options.checkpoint === undefined) return false;
      const { id } = job.spec;
      if (returning.has(id)) return true;
      returning.add(id);
      log('warn', 'job.returning', { job: id, node: job.node });
      after(settling, () => {
        const current = deputies.jobs.get(id);
        if (current === undefined || current.node !== job.node) returning.delete(id);
        else void recover(current);
      });
      return true;
    },
    back,
  };
}

function nowhere(): FarmError {
  return new FarmError('job.nowhere', 'no node is left for it');
}

/** What a node is told of a checkpoint that another has made of its job. Throws `WireError` `shape`. */
function readKeep(body: unknown): {
  readonly id: JobId;
  readonly life: number;
  readonly from: { readonly input: number; readonly control: number } | undefined;
  readonly made: { readonly number: number; readonly at: number; readonly bytes: number } | undefined;
} {
  const said = fields(body, 'a checkpoint');
  const part = (name: string) => (said.get(name) === undefined ? undefined : fields(said.get(name), name));
  const [from, made] = [part('from'), part('made')];
  return {
    id: readJobId(said),
    life: whole(said, 'life'),
    from: from === undefined ? undefined : { input: whole(from, 'input'), control: whole(from, 'control') },
    made: made === undefined ? undefined : { number: whole(made, 'number', 1), at: whole(made, 'at'), bytes: whole(made, 'bytes') },
  };
}
