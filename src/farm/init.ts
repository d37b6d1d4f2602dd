// Making a farm: what this machine suggests for its network, and the commented farm.yaml.
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { broadcastAddress, type Cidr, type Ipv4, ipv4FromNumber, ipv4Number, networkAddress, parseCidr, prefixMask } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { configFile, parseFarm } from './config.ts';
import { imagesDirectory, overlayDirectory, stateDirectory } from './directory.ts';
import type { Farm } from './farm.ts';

export interface InitOptions {
  readonly name?: string | undefined;
  readonly interface?: string | undefined;
  readonly address?: string | undefined;
  readonly range?: string | undefined;
  readonly domain?: string | undefined;
}

/** One network interface of this machine with its IPv4 addresses. */
export interface LocalInterface {
  readonly name: string;
  readonly addresses: readonly Cidr[];
  readonly hasDefaultRoute: boolean;
}

export interface InitResult {
  readonly farm: Farm;
  /** What was chosen without being told, and why: sentences for the user. */
  readonly proposals: readonly string[];
}

/** Used when this machine has no private network to offer: unlikely to be anybody's, as RFC 1918 networks go. */
const fallbackAddress: Cidr = { address: '10.11.0.1' as Ipv4, prefix: 24 };

/** Makes the farm in `directory`. Never overwrites: throws `farm.exists`. */
export function initFarm(directory: string, options: InitOptions, local: readonly LocalInterface[]): InitResult {
  const path = resolve(directory);
  if (existsSync(join(path, configFile))) {
    throw new FarmError('farm.exists', `${path} is a farm already`, `edit ${join(path, configFile)}, or name another directory`);
  }
  const proposals: string[] = [];
  const chosen = chooseInterface(options, local, proposals);
  const address = chooseAddress(options, chosen, proposals);
  const range = options.range ?? defaultRange(address, proposals);
  const name = options.name ?? farmName(path, proposals);
  const text = configText({ name, domain: options.domain ?? 'farm.lan', interface: chosen.name, address, range });
  const farm = parseFarm(text, path);
  for (const made of [path, imagesDirectory(path), overlayDirectory(path)]) makeDirectory(made);
  makeDirectory(stateDirectory(path), 0o700);
  // What agents sign their datagrams with, and the NFS server its file handles.
  writeFileSync(join(stateDirectory(path), 'key'), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
  writeFileSync(join(path, configFile), text, { flag: 'wx' });
  return { farm, proposals };
}

function chooseInterface(options: InitOptions, local: readonly LocalInterface[], proposals: string[]): LocalInterface {
  if (options.interface !== undefined)
    return local.find(({ name }) => name === options.interface) ?? { name: options.interface, addresses: [], hasDefaultRoute: false };
  // A card beside the one that leads to the Internet is what a farm's switch hangs on.
  const spare =
    local.find(({ hasDefaultRoute, addresses }) => !hasDefaultRoute && addresses.length > 0) ?? local.find(({ hasDefaultRoute }) => !hasDefaultRoute);
  const chosen = spare ?? local[0];
  if (chosen === undefined) {
    proposals.push('interface eth0: this machine has no network card besides loopback');
    return { name: 'eth0', addresses: [], hasDefaultRoute: false };
  }
  const why = spare === undefined ? 'the only one here; it also leads to your other network, so mind its DHCP server' : 'a card without the default route';
  proposals.push(`interface ${chosen.name}: ${why}`);
  return chosen;
}

function chooseAddress(options: InitOptions, chosen: LocalInterface, proposals: string[]): Cidr {
  if (options.address !== undefined) {
    const address = parseCidr(options.address);
    if (address === undefined) throw new FarmError('address.cidr', `"${options.address}" is no address with prefix length`, 'write it as 10.11.0.1/24');
    return address;
  }
  const [own] = chosen.addresses;
  const address = own ?? fallbackAddress;
  const text = `${address.address}/${address.prefix}`;
  proposals.push(
    own === undefined
      ? `address ${text}: ${chosen.name} has none yet; give it with: ip addr add ${text} dev ${chosen.name}`
      : `address ${text}: what ${chosen.name} has`,
  );
  return address;
}

/** From a tenth of the network on, so that low addresses stay free for switches and printers. */
function defaultRange(address: Cidr, proposals: string[]): string {
  const network = ipv4Number(networkAddress(address));
  const broadcast = ipv4Number(broadcastAddress(address));
  const size = (~prefixMask(address.prefix) >>> 0) + 1;
  if (size < 4) throw new FarmError('address.cidr', `/${address.prefix} has no room for nodes`, 'use a prefix length of 30 or less, such as /24');
  const first = network + Math.max(1, Math.min(10, Math.floor(size / 10)));
  const text = `${ipv4FromNumber(first)}-${ipv4FromNumber(broadcast - 1)}`;
  proposals.push(`range ${text}: node addresses come from here`);
  return text;
}

function farmName(path: string, proposals: string[]): string {
  const cleaned = basename(path)
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
  const name = cleaned === '' ? 'farm' : cleaned;
  proposals.push(`name ${name}: the directory's`);
  return name;
}

/** Where routers usually are: the network's first address, or its last if the server has that. */
function suggestedRouter(address: Cidr): Ipv4 {
  const first = ipv4FromNumber(ipv4Number(networkAddress(address)) + 1);
  return first === address.address ? ipv4FromNumber(ipv4Number(broadcastAddress(address)) - 1) : first;
}

function configText(values: { name: string; domain: string; interface: string; address: Cidr; range: string }): string {
  return `# A farm of diskless machines. Edit by hand as you like: commands that change this file keep your comments.
# Every key is described in docs/reference/farm.yaml.md.

name: ${values.name}
domain: ${values.domain}

networks:
  main:
    # The server's card in the farm's network, and its address there.
    interface: ${values.interface}
    address: ${values.address.address}/${values.address.prefix}
    # Node addresses are taken from here.
    range: ${values.range}
    # Machines that are in no registry get an address for a time (or, with register, become nodes):
    # unknown: lease
    # dynamic: an address range outside the one above
    # router: ${suggestedRouter(values.address)}
    # name_servers: [9.9.9.9]

profiles:
  default:
    # Built by: farm image build
    image: debian-13
    # kernel_args: [quiet]
    # Root logged in on every node's console, for labs.
    # console_login: true

# One line a machine: farm add-node 52:54:00:12:34:56
nodes: {}
`;
}
