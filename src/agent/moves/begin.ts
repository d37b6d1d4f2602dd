// Where a job begins, and how: here, on a node that was named, or on the one where it costs least. A job whose fate is unknown is not begun a second time.
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { admit } from '../../cluster/admission.ts';
import { nothingUnderWay, type Own, ownMachine, type UnderWay } from '../../cluster/balance.ts';
import type { Job } from '../../cluster/job.ts';
import { places } from '../../cluster/placement.ts';
import { type NodeView, viewAgeMax } from '../../cluster/view.ts';
import type { JobEngine, JobId, JobSpec, Link, RunningJob } from '../jobs/types.ts';
import { amount, fields, flag } from './shape.ts';
import { readSpec } from './spec.ts';
import { mismatch, type Versions, versionsOf } from './versions.ts';
import { readWishes, type Wishes } from './wire.ts';

/** A place that may have begun a job, and does not answer: so often it is asked, ms apart. */
const beginTries = 5;
const beginPause = 2000;
/** Jobs that are remembered to have begun here for others. */
const begunMax = 1000;

/** Where a job is to begin: on this node, where it costs least, or on one of these, tried in this order; then anywhere, if `orElse`. */
export type Start = { readonly at: 'here' | 'best' } | { readonly at: 'nodes'; readonly nodes: readonly number[]; readonly orElse: boolean };

export interface Beginner {
  /** Begins a job of this home, and says on which node. Throws `FarmError` of the engine or the link, or `job.refused`. */
  begin(spec: JobSpec, wishes: Wishes, start: Start): Promise<number>;
}

export interface BeginnerOptions {
  readonly self: number;
  readonly link: Link;
  readonly engine: JobEngine;
  readonly versions: Versions;
  readonly views: () => readonly NodeView[];
  readonly own: () => Own;
  readonly ruleJobs: () => readonly Job[];
  readonly underWay: () => UnderWay;
  /** It has begun here. */
  readonly take: (job: RunningJob, wishes: Wishes) => void;
  readonly now: () => number;
  readonly timers: { after(milliseconds: number, run: () => void): () => void };
  readonly log: Log;
}

export function beginnerOf(options: BeginnerOptions): Beginner {
  const { self, link, engine, own, ruleJobs, now, log } = options;

  /** Whoever asks twice, because an answer was lost, does not get it twice. */
  const begun = new Map<JobId, Promise<void>>();
  link.answer('job.begin', async (from, body) => {
    const asked = fields(body, 'a job');
    const spec = readSpec(asked.get('spec'));
    if (spec.home !== from) throw new FarmError('job.home', `node ${from} is not the home of ${spec.id}`);
    const before = begun.get(spec.id);
    if (before !== undefined) {
      await before;
      return {};
    }
    const why = mismatchText(asked.get('versions'));
    if (why !== undefined) throw new FarmError('job.refused', why);
    const refusal = admit(own(), ruleJobs(), options.underWay(), from, {
      job: { id: spec.id, home: from, cpu: 1, memory: amount(asked, 'memory'), traffic: { node: from, ratio: 0 } },
      source: { id: from, cpus: 1, speed: amount(asked, 'speed'), wanted: amount(asked, 'wanted'), memory: { total: 0, usable: 0 } },
      reason: flag(asked, 'asked') ? 'asked' : 'memory',
      nodes: options.views().length + 1,
    });
    if (refusal !== undefined) throw new FarmError('job.refused', `node ${self} does not take it (${refusal})`, 'mosctl status shows its flags');
    const beginning = beginHere(spec, readWishes(asked.get('wishes')));
    begun.set(spec.id, beginning);
    for (const oldest of begun.keys()) if (begun.size > begunMax) begun.delete(oldest);
    await beginning.catch((error: unknown) => {
      begun.delete(spec.id);
      throw error;
    });
    return {};
  });

  function mismatchText(versions: unknown): string | undefined {
    return mismatch(options.versions, versionsOf(fields(versions, 'versions')));
  }

  async function beginHere(spec: JobSpec, wishes: Wishes): Promise<void> {
    const job = await engine.start(spec);
    options.take(job, wishes);
  }

  /** Nodes in the order in which they are asked. */
  function candidates(spec: JobSpec, wishes: Wishes, start: Start): readonly number[] {
    if (start.at === 'here') return [self];
    if (start.at === 'nodes' && !start.orElse) return start.nodes;
    const job: Job = {
      ...{ id: spec.id, home: self, cpu: 1, memory: 0, dirtyRate: 0, traffic: { node: self, ratio: 0 }, used: 0, since: now(), moves: 0, left: [] },
      ...{ locked: false, cantMove: [], recalled: false, allowed: wishes.allowed === undefined ? undefined : new Set(wishes.allowed) },
    };
    const views = options.views().map((view) => (beganAt.has(view.id) ? laden(view) : view));
    const best = places(own(), ruleJobs(), job, views, nothingUnderWay, now());
    return start.at === 'nodes' ? [...new Set([...start.nodes, ...best])] : best;
  }

  /** Jobs that this node has sent somewhere to begin, of which that node's gossip cannot tell yet. */
  const beganAt = new Map<number, number>();
  function laden(view: NodeView): NodeView {
    const more = ((beganAt.get(view.id) ?? 0) * 100 * 10_000) / (view.cpus * view.speed);
    return { ...view, load: view.load + more };
  }

  async function begin(spec: JobSpec, wishes: Wishes, start: Start): Promise<number> {
    const named: readonly number[] = start.at === 'nodes' ? start.nodes : [];
    let last: unknown;
    for (const node of candidates(spec, wishes, start)) {
      if (node === self) {
        await beginHere(spec, wishes);
        return self;
      }
      beganAt.set(node, (beganAt.get(node) ?? 0) + 1);
      options.timers.after(viewAgeMax / 10, () => {
        const left = (beganAt.get(node) ?? 1) - 1;
        if (left > 0) beganAt.set(node, left);
        else beganAt.delete(node);
      });
      try {
        await beginThere(node, spec, wishes, named.includes(node));
        return node;
      } catch (error) {
        const code = error instanceof FarmError ? error.code : '';
        // Only who is certain that it did not begin there tries elsewhere.
        if (code === 'link.cut' || code === 'job.lost') throw error;
        last = error;
        log('info', 'job.refused', { job: spec.id, node, reason: sentence(error) });
      }
    }
    if (start.at === 'nodes' && !start.orElse) throw last;
    await beginHere(spec, wishes);
    return self;
  }

  async function beginThere(node: number, spec: JobSpec, wishes: Wishes, asked: boolean): Promise<void> {
    const { wanted, speed } = ownMachine(own(), ruleJobs());
    for (let tries = 1; ; tries += 1) {
      try {
        await link.call(node, 'job.begin', { spec, wishes, versions: options.versions, memory: 0, asked, wanted, speed });
        return;
      } catch (error) {
        if (!(error instanceof FarmError) || error.code !== 'link.cut') throw error;
        if (tries >= beginTries) throw new FarmError('job.lost', `node ${node} was to begin it and does not answer`, 'start it again', error);
        await new Promise<void>((resolve) => void options.timers.after(beginPause, resolve));
      }
    }
  }

  return { begin };
}
