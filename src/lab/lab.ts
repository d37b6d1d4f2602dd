// A virtual farm: started in namespaces of its own, found again by its directory, asked over its control socket.

import type { ChildProcess, StdioOptions } from 'node:child_process';
import { spawn } from 'node:child_process';
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FarmError, sentence } from '../base/errors.ts';
import type { RunOptions } from '../base/processes.ts';
import { run } from '../base/processes.ts';
import type { LabStatus, PowerAction, Reply, ServeSignal } from './control.ts';
import { ask } from './control.ts';
import { lineSplitter } from './lines.ts';
import { enterCommand, requireNamespaces } from './namespaces.ts';
import { networkCommands } from './network.ts';
import type { LabNetwork, LabPlan, MachineOptions, ServeCommand } from './plan.ts';
import { planMachines } from './plan.ts';
import { alive, type LabProcess, readProcess, waitForEnd, writeProcess } from './process.ts';
import { ovmfVariables } from './qemu.ts';
import { controlSocket, machineSockets, makeSocketDirectory, removeSocketDirectory } from './sockets.ts';
import { consoleLog, labLog, planFile, processFile, serveLog, variablesFile } from './state.ts';

/**
 * What the kernels of a lab's machines are told: where their console is, and not to try whether the timer ticks. On a busy host an emulated machine
 * misses the ticks, and Linux panics for a broken board (kernel-parameters, no_timer_check); under KVM it knows, and does not try.
 */
export const labKernelArgs = 'console=ttyS0,115200 no_timer_check';

export interface LabOptions {
  /** Where the lab keeps its logs and sockets; made if it is not there. */
  readonly directory: string;
  readonly farmDirectory: string;
  readonly network: LabNetwork;
  readonly machines: readonly MachineOptions[];
  /** Has to print one JSON line with `"event":"serve.ready"` once it serves. */
  readonly serve: ServeCommand;
  /** Whether the machines are switched on with the lab; default true. */
  readonly powerOn?: boolean;
  /** Whether the lab goes on when the calling process ends; default false. */
  readonly keep?: boolean;
  /** Ends the lab while it starts. */
  readonly signal?: AbortSignal;
  /** The compiled `supervisor.ts`; by default the one beside this file. */
  readonly supervisor?: string;
}

export interface Lab {
  /** The unshare(1) process: the lab's handle in the host. When it is killed, so is everything in the lab. */
  readonly pid: number;
  readonly directory: string;
  /** Names, in order. */
  readonly machines: readonly string[];
  /** What `farm serve` printed: JSON lines. */
  readonly serveLog: string;
  /** What the lab did itself. */
  readonly log: string;
  /** Settles when the lab has ended, whoever ended it. */
  ended(): Promise<void>;
  status(): Promise<LabStatus>;
  power(machine: string, action: PowerAction): Promise<LabStatus>;
  /** Settles once the server has ended, for a signal that ends it. */
  killServe(signal: ServeSignal): Promise<LabStatus>;
  /** Ends the server if it runs, starts it, and settles when it is ready. */
  restartServe(): Promise<LabStatus>;
  /** The file with all that the machine's console printed. */
  consoleLog(machine: string): string;
  /** The unix socket of the machine's serial console; one client at a time. */
  consoleSocket(machine: string): string;
  /** Runs a program inside the lab's namespaces and gives its stdout. */
  exec(command: string, args: readonly string[], options?: RunOptions): Promise<Buffer>;
  /** Starts a program inside the lab's namespaces. */
  spawn(command: string, args: readonly string[], stdio?: StdioOptions): ChildProcess;
  /** Ends the lab: machines off, server closed, nothing left of it but its logs. */
  down(): Promise<void>;
}

