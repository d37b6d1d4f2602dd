// Other people's DHCP and BOOTP clients, and a relay, against our service, in network namespaces joined by veth:
//
//   client a  a0 ------ sa  10.77.1.1  server  10.77.2.1  sb ------ b0  client b
//                                      (one service per interface)
//                       sr  10.77.3.1 ------ r0 10.77.3.2  relay  r1 10.77.4.1 ------ c0  client c
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

const tag = `fdhcp${process.pid % 10000}`;
const space = { server: `${tag}s`, a: `${tag}a`, b: `${tag}b`, relay: `${tag}r`, c: `${tag}c` };
const macs = { a: '52:54:00:77:01:07', b: '52:54:00:77:02:07', c: '52:54:00:77:04:07' };

function missing(...programs: string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root for network namespaces';
  const absent = ['ip', ...programs].filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  return absent.length === 0 ? undefined : `needs ${absent.join(', ')}`;
}

/** Skips with a reason where a program is missing, and fails there if this is CI, where nothing may be missing. */
function tryWith(programs: readonly string[], name: string, body: () => Promise<void>): void {
  const reason = missing(...programs);
  if (reason !== undefined && process.env['CI'] !== undefined) throw new Error(`${name}: ${reason}`);
  test.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, body);
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
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  events(): readonly string[] {
    return this.lines.map(({ event }) => event).filter((event) => event !== 'ready');
  }

  async close(): Promise<void> {
    if (this.ended) return;
    const exit = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    await exit;
  }
}

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
const inside = (where: string, command: string, args: readonly string[]): string => {
  const { status, stdout, stderr, error } = spawnSync('ip', ['netns', 'exec', where, command, ...args], { encoding: 'utf8', timeout: 30_000 });
  if (error !== undefined) throw error;
  return `${stdout}${stderr}\nstatus ${status}\n`;
};

let folder: string;
let programPath: string;
const open: Told[] = [];

function host(network: string, name: string, more: object = {}): object {
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
    ...more,
  };
}

