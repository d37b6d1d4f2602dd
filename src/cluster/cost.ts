// Opportunity cost: processor and memory in one currency. Amir, Awerbuch, Barak, Borgstrom, Keren: "An Opportunity Cost Approach for Job Assignment in a
// Scalable Computing Cluster", IEEE TPDS 11(7), 2000. A machine costs the sum over its resources of n^(used / most), n machines in the cluster. Ours counts
// the processor's part as often as the machine is larger than the mean: else two jobs share a fast machine next to a slow idle one.
import { loadUnits, standardSpeed } from './load.ts';

export interface Machine {
  readonly id: number;
  /** At least 1. */
  readonly cpus: number;
  /** 10,000 = the standard processor. */
  readonly speed: number;
  /** Processors that are wanted there: its runnable processes on average. */
  readonly wanted: number;
  /** Bytes. `usable`: what a guest may take of it. */
  readonly memory: { readonly total: number; readonly usable: number };
}

export interface Demand {
  /** Processors. */
  readonly cpu: number;
  /** Bytes. */
  readonly memory: number;
}

/** What is the same for all machines of one comparison. */
export interface Scale {
  /** Machines in the cluster. */
  readonly nodes: number;
  /** The load that counts as full: load has no upper end, so it is the smallest power of two above the largest that is seen. */
  readonly loadMost: number;
  /** Standard processors of the mean machine. */
  readonly meanCapacity: number;
}

export function load({ wanted, cpus, speed }: Machine): number {
  return loadUnits(wanted, cpus, speed);
}

/** In standard processors. */
function capacity({ cpus, speed }: Machine): number {
  return (cpus * speed) / standardSpeed;
}

/** `machines`: at least one. */
export function scaleOf(nodes: number, machines: readonly Machine[]): Scale {
  // 100 units is one job on the standard machine: of idle machines the scale is that of the first job.
  const largest = machines.reduce((most, machine) => Math.max(most, load(machine)), 100);
  const all = machines.reduce((total, machine) => total + capacity(machine), 0);
  return { nodes: Math.max(2, nodes), loadMost: 2 ** (Math.floor(Math.log2(largest)) + 1), meanCapacity: all / machines.length };
}

/** Infinity where memory does not suffice. */
export function cost(machine: Machine, { nodes, loadMost, meanCapacity }: Scale): number {
  const { total, usable } = machine.memory;
  if (usable < 0) return Number.POSITIVE_INFINITY;
  const used = total === 0 ? 0 : 1 - usable / total;
  return (capacity(machine) / meanCapacity) * nodes ** (load(machine) / loadMost) + nodes ** used;
}

export function plus(machine: Machine, demand: Demand): Machine {
  const { wanted, memory } = machine;
  return { ...machine, wanted: wanted + demand.cpu, memory: { ...memory, usable: memory.usable - demand.memory } };
}

export function minus(machine: Machine, demand: Demand): Machine {
  const { wanted, memory } = machine;
  return {
    ...machine,
    wanted: Math.max(0, wanted - demand.cpu),
    memory: { ...memory, usable: Math.min(memory.total, memory.usable + demand.memory) },
  };
}

/** What the machine costs more with the job. */
export function marginal(machine: Machine, demand: Demand, scale: Scale): number {
  return cost(plus(machine, demand), scale) - cost(machine, scale);
}

/** What a machine on which the job runs costs less without it. A machine short of memory does not gain without end. */
export function released(machine: Machine, demand: Demand, scale: Scale): number {
  const here = { ...machine, memory: { ...machine.memory, usable: Math.max(0, machine.memory.usable) } };
  return cost(here, scale) - cost(minus(here, demand), scale);
}
