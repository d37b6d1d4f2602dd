// The wire of ndp.test.ts: two network namespaces joined by veth, our service in one, programs that solicit routers in the other.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as namespaces from './namespaces.ts';
import { bundle, inside, ip, type Line, Told } from './namespaces.ts';

export { inside, ip } from './namespaces.ts';

const tag = `fndp${process.pid % 10000}`;
export const space = { server: `${tag}s`, client: `${tag}c` };
/** As in the frames of test/ndp, which are captures. */
export const macs = { server: '02:00:0a:0b:00:01', client: '52:54:00:fa:00:01' };
export const folder = mkdtempSync(join(tmpdir(), 'farm-ndp-'));
const service = join(folder, 'ndp-farm.mjs');

export const sysctl = (where: string, setting: string) => ip('netns', 'exec', where, 'sysctl', '-qw', setting);

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
export class Advertiser extends Told {
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
  const advertiser = new Advertiser(space.server, service, [name, ...loading]);
  running.push(advertiser);
  await advertiser.heard('ready');
  return advertiser;
}

export async function endAll(): Promise<void> {
  for (const advertiser of running.splice(0)) await advertiser.end();
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
  await bundle(new URL('ndp-farm.ts', import.meta.url), service);
  namespaces.makeSpaces(Object.values(space));
  for (const name of Object.values(space)) sysctl(name, 'net.ipv6.conf.default.router_solicitations=0'); // the tests count those they send
}

export function removeSpaces(): void {
  namespaces.removeSpaces(Object.values(space));
  rmSync(folder, { recursive: true, force: true });
}