/** More than the supervisor's own grace for machines and server together; then it hangs and is killed. */
const downMilliseconds = 15_000;
/** How long the kernel may take to end what was in the lab, once the supervisor has answered. */
const goneMilliseconds = 2000;
function readPlan(directory: string): LabPlan {
  try {
    return JSON.parse(readFileSync(planFile(directory), 'utf8'));
  } catch (error) {
    throw new FarmError(
      'lab.damaged',
      `${planFile(directory)} cannot be read: ${sentence(error)}`,
      'a lab runs there: end it with kill, see pid.json beside it',
      error,
    );
  }
}

function tidy(directory: string): void {
  removeSocketDirectory(directory);
  rmSync(processFile(directory), { force: true });
}

async function watchEnd(lab: LabProcess, socket: string): Promise<void> {
  await new Promise<void>((settle) => {
    const connection = connect(socket); // which only the lab's end closes
    connection.on('error', () => {}); // followed by close
    connection.on('close', () => settle());
    connection.resume();
  });
  await waitForEnd(lab, Number.POSITIVE_INFINITY);
}

async function bringDown(lab: LabProcess, plan: LabPlan): Promise<void> {
  const late = delay(downMilliseconds, undefined, { ref: false });
  // Whatever the answer, what counts is that the process goes.
  await Promise.race([ask(controlSocket(plan.sockets), { do: 'down' }).catch(() => {}), late]);
  if (!(await waitForEnd(lab, goneMilliseconds)) && alive(lab)) {
    process.kill(lab.pid, 'SIGKILL');
    await waitForEnd(lab, downMilliseconds);
  }
  tidy(plan.directory);
}

function attach(lab: LabProcess, plan: LabPlan): Lab {
  const { pid } = lab;
  const { directory } = plan;
  const socket = controlSocket(plan.sockets);
  return {
    pid,
    directory,
    machines: plan.machines.map((machine) => machine.name),
    serveLog: serveLog(directory),
    log: labLog(directory),
    ended: () => watchEnd(lab, socket),
    status: () => ask(socket, { do: 'status' }),
    power: (machine, action) => ask(socket, { do: 'power', machine, action }),
    killServe: (signal) => ask(socket, { do: 'kill-serve', signal }),
    restartServe: () => ask(socket, { do: 'restart-serve' }),
    consoleLog: (machine) => consoleLog(directory, machine),
    consoleSocket: (machine) => machineSockets(plan.sockets, machine).serial,
    exec: (command, args, options = {}) => run(...enterCommand(pid, resolve(options.cwd ?? '.'), command, args), options),
    spawn: (command, args, stdio = 'inherit') => spawn(...enterCommand(pid, process.cwd(), command, args), { stdio }),
    down: () => bringDown(lab, plan),
  };
}

/** The lab that runs with `directory`, or undefined. What a lab that was killed left there is removed. */
export function findLab(directory: string): Lab | undefined {
  const top = resolve(directory);
  const found = readProcess(top);
  if (found === undefined) {
    tidy(top);
    return undefined;
  }
  return attach(found, readPlan(top));
}

/** The supervisor's one line, or the reason why it ended without. */
function firstReport(child: ChildProcess, directory: string): Promise<Reply> {
  return new Promise((settle, refuse) => {
    child.stdout?.on(
      'data',
      lineSplitter((line) => settle(JSON.parse(line))),
    );
    child.on('error', refuse);
    child.on('close', () => {
      const lines = readFileSync(labLog(directory), 'utf8').trimEnd().split('\n').slice(-6);
      refuse(new FarmError('lab.failed', `the lab ended while it started:\n  ${lines.join('\n  ')}`, `its log: ${labLog(directory)}`));
    });
  });
}

/** A machine's UEFI variables as they leave the factory. */
function copyVariables(path: string): void {
  try {
    copyFileSync(ovmfVariables, path);
  } catch (error) {
    throw new FarmError('lab.firmware', `the UEFI firmware cannot be copied: ${sentence(error)}`, 'apt-get install ovmf', error);
  }
}

