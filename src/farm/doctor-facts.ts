// What `farm doctor` looks at on this machine: cards, ports, firewall, clock, disk.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ipv4FromNumber, parseCidr } from '../base/addresses.ts';
import { FarmError, systemCode } from '../base/errors.ts';
import { imagesDirectory, stateDirectory } from './directory.ts';
import type { Card, DhcpProbe, Facts, Listener, ServerAccountsFact } from './doctor.ts';
import type { Farm } from './farm.ts';
import { Images } from './images.ts';
import { probeDhcp } from './other-dhcp.ts';
import { readServerAccounts } from './server-account-files.ts';
import { withServerAccounts } from './server-accounts.ts';

const run = promisify(execFile);
const programTimeout = 5000;

export async function gatherFacts(farm: Farm, serving: boolean, isRoot: boolean): Promise<Facts> {
  const { directory } = farm;
  const [otherServers, firewall, clockSynchronised] = await Promise.all([probes(farm, isRoot), firewallRules(), synchronised()]);
  const { bavail, bsize } = statfsSync(imagesDirectory(directory));
  const images = new Images(directory, []);
  const wanted = new Set([...farm.profiles, ...farm.nodes.map(({ profile }) => profile)].map(({ image }) => image));
  return {
    isRoot,
    serving,
    cards: cards(),
    listeners: [...listeners('udp'), ...listeners('tcp')],
    otherServers,
    firewall,
    clockSynchronised,
    freeBytes: bavail * bsize,
    keyMode: keyMode(directory),
    builtImages: new Set([...wanted].filter((image) => images.current(image) !== undefined)),
    serverAccounts: accountsFact(farm),
  };
}

function accountsFact(farm: Farm): ServerAccountsFact | undefined {
  try {
    const found = readServerAccounts(farm);
    if (found === undefined) return undefined;
    withServerAccounts(farm, found);
    return { kind: 'found', users: found.users.map(({ name }) => name), warnings: found.warnings };
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    return { kind: 'failed', why: error.message, remedy: error.hint };
  }
}

function keyMode(directory: string): number {
  const path = join(stateDirectory(directory), 'key');
  try {
    return statSync(path).mode & 0o777;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new FarmError('key.missing', `the farm's key ${path} is not there`, 'farm init makes it; restore it from a backup', error);
  }
}

async function probes(farm: Farm, isRoot: boolean): Promise<ReadonlyMap<string, DhcpProbe>> {
  if (!isRoot) return new Map();
  const asked = farm.networks.flatMap(({ name, link, dhcp }) => (link.kind === 'direct' && dhcp !== 'off' ? [{ name, card: link.interface }] : []));
  return new Map(await Promise.all(asked.map(async ({ name, card }): Promise<[string, DhcpProbe]> => [name, await probeDhcp(card)])));
}

/** sysfs knows cards without an address, too. */
function cards(): ReadonlyMap<string, Card> {
  const addresses = networkInterfaces();
  return new Map(
    readdirSync('/sys/class/net').map((name): [string, Card] => {
      const flags = Number(readFileSync(`/sys/class/net/${name}/flags`, 'utf8'));
      const own = addresses[name] ?? [];
      return [
        name,
        {
          up: (flags & 1) === 1, // IFF_UP, netdevice(7)
          carrier: carrier(name),
          addresses: own.flatMap(({ cidr, family }) => (family === 'IPv4' && cidr !== null ? [parseCidr(cidr)] : [])).filter((each) => each !== undefined),
        },
      ];
    }),
  );
}

function carrier(name: string): boolean | undefined {
  try {
    return readFileSync(`/sys/class/net/${name}/carrier`, 'utf8').trim() === '1';
  } catch (error) {
    if (systemCode(error) !== 'EINVAL') throw error;
    return undefined; // the card is down
  }
}

/** What listens, from proc(5): addresses are in the byte order of the machine, x86's. */
function listeners(protocol: 'tcp' | 'udp'): readonly Listener[] {
  const isListening = protocol === 'tcp' ? '0A' : '07';
  return readFileSync(`/proc/net/${protocol}`, 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([, local = '', , state]) => {
      const [address = '', port = ''] = local.split(':');
      if (state !== isListening) return [];
      return [{ protocol, port: Number.parseInt(port, 16), address: ipv4FromNumber(Buffer.from(address, 'hex').readUInt32LE(0)) }];
    });
}

/** Input chains that drop by default, of nftables and of the older iptables. */
async function firewallRules(): Promise<readonly string[] | undefined> {
  const nft = await output('nft', ['list', 'ruleset']);
  const iptables = await output('iptables', ['-S', 'INPUT']);
  if (nft === undefined && iptables === undefined) return undefined;
  const chains = [...(nft ?? '').matchAll(/chain (\S+) \{\s*type filter hook input [^;]*;\s*policy drop;/g)].map(
    ([, name]) => `nftables' chain ${name} drops what no rule lets in`,
  );
  const old = /^-P INPUT DROP$/m.test(iptables ?? '') ? ["iptables' chain INPUT drops what no rule lets in"] : [];
  return chains.length > 0 ? chains : old;
}

async function synchronised(): Promise<boolean | undefined> {
  const text = await output('timedatectl', ['show', '-p', 'NTPSynchronized', '--value']);
  return text === undefined ? undefined : text.trim() === 'yes';
}

/** undefined if the program is not there, or may not say. */
async function output(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    return (await run(program, [...args], { timeout: programTimeout })).stdout;
  } catch {
    return undefined; // not installed, or not for this user: the check says that nobody could look
  }
}
