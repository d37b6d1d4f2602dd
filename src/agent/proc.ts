// What proc(5) says of this machine, text -> numbers.
import { FarmError } from '../base/errors.ts';

export interface CpuTimes {
  /** Clock ticks since the start that all processors together worked, and that passed. */
  readonly busy: number;
  readonly total: number;
  /** Processors online. */
  readonly cpus: number;
  /** Processes that run or could, at this moment; the one that reads is among them. */
  readonly running: number;
}

export interface MemorySizes {
  /** Bytes. */
  readonly total: number;
  readonly free: number;
  readonly swapTotal: number;
  readonly swapFree: number;
}

/** /proc/stat. Time stolen by a hypervisor counts as work: a process was there to do it. */
export function parseStat(text: string): CpuTimes {
  const [, numbers = ''] = /^cpu +(.*)$/m.exec(text) ?? [];
  const ticks = numbers.split(' ').map(Number).slice(0, 8); // what follows, guest time, is part of user time
  if (ticks.length < 4 || ticks.some((tick) => !Number.isFinite(tick))) throw foreign('/proc/stat', text);
  const total = ticks.reduce((sum, tick) => sum + tick, 0);
  const [, , , idle = 0, waiting = 0] = ticks;
  const cpus = Math.max(1, text.match(/^cpu\d+ /gm)?.length ?? 0);
  return { busy: total - idle - waiting, total, cpus, running: Number(/^procs_running (\d+)/m.exec(text)?.[1] ?? 0) };
}

/** Nanoseconds that processes have waited for a processor, in /proc/schedstat (Documentation/scheduler/sched-stats.rst: the eighth number of each). */
export function parseSchedstat(text: string): number {
  let waited = 0;
  for (const [, numbers = ''] of text.matchAll(/^cpu\d+ (.*)$/gm)) waited += Number(numbers.split(' ')[7] ?? 0);
  return waited;
}

/** /proc/meminfo, which counts in KiB. */
export function parseMemory(text: string): MemorySizes {
  const of = (name: string) => first(new RegExp(`^${name}: +(\\d+) kB$`, 'm'), text, '/proc/meminfo') * 1024;
  const total = of('MemTotal');
  const swapTotal = of('SwapTotal');
  return { total, free: Math.min(total, of('MemAvailable')), swapTotal, swapFree: Math.min(swapTotal, of('SwapFree')) };
}

/** Bytes received and sent by all network cards, in /proc/net/dev; the loopback is none. */
export function parseNetwork(text: string): { readonly received: number; readonly sent: number } {
  let [received, sent] = [0, 0];
  for (const [, name = '', numbers = ''] of text.matchAll(/^ *([^\s:]+): *(.*)$/gm)) {
    const fields = numbers.split(/ +/).map(Number);
    if (name === 'lo' || fields.length < 9) continue;
    received += fields[0] ?? 0;
    sent += fields[8] ?? 0;
  }
  return { received, sent };
}

/** Whole disks; their partitions, and what lies on disks (dm, md, loop), would count twice. */
const disk = /^(?:[svh]d[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;
const sectorBytes = 512;

/** Bytes read from and written to the disks, in /proc/diskstats. */
export function parseDisks(text: string): { readonly read: number; readonly written: number } {
  let [read, written] = [0, 0];
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/ +/);
    if (!disk.test(fields[2] ?? '')) continue;
    read += Number(fields[5] ?? 0) * sectorBytes;
    written += Number(fields[9] ?? 0) * sectorBytes;
  }
  return { read, written };
}

/** `some avg10` of a file in /proc/pressure, percent. */
export function parsePressure(text: string): number {
  return Number(/^some avg10=(\d+\.\d+) /m.exec(text)?.[1] ?? 0);
}

/** Seconds since the kernel started, in /proc/uptime. */
export function parseUptime(text: string): number {
  return first(/^(\d+\.\d+) /, text, '/proc/uptime');
}

/** The first processor's name in /proc/cpuinfo, with how many there are: what a speed was measured on. */
export function parseHardware(text: string): string {
  const [, model = 'unknown'] = /^model name\s*: *(.*)$/m.exec(text) ?? [];
  return `${model} x ${Math.max(1, text.match(/^processor\s*:/gm)?.length ?? 0)}`;
}

function first(pattern: RegExp, text: string, source: string): number {
  const [, digits] = pattern.exec(text) ?? [];
  if (digits === undefined) throw foreign(source, text);
  return Number(digits);
}

function foreign(source: string, text: string): FarmError {
  return new FarmError('proc.format', `${source} is not as Linux writes it: "${text.slice(0, 80)}"`);
}
