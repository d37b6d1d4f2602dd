// The jobs that run on this node, of whatever home, with their streams: started for a home, made again from a checkpoint, or come by a move.
import { readFile } from 'node:fs/promises';
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { isForegroundStopped } from './caller.ts';
import { statOf } from './deputy.ts';
import type { JobOptions } from './mosrun-options.ts';
import { asStart } from './start.ts';
import { attacher } from './streams.ts';
import type { Attach, Attached, JobEngine, JobId, JobSpec, Link, RunningJob } from './types.ts';

export interface GuestsOptions {
  readonly self: number;
  readonly link: Link;
  readonly engine: Pick<JobEngine, 'start'>;
  readonly log: Log;
  /** A spec that another agent sent, checked. Throws `WireError`. */
  readonly readSpec: (value: unknown) => JobSpec;
  /** A job has been started on this node, for whatever home: from now on it may be moved. */
  readonly started?: (job: RunningJob, attached: Attached, options: JobOptions) => void;
}

export interface Guests {
  readonly attach: Attach;
  /** Throws `FarmError` `job.known`, and what the engine throws. */
  start(spec: JobSpec, chosen: JobOptions): Promise<void>;
  /** Its home does not want this copy any more: it goes, and nobody is told. Settles when nothing is left of it. */
  discard(id: JobId): Promise<void>;
  /** The home of jobs that run here is down; kills them. */
  homeGone(home: number): Promise<void>;
  close(): void;
}

export function hostGuests({ self, link, engine, log, readSpec, started }: GuestsOptions): Guests {
  const guests = new Map<JobId, { readonly job: RunningJob; readonly attached: Attached }>();
  const attachHere = attacher({
    link,
    log,
    isStopped: async (job) => isForegroundStopped(await treeStats(job.pid)),
    unknown(job) {
      log('warn', 'job.unwanted', { job: job.spec.id, home: job.spec.home });
      job.signal('SIGKILL').catch((error: unknown) => log('warn', 'job.control', { job: job.spec.id, reason: sentence(error) }));
    },
  });

  const attach: Attach = (job, from) => {
    const attached = attachHere(job, from);
    const guest = { job, attached };
    const forget = () => {
      if (guests.get(job.spec.id) === guest) guests.delete(job.spec.id);
    };
    guests.set(job.spec.id, guest);
    void job.ended.then(forget);
    return {
      ...attached,
      release() {
        forget();
        attached.release();
      },
    };
  };

  async function start(spec: JobSpec, chosen: JobOptions): Promise<void> {
    if (guests.has(spec.id)) throw new FarmError('job.known', `node ${self} has the job ${spec.id} already`);
    const job = await engine.start(spec);
    const attached = attach(job, undefined);
    started?.(job, attached, chosen);
    log('info', 'job.started', { job: spec.id, home: spec.home, user: spec.uid });
  }

  link.answer('job.start', async (from, body) => {
    const { spec, chosen } = asStart(body, readSpec);
    if (spec.home !== from) throw new FarmError('job.home', `node ${from} starts a job of node ${spec.home}`);
    await start(spec, chosen);
    return {};
  });

  async function discard(id: JobId): Promise<void> {
    const guest = guests.get(id);
    if (guest === undefined) return;
    guest.attached.release();
    guests.delete(id);
    await guest.job.signal('SIGKILL');
    // Without readers the end of what it wrote is never seen.
    guest.job.output.resume();
    guest.job.errors?.resume();
    await guest.job.ended;
  }

  return {
    attach,
    start,
    discard,
    async homeGone(home) {
      for (const [id, { job, attached }] of guests) {
        if (job.spec.home !== home || home === self) continue;
        log('warn', 'job.orphaned', { job: id, home });
        attached.release();
        guests.delete(id);
        await job.signal('SIGKILL');
      }
    },
    close() {
      for (const { attached } of guests.values()) attached.release();
    },
  };
}

/** Of a process and all below it. */
async function treeStats(pid: number): Promise<readonly string[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const own = await statOf(pid);
  const below = await Promise.all(children.split(' ').flatMap((word) => (word.trim() === '' ? [] : [treeStats(Number(word))])));
  return [...(own === undefined ? [] : [own]), ...below.flat()];
}
