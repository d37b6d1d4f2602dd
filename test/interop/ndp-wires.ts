// The wire of ndp.test.ts: two network namespaces joined by veth, our service in one, programs that solicit routers in the other.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const tag = `fndp${process.pid % 10000}`;
export const space = { server: `${tag}s`, client: `${tag}c` };
/** As in the frames of test/ndp, which are captures. */
export const macs = { server: '02:00:0a:0b:00:01', client: '52:54:00:fa:00:01' };
export const folder = mkdtempSync(join(tmpdir(), 'farm-ndp-'));
const service = join(folder, 'ndp-farm.mjs');

type Line = { readonly event: string } & Readonly<Record<string, unknown>>;

export const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
export const sysctl = (where: string, setting: string) => ip('netns', 'exec', where, 'sysctl', '-qw', setting);

/** Runs a program in a namespace and gives all it said, and `status <n>`. */
export async function inside(where: string, command: string, args: readonly string[]): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', where, command, ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 40_000 });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const [code, signal] = await once(child, 'close');
  return `${said}\nstatus ${code ?? signal}\n`;
}

/** Sends a frame from the client's interface and gives the first router advertisement that comes within `seconds`, in hex; else ''. */
export async function exchange(frame: Buffer, seconds: number): Promise<string> {
  const program = `
    my ($name, $hex, $seconds) = @ARGV;
    socket(my $s, 17, 3, 0) or die $!;
    ioctl($s, 0x8933, my $r = pack("a16 x24", $name)) or die $!;
    bind($s, pack("S n i S C C x8", 17, 0x86dd, unpack("x16 i", $r), 0, 0, 0)) or die $!;
    send($s, pack("H*", $hex), 0) or die $!;
    my $end = time + $seconds;
    while ((my $left = $end - time) > 0) {
      my $ready = ""; vec($ready, fileno($s), 1) = 1;
      select($ready, undef, undef, $left) or last;
      recv($s, my $frame, 9216, 0);
      if (length $frame > 54 && ord(substr($frame, 54, 1)) == 134) { print unpack("H*", $frame); last }
    }`;
  const said = await inside(space.client, 'perl', ['-e', program, 'a0', frame.toString('hex'), String(seconds)]);
  return said.replace(/\nstatus 0\n$/, '');
}

/** Our service in the server's namespace. */
export class Advertiser {
  readonly lines: Line[] = [];
  readonly child: ChildProcess;
  private wake: () => void = () => {};

  constructor(name: string, loading: readonly string[]) {
    this.child = spawn('ip', ['netns', 'exec', space.server, process.execPath, service, name, ...loading], { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.lines.push(JSON.parse(line));
      this.wake();
    });
    this.child.once('exit', () => this.wake());
  }

  /** The first event of this name after the first `skip` of it, past or to come; the test's own time limit ends the wait. */
  async heard(event: string, skip = 0): Promise<Line> {
    for (;;) {
      const found = this.lines.filter((line) => line.event === event)[skip];
      if (found !== undefined) return found;
      if (this.child.exitCode !== null) throw new Error(`ended without ${event}; told ${JSON.stringify(this.lines)}`);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  count(event: string): number {
    return this.lines.filter((line) => line.event === event).length;
  }

  /** The process that holds the packet socket. */
  socketHolder(): number {
    return Number(execFileSync('pgrep', ['-P', String(this.child.pid), '-x', 'perl'], { encoding: 'utf8' }));
  }

  /** Ends it and gives its counters. */
  async close(): Promise<Line> {
    this.child.stdin?.end();
    return this.heard('closed');
  }
}

const running: Advertiser[] = [];

export async function advertise(name: string, ...loading: string[]): Promise<Advertiser> {
  const advertiser = new Advertiser(name, loading);
  running.push(advertiser);
  await advertiser.heard('ready');
  return advertiser;
}

export async function endAll(): Promise<void> {
  for (const { child } of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exit = once(child, 'exit');
    child.stdin?.end();
    await exit;
  }
}

/**
 * Both ends of the wire, up. Their link-local addresses are given to them, as they would make them themselves, for that takes the kernel up to
 * two seconds, of which it tells nobody when they are over.
 */
export function layWire(): void {
  ip('-n', space.server, 'link', 'add', 'sa', 'address', macs.server, 'type', 'veth', 'peer', 'name', 'a0', 'address', macs.client, 'netns', space.client);
  for (const [where, name] of [
    [space.server, 'sa'],
    [space.client, 'a0'],
  ] as const) {
    ip('-n', where, 'link', 'set', name, 'addrgenmode', 'none');
    ip('-n', where, 'link', 'set', name, 'up');
    giveAddress(where, name);
  }
}

export function giveAddress(where: string, name: 'sa' | 'a0'): void {
  const address = name === 'sa' ? 'fe80::aff:fe0b:1' : 'fe80::5054:ff:fefa:1';
  ip('-n', where, 'address', 'add', `${address}/64`, 'dev', name, 'nodad');
}

export function removeWire(): void {
  spawnSync('ip', ['-n', space.server, 'link', 'del', 'sa']);
}

export async function makeSpaces(): Promise<void> {
  await build({
    entryPoints: [fileURLToPath(new URL('ndp-farm.ts', import.meta.url))],
    outfile: service,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
  for (const name of Object.values(space)) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
    sysctl(name, 'net.ipv6.conf.default.router_solicitations=0'); // the tests count those they send
  }
}

export function removeSpaces(): void {
  for (const name of Object.values(space)) {
    const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
    for (const pid of stdout.split('\n').filter((each) => each !== '')) spawnSync('kill', [pid]);
    spawnSync('ip', ['netns', 'del', name]);
  }
  rmSync(folder, { recursive: true, force: true });
}
