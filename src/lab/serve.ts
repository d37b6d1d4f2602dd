// The farm's server process inside the lab: started, watched until it says that it is ready, killed and started again.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { FarmError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ServeSignal } from './control.ts';
import { lineSplitter } from './lines.ts';
import type { ServeCommand } from './plan.ts';

/** The event of `farm serve --log-format json` that says every socket is bound. */
const readyEvent = 'serve.ready';
/** A server with a large image may have to read it first; beyond this it is stuck. */
const readyMilliseconds = 120_000;
/** How long a server may take to close its journals before it is killed. */
const graceMilliseconds = 5000;
/** How much of its log is quoted when it ends before it is ready. */
const quotedLines = 6;

interface Running {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  readonly ended: Promise<string>;
}

function isReady(line: string): boolean {
  if (!line.includes(readyEvent)) return false;
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'object' && entry !== null && 'event' in entry && entry.event === readyEvent;
  } catch {
    return false;
  }
}

export interface ServeState {
  readonly state: 'starting' | 'ready' | 'ended';
  /** Milliseconds since the epoch, of the last change. */
  readonly since: number;
  readonly ended?: string;
}

/** The server of one lab. `start` and `stop` may be called any number of times, one after the other. */
export class ServeProcess {
  private readonly command: ServeCommand;
  private readonly directory: string;
  private readonly logPath: string;
  private readonly log: Log;
  private running: Running | undefined;
  state: ServeState = { state: 'ended', since: Date.now() };

  constructor(command: ServeCommand, directory: string, logPath: string, log: Log) {
    this.command = command;
    this.directory = directory;
    this.logPath = logPath;
    this.log = log;
  }

  private launch(): Running {
    const out = openSync(this.logPath, 'a');
    const recent: string[] = [];
    this.state = { state: 'starting', since: Date.now() };
    const child = spawn(this.command.command, this.command.args, { cwd: this.directory, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise<string>((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.on('close', (code, signal) => resolve(signal ?? `status ${code}`));
    }).then((why) => {
      closeSync(out);
      this.running = undefined;
      this.state = { state: 'ended', since: Date.now(), ended: why };
      this.log('info', 'serve.ended', { why });
      return why;
    });
    const ready = new Promise<void>((resolve, reject) => {
      const receive = lineSplitter((line) => {
        if (recent.push(line) > quotedLines) recent.shift();
        if (this.state.state !== 'starting' || !isReady(line)) return;
        this.state = { state: 'ready', since: Date.now() };
        this.log('info', 'serve.ready', { pid: child.pid });
        resolve();
      });
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => {
          writeSync(out, chunk);
          receive(chunk);
        });
      }
      const refuse = (what: string) =>
        reject(new FarmError('lab.serve', `the server ${what}${recent.map((line) => `\n  ${line}`).join('')}`, `its log: ${this.logPath}`));
      const timer = setTimeout(() => refuse(`was not ready after ${readyMilliseconds / 1000} seconds`), readyMilliseconds);
      void ended.then((why) => refuse(`ended before it was ready (${why})`));
      void ended.then(() => clearTimeout(timer));
    });
    ready.catch(() => {}); // told to whoever awaits `start`; a later end is in `state`
    return { child, ready, ended };
  }

  /** Settles when the server is ready; throws `FarmError` with code `lab.serve`, quoting its log. */
  async start(): Promise<void> {
    this.running ??= this.launch();
    await this.running.ready;
  }

  /** Sends `signal`; for SIGTERM, SIGINT and SIGKILL settles once the server has ended, and makes it end. */
  async kill(signal: ServeSignal): Promise<void> {
    const running = this.running;
    if (running === undefined) return;
    running.child.kill(signal);
    if (signal !== 'SIGTERM' && signal !== 'SIGINT' && signal !== 'SIGKILL') return;
    const timer = setTimeout(() => running.child.kill('SIGKILL'), graceMilliseconds);
    await running.ended;
    clearTimeout(timer);
  }
}
