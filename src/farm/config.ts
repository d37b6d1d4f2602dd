// farm.yaml, checked: every error says file, line, column and what was expected. The domain's nouns are here: Farm, Network, Profile, Node.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { broadcastAddress, type Cidr, type Ipv4, inNetwork, ipv4Number, type Mac, mac, networkAddress, parseCidr, parseIpv4 } from '../base/addresses.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { type Complaint, complaintsOf, inWords } from './complaints.ts';

export const configFile = 'farm.yaml';

export interface Network {
  readonly name: string;
  /** The server's interface in this network. */
  readonly interface: string;
  /** The server's address and the network's prefix length. */
  readonly address: Cidr;
  /** Where add-node takes addresses from, first and last included. */
  readonly range: { readonly first: Ipv4; readonly last: Ipv4 };
  readonly router: Ipv4 | undefined;
  readonly nameServers: readonly Ipv4[];
}

export interface Profile {
  readonly name: string;
  /** The image's name under `images/`. */
  readonly image: string;
  /** Added to the kernel command line. */
  readonly kernelArgs: readonly string[];
  /** Whether root is logged in on the consoles without a password. */
  readonly consoleLogin: boolean;
}

/** One diskless machine. */
export interface Node {
  readonly name: string;
  /** openMosix node id, 1..65535. */
  readonly id: number;
  readonly mac: Mac;
  readonly address: Ipv4;
  readonly network: Network;
  readonly profile: Profile;
}

export interface Farm {
  readonly directory: string;
  readonly name: string;
  /** Empty for none. */
  readonly domain: string;
  readonly httpPort: number;
  readonly networks: readonly Network[];
  readonly profiles: readonly Profile[];
  /** In the order of their ids. */
  readonly nodes: readonly Node[];
}

/** RFC 1123 2.1: a host name's label. */
export const nameShape = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
const nameSchema = z.string().regex(nameShape, 'expected a host name: letters, digits and inner hyphens, at most 63');
const addressSchema = z.string().transform((text, context) => parseIpv4(text) ?? issue(context, 'an IPv4 address such as 10.11.0.7'));
const cidrSchema = z.string().transform((text, context) => parseCidr(text) ?? issue(context, 'an address with prefix length such as 10.11.0.1/24'));
const macSchema = z.string({ error: 'expected a MAC address as text: put it in quotes' }).transform((text, context) => {
  try {
    return mac(text);
  } catch (error) {
    return issue(context, `a MAC address: ${sentence(error)}`);
  }
});
const rangeSchema = z.string().transform((text, context) => {
  const [first, last, more] = text.split('-').map((part) => parseIpv4(part.trim()));
  if (first === undefined || last === undefined || more !== undefined || ipv4Number(first) > ipv4Number(last)) {
    return issue(context, 'two addresses, lower first, such as 10.11.0.10-10.11.0.250');
  }
  return { first, last };
});

function issue(context: z.RefinementCtx, expected: string): never {
  context.addIssue({ code: 'custom', message: `expected ${expected}` });
  return z.NEVER;
}

const networkSchema = z.strictObject({
  interface: z.string().regex(/^[^\s/:]{1,15}$/, 'expected the name of a network interface, at most 15 characters'),
  address: cidrSchema,
  range: rangeSchema,
  router: addressSchema.optional(),
  name_servers: z.array(addressSchema).default([]),
});
const profileSchema = z.strictObject({
  image: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]*$/, 'expected an image name such as debian-13')
    .default('debian-13'),
  kernel_args: z.array(z.string().regex(/^\S+$/, 'expected one kernel argument an entry, without blanks')).default([]),
  console_login: z.boolean().default(false),
});
const nodeSchema = z.strictObject({ id: z.int().min(1).max(65_535), mac: macSchema, ip: addressSchema, profile: z.string().default('default') });
const farmSchema = z.strictObject({
  name: nameSchema,
  domain: z
    .string()
    .regex(/^([a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*)?$/i, 'expected a domain name such as farm.lan')
    .default(''),
  http_port: z.int().min(1).max(65_535).default(80),
  networks: z.record(nameSchema, networkSchema).refine((networks) => Object.keys(networks).length > 0, 'expected at least one network'),
  profiles: z.record(nameSchema, profileSchema).default({ default: { image: 'debian-13', kernel_args: [], console_login: false } }),
  nodes: z
    .record(nameSchema, nodeSchema)
    .nullish()
    .transform((nodes) => nodes ?? {}),
});

/** A likely key for one that is not there, in the map at `path`. */
function suggestKey(path: readonly PropertyKey[], key: string): string {
  const schema = path.length === 0 ? farmSchema : { networks: networkSchema, profiles: profileSchema, nodes: nodeSchema }[String(path[0])];
  return nearest(
    key,
    Object.keys(schema?.shape ?? {}).map((name) => ({ name })),
  );
}

/** Reads and checks `<directory>/farm.yaml`. Throws `FarmError` with every complaint, each with its line and column. */
export function loadFarm(directory: string): Farm {
  const path = join(directory, configFile);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new FarmError('farm.missing', `there is no ${configFile} in ${directory}`, 'make a farm there with: farm init', error);
  }
  return parseFarm(text, directory);
}

