// How the values of farm.yaml fit together: networks that overlap, ranges outside them, two nodes with one name, address or identity.
import { broadcastAddress, type Cidr, type Ipv4, inNetwork, ipv4FromNumber, ipv4Number, type Mac, networkAddress } from '../base/addresses.ts';
import { type Complaint, nearest } from './complaints.ts';
import { type AddressRange, cidrText, inRange, type Network, type NodeIdentity, relayPortText, reserved } from './farm.ts';
import { clientIdText } from './identifiers.ts';
import { relayPortKey, swappedUuid } from './registry.ts';
import { type FarmText, identityOf, type NetworkText, type NodeText, type UnknownText } from './schema.ts';

/** What keeps a network from being built at all: how it is reached. */
export function linkComplaints(networks: FarmText['networks']): readonly Complaint[] {
  const cards = new Map<string, string>();
  return Object.entries(networks).flatMap(([name, network]): Complaint[] => {
    const path = ['networks', name];
    const complain = (key: string, message: string): Complaint[] => [{ path: [...path, key], message }];
    const { via, interface: card } = network;
    if (card !== undefined && via !== undefined)
      return complain('via', 'expected `interface` or `via`, not both: it is on a card of this server, or behind a relay');
    if (card !== undefined) {
      const other = cards.get(card);
      cards.set(card, name);
      return other === undefined ? [] : complain('interface', `${card} is the card of network ${other} already`);
    }
    if (via === undefined) {
      return [{ path, message: 'expected `interface`, a card of this server, or `via`, the network on which its relay reaches the server' }];
    }
    const reached = Object.hasOwn(networks, via) ? networks[via] : undefined;
    if (reached === undefined) return complain('via', `there is no network ${via}${nearest(via, Object.keys(networks))}`);
    if (reached.interface === undefined)
      return complain('via', `${via} is behind a relay itself: name the network of the card on which the relay's messages come in`);
    return [];
  });
}

/** `network` is what has been made of `text`. */
export function networkComplaints(network: Network, text: NetworkText): readonly Complaint[] {
  const complaints: Complaint[] = [];
  const complain = (key: string, message: string): unknown => complaints.push({ path: ['networks', network.name, key], message });
  const { subnet, range, dynamic, router } = network;
  const own = text.address.address;
  const isEnd = subnet.prefix <= 30 && (own === networkAddress(subnet) || own === broadcastAddress(subnet));
  if (network.link.kind === 'direct' && isEnd) complain('address', `expected the server's own address, which ${own} cannot be in ${cidrText(subnet)}`);
  if (network.link.kind === 'relayed' && own !== subnet.address) {
    complain('address', `expected ${cidrText(subnet)}: the server has no address of its own behind a relay`);
  }
  const outside = (inner: AddressRange | undefined): boolean => inner !== undefined && !(inNetwork(subnet, inner.first) && inNetwork(subnet, inner.last));
  if (outside(range)) complain('range', `the range is not inside ${cidrText(subnet)}`);
  if (outside(dynamic)) complain('dynamic', `the range is not inside ${cidrText(subnet)}`);
  if (range !== undefined && dynamic !== undefined && overlap(range, dynamic)) {
    complain('dynamic', `it overlaps \`range\` ${range.first}-${range.last}: an address is either a node's own or leased to whoever comes`);
  }
  if (router !== undefined && !inNetwork(subnet, router)) complain('router', `${router} is not inside ${cidrText(subnet)}: machines there cannot reach it`);
  else if (router !== undefined) {
    const why = reserved({ subnet, server: network.server, router: undefined }, router);
    if (why !== undefined && router !== network.server) complain('router', `${router} ${why}`);
  }
  return [...complaints, ...policyComplaints(network, text)];
}

