// Where a job is to begin: on the node where it costs least, and whether this node takes one of another home.
import { FarmError } from '../../base/errors.ts';
import { nothingUnderWay, type Own } from '../../cluster/balance.ts';
import type { Job } from '../../cluster/job.ts';
import { standardSpeed } from '../../cluster/load.ts';
import { places } from '../../cluster/placement.ts';
import type { NodeView } from '../../cluster/view.ts';
import type { JobSpec } from '../jobs/types.ts';
import type { Wishes } from './wire.ts';

/** So long a job that was sent somewhere to begin is not in that node's own numbers, ms: it starts, is measured, and gossip takes its way. */
const unseen = 10_000;

export interface Placer {
  /** The node for a new job of this home, of those that its user allows. */
  place(spec: JobSpec, wishes: Wishes): number;
  /** Throws `FarmError` `job.refused` where this node does not take a job of another home. */
  admit(spec: JobSpec): void;
}

export interface PlacerOptions {
  readonly self: number;
  readonly views: () => readonly NodeView[];
  readonly own: () => Own;
  readonly ruleJobs: () => readonly Job[];
  readonly now: () => number;
  readonly timers: { after(milliseconds: number, run: () => void): () => void };
}

export function placer({ self, views, own, ruleJobs, now, timers }: PlacerOptions): Placer {
  const sent = new Map<number, number>();

  const count = (node: number, change: number): void => {
    const left = (sent.get(node) ?? 0) + change;
    if (left > 0) sent.set(node, left);
    else sent.delete(node);
  };

  const laden = (view: NodeView): NodeView => {
    const more = ((sent.get(view.id) ?? 0) * 100 * standardSpeed) / (view.cpus * view.speed);
    return more === 0 ? view : { ...view, load: view.load + more };
  };

  return {
    place(spec, wishes) {
      const job: Job = {
        ...{ id: spec.id, home: self, cpu: 1, memory: 0, dirtyRate: 0, traffic: { node: self, ratio: 0 }, used: 0, since: now(), moves: 0, left: [] },
        ...{ locked: false, cantMove: [], recalled: false, allowed: wishes.allowed === undefined ? undefined : new Set(wishes.allowed) },
      };
      const [node = self] = places(own(), ruleJobs(), job, views().map(laden), nothingUnderWay, now());
      if (node !== self) {
        count(node, 1);
        timers.after(unseen, () => count(node, -1));
      }
      return node;
    },
    admit({ home }) {
      const { flags } = own();
      if (home === self || !(flags.block || flags.expel)) return;
      throw new FarmError('job.refused', `node ${self} takes no jobs of other nodes`, 'mosctl noblock there allows them');
    },
  };
}
