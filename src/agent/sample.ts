// What this machine has and does, from proc(5).
import { readFileSync } from 'node:fs';
import { FarmError } from '../base/errors.ts';
import type { Sample } from '../cluster/announce.ts';

/** The 1-minute load average in /proc/loadavg. */
export function parseLoad(text: string): number {
  return first(/^(\d+\.\d+) /, text, '/proc/loadavg');
}

/** How many processors are online: the `cpuN` lines of /proc/stat. */
export function parseCpus(text: string): number {
  return Math.max(1, text.match(/^cpu\d+ /gm)?.length ?? 0);
}

/** Total and available bytes in /proc/meminfo, which counts in KiB. */
export function parseMemory(text: string): Sample['memory'] {
  const total = first(/^MemTotal: +(\d+) kB$/m, text, '/proc/meminfo') * 1024;
  return { total, available: Math.min(total, first(/^MemAvailable: +(\d+) kB$/m, text, '/proc/meminfo') * 1024) };
}

/** Seconds since the kernel started, in /proc/uptime. */
export function parseUptime(text: string): number {
  return first(/^(\d+\.\d+) /, text, '/proc/uptime');
}

function first(pattern: RegExp, text: string, source: string): number {
  const [, digits] = pattern.exec(text) ?? [];
  if (digits === undefined) throw new FarmError('proc.format', `${source} is not as Linux writes it: "${text.slice(0, 80)}"`);
  return Number(digits);
}

/** Three reads of kernel memory; they do not wait for a disk or the network. */
export function takeSample(): Sample {
  return {
    load: parseLoad(readFileSync('/proc/loadavg', 'latin1')),
    cpus: parseCpus(readFileSync('/proc/stat', 'latin1')),
    memory: parseMemory(readFileSync('/proc/meminfo', 'latin1')),
  };
}

export function uptime(): number {
  return parseUptime(readFileSync('/proc/uptime', 'latin1'));
}
