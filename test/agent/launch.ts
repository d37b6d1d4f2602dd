// Starts real agents: the bundle that nodes run, each in a process of its own on a loopback address of its own, and waits for what they say.
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type AgentReport, parseAgentReport, reportPath } from '../../src/cluster/report.ts';

/** 127.x.y.0/24 of this process, so that test runs beside each other do not meet on a port. */
export const network = `127.${100 + (process.pid % 100)}.${(process.pid >> 7) % 256}`;

/** How long an event may take on a busy machine before the test fails with what was said instead. */
const patience = 15_000;

export interface Workplace {
  readonly path: string;
  readonly bundle: string;
  /** Lets `systemctl is-system-running` of all agents say that the boot is complete. */
  finishBoot(): void;
  remove(): void;
}

/** Bundles the agent as `npm run build` does. Tests run where systemd does not, so a stand-in for systemctl tells of a boot that they finish. */
export async function workplace(): Promise<Workplace> {
  const path = mkdtempSync(join(tmpdir(), 'farm-agent-'));
  const bundle = join(path, 'farm-agent.mjs');
  const entry = fileURLToPath(new URL('../../src/agent/main.ts', import.meta.url));
  await build({ entryPoints: [entry], outfile: bundle, bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' });
  const systemctl = join(path, 'systemctl');
  writeFileSync(
    systemctl,
    `#!/bin/sh
[ "$1" = is-system-running ] || exit 64
if [ "$2" = --wait ]; then while [ ! -e ${path}/booted ] && kill -0 $PPID 2>/dev/null; do sleep 0.1; done; fi
if [ -e ${path}/booted ]; then echo running; else echo starting; exit 1; fi
`,
  );
  chmodSync(systemctl, 0o755);
  writeFileSync(join(path, 'key'), 'c0ffee00'.repeat(8), { mode: 0o600 });
  return {
    path,
    bundle,
    finishBoot: () => writeFileSync(join(path, 'booted'), ''),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

export interface Launched {
  readonly child: ChildProcess;
  readonly socket: string;
  /** All of stderr so far. */
  said(): string;
  /** Settles when it has said a line like this after the first `since` characters; gives how much it had said then. */
  until(pattern: RegExp, since?: number): Promise<number>;
  /** Settles with the exit status, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

export function launch(place: Workplace, name: string, args: readonly string[]): Launched {
  const socket = join(place.path, `${name}.sock`);
  const child = spawn(process.execPath, [place.bundle, '--socket', socket, '--state-dir', join(place.path, `${name}.state`), '--hpc', 'none', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: `${place.path}:${process.env['PATH']}`, JOURNAL_STREAM: undefined },
  });
  let text = '';
  const heard = new EventEmitter();
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    heard.emit('text');
  });
  const ended = new Promise<number | string>((resolve) => child.once('close', (code, signal) => resolve(code ?? signal ?? 'nothing')));
  void ended.then(() => heard.emit('text'));
  return {
    child,
    socket,
    ended,
    said: () => text,
    async until(pattern, since = 0) {
      const limit = AbortSignal.timeout(patience);
      while (!pattern.test(text.slice(since))) {
        if (limit.aborted || child.exitCode !== null) throw new Error(`${name} never said ${pattern}, but:\n${text.slice(since)}`);
        await once(heard, 'text', { signal: limit }).catch(() => {});
      }
      return text.length;
    },
  };
}

export interface Listener {
  readonly port: number;
  readonly reports: AgentReport[];
  /** Settles with the first report, past or to come, of which this is true. */
  until(what: string, match: (report: AgentReport) => boolean, since?: number): Promise<AgentReport>;
  close(): Promise<void>;
}

/** The part of the farm's HTTP server that agents talk to, with its own parser. */
export async function listenForReports(port = 0): Promise<Listener> {
  const reports: AgentReport[] = [];
  const arrived = new EventEmitter().setMaxListeners(50);
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const ours = request.method === 'POST' && request.url === reportPath;
      response.writeHead(ours ? 204 : 404).end();
      if (!ours) return;
      reports.push(parseAgentReport(JSON.parse(Buffer.concat(chunks).toString('utf8'))));
      arrived.emit('report');
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    reports,
    async until(what, match, since = 0) {
      const limit = AbortSignal.timeout(patience);
      for (;;) {
        const found = reports.slice(since).find(match);
        if (found !== undefined) return found;
        if (limit.aborted) throw new Error(`no report ${what}; the last: ${JSON.stringify(reports.at(-1))}`);
        await once(arrived, 'report', { signal: limit }).catch(() => {});
      }
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Runs the bundle to its end, as a person would at a prompt. */
export async function runAgent(place: Workplace, args: readonly string[]): Promise<{ status: number | string; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [place.bundle, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    texts.stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    texts.stderr += chunk;
  });
  const status = await new Promise<number | string>((resolve) => child.once('close', (code, signal) => resolve(code ?? signal ?? 'nothing')));
  return { status, ...texts };
}

/** Resident memory of a running agent in MiB. */
export function residentMemory(agent: Launched): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${agent.child.pid}/status`, 'latin1')) ?? [];
  return Number(kib) / 1024;
}