export function parseFarm(text: string, directory: string): Farm {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const path = join(directory, configFile);
  const fail = (complaints: readonly Complaint[]): never => {
    const located = complaints.map(
      ({ path: keys, message }) => `${path}${position(document, lines, keys)}: ${keys.length === 0 ? '' : `${keys.join('.')}: `}${message}`,
    );
    throw new FarmError('config.invalid', located.join('\n'), `correct ${configFile}; docs/reference/farm.yaml.md describes every key`);
  };
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    const { line, col } = lines.linePos(syntax.pos[0]);
    throw new FarmError(
      'config.syntax',
      `${path}:${line}:${col}: ${syntax.message.replace(/ at line \d+, column \d+:?[\s\S]*/, '')}`,
      'the file is YAML 1.2: check indentation and quotes there',
      syntax,
    );
  }
  const parsed = farmSchema.safeParse(document.toJS(), { error: inWords });
  if (!parsed.success) return fail(complaintsOf(parsed.error.issues, suggestKey));
  const { data } = parsed;
  const networks: Network[] = Object.entries(data.networks).map(([name, network]) => ({
    ...network,
    name,
    router: network.router,
    nameServers: network.name_servers,
  }));
  const profiles: Profile[] = Object.entries(data.profiles).map(([name, profile]) => ({
    name,
    image: profile.image,
    kernelArgs: profile.kernel_args,
    consoleLogin: profile.console_login,
  }));
  const complaints: Complaint[] = networks.flatMap(networkComplaints);
  const nodes: Node[] = [];
  const taken = new Map<string, string>();
  for (const [name, node] of Object.entries(data.nodes)) {
    const network = networks.find(({ address }) => inNetwork(address, node.ip));
    const profile = profiles.find((candidate) => candidate.name === node.profile);
    if (network === undefined) complaints.push({ path: ['nodes', name, 'ip'], message: `${node.ip} is in none of the farm's networks` });
    if (profile === undefined)
      complaints.push({ path: ['nodes', name, 'profile'], message: `there is no profile ${node.profile}${nearest(node.profile, profiles)}` });
    for (const [key, value] of Object.entries({ id: node.id, mac: node.mac, ip: node.ip })) {
      const other = taken.get(`${key} ${value}`);
      if (other !== undefined) complaints.push({ path: ['nodes', name, key], message: `${value} belongs to ${other} already` });
      taken.set(`${key} ${value}`, name);
    }
    if (network !== undefined && reserved(network, node.ip))
      complaints.push({ path: ['nodes', name, 'ip'], message: `${node.ip} ${reserved(network, node.ip)}` });
    if (network !== undefined && profile !== undefined) nodes.push({ name, id: node.id, mac: node.mac, address: node.ip, network, profile });
  }
  if (complaints.length > 0) return fail(complaints);
  nodes.sort((a, b) => a.id - b.id);
  return { directory, name: data.name, domain: data.domain, httpPort: data.http_port, networks, profiles, nodes };
}

function networkComplaints(network: Network): Complaint[] {
  const { name, address, range } = network;
  const inside = inNetwork(address, range.first) && inNetwork(address, range.last);
  return inside ? [] : [{ path: ['networks', name, 'range'], message: `the range is not inside ${networkAddress(address)}/${address.prefix}` }];
}

/** Why no node may have this address; undefined if one may. */
export function reserved(network: Network, address: Ipv4): string | undefined {
  if (address === network.address.address) return "is the server's own address";
  if (address === network.router) return "is the router's address";
  if (network.address.prefix > 30) return undefined;
  if (address === networkAddress(network.address)) return 'is the address of the network itself';
  return address === broadcastAddress(network.address) ? "is the network's broadcast address" : undefined;
}

/** ` (did you mean X?)` for a name that is one or two letters away from a valid one. */
export function nearest(name: string, candidates: readonly { readonly name: string }[]): string {
  const best = candidates
    .map((candidate) => ({ name: candidate.name, distance: editDistance(name, candidate.name) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= 2 ? ` (did you mean ${best.name}?)` : '';
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** `:line:column` of the value at `keys`, or of the nearest thing above it that is in the file. */
function position(document: Document, lines: LineCounter, keys: readonly PropertyKey[]): string {
  for (let depth = keys.length; depth > 0; depth--) {
    const node = document.getIn(keys.slice(0, depth), true);
    if (!isNode(node) || !node.range) continue;
    const { line, col } = lines.linePos(node.range[0]);
    return `:${line}:${col}`;
  }
  return '';
}

/** A node's full host name. */
export function fqdn(farm: Farm, node: Node): string {
  return farm.domain === '' ? node.name : `${node.name}.${farm.domain}`;
}
