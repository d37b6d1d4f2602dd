// Adding machines to the registry: the next free name, id and address for each, written into farm.yaml without losing a comment.
import { type Ipv4, ipv4FromNumber, ipv4Number } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { nearest } from './complaints.ts';
import { parseFarm } from './config.ts';
import { type EditedConfig, editConfig } from './edit.ts';
import { changeNodes, type NodeChange } from './edit-nodes.ts';
import { type Farm, identityText, type Network, type Node, type NodeIdentity, nameShape } from './farm.ts';
import { addressComplaint, identitiesOf } from './fit.ts';
import { insertNodes, type NodeEntry } from './insert.ts';
import { networkFinder } from './registry.ts';
import { idMax } from './schema.ts';

/** What is left out is chosen: the next free one. One identity at least. */
export interface NewNode extends NodeIdentity {
  readonly name?: string | undefined;
  readonly address?: Ipv4 | undefined;
  readonly id?: number | undefined;
  readonly profile?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Further keys of farm.yaml, as they stand there. */
  readonly extra?: NodeChange;
  /** Name of the network to take an address from; any that has one is good enough if absent. */
  readonly network?: string | undefined;
}

export interface AddedNodes extends EditedConfig {
  readonly added: readonly Node[];
}

/** Adds `machines` to farm.yaml, all or none, or only says what would be added. Throws `node.*`, `config.*`. */
export function addNodes(directory: string, machines: readonly NewNode[], dryRun = false): AddedNodes {
  let entries: readonly NodeEntry[] = [];
  const edited = editConfig(
    directory,
    (text) => {
      entries = planNodes(parseFarm(text, directory), machines);
      const extras = entries.flatMap(({ name }, index): (readonly [string, NodeChange])[] => {
        const extra = machines[index]?.extra;
        return extra === undefined ? [] : [[name, extra]];
      });
      const inserted = insertNodes(text, entries);
      return extras.length === 0 ? inserted : changeNodes(inserted, new Map(extras));
    },
    dryRun,
  );
  const names = new Set(entries.map(({ name }) => name));
  return { ...edited, added: edited.farm.nodes.filter(({ name }) => names.has(name)) };
}

/** What new machines are to be called, or why one of them cannot be added. Pure. */
function planNodes(farm: Farm, machines: readonly NewNode[]): readonly NodeEntry[] {
  const taken = new Taken(farm);
  return machines.map((machine) => {
    refuseUnusable(farm, machine);
    taken.refuse(machine);
    const id = machine.id ?? taken.freeId();
    const name = machine.name ?? taken.freeName(id);
    const { mac, clientId, uuid, relayPort } = machine;
    const identity = {
      ...(mac === undefined ? {} : { mac }),
      ...(clientId === undefined ? {} : { clientId }),
      ...(uuid === undefined ? {} : { uuid }),
      ...(relayPort === undefined ? {} : { relayPort }),
    };
    const entry = { name, id, address: machine.address ?? taken.freeAddress(machine.network), profile: machine.profile, tags: machine.tags, ...identity };
    taken.add(entry);
    return entry;
  });
}

/** Here, where it is an argument's mistake: in farm.yaml it would be complained about at a line that is not there yet. */
function refuseUnusable(farm: Farm, machine: NewNode): void {
  const { name, profile, network } = machine;
  if (identitiesOf(machine).length === 0) {
    throw new FarmError('node.identity', 'nothing says which machine it is', 'give its MAC address, client id, GUID or relay port');
  }
  if (name !== undefined && !nameShape.test(name)) {
    throw new FarmError('node.name', `"${name}" is not a host name`, 'use letters, digits and inner hyphens, at most 63');
  }
  const profiles = farm.profiles.map((known) => known.name);
  if (profile !== undefined && !profiles.includes(profile)) {
    throw new FarmError('node.profile', `there is no profile ${profile}${nearest(profile, profiles)}`, `profiles of farm.yaml: ${profiles.join(', ')}`);
  }
  const networks = farm.networks.map((known) => known.name);
  if (network !== undefined && !networks.includes(network)) {
    throw new FarmError('node.network', `there is no network ${network}${nearest(network, networks)}`, `networks of farm.yaml: ${networks.join(', ')}`);
  }
}

