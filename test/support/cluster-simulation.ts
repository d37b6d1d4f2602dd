// A cluster on a virtual clock: real rules and tables, a network that loses, delays, cuts and counts, all from one seed.
import { compose } from '../../src/cluster/compose.ts';
import { type Facts, noFlags } from '../../src/cluster/entry.ts';
import { type Gossip, gossipBytes, gossipBytesMax } from '../../src/cluster/gossip.ts';
import { type MemberChange, type MemberTable, newTable, type Outgoing } from '../../src/cluster/members.ts';
import { someLive, step } from '../../src/cluster/rounds.ts';

export interface SimulationOptions {
  readonly nodes: number;
  readonly seed: number;
  /** Part of the datagrams that are lost. */
  readonly loss?: number;
  /** Whether all know all at the start, as after minutes of running; otherwise only the map. */
  readonly settled?: boolean;
}

interface SimulatedNode {
  readonly id: number;
  table: MemberTable;
  up: boolean;
  /** Only nodes of one side hear each other. */
  side: number;
  bytes: number;
  datagrams: number;
}

export interface Event extends MemberChange {
  readonly at: number;
  readonly by: number;
}

const interval = 1000;
/** Ms from one node to another: a switched LAN with something to do. */
const delayMax = 3;

const facts: Facts = {
  ...{ flags: noFlags, guests: 0, version: '0.1.0', speed: 10_000, cpus: 4 },
  measures: {
    ...{ load: 100, utilization: 0.25, pressure: { cpu: 0, memory: 0, io: 0 } },
    memory: { total: 2 ** 34, free: 2 ** 33, usable: 2 ** 33, swapTotal: 0, swapFree: 0 },
    rates: { networkIn: 0, networkOut: 0, diskRead: 0, diskWrite: 0 },
  },
};

/** mulberry32: small, seeded, and good enough to choose peers. */
function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Simulation {
  readonly nodes: SimulatedNode[];
  readonly events: Event[] = [];
  now = 0;
  loss: number;
  private readonly ids: readonly number[];
  private readonly random: () => number;
  private readonly due = new Map<number, (() => void)[]>();
  private starts = 1;

  constructor({ nodes, seed, loss = 0, settled = true }: SimulationOptions) {
    this.random = seeded(seed);
    this.loss = loss;
    this.ids = Array.from({ length: nodes }, (_, i) => i + 1);
    this.nodes = this.ids.map((id) => ({ id, table: this.newTable(id, 1), up: true, side: 0, bytes: 0, datagrams: 0 }));
    if (settled) for (const node of this.nodes) this.introduce(node);
    for (const node of this.nodes) this.schedule(Math.floor(this.random() * interval), () => this.tick(node, node.table));
  }

  private newTable(id: number, incarnation: number): MemberTable {
    return newTable('farm', id, this.ids, incarnation, facts, interval, this.now);
  }

  private introduce({ table }: SimulatedNode): void {
    for (const member of table.members.values()) {
      member.state = 'alive';
      member.incarnation = 1;
      table.liveAt.set(member.id, table.live.push(member.id) - 1);
    }
  }

  /** Lets `ms` of virtual time pass. */
  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 1) {
      const events = this.due.get(this.now);
      if (events === undefined) continue;
      for (const event of events) event(); // may add to the list
      this.due.delete(this.now);
    }
  }

  private schedule(at: number, event: () => void): void {
    const events = this.due.get(at);
    if (events === undefined) this.due.set(at, [event]);
    else events.push(event);
  }

  private tick(node: SimulatedNode, table: MemberTable): void {
    if (!node.up || node.table !== table) return;
    this.take(node, step(table, { kind: 'tick' }, this.now, this.random));
    this.schedule(this.now + interval, () => this.tick(node, table));
  }

  private take(node: SimulatedNode, { send, changes }: { readonly send: readonly Outgoing[]; readonly changes: readonly MemberChange[] }): void {
    for (const change of changes) this.events.push({ ...change, at: this.now, by: node.id });
    for (const outgoing of send) this.send(node, compose(node.table, outgoing, this.now));
  }

  private send(node: SimulatedNode, gossip: Gossip): void {
    const size = gossipBytes(gossip);
    if (size > gossipBytesMax) throw new Error(`a datagram of ${size} bytes`);
    node.bytes += size;
    node.datagrams += 1;
    const to = this.nodes[gossip.recipient - 1];
    if (to === undefined || this.random() < this.loss) return;
    const { side } = node;
    this.schedule(this.now + 1 + Math.floor(this.random() * delayMax), () => {
      if (!to.up || to.side !== side || node.side !== side) return;
      this.take(to, step(to.table, { kind: 'heard', gossip, from: gossip.sender }, this.now, this.random));
    });
  }

  node(id: number): SimulatedNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  kill(id: number): void {
    this.node(id).up = false;
  }

  leave(id: number): void {
    const node = this.node(id);
    for (const recipient of someLive(node.table, 8, this.random)) this.send(node, compose(node.table, { kind: 'leave', recipient }, this.now));
    node.up = false;
  }

  /** Starts the node with nothing but the map. */
  start(id: number): void {
    const node = this.node(id);
    this.starts += 1;
    node.table = this.newTable(id, this.starts);
    node.up = true;
    this.tick(node, node.table);
  }

  /** Nodes up to `last` no longer hear the others; 0 heals. */
  partition(last: number): void {
    for (const node of this.nodes) node.side = node.id <= last ? 1 : 0;
  }

  /** Ages in rounds of all that the nodes `of` know of live nodes other than themselves. */
  ages(of: readonly number[]): number[] {
    const found: number[] = [];
    for (const id of of) {
      for (const member of this.node(id).table.members.values()) {
        if (member.facts !== undefined && this.node(member.id).up) found.push((this.now - member.madeAt) / interval);
      }
    }
    return found;
  }

  /** Bytes of datagrams, without IP and UDP headers, that a node has sent on average in each of `ms`. Counts anew from now on. */
  bytesPerSecond(ms: number): { readonly bytes: number; readonly datagrams: number } {
    const up = this.nodes.filter((node) => node.up);
    const total = (field: 'bytes' | 'datagrams') => (up.reduce((sum, node) => sum + node[field], 0) / up.length / ms) * 1000;
    const rates = { bytes: total('bytes'), datagrams: total('datagrams') };
    for (const node of this.nodes) [node.bytes, node.datagrams] = [0, 0];
    return rates;
  }
}

export function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
}