/** A policy that the network itself has must be possible there; the farm's own goes for the networks where it is. */
function policyComplaints({ name, unknown, dhcp, dynamic, range, subnet }: Network, text: NetworkText): readonly Complaint[] {
  if (text.unknown === undefined || unknown.kind === 'ignore') return [];
  const path = ['networks', name, 'unknown'];
  if (dhcp !== 'full') return [{ path, message: `with \`dhcp: ${dhcp}\` the addresses of this network are not farm's to give` }];
  if (unknown.kind === 'lease' && dynamic === undefined)
    return [{ path, message: `to lease addresses the network needs \`dynamic\`, ${dynamicHint(subnet, range)}` }];
  if (unknown.kind === 'register' && range === undefined) return [{ path, message: 'to register machines the network needs `range`' }];
  return [];
}

/** Where it could be: behind `range`, which has to leave room. */
function dynamicHint(subnet: Cidr, range: AddressRange | undefined): string {
  const last = ipv4Number(broadcastAddress(subnet)) - 1;
  const first = range === undefined ? last - Math.min(49, Math.floor((last - ipv4Number(subnet.address)) / 2)) : ipv4Number(range.last) + 1;
  if (first <= last) return `such as ${ipv4FromNumber(first)}-${ipv4FromNumber(last)}`;
  return `outside \`range\` ${range?.first}-${range?.last}: make that one shorter`;
}

/** The farm's own policy must be possible in one network at least. */
export function farmPolicyComplaints({ unknown }: FarmText, networks: readonly Network[]): readonly Complaint[] {
  const full = networks.filter(({ dhcp }) => dhcp === 'full');
  if (unknown.policy === 'lease' && full.every(({ dynamic }) => dynamic === undefined)) {
    return [{ path: ['unknown'], message: 'to lease addresses a network needs `dynamic`, such as 10.11.0.100-10.11.0.199; none has it' }];
  }
  if (unknown.policy === 'register' && full.every(({ range }) => range === undefined)) {
    return [{ path: ['unknown'], message: 'to register machines a network needs `range`; none has it' }];
  }
  return [];
}

/** A registered machine needs a profile that there is. */
export function profileOfPolicy(path: readonly string[], unknown: UnknownText | undefined, profiles: readonly string[]): readonly Complaint[] {
  if (unknown?.policy !== 'register') return [];
  const wanted = unknown.profile ?? 'default';
  return profiles.includes(wanted) ? [] : [{ path: [...path, 'profile'], message: noProfile(unknown.profile, profiles) }];
}

export function noProfile(wanted: string | undefined, profiles: readonly string[]): string {
  return wanted === undefined || wanted === 'default'
    ? `there is no profile default, which is used where none is named: add it to \`profiles\`${nearest('default', profiles)}`
    : `there is no profile ${wanted}${nearest(wanted, profiles)}`;
}

/** Two networks with an address in common would make it a matter of chance which of them a machine is in. */
export function overlapComplaints(networks: readonly Network[]): readonly Complaint[] {
  const sorted = networks.map((network) => ({ network, first: ipv4Number(network.subnet.address), last: lastNumber(network.subnet) }));
  sorted.sort((a, b) => a.first - b.first || b.last - a.last);
  const complaints: Complaint[] = [];
  let widest = sorted[0];
  for (const each of sorted.slice(1)) {
    if (widest !== undefined && each.first <= widest.last) {
      const [older, newer] =
        networks.indexOf(widest.network) < networks.indexOf(each.network) ? [widest.network, each.network] : [each.network, widest.network];
      complaints.push({
        path: ['networks', newer.name, 'address'],
        message: `${cidrText(newer.subnet)} overlaps network ${older.name}, ${cidrText(older.subnet)}`,
      });
    }
    if (widest === undefined || each.last > widest.last) widest = each;
  }
  return complaints;
}

function lastNumber(subnet: Cidr): number {
  return ipv4Number(broadcastAddress(subnet));
}

function overlap(a: AddressRange, b: AddressRange): boolean {
  return ipv4Number(a.first) <= ipv4Number(b.last) && ipv4Number(b.first) <= ipv4Number(a.last);
}

