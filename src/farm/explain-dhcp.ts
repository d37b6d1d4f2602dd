// Why a machine gets the address, options and boot file that it gets: the same decisions as for a datagram, step by step in words.
import type { Ipv4, Mac } from '../base/addresses.ts';
import type { BootPlan } from '../boot/plan.ts';
import type { LeaseView } from '../dhcp/lease-slot.ts';
import type { BootClient } from '../dhcp/pxe.ts';
import { bootOf, networkOptions, nodeOptions, type WhyBoot, type WhyOption } from './explain-reply.ts';
import { cidrText, type Farm, type Network, type Node, type UnknownPolicy } from './farm.ts';
import { type IdentityKind, recognise } from './places.ts';
import { durationText } from './quantities.ts';
import { type Registry, relayPortKeys } from './registry.ts';

/** A machine as whoever asks for the reason describes it. */
export interface DhcpQuestion {
  readonly mac?: Mac;
  readonly clientId?: Buffer;
  readonly uuid?: string;
  /** The relay's address in the machine's network. Absent: the machine's own network is taken, or the first on a card of this server. */
  readonly relay?: Ipv4;
  readonly circuitId?: Buffer;
  readonly remoteId?: Buffer;
  /** Only what this firmware is told to boot; absent: every kind. */
  readonly firmware?: BootClient['firmware'];
}

export interface WhyStep {
  readonly about: 'network' | 'identity' | 'policy' | 'address' | 'lease';
  readonly says: string;
}

export interface DhcpWhy {
  /** What comes of it: a fixed address, a lease of the pool, a place in the registry, or no answer. */
  readonly verdict: 'node' | 'lease' | 'register' | 'silence';
  readonly node?: string;
  readonly network?: string;
  /** The node's own; a lease's is chosen when it is asked for. */
  readonly address?: Ipv4;
  /** null: without end. */
  readonly leaseSeconds?: number | null;
  readonly steps: readonly WhyStep[];
  readonly options: readonly WhyOption[];
  readonly boot: readonly WhyBoot[];
}

/** Pure. `plan` is how a node boots now; undefined if its image was never built. */
export function explainDhcp(
  farm: Farm,
  registry: Registry,
  question: DhcpQuestion,
  plan: (node: Node) => BootPlan | undefined,
  leases: readonly LeaseView[] = [],
): DhcpWhy {
  const recognised = recognise(registry, question);
  const { network, step } = whereabouts(farm, registry, question, recognised?.node);
  const steps: readonly WhyStep[] = [
    step,
    ...identitySteps(registry, question, recognised?.by),
    ...(network === undefined || network.dhcp === 'full' ? [] : [{ about: 'policy', says: modeText(network) } as const]),
  ];
  const why =
    recognised === undefined ? strangerWhy(farm, network, (name) => leaseOf(leases, name, question)) : nodeWhy(farm, recognised.node, network, plan, question);
  return { ...why, ...(network === undefined ? {} : { network: network.name }), steps: [...steps, ...why.steps] };
}

function silence(...steps: readonly WhyStep[]): DhcpWhy {
  return { verdict: 'silence', steps, options: [], boot: [] };
}

function nodeWhy(farm: Farm, node: Node, network: Network | undefined, plan: (node: Node) => BootPlan | undefined, { firmware }: DhcpQuestion): DhcpWhy {
  if (network?.dhcp === 'off') return { ...silence(), node: node.name };
  if (network === undefined || network !== node.network) {
    const says = `none: ${node.name} has ${node.address} of network ${node.network.name}, which is of no use where it asks`;
    return { ...silence({ about: 'address', says }), node: node.name };
  }
  const boot = bootOf(plan(node), node, firmware);
  if (network.dhcp === 'proxy') {
    const says = `none from farm: the other server has to give it ${node.address}, nodes.${node.name}.ip`;
    return { verdict: 'node', node: node.name, address: node.address, steps: [{ about: 'address', says }], options: [], boot };
  }
  const steps: readonly WhyStep[] = [
    { about: 'address', says: `${node.address}, nodes.${node.name}.ip` },
    { about: 'lease', says: 'without end: the address is its own, and its root hangs on it' },
  ];
  return { verdict: 'node', node: node.name, address: node.address, leaseSeconds: null, steps, options: nodeOptions(farm, node), boot };
}

function strangerWhy(farm: Farm, network: Network | undefined, had: (network: string) => LeaseView | undefined): DhcpWhy {
  if (network === undefined) return silence();
  const { unknown, dhcp } = network;
  const whose = unknown === farm.unknown ? 'unknown' : `networks.${network.name}.unknown`;
  if (dhcp !== 'full') return silence({ about: 'policy', says: 'machines that are in no registry get nothing here' });
  switch (unknown.kind) {
    case 'ignore':
      return silence({ about: 'policy', says: `${whose} is ignore: machines that are in no registry get no answer` });
    case 'register':
      return registerWhy(network, unknown, whose);
    case 'lease':
      return leaseWhy(farm, network, whose, had(network.name));
  }
}

