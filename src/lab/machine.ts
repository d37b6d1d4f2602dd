// One QEMU machine of the lab: switched on and off, reset, and what became of it.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { FarmError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { MachineStatus, PowerAction } from './control.ts';
import { lineSplitter } from './lines.ts';
import type { MachinePlan } from './plan.ts';
import type { QemuPaths } from './qemu.ts';
import { qemuArguments } from './qemu.ts';
import type { Qmp } from './qmp.ts';
import { openQmp } from './qmp.ts';

/** A machine without a disk has nothing to save; QEMU that does not quit by then hangs. */
const graceMilliseconds = 3000;

interface Running {
  readonly child: ChildProcess;
  readonly qmp: Qmp;
  readonly ended: Promise<void>;
}

export class Machine {
  readonly plan: MachinePlan;
  private readonly tap: string;
  private readonly paths: QemuPaths;
  private readonly log: Log;
  private running: Running | undefined;
  private since = Date.now();
  private why: string | undefined;

  constructor(plan: MachinePlan, tap: string, paths: QemuPaths, log: Log) {
    this.plan = plan;
    this.tap = tap;
    this.paths = paths;
    this.log = (level, event, fields) => log(level, event, { machine: plan.name, ...fields });
  }

  status(): MachineStatus {
    const { name, mac } = this.plan;
    const state = this.running === undefined ? 'stopped' : 'running';
    const ended = this.why === undefined ? {} : { ended: this.why };
    return { name, mac, state, since: this.since, log: this.paths.log, serial: this.paths.serial, monitor: this.paths.monitor, ...ended };
  }

  /** Carries out `action`; on a machine that is on already (or off already) `on` and `off` change nothing. */
  async power(action: PowerAction): Promise<void> {
    if (action === 'on') return this.on();
    if (action === 'off') return this.off();
    if (this.running === undefined) {
      throw new FarmError('lab.machine-off', `${this.plan.name} is off`, `switch it on with: farm lab power ${this.plan.name} on`);
    }
    await this.running.qmp.execute(action === 'reset' ? 'system_reset' : 'system_powerdown');
  }

  private async on(): Promise<void> {
    if (this.running !== undefined) return;
    const args = qemuArguments(this.plan, this.tap, this.paths);
    const child = spawn('qemu-system-x86_64', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const complaints: string[] = [];
    const complain = lineSplitter((line) => {
      complaints.push(line);
      this.log('warn', 'machine.qemu', { line });
    });
    child.stderr.on('data', complain);
    const ended = new Promise<string>((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.on('close', (code, signal) => resolve(signal ?? `status ${code}`));
    }).then((how) => {
      this.running = undefined;
      this.since = Date.now();
      this.why = how === 'status 0' ? undefined : [how, ...complaints.slice(-2)].join(': ');
      this.log('info', 'machine.stopped', { how });
    });
    try {
      const qmp = await openQmp(child.stdout, child.stdin, (name) => this.log('info', `machine.${name.toLowerCase()}`));
      this.running = { child, qmp, ended };
    } catch (error) {
      child.kill('SIGKILL');
      await ended;
      throw new FarmError('lab.qemu', `${this.plan.name} did not start: ${complaints.join(' ') || (this.why ?? 'QEMU said nothing')}`, undefined, error);
    }
    this.since = Date.now();
    this.why = undefined;
    this.log('info', 'machine.started', { pid: child.pid, mac: this.plan.mac });
  }

  private async off(): Promise<void> {
    const running = this.running;
    if (running === undefined) return;
    const timer = setTimeout(() => running.child.kill('SIGKILL'), graceMilliseconds);
    running.qmp.execute('quit').catch(() => {}); // QEMU may end before its answer is out: `ended` is what counts
    await running.ended;
    clearTimeout(timer);
  }
}
