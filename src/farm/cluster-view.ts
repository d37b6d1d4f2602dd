// The cluster as the server sees it, through what its nodes tell of each other: the freshest word on every node. Rules; bounded by the ids there are.
import type { Facts } from '../cluster/entry.ts';
import type { MemberState } from '../cluster/members.ts';
import type { MonitorNode } from '../cluster/monitor.ts';
import type { SeenMember } from '../cluster/report.ts';

export interface ClusterWord {
  readonly state: MemberState;
  /** When the node said it, ms since the epoch. */
  readonly saidAt: number;
  readonly facts: Facts;
}

/** Ages travel in tenths of a second: a word that is older by less is the same word, perhaps with news of the state. */
const tolerance = 1000;

export class ClusterView {
  private readonly words = new Map<number, ClusterWord>();

  take(seen: readonly SeenMember[], now: number): void {
    for (const { id, state, age, facts } of seen) {
      const saidAt = now - age * 1000;
      const known = this.words.get(id);
      if (known === undefined || saidAt >= known.saidAt - tolerance) this.words.set(id, { state, saidAt, facts });
    }
  }

  of(id: number): ClusterWord | undefined {
    return this.words.get(id);
  }
}

const conditions = { alive: 'up', suspect: 'suspect', dead: 'down', left: 'left', unknown: 'unknown' } as const;

/** A node for mosmon's screen. One that the cluster knows nothing of, and one whose own reports have stopped, is down. */
export function monitorNode(id: number, word: ClusterWord | undefined, reports: boolean): MonitorNode {
  const { measures, speed = 0, cpus = 0 } = word?.facts ?? {};
  const status = word === undefined ? 'unknown' : word.state === 'alive' && !reports ? 'down' : conditions[word.state];
  return { id, status, speed, cpus, load: measures?.load ?? 0, memory: measures?.memory ?? nothing, pressure: measures?.pressure ?? { memory: 0 } };
}

const nothing = { total: 0, free: 0, usable: 0 };