function registerWhy({ name, range }: Network, { limit, windowSeconds, profile }: UnknownPolicy & { kind: 'register' }, whose: string): DhcpWhy {
  const time = windowSeconds === Number.POSITIVE_INFINITY ? 'as long as farm serve runs' : `${durationText(windowSeconds)} from the start of farm serve`;
  const says = `${whose} is register: machines that boot from the network become nodes of profile ${profile.name}, up to ${limit}, for ${time}; the log says register.closed when that is over`;
  const policy: WhyStep = { about: 'policy', says };
  if (range === undefined) return silence(policy, { about: 'address', says: `none: network ${name} has no \`range\`` });
  const address: WhyStep = { about: 'address', says: `the next free one of ${range.first}-${range.last}, networks.${name}.range` };
  return { ...silence(policy, address), verdict: 'register' };
}

function leaseWhy(farm: Farm, network: Network, whose: string, had: LeaseView | undefined): DhcpWhy {
  const { name, dynamic, leaseSeconds } = network;
  const policy: WhyStep = { about: 'policy', says: `${whose} is lease: machines that are in no registry get an address for a time` };
  if (dynamic === undefined) return silence(policy, { about: 'address', says: `none: network ${name} has no \`dynamic\`` });
  const origin = leaseSeconds === farm.leaseSeconds ? 'lease_time' : `networks.${name}.lease_time`;
  const steps: readonly WhyStep[] = [
    policy,
    { about: 'address', says: leaseText(had, `one of ${dynamic.first}-${dynamic.last}, networks.${name}.dynamic`) },
    { about: 'lease', says: `${durationText(leaseSeconds)}, ${origin}` },
  ];
  const boot = [{ client: 'any', how: 'nothing to boot: that is for nodes' }];
  return {
    verdict: 'lease',
    leaseSeconds: leaseSeconds === Number.POSITIVE_INFINITY ? null : leaseSeconds,
    steps,
    options: networkOptions(farm, network),
    boot,
  };
}

/** The lease that the machine has or had in this network: by its client id, or its MAC address if none is given. */
function leaseOf(leases: readonly LeaseView[], network: string, { mac, clientId }: DhcpQuestion): LeaseView | undefined {
  const own = leases.filter((lease) => lease.network === network && (clientId === undefined ? lease.mac === mac : lease.key === clientId.toString('hex')));
  return own.find(({ state }) => state === 'leased') ?? own.at(-1);
}

function leaseText(had: LeaseView | undefined, range: string): string {
  if (had === undefined) return range;
  return had.state === 'leased' ? `${had.address}, leased to it (farm leases)` : `${had.address}, which it had, if it is free; else ${range}`;
}

function modeText({ name, dhcp }: Network): string {
  return dhcp === 'off'
    ? `networks.${name}.dhcp is off: farm says nothing there`
    : `networks.${name}.dhcp is proxy: another server gives the addresses, farm adds what is to be booted`;
}

function whereabouts(
  farm: Farm,
  registry: Registry,
  { relay }: DhcpQuestion,
  node: Node | undefined,
): { readonly network: Network | undefined; readonly step: WhyStep } {
  const step = (says: string): WhyStep => ({ about: 'network', says });
  if (relay !== undefined) {
    const network = registry.networkOf(relay);
    if (network === undefined) return { network, step: step(`none: the relay ${relay} is in none of the farm's networks`) };
    return { network, step: step(`${networkText(network)}: the relay ${relay} is in it`) };
  }
  if (node !== undefined)
    return { network: node.network, step: step(`${networkText(node.network)}: taken to be asking in its own network (--relay names another)`) };
  const network = farm.networks.find(({ link }) => link.kind === 'direct');
  return {
    network,
    step: step(
      network === undefined
        ? 'none: the farm has no network on a card of this server'
        : `${networkText(network)}: the first one on a card of this server (--relay names another)`,
    ),
  };
}

function networkText({ name, subnet, link }: Network): string {
  return `${name} ${cidrText(subnet)}, ${link.kind === 'direct' ? `on ${link.interface}` : `behind a relay, by way of ${link.via}`}`;
}

/** What is tried, in order, up to what is found. */
function identitySteps(registry: Registry, question: DhcpQuestion, found: IdentityKind | undefined): readonly WhyStep[] {
  const { mac, clientId, uuid, circuitId, remoteId } = question;
  const keys = relayPortKeys({ ...(circuitId === undefined ? {} : { circuit: circuitId }), ...(remoteId === undefined ? {} : { remote: remoteId }) });
  const tried: readonly (readonly [IdentityKind, string, Node | undefined])[] = [
    ...(mac === undefined ? [] : [['mac', `MAC address ${mac}`, registry.byMac.get(mac)] as const]),
    ...(clientId === undefined ? [] : [['client-id', `client id ${clientId.toString('hex')}`, registry.byClientId.get(clientId.toString('hex'))] as const]),
    ...(uuid === undefined ? [] : [['uuid', `GUID ${uuid}`, registry.byUuid.get(uuid)] as const]),
    ...(keys.length === 0 ? [] : [['relay-port', 'relay port', recognise(registry, { ...portOnly(question) })?.node] as const]),
  ];
  const steps: WhyStep[] = [];
  for (const [kind, text, node] of tried) {
    steps.push({ about: 'identity', says: node === undefined ? `${text} is no node's` : `${text} is ${node.name}'s` });
    if (kind === found) break;
  }
  return steps;
}

function portOnly({ circuitId, remoteId, relay }: DhcpQuestion): DhcpQuestion {
  return {
    ...(circuitId === undefined ? {} : { circuitId }),
    ...(remoteId === undefined ? {} : { remoteId }),
    ...(relay === undefined ? {} : { relay }),
  };
}
