// Where a job begins: `mosrun -b` asks for the best node before the job has done anything, so a move is not needed later. Facts sheet 3.3, 5.3.
import { demandAt, type Own, ownMachine, type UnderWay } from './balance.ts';
import { marginal, plus, scaleOf } from './cost.ts';
import type { Job } from './job.ts';
import { machineOf, type NodeView, viewAgeMax } from './view.ts';

/**
 * Nodes in the order in which they are offered the job (`admit` of each decides), cheapest first; this one is in it, and last if nothing else is. A job
 * that has not begun has nothing to freeze, so no margin is asked for: at equal cost it begins here.
 */
export function places(own: Own, jobs: readonly Job[], job: Job, views: readonly NodeView[], underWay: UnderWay, now: number): readonly number[] {
  const meanLoad = views.reduce((total, view) => total + view.load, 0) / Math.max(1, views.length);
  const self = underWay.arriving.reduce((machine, demand) => plus(machine, demand), ownMachine(own, jobs));
  const others = views
    .filter(({ id, age, flags }) => id !== own.id && age <= viewAgeMax && !flags.block && !flags.expel && (job.allowed?.has(id) ?? true))
    .filter(({ id }) => now >= (underWay.refused.get(id) ?? now))
    .map((view) => machineOf(view, meanLoad));
  const scale = scaleOf(views.length + 1, [self, ...others]);
  const priced = [self, ...(job.locked ? [] : others)].map((machine) => ({ id: machine.id, price: marginal(machine, demandAt(job, machine.id), scale) }));
  const here = priced.find(({ id }) => id === own.id)?.price ?? 0;
  return priced
    .filter(({ id, price }) => id === own.id || (price < here && price < Number.POSITIVE_INFINITY))
    .sort((a, b) => a.price - b.price)
    .map(({ id }) => id);
}
