// farm serve and its DHCP as somebody new uses them: farm.yaml edited by hand, other people's clients, relay and server, and what goes wrong on real wires.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readGolden } from '../support/dhcp-goldens.ts';
import { command, farm } from '../support/farm-under-test.ts';

const programs = ['ip', 'udhcpc', 'dhclient', 'dhcrelay', 'dnsmasq'];
const lacking = process.getuid?.() !== 0 ? 'root is needed' : programs.find((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
if (lacking !== undefined && process.env['CI'] !== undefined) throw new Error(`the DHCP tests of farm serve cannot run: ${lacking}`);

/** Namespaces carry this process's number, so that runs side by side do not meet. */
const tag = `fd${process.pid % 10_000}`;
const spaces = { server: `${tag}s`, a: `${tag}a`, b: `${tag}b`, router: `${tag}r`, far: `${tag}f` } as const;
type Space = keyof typeof spaces;
const macs = { a: '52:54:00:33:00:01', b: '52:54:00:33:00:02', far: '52:54:00:33:00:0d' } as const;

const folder = mkdtempSync(join(tmpdir(), 'farm-serve-dhcp-'));
const sender = join(folder, 'send.mjs');
let farms = 0;

interface Line {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A farm that is served: what its log says. */
class Served {
  readonly directory: string;
  readonly lines: Line[] = [];
  private readonly child: ChildProcess;
  private wake = (): void => {};
  private errors = '';

  constructor(directory: string) {
    this.directory = directory;
    this.child = spawn('ip', ['netns', 'exec', spaces.server, process.execPath, command, '-C', directory, 'serve', '--log-format', 'json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.lines.push(JSON.parse(line));
      this.wake();
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
    this.child.once('exit', () => this.wake());
  }

  /** The first such event from line `from` on, past or to come. */
  async heard(event: string, matching: Readonly<Record<string, unknown>> = {}, from = 0): Promise<Line> {
    const end = AbortSignal.timeout(20_000);
    end.addEventListener('abort', () => this.wake());
    for (;;) {
      const found = this.lines.slice(from).find((line) => line.event === event && Object.entries(matching).every(([key, value]) => line[key] === value));
      if (found !== undefined) return found;
      if (end.aborted || this.child.exitCode !== null)
        throw new Error(`no ${event} ${JSON.stringify(matching)}: ${JSON.stringify(this.lines.slice(from))} ${this.errors}`);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  /** Edits farm.yaml as a person does, and waits until the server has said what it thinks of it. */
  async edit(change: (text: string) => string, said = 'config.loaded'): Promise<Line> {
    const from = this.lines.length;
    const path = join(this.directory, 'farm.yaml');
    writeFileSync(path, change(readFileSync(path, 'utf8')));
    return this.heard(said, {}, from);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    await ended;
  }
}

let served: Served | undefined;
const others: ChildProcess[] = [];

async function serve(directory: string): Promise<Served> {
  served = new Served(directory);
  await served.heard('serve.ready');
  return served;
}

/** `farm init`, and what its user then writes under the network `main` and in place of `nodes`. */
function newFarm(main: readonly string[], rest = 'nodes: {}'): string {
  const directory = join(folder, `farm${farms++}`);
  const args = ['init', directory, '--name', 'lab', '--interface', 'farm0', '--address', '10.11.0.1/24', '--range', '10.11.0.10-10.11.0.199'];
  execFileSync(process.execPath, [command, ...args]);
  const path = join(directory, 'farm.yaml');
  const written = readFileSync(path, 'utf8').replace(/^( {4})range: .*$/m, (line) => [line, ...main.map((each) => `    ${each}`)].join('\n'));
  writeFileSync(path, written.replace('nodes: {}', rest));
  return directory;
}

const leased = ['unknown: lease', 'dynamic: 10.11.0.200-10.11.0.202'];

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}

/** All that a program in a namespace says; whether it succeeds is in what it says. */
function inside(space: Space, program: string, ...args: readonly string[]): string {
  const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
  const { stdout, stderr } = spawnSync('ip', ['netns', 'exec', spaces[space], program, ...args], { encoding: 'utf8', timeout: 20_000, env });
  return `${stdout}${stderr}`;
}

/** What busybox's client is told, by the names that its script has for it; empty without a lease. */
function udhcpc(space: Space, ...args: readonly string[]): Readonly<Record<string, string>> {
  const said = inside(space, 'udhcpc', '-i', 'eth0', '-f', '-q', '-n', '-t', '4', '-T', '1', '-s', join(folder, 'print'), ...args);
  return Object.fromEntries([...said.matchAll(/^bound (\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
}

/** The lease that dhclient writes down, with these options asked for. */
function dhclient(space: Space, definitions: string, asked: string): string {
  const path = (name: string): string => join(folder, `dhclient-${space}-${name}`);
  rmSync(path('leases'), { force: true });
  writeFileSync(path('conf'), `${definitions}\nrequest ${asked};\n`);
  inside(space, 'dhclient', '-4', '-1', '-cf', path('conf'), '-lf', path('leases'), '-pf', path('pid'), '-sf', '/bin/true', 'eth0');
  spawnSync('kill', [readFileSync(path('pid'), 'utf8').trim()]);
  return readFileSync(path('leases'), 'utf8');
}

/** Sends a datagram of a real ROM with another card's address, and gives the replies that come within a second. */
function rom(space: Space, capture: string, mac: string, port = 67, to = '255.255.255.255'): readonly { from: string; address: string; file: string }[] {
  const datagram = readGolden(capture).find(({ toPort, payload }) => toPort === port && payload[0] === 1);
  return JSON.parse(inside(space, process.execPath, sender, datagram?.payload.toString('hex') ?? '', mac, String(port), to));
}

const senderProgram = `
import { createSocket } from 'node:dgram';
const [hex, mac, port, to] = process.argv.slice(2);
const packet = Buffer.from(hex, 'hex');
Buffer.from(mac.replaceAll(':', ''), 'hex').copy(packet, 28);
packet.writeUInt32BE(Math.floor(Math.random() * 2 ** 32), 4);
packet.writeUInt16BE(0x8000, 10);
const replies = [];
const socket = createSocket({ type: 'udp4', reuseAddr: true });
socket.on('message', (reply, { address }) => {
  if (reply[0] !== 2 || reply.readUInt32BE(4) !== packet.readUInt32BE(4)) return;
  replies.push({ from: address, address: [...reply.subarray(16, 20)].join('.'), file: reply.toString('latin1', 108, 236).replace(/\\0.*/s, '') });
});
socket.bind(port === '67' ? 68 : Number(port), () => {
  socket.setBroadcast(true);
  socket.send(packet, Number(port), to);
});
setTimeout(() => { console.log(JSON.stringify(replies)); process.exit(0); }, 1000);
`;

/** Starts a program in a namespace, and waits for the line that says it is ready. */
async function other(space: Space, ready: string, program: string, ...args: readonly string[]): Promise<void> {
  const child = spawn('ip', ['netns', 'exec', spaces[space], program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  others.push(child);
  for await (const line of createInterface({ input: child.stderr! })) if (line.includes(ready)) break;
  child.stderr?.resume();
}

function layBridge(): void {
  ip('-n', spaces.server, 'link', 'add', 'farm0', 'type', 'bridge', 'forward_delay', '0');
  ip('-n', spaces.server, 'addr', 'add', '10.11.0.1/24', 'dev', 'farm0');
  ip('-n', spaces.server, 'link', 'set', 'farm0', 'up');
}

function why(directory: string, ...args: readonly string[]): string {
  return spawnSync(process.execPath, [command, '-C', directory, 'dhcp', 'why', ...args], { encoding: 'utf8' }).stdout;
}

describe.skipIf(lacking !== undefined)(`the DHCP of farm serve${lacking === undefined ? '' : ` (${lacking})`}`, () => {
  beforeAll(() => {
    writeFileSync(sender, senderProgram);
    const names = 'ip router ntpsrv hostname lease mtu opt224 wpad';
    writeFileSync(join(folder, 'print'), `#!/bin/sh\nfor name in ${names}; do eval value=\\$$name; echo "$1 $name=$value"; done\n`, { mode: 0o755 });
    for (const space of Object.values(spaces)) {
      ip('netns', 'add', space);
      ip('-n', space, 'link', 'set', 'lo', 'up');
    }
    layBridge();
    for (const [space, peer] of [
      ['a', 'eth0'],
      ['b', 'eth0'],
      ['router', 'r0'],
    ] as const) {
      ip('-n', spaces.server, 'link', 'add', `v-${space}`, 'type', 'veth', 'peer', 'name', peer, 'netns', spaces[space]);
      ip('-n', spaces.server, 'link', 'set', `v-${space}`, 'master', 'farm0', 'up');
      ip('-n', spaces[space], 'link', 'set', peer, 'up');
    }
    ip('-n', spaces.router, 'link', 'add', 'r1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', spaces.far);
    ip('-n', spaces.router, 'addr', 'add', '10.11.0.2/24', 'dev', 'r0');
    ip('-n', spaces.router, 'addr', 'add', '10.12.0.1/24', 'dev', 'r1');
    ip('-n', spaces.router, 'link', 'set', 'r1', 'up');
    inside('router', 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    for (const space of ['a', 'b', 'far'] as const) {
      ip('-n', spaces[space], 'link', 'set', 'eth0', 'address', macs[space], 'up');
      ip('-n', spaces[space], 'route', 'add', 'default', 'dev', 'eth0'); // for broadcasts of a program without an address
    }
    ip('-n', spaces.server, 'route', 'add', '10.12.0.0/24', 'via', '10.11.0.2');
  });

  afterEach(async () => {
    await served?.end('SIGTERM');
    for (const child of others.splice(0)) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  });

  afterAll(() => {
    for (const space of Object.values(spaces)) spawnSync('ip', ['netns', 'delete', space]);
    rmSync(folder, { recursive: true, force: true });
  });

  it('leases what nobody uses, until the range is full, and keeps the leases when it is killed', async () => {
    const directory = newFarm(leased);
    ip('-n', spaces.router, 'addr', 'add', '10.11.0.200/24', 'dev', 'r0');
    try {
      const first = await serve(directory);
      const [a, b] = [udhcpc('a')['ip'], udhcpc('b')['ip']];
      expect([a, b].toSorted()).toEqual(['10.11.0.201', '10.11.0.202']);
      expect(await first.heard('lease.conflict')).toMatchObject({ address: '10.11.0.200', reason: 'answers' });
      expect(udhcpc('a', '-C', '-x', '0x3d:0033')).toEqual({});
      expect(await first.heard('dhcp.ignore', { reason: 'pool-full' })).toMatchObject({ mac: macs.a });
      await first.end('SIGKILL');
      await serve(directory);
      expect([udhcpc('a')['ip'], udhcpc('b')['ip']]).toEqual([a, b]);
      expect(why(directory, macs.a)).toMatch(new RegExp(`address +${a}, leased to it \\(farm leases\\)`));
      const leases: readonly { address: string; mac: string; start: number; state: string }[] = JSON.parse(farm(directory, 'leases', '--json'));
      expect(Object.fromEntries(leases.map(({ mac, address }) => [mac, address]))).toEqual({ [macs.a]: a, [macs.b]: b });
      expect(leases.every(({ start, state }) => Number.isInteger(start) && state === 'leased')).toBe(true);
    } finally {
      ip('-n', spaces.router, 'addr', 'del', '10.11.0.200/24', 'dev', 'r0');
    }
  });

  it('makes nodes of machines that boot, in the order seen, up to the limit', async () => {
    const directory = newFarm(['unknown: { policy: register, limit: 2 } # my lab']);
    const server = await serve(directory);
    expect(udhcpc('b', '-t', '1')).toEqual({});
    expect(rom('a', 'edk2-pxe-and-http-unanswered.pcap', macs.a)).toEqual([]);
    await server.heard('register.node', { mac: macs.a, node: 'n1' });
    await server.heard('config.loaded', { nodes: 1 });
    expect(rom('b', 'ipxe-bios-rom.pcap', macs.b)).toEqual([]);
    await server.heard('register.node', { mac: macs.b, node: 'n2' });
    await server.heard('config.loaded', { nodes: 2 });
    expect(await server.heard('register.closed')).toMatchObject({ why: 'limit', machines: 2, network: 'main' });
    expect(rom('a', 'edk2-pxe-and-http-unanswered.pcap', macs.a)).toMatchObject([{ from: '10.11.0.1', address: '10.11.0.10' }]);
    expect(rom('b', 'etherboot-5.4.hex', '52:54:00:33:00:03')).toEqual([]);
    expect(udhcpc('b')['hostname']).toBe('n2');
    expect(readFileSync(join(directory, 'farm.yaml'), 'utf8')).toContain('unknown: { policy: register, limit: 2 } # my lab');
    const status = JSON.parse(farm(directory, 'status', '--json'));
    expect(status.nodes).toMatchObject([{ name: 'n1', mac: macs.a, stage: 'dhcp', detail: 'efi-x64 rom' }, { name: 'n2' }]);
    expect(status.unknown).toMatchObject([{ mac: '52:54:00:33:00:03', detail: 'bios etherboot' }]);
    expect(server.lines.filter(({ event }) => event === 'image.missing')).toHaveLength(1);
  });

  it('adds what to boot to the offers of dnsmasq, on ports 67 and 4011', async () => {
    const directory = newFarm(['dhcp: proxy'], `nodes:\n  n1: { id: 1, mac: "${macs.a}", ip: 10.11.0.150 }`);
    mkdirSync(join(directory, 'images', 'debian-13', '0123456789ab'), { recursive: true });
    symlinkSync('0123456789ab', join(directory, 'images', 'debian-13', 'current'));
    const pool = ['-F', '10.11.0.150,10.11.0.160,1h', `--dhcp-host=${macs.a},10.11.0.150`, `--dhcp-leasefile=${join(folder, 'dnsmasq')}`];
    await other('router', 'sockets bound', 'dnsmasq', '-d', '-p', '0', '-i', 'r0', '--bind-interfaces', '--conf-file=/dev/null', ...pool);
    await serve(directory);
    const offers = rom('a', 'edk2-pxe-and-http-unanswered.pcap', macs.a).toSorted((one, two) => one.from.localeCompare(two.from));
    const file = 'images/debian-13/0123456789ab/loaders/snponly.efi';
    expect(offers).toEqual([
      { from: '10.11.0.1', address: '0.0.0.0', file },
      { from: '10.11.0.2', address: '10.11.0.150', file: '' },
    ]);
    ip('-n', spaces.a, 'addr', 'add', '10.11.0.150/24', 'dev', 'eth0');
    expect(rom('a', 'edk2-beside-a-proxy.pcap', macs.a, 4011, '10.11.0.1')).toEqual([{ from: '10.11.0.1', address: '0.0.0.0', file }]);
    ip('-n', spaces.a, 'addr', 'del', '10.11.0.150/24', 'dev', 'eth0');
    expect(why(directory, macs.a, '--arch', 'efi-x64')).toMatch(
      /^It is n1\.\n[\s\S]*address +none from farm: the other server has to give it 10.11.0.150[\s\S]*snponly/,
    );
    expect(why(directory, macs.a)).not.toContain('without end');
  });

  it('says that another server gives addresses too', async () => {
    const directory = newFarm([], `nodes:\n  n1: { id: 1, mac: "${macs.a}", ip: 10.11.0.150 }`);
    const pool = ['-F', '10.11.0.160,10.11.0.160,1h', `--dhcp-leasefile=${join(folder, 'dnsmasq2')}`];
    await other('router', 'sockets bound', 'dnsmasq', '-d', '-p', '0', '-i', 'r0', '--bind-interfaces', '--no-ping', '--conf-file=/dev/null', ...pool);
    const server = await serve(directory);
    // Whoever is quicker: this client takes no offer of ours.
    expect(dhclient('a', 'reject 10.11.0.1;', 'subnet-mask')).toContain('fixed-address 10.11.0.160;');
    expect(await server.heard('dhcp.other-server', { mac: macs.a })).toMatchObject({ otherServer: '10.11.0.2', address: '10.11.0.160' });
  });

  it('serves a network behind a relay: a node by its card, by its port, and the range of that network', async () => {
    const far = ['  far:', '    via: main', '    address: 10.12.0.0/24', '    dynamic: 10.12.0.100-10.12.0.110', '    router: 10.12.0.1', '    unknown: lease'];
    const directory = newFarm([]);
    const server = await serve(directory);
    await server.edit((text) => text.replace('\nprofiles:', `\n${far.join('\n')}\n\nprofiles:`));
    await other('router', 'Sending on   Socket/', 'dhcrelay', '-4', '-d', '--no-pid', '-a', '-id', 'r1', '-iu', 'r0', '10.11.0.1');
    expect(udhcpc('far')).toMatchObject({ ip: '10.12.0.100', router: '10.12.0.1' });
    await server.edit((text) => text.replace('nodes: {}', 'nodes:\n  n4: { id: 4, relay_port: { circuit: r1 }, ip: 10.12.0.10 }'));
    expect(udhcpc('far')).toMatchObject({ ip: '10.12.0.10', hostname: 'n4' });
    expect(why(directory, macs.far, '--relay', '10.12.0.1', '--circuit', 'r1')).toMatch(/^It is n4\.\n[\s\S]*address +10\.12\.0\.10/);
    await server.edit((text) => text.replace('relay_port: { circuit: r1 }', `mac: "${macs.far}"`).replace('10.12.0.10 ', '10.12.0.33 '));
    expect(udhcpc('far')['ip']).toBe('10.12.0.33');
  });

  it('knows nodes by client id and GUID, and shows them with the card that they asked with', async () => {
    const nodes =
      'nodes:\n  n1: { id: 1, client_id: "text:one", ip: 10.11.0.11 }\n  n2: { id: 2, uuid: "4c4c4544-0035-3010-8054-b4c04f4e4431", ip: 10.11.0.12 }';
    const directory = newFarm(leased, nodes);
    await serve(directory);
    expect(udhcpc('a', '-C', '-x', '0x3d:6f6e65', '-V', 'PXEClient:Arch:00000:UNDI:002001')['hostname']).toBe('n1');
    expect(udhcpc('b', '-x', '0x61:0044454c4c350010308054b4c04f4e4431')['hostname']).toBe('n2');
    expect(why(directory, macs.b, '--uuid', '4c4c4544-0035-3010-8054-b4c04f4e4431')).toMatch(/^It is n2\.\n/);
    const { nodes: shown, unknown } = JSON.parse(farm(directory, 'status', '--json'));
    expect(shown).toMatchObject([{ name: 'n1', mac: macs.a, stage: 'dhcp' }, { name: 'n2' }]);
    expect(unknown).toEqual([]);
  });

  it('sends the options of farm, network, profile and node, the narrower first, and changes them as farm.yaml changes', async () => {
    const vendor = 'vendor-x: { code: 224, type: u16, value: 5, always: true }';
    const node = `  n1: { id: 1, mac: "${macs.a}", ip: 10.11.0.20, options: { ${vendor} } }`;
    const directory = newFarm([...leased, 'options: { ntp-servers: [10.11.0.8, 10.11.0.7] }'], `nodes:\n${node}`);
    const server = await serve(directory);
    await server.edit((text) =>
      text
        .replace('\nnetworks:', '\noptions: { ntp-servers: 10.11.0.9, 252: "http://wpad/" }\nnetworks:')
        .replace('    image: debian-13', '    image: debian-13\n    options: { interface-mtu: 1400 }'),
    );
    const known = 'option wpad code 252 = text;\noption vendor-x code 224 = unsigned integer 16;';
    const lease = dhclient('a', known, 'subnet-mask, ntp-servers, wpad, interface-mtu, host-name');
    for (const line of ['ntp-servers 10.11.0.8,10.11.0.7', 'wpad "http://wpad/"', 'vendor-x 5', 'interface-mtu 1400', 'host-name "n1"'])
      expect(lease).toContain(`option ${line};`);
    expect(udhcpc('b', '-O', 'ntpsrv', '-O', 'mtu')).toMatchObject({ ntpsrv: '10.11.0.8 10.11.0.7', mtu: '' });
    await server.edit((text) => text.replace('ip: 10.11.0.20, options: {', 'ip: 10.11.0.30, options: { ntp-servers: 10.11.0.6,'));
    expect(udhcpc('a', '-O', 'ntpsrv')).toMatchObject({ ip: '10.11.0.30', ntpsrv: '10.11.0.6', opt224: '0005' });
    expect(why(directory, macs.a)).toMatch(/ntp-servers\(42\) 10\.11\.0\.6, nodes\.n1\.options\.ntp-servers\n[\s\S]*vendor-x\(224\)/);
    expect(await server.edit((text) => text.replace('ntp-servers: 10.11.0.6', 'ntp-servr: 10.11.0.6'), 'config.rejected')).toMatchObject({
      error: expect.stringMatching(/farm\.yaml:\d+:\d+: nodes\.n1\.options\.ntp-servr: there is no option .*\(did you mean ntp-servers?\?\)/),
    });
    expect(udhcpc('a', '-O', 'ntpsrv')).toMatchObject({ ip: '10.11.0.30', ntpsrv: '10.11.0.6' });
  });

  it('says that DHCP which was off begins with a restart', async () => {
    const server = await serve(newFarm(['dhcp: off']));
    expect(await server.edit((text) => text.replace('dhcp: off', 'dhcp: full'), 'config.restart')).toMatchObject({ remedy: 'restart farm serve' });
  });

  it('hears its card again that went down, and one that was taken away and made anew', async () => {
    const server = await serve(newFarm(leased));
    const before = udhcpc('a')['ip'];
    expect(before).toMatch(/^10\.11\.0\.20\d$/);
    ip('-n', spaces.server, 'link', 'set', 'farm0', 'down');
    await server.heard('lease.probing-lost', { interface: 'farm0' });
    ip('-n', spaces.server, 'link', 'set', 'farm0', 'up');
    expect(udhcpc('a')['ip']).toBe(before);
    ip('-n', spaces.server, 'link', 'delete', 'farm0');
    layBridge();
    for (const space of ['a', 'b', 'router']) ip('-n', spaces.server, 'link', 'set', `v-${space}`, 'master', 'farm0');
    ip('-n', spaces.server, 'route', 'add', '10.12.0.0/24', 'via', '10.11.0.2');
    await server.heard('dhcp.reopened', { interface: 'farm0' });
    expect(udhcpc('a')['ip']).toBe(before);
  });

  it('says in a sentence that the card is not there, and that perl is not', () => {
    const directory = newFarm([]);
    const path = join(directory, 'farm.yaml');
    const run = (env: NodeJS.ProcessEnv) =>
      spawnSync('ip', ['netns', 'exec', spaces.server, process.execPath, command, '-C', directory, 'serve'], { encoding: 'utf8', timeout: 20_000, env });
    mkdirSync(join(folder, 'bin'), { recursive: true });
    const ipPath = execFileSync('sh', ['-c', 'command -v ip'], { encoding: 'utf8' }).trim();
    symlinkSync(ipPath, join(folder, 'bin', 'ip'));
    expect(run({ PATH: join(folder, 'bin') }).stderr).toMatch(/^farm: .*perl did not start.*\n {2}apt-get install perl-base/);
    writeFileSync(path, readFileSync(path, 'utf8').replace('interface: farm0', 'interface: nosuch0'));
    expect(run(process.env).stderr).toMatch(/^farm: there is no network interface nosuch0\n {2}list them with: ip -br link/);
  });
});
