// The farm that plain data describes, with every default filled in; or everything that is wrong with it.
import { resolve } from 'node:path';
import { networkAddress } from '../base/addresses.ts';
import { accountsOf } from './accounts.ts';
import { type Complaint, complaintsOf, inWords } from './complaints.ts';
import { type Farm, type Network, type Node, type Profile, serverName, type UnknownPolicy } from './farm.ts';
import { farmPolicyComplaints, linkComplaints, networkComplaints, nodeComplaints, noProfile, overlapComplaints, profileOfPolicy } from './fit.ts';
import { profileFor, resolveProfiles } from './inherit.ts';
import { networkFinder } from './registry.ts';
import { type FarmText, farmSchema, identityOf, keysAt, type NetworkText, type NodeText, type UnknownText } from './schema.ts';
import { sharedComplaints } from './shared.ts';

/** Registering machines by themselves is for the hour in which a lab is set up: then it ends, unless farm.yaml says otherwise. */
const registerDefaults = { limit: 32, windowSeconds: 1800 };

export type CheckedFarm = { readonly farm: Farm } | { readonly complaints: readonly Complaint[] };

/** `value` is what YAML made of a farm.yaml in `directory`, `plain` are nodes of it that are read already and not in `value`. */
export function checkedFarm(value: unknown, directory: string, plain: ReadonlyMap<string, NodeText> = new Map()): CheckedFarm {
  const parsed = farmSchema.safeParse(value, { error: inWords });
  if (!parsed.success) return { complaints: complaintsOf(parsed.error.issues, keysAt) };
  const { data } = parsed;
  const unreachable = linkComplaints(data.networks);
  if (unreachable.length > 0) return { complaints: unreachable };
  const complaints: Complaint[] = [];
  const { profiles, complaints: orphans } = resolveProfiles(data.profiles);
  if (orphans.length > 0) return { complaints: orphans };
  const profileNames = profiles.map(({ name }) => name);
  for (const [path, unknown] of policies(data)) complaints.push(...profileOfPolicy(path, unknown, profileNames));
  complaints.push(...sharedComplaints(data.profiles));
  const { users, groups, complaints: accountComplaints } = accountsOf(data.users, data.groups);
  complaints.push(...accountComplaints);
  if (complaints.length > 0) return { complaints };
  const unknown = policyOf('', data.unknown, profiles);
  const networks = Object.entries(data.networks).map(([name, network]) => networkOf(name, network, data, unknown, profiles));
  for (const network of networks) complaints.push(...networkComplaints(network, textOf(data.networks, network.name)));
  complaints.push(...overlapComplaints(networks), ...farmPolicyComplaints(data, networks));
  if (data.tls?.port === data.http_port) complaints.push({ path: ['tls', 'port'], message: `${data.http_port} is \`http_port\` already` });
  const nodes = nodesOf(data, plain, networks, profiles, complaints);
  if (complaints.length > 0) return { complaints };
  const { tls, upload } = data;
  return {
    farm: {
      directory,
      name: data.name,
      domain: data.domain,
      httpPort: data.http_port,
      tls: tls === undefined ? undefined : { certificate: resolve(directory, tls.certificate), key: resolve(directory, tls.key), port: tls.port },
      tftp: { singlePort: data.tftp.single_port, largestBlock: data.tftp.largest_block },
      nfs: { processes: data.nfs.processes },
      upload: upload === undefined ? undefined : { limitBytes: upload.limit },
      reserve: data.reserve,
      sshKeys: data.ssh_keys,
      users,
      groups,
      usersFromServer: data.users_from_server,
      leaseSeconds: data.lease_time,
      unknown,
      options: data.options,
      networks,
      profiles,
      nodes,
    },
  };
}

function textOf(networks: FarmText['networks'], name: string): NetworkText {
  const text = networks[name];
  if (text === undefined) throw new Error(`network ${name} was not read`);
  return text;
}

function policies({ unknown, networks }: FarmText): readonly (readonly [readonly string[], UnknownText | undefined])[] {
  return [[['unknown'], unknown], ...Object.entries(networks).map(([name, network]) => [['networks', name, 'unknown'], network.unknown] as const)];
}

function networkOf(name: string, text: NetworkText, farm: FarmText, unknown: UnknownPolicy, profiles: readonly Profile[]): Network {
  const via = text.via === undefined ? undefined : textOf(farm.networks, text.via);
  const card = via?.interface ?? text.interface;
  if (card === undefined) throw new Error(`network ${name} has no link`);
  return {
    name,
    link: text.via === undefined ? { kind: 'direct', interface: card } : { kind: 'relayed', via: text.via, interface: card },
    server: (via ?? text).address.address,
    subnet: { address: networkAddress(text.address), prefix: text.address.prefix },
    range: text.range,
    dynamic: text.dynamic,
    router: text.router,
    nameServers: text.name_servers,
    dhcp: text.dhcp,
    leaseSeconds: text.lease_time ?? farm.lease_time,
    unknown: text.unknown === undefined ? unknown : policyOf(name, text.unknown, profiles),
    options: text.options,
  };
}

function policyOf(scope: string, text: UnknownText, profiles: readonly Profile[]): UnknownPolicy {
  if (text.policy !== 'register') return { kind: text.policy };
  const profile = profiles.find(({ name }) => name === (text.profile ?? 'default'));
  if (profile === undefined) throw new Error(`profile ${text.profile} was not checked`);
  return { kind: 'register', limit: text.limit ?? registerDefaults.limit, windowSeconds: text.window ?? registerDefaults.windowSeconds, profile, scope };
}

/** In the order of their ids. What is wrong goes to `complaints`. */
function nodesOf(
  farm: FarmText,
  plain: ReadonlyMap<string, NodeText>,
  networks: readonly Network[],
  profiles: readonly Profile[],
  complaints: Complaint[],
): readonly Node[] {
  const findNetwork = networkFinder(networks);
  const byName = new Map(profiles.map((profile) => [profile.name, profile]));
  const complain = nodeComplaints(serverName(farm));
  const nodes: Node[] = [];
  for (const [name, text] of [...Object.entries(farm.nodes), ...plain]) {
    const network = findNetwork(text.ip);
    const profile = byName.get(text.profile);
    complaints.push(...complain(name, text, network));
    if (profile === undefined) complaints.push({ path: ['nodes', name, 'profile'], message: noProfile(text.profile, [...byName.keys()]) });
    if (network === undefined || profile === undefined) continue;
    const { id, ip, options } = text;
    const tags = text.tags.length === 0 ? profile.tags : [...new Set([...text.tags, ...profile.tags])];
    nodes.push({ name, id, ...identityOf(text), address: ip, network, profile: profileFor(name, text, profile, farm.profiles), tags, options });
  }
  return nodes.sort((a, b) => a.id - b.id);
}
