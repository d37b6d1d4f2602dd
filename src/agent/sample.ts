// What this machine does, once a round: differences between two looks at proc(5), as the load entry has them.
import { readFileSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';
import type { Measures } from '../cluster/entry.ts';
import { loadUnits, noLoad, type SmoothedLoad, smooth, usableMemory } from '../cluster/load.ts';
import {
  type CpuTimes,
  type MemorySizes,
  parseDisks,
  parseHardware,
  parseMemory,
  parseNetwork,
  parsePressure,
  parseSchedstat,
  parseStat,
  parseUptime,
} from './proc.ts';

/** Everything that is read at once. */
export interface Look {
  /** Ms of a clock that does not step back. */
  readonly at: number;
  readonly cpu: CpuTimes;
  /** Nanoseconds; undefined where the kernel does not count them (no CONFIG_SCHED_INFO). */
  readonly waited: number | undefined;
  readonly memory: MemorySizes;
  readonly network: { readonly received: number; readonly sent: number };
  readonly disk: { readonly read: number; readonly written: number };
  readonly pressure: Measures['pressure'];
}

export interface Sampler {
  readonly cpus: () => number;
  /** Of the last interval, not smoothed: programs that wanted a processor, and processors that worked. */
  readonly work: () => { readonly runnable: number; readonly working: number };
  /** Looks, and says what happened since the last look; `speed` as in the entry. */
  readonly sample: (now: number, speed: number) => Measures;
}

/**
 * How many processes wanted to run on average between two looks: the part of processors that worked and, where the kernel counts it, of a processor's
 * time that processes waited. Where it does not, how many there are at this moment, without the one that looks, if they are more.
 */
export function runnable(before: Look, now: Look): number {
  const ticks = now.cpu.total - before.cpu.total;
  const working = ticks > 0 ? (now.cpu.cpus * (now.cpu.busy - before.cpu.busy)) / ticks : 0;
  if (now.waited === undefined || before.waited === undefined) return Math.max(working, now.cpu.running - 1);
  const seconds = (now.at - before.at) / 1000;
  return working + (seconds > 0 ? Math.max(0, now.waited - before.waited) / 1e9 / seconds : 0);
}

/** What happened between two looks. `upper`: of the runnable processes, smoothed. */
export function measure(before: Look, now: Look, upper: number, speed: number): Measures {
  const seconds = (now.at - before.at) / 1000;
  const rate = (from: number, to: number) => (seconds > 0 ? Math.max(0, (to - from) / seconds) : 0);
  const ticks = now.cpu.total - before.cpu.total;
  const { memory, network, disk } = now;
  return {
    load: loadUnits(upper, now.cpu.cpus, speed),
    utilization: ticks > 0 ? Math.min(1, Math.max(0, (now.cpu.busy - before.cpu.busy) / ticks)) : 0,
    memory: { ...memory, usable: usableMemory(memory.total, memory.free) },
    rates: {
      networkIn: rate(before.network.received, network.received),
      networkOut: rate(before.network.sent, network.sent),
      diskRead: rate(before.disk.read, disk.read),
      diskWrite: rate(before.disk.written, disk.written),
    },
    pressure: now.pressure,
  };
}

export function openSampler(now: number): Sampler {
  let last = look(now);
  let load: SmoothedLoad = noLoad;
  let work = { runnable: 0, working: 0 };
  return {
    cpus: () => last.cpu.cpus,
    work: () => work,
    sample(at, speed) {
      const before = last;
      last = look(at);
      const wanted = runnable(before, last);
      load = smooth(load, wanted);
      const measures = measure(before, last, load.upper, speed);
      work = { runnable: wanted, working: measures.utilization * last.cpu.cpus };
      return measures;
    },
  };
}

/** Nine reads of kernel memory; they do not wait for a disk or the network. */
function look(at: number): Look {
  const waited = readIfThere('/proc/schedstat');
  const pressure = (what: string) => parsePressure(readIfThere(`/proc/pressure/${what}`) ?? '');
  return {
    at,
    cpu: parseStat(read('/proc/stat')),
    waited: waited === undefined ? undefined : parseSchedstat(waited),
    memory: parseMemory(read('/proc/meminfo')),
    network: parseNetwork(readIfThere('/proc/net/dev') ?? ''),
    disk: parseDisks(readIfThere('/proc/diskstats') ?? ''),
    pressure: { cpu: pressure('cpu'), memory: pressure('memory'), io: pressure('io') },
  };
}

export function uptime(): number {
  return parseUptime(read('/proc/uptime'));
}

/** What a speed was measured on. */
export function hardware(): string {
  return parseHardware(read('/proc/cpuinfo'));
}

function read(path: string): string {
  return readFileSync(path, 'latin1');
}

/** A kernel may be built, or booted (`psi=0`), without it. */
function readIfThere(path: string): string | undefined {
  try {
    return read(path);
  } catch (error) {
    if (['ENOENT', 'EOPNOTSUPP', 'EACCES'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}
