// The wires of dhcp.test.ts and its neighbours: network namespaces joined by veth, and the programs that run in them.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { test } from 'vitest';

const tag = `fdhcp${process.pid % 10000}`;
export const space = { server: `${tag}s`, a: `${tag}a`, b: `${tag}b`, relay: `${tag}r`, c: `${tag}c` };
export const macs = { a: '52:54:00:77:01:07', b: '52:54:00:77:02:07', c: '52:54:00:77:04:07' };
/** Holds the programs and what clients write. */
export const folder = mkdtempSync(join(tmpdir(), 'farm-dhcp-'));
const service = join(folder, 'dhcp-farm.mjs');

export const isRoot = process.getuid?.() === 0;

function missing(programs: readonly string[]): string | undefined {
  if (!isRoot) return 'needs root for network namespaces';
  const absent = ['ip', ...programs].filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  return absent.length === 0 ? undefined : `needs ${absent.join(', ')}`;
}

/** Skips with a reason where a program is missing, and fails there if this is CI, where nothing may be missing. */
export function tryWith(programs: readonly string[], name: string, body: () => Promise<void>): void {
  const reason = missing(programs);
  if (reason !== undefined && process.env['CI'] !== undefined) throw new Error(`${name}: ${reason}`);
  test.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, body);
}

/** A registered machine, .7 of its network. */
export function host(network: string, name: string, more: object = {}): object {
  const server = `10.77.${network}.1`;
  return {
    name,
    address: `10.77.${network}.7`,
    subnet: { address: server, prefix: 24 },
    server,
    routers: [server],
    nameServers: [server],
    domain: 'farm.test',
    leaseSeconds: 3600,
    rootPath: `${server}:/srv/root`,
    options: [],
    ...more,
  };
}

/** A dynamic range, .`first` to .`last` of its network. */
export function pool(network: string, first: number, last: number, more: object = {}): object {
  const { name: _, address: __, leaseSeconds: ___, rootPath: ____, ...rest } = host(network, '') as Record<string, unknown>;
  const at = (number: number) => `10.77.${network}.${number}`;
  return { name: `pool${network}`, first: at(first), last: at(last), subnet: rest['subnet'], leaseSeconds: 600, host: rest, ...more };
}

/** One exchange with busybox's client; its script prints what it was told. */
export function udhcpc(where: string, name: string, ...args: string[]): Promise<string> {
  return inside(where, 'udhcpc', ['-i', name, '-f', '-q', '-n', '-t', '3', '-T', '1', '-s', join(folder, 'print'), ...args]);
}

type Line = { readonly event: string } & Readonly<Record<string, unknown>>;

/** A program that tells events as lines of JSON. */
class Told {
  readonly lines: Line[] = [];
  private readonly child: ChildProcess;
  private wake: () => void = () => {};
  private ended = false;

  constructor(child: ChildProcess) {
    this.child = child;
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.lines.push(JSON.parse(line));
      this.wake();
    });
    child.once('exit', () => {
      this.ended = true;
      this.wake();
    });
  }

  /** The first event of this name, past or to come; the test's own time limit ends the wait. */
  async heard(event: string, matching: (line: Line) => boolean = () => true): Promise<Line> {
    for (;;) {
      const found = this.lines.find((line) => line.event === event && matching(line));
      if (found !== undefined) return found;
      if (this.ended) throw new Error(`ended without ${event}; told ${JSON.stringify(this.lines)}`);
      await this.more();
    }
  }

  /** The names of the first events after `ready`, once there are that many. */
  async events(count: number): Promise<readonly string[]> {
    while (this.lines.length <= count) {
      if (this.ended) throw new Error(`ended; told ${JSON.stringify(this.lines)}`);
      await this.more();
    }
    return this.lines.slice(1, 1 + count).map(({ event }) => event);
  }

  private more(): Promise<void> {
    return new Promise<void>((resolve) => {
      this.wake = resolve;
    });
  }

  /** As a power cut would. */
  async kill(): Promise<void> {
    const exit = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL'); // `ip netns exec` has become the program
    await exit;
  }

  async close(): Promise<void> {
    if (this.ended) return;
    const exit = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    await exit;
  }
}

export const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });

/** Nothing of the tester's own environment: clients hand theirs to their scripts, which print it. */
const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

/** Runs a program in a namespace and gives all it said, and `status <n>`. */
export async function inside(where: string, command: string, args: readonly string[]): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', where, command, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 40_000 });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  return `${said}\nstatus ${status}\n`;
}

const running: Told[] = [];

/** Starts our service on an interface of the server's namespace; `closeServices` ends it. */
export async function serve(name: string, address: string, hosts: Record<string, object>, more: object = {}): Promise<Told> {
  const farm = JSON.stringify({ hosts, leases: join(folder, 'journal'), ...more });
  const child = spawn('ip', ['netns', 'exec', space.server, process.execPath, service, name, address, farm], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const told = new Told(child);
  running.push(told);
  await told.heard('ready');
  return told;
}

/** Starts it where it cannot start, and gives what it says. */
export function serveInVain(name: string): Promise<string> {
  return inside(space.server, process.execPath, [service, name, '10.77.1.1', JSON.stringify({ hosts: {}, leases: join(folder, 'vain') })]);
}

export async function closeServices(): Promise<void> {
  for (const told of running.splice(0)) await told.close();
}

function wire(from: string, name: string, to: string, peer: string): void {
  ip('-n', from, 'link', 'add', name, 'type', 'veth', 'peer', 'name', peer, 'netns', to);
  ip('-n', from, 'link', 'set', name, 'up');
}

function attach(where: string, name: string, mac: string): void {
  ip('-n', where, 'link', 'set', name, 'address', mac);
  ip('-n', where, 'link', 'set', name, 'up');
}

export async function layWires(): Promise<void> {
  await build({
    entryPoints: [fileURLToPath(new URL('dhcp-farm.ts', import.meta.url))],
    outfile: service,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
  for (const name of Object.values(space)) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  wire(space.server, 'sa', space.a, 'a0');
  wire(space.server, 'sb', space.b, 'b0');
  wire(space.server, 'sr', space.relay, 'r0');
  wire(space.relay, 'r1', space.c, 'c0');
  for (const [name, address] of Object.entries({ sa: '10.77.1.1', sb: '10.77.2.1', sr: '10.77.3.1' }))
    ip('-n', space.server, 'addr', 'add', `${address}/24`, 'dev', name);
  ip('-n', space.relay, 'link', 'set', 'r0', 'up');
  ip('-n', space.relay, 'addr', 'add', '10.77.3.2/24', 'dev', 'r0');
  ip('-n', space.relay, 'addr', 'add', '10.77.4.1/24', 'dev', 'r1');
  ip('-n', space.server, 'route', 'add', '10.77.4.0/24', 'via', '10.77.3.2');
  attach(space.a, 'a0', macs.a);
  attach(space.b, 'b0', macs.b);
  attach(space.c, 'c0', macs.c);
  writeFileSync(join(folder, 'print'), '#!/bin/sh\nenv | sed "s/^/$1 /"\n', { mode: 0o755 });
  writeFileSync(join(folder, 'dhclient-print'), '#!/bin/sh\nenv | grep -E "^(reason|new_)"\n', { mode: 0o755 });
}

/** Ends what a failed test may have left in the namespaces, a client in the background say, and removes them. */
export function removeWires(): void {
  for (const name of Object.values(space)) {
    const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
    spawnSync('kill', stdout.split('\n'));
    spawnSync('ip', ['netns', 'del', name]);
  }
}
