// What /hpc shows and changes, answered by the running agent.
import { readFileSync, writeFileSync } from 'node:fs';
import { type Ipv4, ipv4Any } from '../base/addresses.ts';
import { FarmError, systemCode } from '../base/errors.ts';
import type { Facts, Measures } from '../cluster/entry.ts';
import { parseHosts } from '../cluster/hosts.ts';
import { parseMap } from '../cluster/map.ts';
import type { MemberState, MemberTable } from '../cluster/members.ts';
import { expandMap } from '../cluster/nodes.ts';
import { type MapFile, mapText } from './files.ts';
import type { JobSource } from './hpc/job-files.ts';
import type { AdminFlags, HpcNode, HpcSource } from './hpc/source.ts';
import type { AgentState } from './state.ts';

const statusOf: Readonly<Record<MemberState, HpcNode['status']>> = { alive: 'up', suspect: 'suspect', dead: 'down', left: 'left', unknown: 'unknown' };

/** A quiet node says nothing of these, and of a node that was never heard of nothing is known. */
const unmeasured: Measures = {
  ...{ load: 0, utilization: 0, pressure: { cpu: 0, memory: 0, io: 0 } },
  memory: { total: 0, free: 0, usable: 0, swapTotal: 0, swapFree: 0 },
  rates: { networkIn: 0, networkOut: 0, diskRead: 0, diskWrite: 0 },
};

export interface HpcSourceOptions {
  /** Host name of this machine. */
  readonly name: string;
  readonly map: () => MapFile;
  /** Undefined while this node is in no cluster. */
  readonly table: () => MemberTable | undefined;
  readonly facts: () => Facts;
  readonly state: AgentState;
  readonly now: () => number;
  /** Where a table that is set lives until the next boot. */
  readonly tablePath: string;
  /** Flags or speed have changed: tell the cluster. */
  readonly tell: () => void;
  /** The table was set or removed: look at it. */
  readonly look: () => void;
  readonly hardware: () => string;
  /** What migrates here; undefined where nothing does. */
  readonly jobs: () => MigrationSource | undefined;
}

/** The part of the source that migration answers. */
export interface MigrationSource extends JobSource {
  readonly bring: () => void;
  readonly abroad: () => number;
}

export function hpcSource(options: HpcSourceOptions): HpcSource {
  const { state } = options;
  const nameOf = (address: Ipv4) => options.map().names.get(address) ?? address;

  const self = (): HpcNode => {
    const table = options.table();
    const address = table === undefined ? '127.0.0.1' : (options.map().map.addresses.get(table.self) ?? '127.0.0.1');
    const age = table === undefined ? 0 : Math.max(0, options.now() - table.beatAt);
    return node(table?.self ?? 0, options.name, address, 'up', options.facts(), age);
  };
  const setFlag = (flag: keyof AdminFlags, on: boolean): void => {
    const flags = { ...state.get().flags, [flag]: on };
    // Whom we send away must not come back (mosctl(1)).
    state.set({ flags: flag === 'expel' && on ? { ...flags, block: true } : flags });
    options.tell();
  };
  const migration = (what: string): MigrationSource => {
    const jobs = options.jobs();
    if (jobs !== undefined) return jobs;
    throw new FarmError('migration.absent', `this node does not migrate processes: there are no ${what}`, 'journalctl -u farm-agent says what it lacks');
  };
  return {
    self,
    nodes() {
      const table = options.table();
      if (table === undefined) return [];
      const others = [...table.members.values()].map((member) => {
        const address = options.map().map.addresses.get(member.id) ?? ipv4Any;
        const age = member.facts === undefined ? Number.POSITIVE_INFINITY : Math.max(0, options.now() - member.madeAt);
        return node(member.id, nameOf(address), address, statusOf[member.state], member.facts, age);
      });
      return [self(), ...others].sort((a, b) => a.id - b.id);
    },
    gateways: () => state.get().gateways,
    setFlag,
    setSpeed(speed) {
      if (!Number.isInteger(speed) || speed < 1 || speed > 0xffffffff)
        throw new FarmError('speed.invalid', `${speed} is not a speed`, 'give a whole number; 10000 is the standard processor');
      state.set({ speed: { value: speed, hardware: options.hardware(), set: true } });
      options.tell();
    },
    setGateways(count) {
      if (![0, 1, 2].includes(count)) throw new FarmError('gateways.invalid', `${count} is not a number of gateways`, 'give 0, 1 or 2');
      state.set({ gateways: count });
    },
    map: () => mapText(options.map().entries),
    setMap(text) {
      expandMap(parseMap(text, 'the table').entries, parseHosts(readHosts()), 'the table');
      writeFileSync(options.tablePath, text);
      options.look();
    },
    clearMap() {
      writeFileSync(options.tablePath, '# in no cluster\n');
      options.look();
    },
    expel() {
      migration('guests to send away');
      // It is over when the last has gone; that none comes back stays.
      setFlag(options.facts().guests > 0 ? 'expel' : 'block', true);
    },
    bring() {
      const jobs = migration('jobs abroad to bring home');
      setFlag('lstay', true);
      jobs.bring();
    },
    abroad: () => options.jobs()?.abroad() ?? 0,
    jobs: () => options.jobs()?.jobs() ?? [],
    guests: () => options.jobs()?.guests() ?? [],
    send: (pid, place) => migration('jobs here').send(pid, place),
    lock: (pid, locked) => migration('jobs here').lock(pid, locked),
    sendGuest: (pid, place) => migration('guests here').sendGuest(pid, place),
  };
}

function node(id: number, name: string, address: string, status: HpcNode['status'], facts: Facts | undefined, age: number): HpcNode {
  const { flags, guests, version, speed, cpus, measures } = facts ?? nobody;
  return { id, name, address, status, speed, cpus, flags, guests, version, age, ...(measures ?? unmeasured) };
}

const nobody: Facts = {
  flags: { stay: false, lstay: false, block: false, quiet: false, nomfs: false, expel: false },
  ...{ guests: 0, version: '', speed: 0, cpus: 0, measures: undefined },
};

function readHosts(): string {
  try {
    return readFileSync('/etc/hosts', 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  }
}
