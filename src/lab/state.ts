// The files of a lab's directory: its plan, which process it is, and the logs.
import { join } from 'node:path';

/** What `startLab` asked for. */
export function planFile(directory: string): string {
  return join(directory, 'lab.json');
}

/** The number of the lab's first process and when it started. */
export function processFile(directory: string): string {
  return join(directory, 'pid.json');
}

/** What the lab itself did: machines started and stopped, QEMU's complaints. */
export function labLog(directory: string): string {
  return join(directory, 'lab.log');
}

/** What `farm serve` printed: JSON lines. */
export function serveLog(directory: string): string {
  return join(directory, 'serve.log');
}

/** Everything the machine's serial console printed since the lab started. */
export function consoleLog(directory: string, machine: string): string {
  return join(directory, `${machine}.console.log`);
}

/** The UEFI variables of the machine, which it may change. */
export function variablesFile(directory: string, machine: string): string {
  return join(directory, `${machine}.vars.fd`);
}