/** Starts the lab; settles when the server is ready and the machines are on. Throws `FarmError` (`lab.*`) with nothing left running. */
export async function startLab(options: LabOptions): Promise<Lab> {
  const directory = resolve(options.directory);
  const machines = planMachines(options.machines);
  networkCommands(options.network, machines.length); // refuses a bad interface name here, where the caller can be told
  const unshare = await requireNamespaces(machines.map((machine) => machine.card));
  if (findLab(directory) !== undefined) {
    throw new FarmError('lab.running', `a lab runs in ${directory} already`, 'end it with: farm lab down');
  }
  options.signal?.throwIfAborted();
  mkdirSync(directory, { recursive: true });
  const names = machines.map((machine) => machine.name);
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  const sockets = makeSocketDirectory(directory, names, runtime);
  const plan: LabPlan = {
    directory,
    farmDirectory: resolve(options.farmDirectory),
    sockets,
    network: options.network,
    machines,
    serve: options.serve,
    powerOn: options.powerOn ?? true,
    keep: options.keep ?? false,
  };
  writeFileSync(planFile(directory), `${JSON.stringify(plan, undefined, 2)}\n`);
  for (const path of [serveLog(directory), ...names.map((name) => consoleLog(directory, name))]) writeFileSync(path, '', { mode: 0o600 });
  for (const { name, firmware } of machines) if (firmware !== 'bios') copyVariables(variablesFile(directory, name));
  const supervisor = options.supervisor ?? fileURLToPath(new URL('../lab/supervisor.js', import.meta.url));
  const logFile = openSync(labLog(directory), 'w', 0o600);
  // The shell is pid 1: it collects orphans, which Node does not, and ends with the supervisor; the kernel then kills the rest (pid_namespaces(7)).
  // Its own /sys: the host's tells of the host's network cards only (network_namespaces(7)).
  const child = spawn(
    'unshare',
    [...unshare, 'sh', '-c', 'mount -t sysfs sysfs /sys; "$@"; exit "$?"', 'sh', process.execPath, supervisor, planFile(directory)],
    {
      detached: true, // a session of its own: the terminal's Ctrl-C is the caller's to handle
      stdio: ['pipe', 'pipe', logFile],
    },
  );
  closeSync(logFile);
  const abort = () => child.stdin?.destroy();
  options.signal?.addEventListener('abort', abort);
  try {
    if (child.pid !== undefined) {
      writeProcess(directory, child.pid);
    }
    const reply = await firstReport(child, directory);
    options.signal?.throwIfAborted();
    if (!reply.ok) throw new FarmError(reply.code, reply.message, reply.hint);
    child.stdout?.destroy();
    release(child, plan.keep);
    const found = readProcess(directory);
    if (found === undefined) throw new FarmError('lab.gone', 'the lab ended as soon as it was up', `its log: ${labLog(directory)}`);
    return attach(found, plan);
  } catch (error) {
    await abandon(child);
    tidy(directory);
    if (options.signal?.aborted === true) throw new FarmError('lab.aborted', 'the lab was ended while it started', undefined, error);
    throw error instanceof FarmError ? error : new FarmError('lab.failed', sentence(error), undefined, error);
  } finally {
    options.signal?.removeEventListener('abort', abort);
  }
}

/** Lets the caller end while the lab runs. Without `keep`, the pipe that then closes ends the lab. */
function release(child: ChildProcess, keep: boolean): void {
  child.unref();
  const lifeline: unknown = child.stdin;
  if (keep) child.stdin?.destroy();
  else if (typeof lifeline === 'object' && lifeline !== null && 'unref' in lifeline && typeof lifeline.unref === 'function') lifeline.unref();
}

/** Closes the lifeline and waits until the lab is gone; kills it if it does not go. */
async function abandon(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((settle) => child.on('exit', () => settle()));
  child.stdin?.destroy();
  const timer = setTimeout(() => child.kill('SIGKILL'), downMilliseconds);
  await ended;
  clearTimeout(timer);
}