/** What nodes have, those of the farm and those that are being added. */
class Taken {
  private readonly farm: Farm;
  private readonly findNetwork: (address: Ipv4) => Network | undefined;
  private readonly holders = new Map<string, NodeEntry>();
  /** Nothing below is free: what is taken stays taken. */
  private lastId = 0;
  private lastNumber = 0;
  private readonly lastAddress = new Map<Network, number>();

  constructor(farm: Farm) {
    this.farm = farm;
    this.findNetwork = networkFinder(farm.networks);
    for (const node of farm.nodes) this.add({ ...node, profile: undefined, tags: undefined });
  }

  add(entry: NodeEntry): void {
    const words = [`id ${entry.id}`, `name ${entry.name.toLowerCase()}`, `ip ${entry.address}`, ...identitiesOf(entry).map(({ word }) => word)];
    for (const word of words) this.holders.set(word, entry);
  }

  refuse(machine: NewNode): void {
    const { name, address, id, network } = machine;
    for (const { word, text } of identitiesOf(machine)) this.refuseHeld(word, text);
    if (name !== undefined) this.refuseHeld(`name ${name.toLowerCase()}`, `name ${name}`);
    if (address !== undefined) this.refuseHeld(`ip ${address}`, `address ${address}`);
    if (id !== undefined) this.refuseHeld(`id ${id}`, `id ${id}`);
    if (address === undefined) return;
    const found = this.findNetwork(address);
    if (found === undefined) {
      const all = this.farm.networks.map((each) => `${each.name} ${each.subnet.address}/${each.subnet.prefix}`).join(', ');
      throw new FarmError('node.address', `${address} is in none of the farm's networks`, `networks: ${all}`);
    }
    if (network !== undefined && found.name !== network) {
      throw new FarmError('node.address', `${address} is in network ${found.name}, not in ${network}`, 'leave one of them out');
    }
    const why = addressComplaint(found, address);
    if (why === undefined) return;
    const { range } = found;
    throw new FarmError('node.address', `${address} ${why}`, range === undefined ? 'choose another' : `choose one of ${range.first}-${range.last}`);
  }

  private refuseHeld(word: string, text: string): void {
    const holder = this.holders.get(word);
    if (holder === undefined) return;
    const { name, id, address } = holder;
    const held = `belongs to ${name} already (id ${id}, ${identityText(holder)}, ${address})`;
    throw new FarmError('node.duplicate', `${text} ${held}`, 'choose another, or change that node in farm.yaml');
  }

  freeId(): number {
    do this.lastId++;
    while (this.holders.has(`id ${this.lastId}`));
    if (this.lastId > idMax) throw new FarmError('node.full', `all ${idMax} node ids are taken`, 'remove a node that no longer exists');
    return this.lastId;
  }

  /** `n` and the id, or the first number that is free. */
  freeName(id: number): string {
    if (!this.holders.has(`name n${id}`)) return `n${id}`;
    do this.lastNumber++;
    while (this.holders.has(`name n${this.lastNumber}`));
    return `n${this.lastNumber}`;
  }

  /** The first address of the networks' ranges that nobody has. */
  freeAddress(networkName: string | undefined): Ipv4 {
    const networks = this.farm.networks.filter(({ name, range }) => range !== undefined && (networkName === undefined || name === networkName));
    for (const network of networks) {
      const address = this.freeIn(network);
      if (address !== undefined) return address;
    }
    if (networks.length === 0) {
      const which = networkName === undefined ? 'no network' : `network ${networkName}`;
      throw new FarmError(
        'node.full',
        `${which}${networkName === undefined ? ' has' : ' has no'} \`range\` to take an address from`,
        'give one, or the address',
      );
    }
    const ranges = networks.map(({ name, range }) => `${name} ${range?.first}-${range?.last}`).join(', ');
    throw new FarmError('node.full', `no address is free in ${ranges}`, 'widen `range` in farm.yaml');
  }

  private freeIn(network: Network): Ipv4 | undefined {
    const { range } = network;
    if (range === undefined) return undefined;
    const last = ipv4Number(range.last);
    for (let number = this.lastAddress.get(network) ?? ipv4Number(range.first); number <= last; number++) {
      this.lastAddress.set(network, number);
      const address = ipv4FromNumber(number);
      if (!this.holders.has(`ip ${address}`) && addressComplaint(network, address) === undefined) return address;
    }
    return undefined;
  }
}
