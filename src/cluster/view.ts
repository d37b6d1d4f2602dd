// What one node believes of the others when it balances: gossip's entries with their age, and how much of an old one still counts.
import type { Machine } from './cost.ts';
import type { AdminFlags } from './entry.ts';
import { standardSpeed } from './load.ts';
import type { MemberTable } from './members.ts';

/** One other node, alive, with measures. */
export interface NodeView {
  readonly id: number;
  /** Ms since the node said this of itself. */
  readonly age: number;
  readonly flags: AdminFlags;
  readonly speed: number;
  readonly cpus: number;
  /** As it tells others: rises at once, falls slowly (cluster/load.ts). */
  readonly load: number;
  /** Bytes. */
  readonly memory: { readonly total: number; readonly usable: number };
}

/** Entries older than this say nothing: the jobs that openMosix was made for live minutes. */
export const viewAgeMax = 30_000;

/** What the members' rules know, for the balancing ones. Suspect, dead, unknown and quiet nodes are not in it. */
export function viewsOf(table: MemberTable, now: number): readonly NodeView[] {
  const views: NodeView[] = [];
  for (const { id, state, facts, madeAt } of table.members.values()) {
    if (state !== 'alive' || facts?.measures === undefined) continue;
    const { flags, speed, cpus, measures } = facts;
    views.push({ id, age: Math.max(0, now - madeAt), flags, speed, cpus, load: measures.load, memory: measures.memory });
  }
  return views;
}

/** Half of what an entry says is gone after this many ms: jobs come, go and move. */
const halfLife = 15_000;

/**
 * What a view is worth now: with its age its load nears the mean of all views, if that is higher, and the memory it offers shrinks. So what is old and
 * looks idle is not preferred to what is known.
 */
export function machineOf(view: NodeView, meanLoad: number): Machine {
  const { id, cpus, speed, memory } = view;
  const kept = 2 ** -(view.age / halfLife);
  const believed = view.load >= meanLoad ? view.load : meanLoad - (meanLoad - view.load) * kept;
  return { id, cpus, speed, wanted: (believed * cpus * speed) / (100 * standardSpeed), memory: { total: memory.total, usable: memory.usable * kept } };
}
