// What the balancer is told of this node: how much of its work is jobs and how much its owner's, and what may be taken of its memory. docs/balancing.md.
import type { Own } from '../../cluster/balance.ts';
import type { AdminFlags } from '../../cluster/entry.ts';

/** The machine at this moment, as the sampler has it. */
export interface MachineNow {
  readonly flags: AdminFlags;
  readonly cpus: number;
  readonly speed: number;
  /** Programs that wanted a processor, and processors that worked, on average since the last round. */
  readonly runnable: number;
  readonly working: number;
  /** Bytes. `free`: MemAvailable. */
  readonly memory: { readonly total: number; readonly free: number };
  /** PSI `some avg10` of memory, percent. */
  readonly memoryPressure: number;
}

/** Programs that wanted a processor for each that had one. */
export function contention({ runnable, working }: MachineNow): number {
  return working > 0.01 ? Math.max(1, runnable / working) : 1;
}

/** Part of the memory that is the node's own (cluster/load.ts). */
const ownPart = 1 / 20;

/** Of how many seconds the owner's work is the mean: a compiler's pauses are no reason to let guests in, a second's work none to send them away. */
const smoothing = 8;

/** Processors that the owner's programs want, after one more second. `jobs`: processors on which jobs worked in it. */
export function ownersPart(before: number, machine: MachineNow, jobs: number): number {
  const now = Math.max(0, machine.working - jobs) * contention(machine);
  return (before * (smoothing - 1) + now) / smoothing;
}

export function ownOf(id: number, machine: MachineNow, background: number, bandwidth: number): Own {
  const { flags, cpus, speed, memory, memoryPressure } = machine;
  const usable = Math.floor(memory.free - memory.total * ownPart);
  return { id, flags, cpus, speed, background, memory: { total: memory.total, usable }, memoryPressure, bandwidth };
}