/** Finds what is wrong with each node; handed every node once, in the order of the file, because two may want the same. */
export function nodeComplaints(serverName: string): (name: string, node: NodeText, network: Network | undefined) => readonly Complaint[] {
  const holders = new Map<string, string>();
  return (name, node, network) => {
    const identities = identitiesOf(identityOf(node));
    const claims: readonly Claim[] = [
      { key: 'id', word: `id ${node.id}`, text: `id ${node.id}` },
      ...identities,
      { key: 'ip', word: `ip ${node.ip}`, text: node.ip },
      { key: undefined, word: `name ${name.toLowerCase()}`, text: `the name ${name.toLowerCase()}, in other letters,` },
    ];
    const faults: Fault[] = [...nameFault(name, serverName)];
    if (identities.length === 0)
      faults.push({ key: undefined, message: 'expected one of `mac`, `client_id`, `uuid` and `relay_port`, to know the machine by' });
    for (const { key, word, text } of claims) {
      const other = holders.get(word);
      holders.set(word, name);
      if (other !== undefined && other !== name) faults.push({ key, message: `${text} belongs to ${other} already` });
    }
    faults.push(...addressFault(node.ip, network));
    return faults.map(({ key, message }) => ({ path: ['nodes', name, ...(key === undefined ? [] : [key])], message }));
  };
}

interface Claim {
  /** Of the node's map; absent for its name. */
  readonly key: string | undefined;
  /** Equal for equal things. */
  readonly word: string;
  readonly text: string;
}

interface Fault {
  readonly key: string | undefined;
  readonly message: string;
}

function nameFault(name: string, serverName: string): readonly Fault[] {
  if (name.toLowerCase() === 'localhost') return [{ key: undefined, message: 'localhost is every machine itself: choose another name' }];
  return name.toLowerCase() === serverName.toLowerCase() ? [{ key: undefined, message: `${name} is the server's own name` }] : [];
}

function addressFault(address: Ipv4, network: Network | undefined): readonly Fault[] {
  if (network === undefined) return [{ key: 'ip', message: `${address} is in none of the farm's networks` }];
  const why = addressComplaint(network, address);
  return why === undefined ? [] : [{ key: 'ip', message: `${address} ${why}` }];
}

/** Why a node of this network cannot have this address. */
export function addressComplaint(network: Network, address: Ipv4): string | undefined {
  const { dynamic } = network;
  if (dynamic !== undefined && inRange(dynamic, address))
    return `is inside \`dynamic\` of network ${network.name}, ${dynamic.first}-${dynamic.last}, which is leased to whoever comes`;
  return reserved(network, address);
}

/** One thing that a node is known by, under its key of farm.yaml. */
export interface Identity extends Claim {
  readonly key: 'mac' | 'client_id' | 'uuid' | 'relay_port';
}

/** What a node is known by, each in one spelling. Client id 01 and an Ethernet address is that address (RFC 2132 9.14). */
export function identitiesOf({ mac, clientId, uuid, relayPort }: NodeIdentity): readonly Identity[] {
  // As most are.
  if (mac !== undefined && clientId === undefined && uuid === undefined && relayPort === undefined) return [macIdentity(mac)];
  const hex = clientId?.toString('hex') ?? '';
  const ownMac = /^01[0-9a-f]{12}$/.test(hex) ? hex.slice(2).replace(/..(?=.)/g, '$&:') : undefined;
  return [
    ...(mac === undefined ? [] : [macIdentity(mac)]),
    ...(clientId === undefined
      ? []
      : [{ key: 'client_id', word: ownMac === undefined ? `client_id ${hex}` : `mac ${ownMac}`, text: `client id ${clientIdText(clientId)}` } as const]),
    ...(uuid === undefined ? [] : [{ key: 'uuid', word: `uuid ${[uuid, swappedUuid(uuid)].sort()[0]}`, text: `GUID ${uuid}` } as const]),
    ...(relayPort === undefined ? [] : [{ key: 'relay_port', word: `port ${relayPortKey(relayPort)}`, text: relayPortText(relayPort) } as const]),
  ];
}

function macIdentity(mac: Mac): Identity {
  return { key: 'mac', word: `mac ${mac}`, text: `MAC ${mac}` };
}
