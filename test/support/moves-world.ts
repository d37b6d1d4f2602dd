// Nodes that migrate jobs among each other on a virtual clock: the real driver and balancer, a fake engine, links that lose what the test says.
import type { HomeJob } from '../../src/agent/moves/asked.ts';
import type { Fault } from '../../src/agent/moves/departure.ts';
import type { MachineNow } from '../../src/agent/moves/own.ts';
import { type Moves, type MovesOptions, startMoves } from '../../src/agent/moves/start.ts';
import type { Versions } from '../../src/agent/moves/versions.ts';
import { noWishes, type Wishes } from '../../src/agent/moves/wire.ts';
import { noFlags } from '../../src/cluster/entry.ts';
import { loadUnits } from '../../src/cluster/load.ts';
import { FakeEngine, FakeWorld, fakeAttach, jobSpec } from './fake-engine.ts';
import { FakeLinks } from './fake-links.ts';
import { settle, VirtualTimers } from './virtual-timers.ts';

export const versions: Versions = { agent: '0.1.0', kernel: '6.12.1', criu: '4.1.1', image: 'mos', features: ['sse', 'sse2'] };

const memory = { total: 512 * 2 ** 20, free: 400 * 2 ** 20 };

interface Node {
  readonly id: number;
  readonly engine: FakeEngine;
  readonly moves: Moves;
  incarnation: number;
}

export interface WorldOptions {
  readonly fault?: Fault;
  readonly versions?: (node: number) => Versions;
  readonly policy?: 'run' | 'kill';
}

export class MovesWorld {
  readonly timers = new VirtualTimers(1_000_000);
  readonly world = new FakeWorld();
  readonly links = new FakeLinks();
  readonly nodes = new Map<number, Node>();
  /** Where each home believes its jobs to be. */
  readonly homes = new Map<string, HomeJob>();
  readonly events: string[] = [];
  flags = new Map<number, Partial<typeof noFlags>>();

  constructor(count: number, options: WorldOptions = {}) {
    for (let id = 1; id <= count; id += 1) this.start(id, 7, options);
  }

  private start(id: number, incarnation: number, options: WorldOptions): void {
    const engine = new FakeEngine(this.world, id);
    const moves = startMoves({
      ...{ self: id, incarnation, link: this.links.of(id), engine, attach: fakeAttach, versions: options.versions?.(id) ?? versions },
      machine: () => this.machine(id),
      views: () =>
        [...this.nodes.keys()]
          .filter((other) => other !== id && !this.links.down.has(other))
          .map((other) => {
            const { runnable, ...machine } = this.machine(other);
            const usable = memory.free - memory.total / 20;
            return { ...machine, id: other, age: 500, load: loadUnits(runnable, 1, 10_000), memory: { total: memory.total, usable } };
          }),
      member: (node) => {
        const found = this.nodes.get(node);
        return found === undefined ? undefined : { incarnation: found.incarnation, alive: !this.links.down.has(node) };
      },
      home: () => [...this.homes.values()].filter(({ spec }) => spec.home === id),
      moved: (job, node) => {
        const at = this.homes.get(job);
        if (at !== undefined) this.homes.set(job, { ...at, where: node });
      },
      onGuests() {},
      ...{ now: () => this.timers.now(), timers: this.timers, log: (_level: string, event: string) => void this.events.push(event) },
      ...(options.fault === undefined ? {} : { fault: options.fault }),
      ...(options.policy === undefined ? {} : { policy: options.policy }),
    } satisfies MovesOptions);
    this.nodes.set(id, { id, engine, moves, incarnation });
  }

  node(id: number): Node {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  private machine(id: number): MachineNow {
    const here = [...this.world.running.values()].filter((node) => node === id).length;
    const flags = { ...noFlags, ...this.flags.get(id) };
    return { flags, cpus: 1, speed: 10_000, runnable: here, working: Math.min(1, here), memory, memoryPressure: 0 };
  }

  /** A job of this home begins there, or where its home thinks best. */
  async job(home: number, deputy: number, at: number | 'best' = home, wishes: Partial<Wishes> = {}): Promise<string> {
    const spec = jobSpec(home, deputy);
    const all = { ...noWishes, ...wishes };
    const where = at === 'best' ? this.node(home).moves.place(spec, all) : at;
    const { engine, moves } = this.node(where);
    moves.admit(spec);
    const job = await engine.start(spec);
    moves.take(job, fakeAttach(job, undefined), all);
    this.homes.set(spec.id, { spec, where });
    return spec.id;
  }

  /** So many seconds; all jobs work in each. Real sockets are between, so each second waits until nothing happens any more. */
  async seconds(count: number): Promise<void> {
    for (let second = 0; second < count; second += 1) {
      await this.timers.pass(1000);
      this.world.work();
      const began = performance.now();
      for (let still = 0; still < 12; still = this.world.talking === 0 ? still + 1 : 0) {
        await settle();
        if (performance.now() - began > 5000) throw new Error(`a conversation with a page server does not end: ${this.events.slice(-20).join(' ')}`);
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.nodes.values()].map(({ moves }) => moves.close()));
  }
}
