// Whether this node takes a job that another offers. What it knows of itself decides, not what the other had heard of it: so nobody is flocked to.
import { demandAt, type MoveReason, nothingUnderWay, type Own, ownMachine, roomFor, stability, type UnderWay } from './balance.ts';
import { type Machine, marginal, plus, released, scaleOf } from './cost.ts';
import type { Job } from './job.ts';

/** What an offer says of the job, and of the node that it would leave (with the job). */
export interface Offered {
  readonly job: Pick<Job, 'id' | 'home' | 'cpu' | 'memory' | 'traffic'>;
  readonly source: Machine;
  readonly reason: MoveReason;
  /** Nodes in the cluster, as the source counts them: the base of the cost. */
  readonly nodes: number;
}

export const refusalReasons = ['blocked', 'pair', 'full', 'memory', 'owner', 'load', 'late', 'version'] as const;

/**
 * `pair`: a move between the two is under way. `full`: enough arrive already. `late`: the move is over, or was never agreed on. `version`: what was frozen
 * there cannot be thawed here.
 */
export type RefusalReason = (typeof refusalReasons)[number];

/** Arrivals at a time: each takes a part of the network and of the memory that is free now. */
const arrivingMax = 4;

/** Undefined: it takes the job. A node's own job comes home whatever the flags and the load are: its deputy is here. */
export function admit(own: Own, jobs: readonly Job[], underWay: UnderWay, from: number, { job, source, reason, nodes }: Offered): RefusalReason | undefined {
  const { leaving, arriving } = underWay;
  if (leaving.some(({ to }) => to === from) || arriving.some((one) => one.from === from)) return 'pair';
  const atHome = job.home === own.id;
  if (atHome && (reason === 'bring' || reason === 'expel' || reason === 'owner' || reason === 'asked')) return undefined;
  if (!atHome && (own.flags.block || own.flags.expel)) return 'blocked';
  if (arriving.length >= arrivingMax) return 'full';
  const machine = expected(own, jobs, underWay);
  if (machine.memory.usable < roomFor(job, reason)) return 'memory';
  if (!atHome && reason !== 'asked' && own.background >= own.cpus) return 'owner';
  return reason === 'cost' && !cheaper(machine, source, job, nodes) ? 'load' : undefined;
}

function cheaper(machine: Machine, source: Machine, job: Offered['job'], nodes: number): boolean {
  const scale = scaleOf(nodes, [machine, source]);
  const demand = demandAt(job, machine.id);
  const padded = plus(machine, { cpu: (stability - 1) * demand.cpu, memory: 0 });
  return marginal(padded, demand, scale) < released(source, demandAt(job, source.id), scale);
}

/** This node as it will be when all that is under way has happened. */
export function expected(own: Own, jobs: readonly Job[], { leaving, arriving } = nothingUnderWay): Machine {
  const gone = new Set(leaving.map(({ job }) => job));
  const staying = ownMachine(
    own,
    jobs.filter(({ id }) => !gone.has(id)),
  );
  return arriving.reduce((machine, demand) => plus(machine, demand), staying);
}
