// Which process a lab is: recorded with the time it started, so that a later one with the same number is not taken for it.
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { systemCode } from '../base/errors.ts';
import { processFile } from './state.ts';

export interface LabProcess {
  readonly pid: number;
  readonly start: string;
}

/** The end of a process that is not our child can only be looked for. */
const lookMilliseconds = 20;

/** When process `pid` started, in clock ticks since the machine's boot (proc(5)): tells it from a later one with its number. Undefined once it has ended. */
function processStart(pid: number): string | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ESRCH') return undefined;
    throw error;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** Records the running process `pid` as the lab of `directory`. */
export function writeProcess(directory: string, pid: number): void {
  writeFileSync(processFile(directory), `${JSON.stringify({ pid, start: processStart(pid) })}\n`);
}

/** The lab's process, or undefined if it does not run. */
export function readProcess(directory: string): LabProcess | undefined {
  try {
    const { pid, start }: LabProcess = JSON.parse(readFileSync(processFile(directory), 'utf8'));
    return typeof pid === 'number' && typeof start === 'string' && processStart(pid) === start ? { pid, start } : undefined;
  } catch {
    return undefined; // absent, or torn by a crash while it was written: no lab to be found through it
  }
}

export function alive(process: LabProcess): boolean {
  return processStart(process.pid) === process.start;
}

/** Whether the process has ended within `milliseconds`. */
export async function waitForEnd(lab: LabProcess, milliseconds: number): Promise<boolean> {
  const until = Date.now() + milliseconds;
  while (alive(lab)) {
    if (Date.now() > until) return false;
    await delay(lookMilliseconds);
  }
  return true;
}
