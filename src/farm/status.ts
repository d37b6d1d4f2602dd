// What `farm status` shows: every node of the registry with what was seen of it, and the machines that the farm does not know.
import type { AgentReport } from '../cluster/report.ts';
import type { ClusterWord } from './cluster-view.ts';
import type { Farm, Node } from './farm.ts';
import { isSilent, type Machine } from './observed.ts';

/** What the node's own agent says. */
export interface AgentSummary extends Pick<AgentReport, 'id' | 'load' | 'cpus' | 'memory' | 'uptime' | 'system' | 'version' | 'counts'> {
  readonly hostname: string;
}

/** Times are milliseconds since the epoch. */
export interface NodeStatus {
  readonly name: string;
  readonly id: number;
  /** Of a node that is known by something else, the card that it asked with last; absent until then. */
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
  /** What the cluster's gossip says of it; times as above. */
  readonly cluster?: ClusterWord | undefined;
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

/** What agents told: of themselves, and of the cluster. */
export interface Told {
  readonly reports: ReadonlyMap<string, AgentReport>;
  readonly word: (id: number) => ClusterWord | undefined;
}

export const nothingTold: Told = { reports: new Map(), word: () => undefined };

export function farmStatus(farm: Farm, machines: readonly Machine[], { reports, word }: Told, serving: boolean, now: number): FarmStatus {
  const machineOf = machinesOf(farm, machines);
  const known = new Set(farm.nodes.map((node) => node.mac ?? machineOf(node)?.mac));
  return {
    farm: farm.name,
    serving,
    nodes: farm.nodes.map((node) => {
      const { name, id, address } = node;
      const machine = machineOf(node);
      const common = { name, id, mac: node.mac ?? machine?.mac, address };
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
        cluster: word(id),
      };
    }),
    unknown: machines
      .filter(({ mac }) => !known.has(mac))
      .sort((a, b) => b.lastSeen - a.lastSeen)
      .map(({ mac, detail, lastSeen }) => ({ mac, detail, lastSeen })),
  };
}

/** What was seen of a node: under its MAC address, or of the card that had its address last and is no other node's. */
function machinesOf(farm: Farm, machines: readonly Machine[]): (node: Node) => Machine | undefined {
  const byMac = new Map(machines.map((machine) => [machine.mac, machine]));
  const registered = new Set(farm.nodes.map(({ mac }) => mac));
  const guests = machines.filter(({ mac, stage }) => stage !== 'seen' && !registered.has(mac)).sort((a, b) => a.lastSeen - b.lastSeen);
  const byAddress = new Map(guests.map((machine) => [machine.address, machine]));
  return ({ mac, address }) => (mac === undefined ? byAddress.get(address) : byMac.get(mac));
}

function summary(report: AgentReport | undefined): AgentSummary | undefined {
  if (report === undefined) return undefined;
  const { name: hostname, id, load, cpus, memory, uptime, system, version, counts } = report;
  return { hostname, id, load, cpus, memory, uptime, system, version, counts };
}
