// A small cluster for what shows it: nodes in several states, and an HpcSource that takes flags, speeds and maps as the daemon does.
import type { HpcGuest, HpcJob } from '../../src/agent/hpc/job-files.ts';
import type { AdminFlags, HpcNode, HpcSource } from '../../src/agent/hpc/source.ts';
import { FarmError } from '../../src/base/errors.ts';
import { formatEntries, parseMap } from '../../src/cluster/map.ts';

const noFlags: AdminFlags = { stay: false, lstay: false, block: false, quiet: false, nomfs: false, expel: false };
const mebibyte = 2 ** 20;

/** A node as it is when nothing is said of it. */
export function hpcNode(id: number, more: Partial<HpcNode> = {}): HpcNode {
  return {
    id,
    name: `n${id}`,
    address: `10.11.0.${10 + id}`,
    status: 'up',
    load: 0,
    speed: 10_000,
    cpus: 1,
    memory: { total: 512 * mebibyte, free: 400 * mebibyte, usable: 300 * mebibyte, swapTotal: 0, swapFree: 0 },
    rates: { networkIn: 0, networkOut: 0, diskRead: 0, diskWrite: 0 },
    pressure: { cpu: 0, memory: 0, io: 0 },
    utilization: 0,
    flags: noFlags,
    guests: 0,
    version: '0.1.0',
    age: 0,
    ...more,
  };
}

/** A job as it is when nothing is said of it. */
export function hpcJob(pid: number, more: Partial<HpcJob> = {}): HpcJob {
  return {
    ...{ pid, uid: 1000, command: 'awk', node: 1, atHome: true, moves: 0, locked: false, goingTo: undefined, cpu: 1, memory: 34 * mebibyte, used: 5000 },
    ...{ obstacles: [], holds: [], thinks: 'no move would make the cluster faster', asked: '', saved: [] },
    ...more,
  };
}

/** Four nodes: this one, a busy one, one that stays and blocks, and one that is down. */
export function fourNodes(): HpcNode[] {
  return [
    hpcNode(1, { load: 25, utilization: 0.12 }),
    hpcNode(2, { load: 380, cpus: 4, speed: 21_500, utilization: 0.96, age: 800, pressure: { cpu: 12.5, memory: 0, io: 1.25 } }),
    hpcNode(3, {
      load: 104,
      flags: { ...noFlags, stay: true, block: true },
      age: 1900,
      memory: { total: 1024 * mebibyte, free: 100 * mebibyte, usable: 64 * mebibyte, swapTotal: 512 * mebibyte, swapFree: 256 * mebibyte },
    }),
    hpcNode(5, { status: 'down', age: 61_000 }),
  ];
}

export class HpcCluster implements HpcSource {
  list: HpcNode[] = fourNodes();
  gatewayCount = 0;
  text = '1 10.11.0.11 3\n5 10.11.0.15 1\n';
  readonly self = () => this.list[0] ?? hpcNode(1);
  readonly nodes = () => this.list;
  readonly gateways = () => this.gatewayCount;
  readonly map = () => this.text;

  change(id: number, more: Partial<HpcNode>): void {
    this.list = this.list.map((node) => (node.id === id ? { ...node, ...more } : node));
  }

  readonly setFlag = (flag: keyof AdminFlags, on: boolean) => this.change(1, { flags: { ...this.self().flags, [flag]: on } });
  readonly setSpeed = (speed: number) => this.change(1, { speed });
  readonly setGateways = (count: number) => {
    this.gatewayCount = count;
  };
  readonly setMap = (text: string) => {
    this.text = formatEntries(parseMap(text, 'the map').entries);
  };
  readonly clearMap = () => {
    this.text = '';
    this.list = [{ ...this.self(), id: 0 }];
  };
  readonly expel = () => {
    throw new FarmError('migration.absent', 'no guest can be sent away: this version does not migrate', 'mosctl block keeps guests out');
  };
  readonly bring = () => {
    throw new FarmError('migration.absent', 'no process can be brought home: this version does not migrate');
  };
  readonly abroad = () => this.jobList.filter(({ atHome }) => !atHome).length;
  jobList: HpcJob[] = [];
  guestList: HpcGuest[] = [];
  readonly jobs = () => this.jobList;
  readonly guests = () => this.guestList;
  /** What was written, in words. */
  readonly asked: string[] = [];
  readonly send = (pid: number, place: string) => void this.asked.push(`send ${pid} ${place.trim()}`);
  readonly sendGuest = (pid: number, place: string) => void this.asked.push(`send guest ${pid} ${place.trim()}`);
  readonly lock = (pid: number, locked: boolean) => void this.asked.push(`lock ${pid} ${locked}`);
}