async function serve(name: string, address: string, hosts: Record<string, object>): Promise<Told> {
  const child = spawn('ip', ['netns', 'exec', space.server, process.execPath, programPath, name, address, JSON.stringify(hosts)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const told = new Told(child);
  open.push(told);
  await told.heard('ready');
  return told;
}

const serveA = (more: object = {}) => serve('sa', '10.77.1.1', { [macs.a]: host('1', 'n1', more) });

function wire(from: string, name: string, to: string, peer: string): void {
  ip('-n', from, 'link', 'add', name, 'type', 'veth', 'peer', 'name', peer, 'netns', to);
  ip('-n', from, 'link', 'set', name, 'up');
}

function join_(where: string, name: string, mac: string): void {
  ip('-n', where, 'link', 'set', name, 'address', mac);
  ip('-n', where, 'link', 'set', name, 'up');
}

const isPossible = missing() === undefined;

beforeAll(async () => {
  if (!isPossible) return;
  folder = mkdtempSync(join(tmpdir(), 'farm-dhcp-'));
  programPath = join(folder, 'dhcp-farm.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('dhcp-farm.ts', import.meta.url))],
    outfile: programPath,
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
  join_(space.a, 'a0', macs.a);
  join_(space.b, 'b0', macs.b);
  join_(space.c, 'c0', macs.c);
  writeFileSync(join(folder, 'print'), '#!/bin/sh\nenv | sed "s/^/$1 /"\n', { mode: 0o755 });
  writeFileSync(join(folder, 'dhclient-print'), '#!/bin/sh\nenv | grep -E "^(reason|new_)"\n', { mode: 0o755 });
});

afterEach(async () => {
  for (const told of open.splice(0)) await told.close();
  if (isPossible) ip('-n', space.a, 'addr', 'flush', 'dev', 'a0');
});

afterAll(() => {
  if (!isPossible) return;
  for (const name of Object.values(space)) spawnSync('ip', ['netns', 'del', name]);
  rmSync(folder, { recursive: true, force: true });
});

/** One exchange with busybox's client; its script prints what it was told. */
function udhcpc(where: string, name: string, ...args: string[]): string {
  return inside(where, 'udhcpc', ['-i', name, '-f', '-q', '-n', '-t', '2', '-T', '1', '-s', join(folder, 'print'), ...args]);
}

describe('an operating system’s client', () => {
  tryWith(['udhcpc'], 'udhcpc gets its address and all that goes with it', async () => {
    const service = await serveA();
    const said = udhcpc(space.a, 'a0', '-O', 'rootpath', '-O', 'hostname');
    expect(said).toContain('bound ip=10.77.1.7');
    for (const line of [
      'subnet=255.255.255.0',
      'router=10.77.1.1',
      'dns=10.77.1.1',
      'domain=farm.test',
      'hostname=n1',
      'lease=3600',
      'serverid=10.77.1.1',
      'siaddr=10.77.1.1',
      'rootpath=10.77.1.1:/srv/root',
    ]) {
      expect(said).toContain(`bound ${line}\n`);
    }
    expect(said).not.toContain('boot_file');
    expect(service.events()).toEqual(['dhcp.offer', 'dhcp.ack']);
  });

  tryWith(['udhcpc'], 'a lease without end is understood', async () => {
    await serveA({ leaseSeconds: 0xffffffff });
    expect(udhcpc(space.a, 'a0')).toContain('bound lease=4294967295');
  });

  tryWith(['udhcpc'], 'a broadcast is answered too, and an address that is not its own is not given to it', async () => {
    await serveA();
    expect(udhcpc(space.a, 'a0', '-B', '-r', '10.77.1.99')).toContain('bound ip=10.77.1.7');
  });

  tryWith(['dhclient'], 'dhclient binds, comes back with the address it had, and releases it', async () => {
    const service = await serveA();
    const common = ['-sf', join(folder, 'dhclient-print'), '-lf', join(folder, 'leases'), '-pf', join(folder, 'dhclient.pid'), '-cf', '/dev/null', '-1', 'a0'];
    writeFileSync(join(folder, 'leases'), '');
    const first = inside(space.a, 'dhclient', ['-v', ...common]);
    expect(first).toContain('reason=BOUND');
    expect(first).toContain('new_ip_address=10.77.1.7');
    expect(first).toContain('new_host_name=n1');
    expect(service.events()).toEqual(['dhcp.offer', 'dhcp.ack']);

    inside(space.a, 'dhclient', ['-x', ...common]);
    expect(inside(space.a, 'dhclient', common)).toContain('reason=REBOOT');
    expect(service.lines.at(-1)).toMatchObject({ event: 'dhcp.ack', asked: 'REQUEST' });

    ip('-n', space.a, 'addr', 'add', '10.77.1.7/24', 'dev', 'a0');
    inside(space.a, 'dhclient', ['-r', ...common]);
    expect(await service.heard('dhcp.release')).toMatchObject({ address: '10.77.1.7', node: 'n1' });
  });

  tryWith(['dhclient'], 'dhclient that remembers an address of another life is refused and gets the right one', async () => {
    const service = await serveA();
    const leases = join(folder, 'old-leases');
    const lease = ['interface "a0";', 'fixed-address 10.77.1.99;', 'option subnet-mask 255.255.255.0;', 'option dhcp-server-identifier 10.77.1.1;'];
    const times = ['renew', 'rebind', 'expire'].map((word) => `${word} 5 2035/01/05 00:00:00;`);
    writeFileSync(leases, `lease {\n${[...lease, ...times].join('\n')}\n}\n`);
    const pid = join(folder, 'old.pid');
    const said = inside(space.a, 'dhclient', ['-sf', join(folder, 'dhclient-print'), '-lf', leases, '-pf', pid, '-cf', '/dev/null', '-1', 'a0']);
    expect(service.events()).toEqual(['dhcp.nak', 'dhcp.offer', 'dhcp.ack']);
    expect(said).toContain('new_ip_address=10.77.1.7');
    inside(space.a, 'dhclient', ['-x', '-pf', pid, '-lf', leases, 'a0']);
  });

  tryWith(['dhcping'], 'dhcping finds it alive by INFORM and by REQUEST', async () => {
    const service = await serveA();
    ip('-n', space.a, 'addr', 'add', '10.77.1.7/24', 'dev', 'a0');
    expect(inside(space.a, 'dhcping', ['-i', '-s', '10.77.1.1', '-c', '10.77.1.7', '-h', macs.a])).toContain('Got answer from: 10.77.1.1');
    expect(inside(space.a, 'dhcping', ['-s', '10.77.1.1', '-c', '10.77.1.7', '-h', macs.a])).toContain('Got answer from: 10.77.1.1');
    expect(service.events().slice(0, 2)).toEqual(['dhcp.inform', 'dhcp.ack']);
  });

  tryWith([], 'the npm package dhcp, as a client, binds', async () => {
    const service = await serveA();
    const client = fileURLToPath(new URL('dhcp-npm-client.cjs', import.meta.url));
    ip('-n', space.a, 'route', 'add', '255.255.255.255/32', 'dev', 'a0');
    expect(inside(space.a, process.execPath, [client, macs.a])).toContain('BOUND 10.77.1.7');
    // It asks for an address only in its second REQUEST; the first names neither address nor server.
    expect(service.events()).toEqual(['dhcp.offer', 'dhcp.ignore', 'dhcp.offer', 'dhcp.ack']);
  });
});

describe('a boot ROM', () => {
  tryWith(['bootpc'], 'bootpc, which speaks BOOTP only, gets its address and boot file', async () => {
    const service = await serveA();
    ip('-n', space.a, 'route', 'replace', '255.255.255.255/32', 'dev', 'a0');
    const said = inside(space.a, 'bootpc', ['--dev', 'a0', '--serverbcast', '--returniffail', '--timeoutwait', '5']);
    for (const line of ["IPADDR='10.77.1.7'", "NETMASK='255.255.255.0'", "GATEWAYS='10.77.1.1'", "BOOTFILE='undionly.kpxe'", "HOSTNAME='n1'"]) {
      expect(said).toContain(line);
    }
    expect(service.events()).toEqual(['bootp.reply']);
  });

  const pxe = ['-V', 'PXEClient:Arch:00000:UNDI:002001', '-x', '0x5d:0000', '-x', '0x61:0000112233445566778899aabbccddeeff'];

  tryWith(['udhcpc'], 'a BIOS PXE ROM, played by udhcpc', async () => {
    const service = await serveA();
    const said = udhcpc(space.a, 'a0', ...pxe, '-O', '43', '-O', '60', '-O', '97', '-O', 'tftp', '-O', 'bootfile');
    for (const line of ['boot_file=undionly.kpxe', 'bootfile=undionly.kpxe', 'siaddr=10.77.1.1', 'tftp=10.77.1.1', 'opt43=060108ff']) {
      expect(said).toContain(`bound ${line}\n`);
    }
    expect(said).toContain(`opt60=${Buffer.from('PXEClient').toString('hex')}`);
    expect(said).toContain('opt97=0000112233445566778899aabbccddeeff');
    expect(await service.heard('dhcp.offer')).toMatchObject({ client: 'bios/rom', file: 'undionly.kpxe', node: 'n1' });
  });

  tryWith(['udhcpc'], 'a UEFI PXE ROM', async () => {
    await serveA();
    expect(udhcpc(space.a, 'a0', '-V', 'PXEClient:Arch:00007:UNDI:003000', '-x', '0x5d:0007')).toContain('bound boot_file=ipxe.efi\n');
  });

  tryWith(['udhcpc'], 'UEFI HTTP boot', async () => {
    await serveA();
    const said = udhcpc(space.a, 'a0', '-V', 'HTTPClient:Arch:00016:UNDI:003000', '-x', '0x5d:0010', '-O', '60', '-O', 'bootfile');
    expect(said).toContain('bound bootfile=http://10.77.1.1/boot/efi-x64.efi\n');
    expect(said).toContain(`opt60=${Buffer.from('HTTPClient').toString('hex')}`);
  });

  tryWith(['udhcpc'], 'iPXE is given its script and no other loader', async () => {
    const service = await serveA();
    const said = udhcpc(space.a, 'a0', ...pxe, '-x', '0x4d:69505845', '-O', '175');
    expect(said).toContain('bound boot_file=http://10.77.1.1/boot.ipxe\n');
    expect(said).toContain('opt175=b00101');
    expect(await service.heard('dhcp.ack')).toMatchObject({ client: 'bios/ipxe' });
  });
});

describe('interfaces', () => {
  tryWith(['udhcpc'], 'two services on port 67 answer each on its own wire', async () => {
    const a = await serveA();
    const b = await serve('sb', '10.77.2.1', { [macs.b]: host('2', 'n2') });
    expect(udhcpc(space.a, 'a0')).toContain('bound ip=10.77.1.7');
    expect(udhcpc(space.b, 'b0')).toContain('bound ip=10.77.2.7');
    expect([a.lines.map(({ mac }) => mac), b.lines.map(({ mac }) => mac)]).toEqual([
      [undefined, macs.a, macs.a],
      [undefined, macs.b, macs.b],
    ]);
  });

  tryWith(['udhcpc'], 'a broadcast on the other wire is not heard', async () => {
    const service = await serve('sa', '10.77.1.1', { [macs.a]: host('1', 'n1'), [macs.b]: host('1', 'n2') });
    expect(udhcpc(space.b, 'b0')).not.toContain('bound');
    expect(udhcpc(space.a, 'a0')).toContain('bound');
    expect(service.lines.map(({ mac }) => mac)).not.toContain(macs.b);
  });

  tryWith([], 'a second service on the same wire is told who stands in its way', async () => {
    await serveA();
    await expect(serveFailing('sa')).resolves.toContain('port.taken');
    await expect(serveFailing('sz')).resolves.toContain('interface.absent');
  });

  async function serveFailing(name: string): Promise<string> {
    return inside(space.server, process.execPath, [programPath, name, '10.77.1.1', '{}']);
  }

  tryWith(['udhcpc'], 'a stranger is seen, and not answered', async () => {
    const service = await serve('sb', '10.77.2.1', {});
    expect(udhcpc(space.b, 'b0')).not.toContain('bound');
    expect(await service.heard('dhcp.ignore')).toMatchObject({ reason: 'unknown-machine', mac: macs.b });
  });

  tryWith(['udhcpc', 'dnsmasq'], 'a relay (dnsmasq) brings a node of another network', async () => {
    const service = await serve('sr', '10.77.3.1', { [macs.c]: host('4', 'n4') });
    const relay = spawn(
      'ip',
      ['netns', 'exec', space.relay, 'dnsmasq', '-k', '-p', '0', '-C', '/dev/null', '--dhcp-relay=10.77.4.1,10.77.3.1', '--user=root'],
      {
        stdio: 'ignore',
      },
    );
    try {
      // The relay says nothing when it is ready: the client asks until it is.
      const said = inside(space.c, 'udhcpc', ['-i', 'c0', '-f', '-q', '-n', '-t', '20', '-T', '1', '-s', join(folder, 'print')]);
      expect(said).toContain('bound ip=10.77.4.7');
      expect(await service.heard('dhcp.ack')).toMatchObject({ relay: '10.77.4.1', route: 'relay' });
    } finally {
      const exit = new Promise((resolve) => relay.once('exit', resolve));
      relay.kill();
      await exit;
    }
  });
});
