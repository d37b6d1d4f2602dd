// The wires of dhcp.test.ts and its neighbours: network namespaces joined by veth, and the programs that run in them.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';
import { bundle, inside, ip, makeSpaces, removeSpaces, Told } from './namespaces.ts';

export { inside, ip } from './namespaces.ts';

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

class Server extends Told {
  /** The names of the first events after `ready`, once there are that many. */
  async events(count: number): Promise<readonly string[]> {
    while (this.lines.length <= count) await this.more(`${count} events`);
    return this.lines.slice(1, 1 + count).map(({ event }) => event);
  }

  /** As a power cut would. */
  async kill(): Promise<void> {
    const exit = once(this.child, 'exit');
    this.child.kill('SIGKILL'); // `ip netns exec` has become the program
    await exit;
  }
}

const running: Server[] = [];

/** Starts our service on an interface of the server's namespace; `closeServices` ends it. */
export async function serve(name: string, address: string, hosts: Record<string, object>, more: object = {}): Promise<Server> {
  const farm = JSON.stringify({ hosts, leases: join(folder, 'journal'), ...more });
  const told = new Server(space.server, service, [name, address, farm]);
  running.push(told);
  await told.heard('ready');
  return told;
}

/** Starts it where it cannot start, and gives what it says. */
export function serveInVain(name: string): Promise<string> {
  return inside(space.server, process.execPath, [service, name, '10.77.1.1', JSON.stringify({ hosts: {}, leases: join(folder, 'vain') })]);
}

export async function closeServices(): Promise<void> {
  for (const told of running.splice(0)) await told.end();
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
  await bundle(new URL('dhcp-farm.ts', import.meta.url), service);
  makeSpaces(Object.values(space));
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

export function removeWires(): void {
  removeSpaces(Object.values(space));
}
