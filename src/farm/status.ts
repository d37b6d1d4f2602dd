// What `farm status` shows: every node of the registry with what was seen of it, and the machines that the farm does not know.
import type { AgentReport } from '../cluster/report.ts';
import type { Farm } from './farm.ts';
import { isSilent, type Machine } from './observed.ts';

/** What the node's own agent says. */
export interface AgentSummary extends Pick<AgentReport, 'id' | 'load' | 'cpus' | 'memory' | 'uptime' | 'system' | 'version' | 'counts'> {
  readonly hostname: string;
}

/** Times are milliseconds since the epoch. */
export interface NodeStatus {
  readonly name: string;
  readonly id: number;
  /** Absent for a node that is known by something else. */
  readonly mac?: string | undefined;
  readonly address: string;
  /** `off`: never seen; `silent`: its agent has stopped reporting; else the stage its boot has reached. */
  readonly stage: 'off' | 'silent' | Machine['stage'];
  readonly detail?: string | undefined;
  readonly since?: number | undefined;
  readonly lastSeen?: number | undefined;
  readonly bootedAt?: number | undefined;
  /** When this boot reached each stage. */
  readonly reached?: Machine['reached'];
  readonly agent?: AgentSummary | undefined;
}

export interface Stranger {
  readonly mac: string;
  readonly detail?: string | undefined;
  readonly lastSeen: number;
}

export interface FarmStatus {
  readonly farm: string;
  readonly serving: boolean;
  readonly nodes: readonly NodeStatus[];
  /** Machines that asked for an address and are not in the farm, last seen first. */
  readonly unknown: readonly Stranger[];
}

export function farmStatus(farm: Farm, machines: readonly Machine[], reports: ReadonlyMap<string, AgentReport>, serving: boolean, now: number): FarmStatus {
  const byMac = new Map(machines.map((machine) => [machine.mac, machine]));
  const known = new Set(farm.nodes.map(({ mac }) => mac));
  return {
    farm: farm.name,
    serving,
    nodes: farm.nodes.map(({ name, id, mac, address }) => {
      const machine = mac === undefined ? undefined : byMac.get(mac);
      const common = { name, id, mac, address };
      if (machine === undefined || machine.stage === 'seen') return { ...common, stage: 'off' };
      const { since, lastSeen, bootedAt, reached, detail } = machine;
      return {
        ...common,
        stage: isSilent(machine, now) ? 'silent' : machine.stage,
        detail,
        since,
        lastSeen,
        bootedAt,
        reached,
        agent: summary(reports.get(name)),
      };
    }),
    unknown: machines
      .filter(({ mac }) => !known.has(mac))
      .sort((a, b) => b.lastSeen - a.lastSeen)
      .map(({ mac, detail, lastSeen }) => ({ mac, detail, lastSeen })),
  };
}

function summary(report: AgentReport | undefined): AgentSummary | undefined {
  if (report === undefined) return undefined;
  const { name: hostname, id, load, cpus, memory, uptime, system, version, counts } = report;
  return { hostname, id, load, cpus, memory, uptime, system, version, counts };
}
