// Adding machines to the registry: the next free name, id and address for each, written into farm.yaml without losing a comment.
import { isMap, isNode, parseDocument } from 'yaml';
import { type Ipv4, inNetwork, ipv4FromNumber, ipv4Number, type Mac } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { type Farm, type Network, type Node, nameShape, nearest, parseFarm, reserved } from './config.ts';
import { editConfig } from './edit.ts';

export interface NewNode {
  readonly mac: Mac;
  readonly name?: string | undefined;
  readonly address?: Ipv4 | undefined;
  readonly id?: number | undefined;
  readonly profile?: string | undefined;
}

/** openMosix ids are 16 bits, 0 means "not a member". */
const idMax = 65_535;

/** Adds `machines` to farm.yaml, all or none, and returns them as they are then in the farm. */
export function addNodes(directory: string, machines: readonly NewNode[]): readonly Node[] {
  const macs = new Set(machines.map(({ mac }) => mac));
  const after = editConfig(directory, (text) => {
    let grown = text;
    for (const machine of machines) grown = insert(grown, plan(parseFarm(grown, directory), machine), machine.profile);
    return grown;
  });
  return after.nodes.filter((node) => macs.has(node.mac));
}

interface Plan {
  readonly name: string;
  readonly id: number;
  readonly mac: Mac;
  readonly address: Ipv4;
}

/** What a new machine is to be called, or why it cannot be added. */
function plan(farm: Farm, machine: NewNode): Plan {
  refuseUnusable(farm, machine);
  refuseDuplicates(farm, machine);
  const id = machine.id ?? firstFree(idMax, (candidate) => farm.nodes.every((node) => node.id !== candidate));
  if (id === undefined) throw new FarmError('node.full', `all ${idMax} node ids are taken`, 'remove a node that no longer exists');
  const named = new Set(farm.nodes.map(({ name }) => name));
  const number = named.has(`n${id}`) ? firstFree(Number.MAX_SAFE_INTEGER, (candidate) => !named.has(`n${candidate}`)) : id;
  return { name: machine.name ?? `n${number}`, id, mac: machine.mac, address: machine.address ?? freeAddress(farm) };
}

/** Here, where it is an argument's mistake: in farm.yaml it would be complained about at a line that is not there yet. */
function refuseUnusable(farm: Farm, { name, profile }: NewNode): void {
  if (name !== undefined && !nameShape.test(name)) {
    throw new FarmError('node.name', `"${name}" is not a host name`, 'use letters, digits and inner hyphens, at most 63');
  }
  if (profile !== undefined && farm.profiles.every((known) => known.name !== profile)) {
    const known = farm.profiles.map((one) => one.name).join(', ');
    throw new FarmError('node.profile', `there is no profile ${profile}${nearest(profile, farm.profiles)}`, `profiles of farm.yaml: ${known}`);
  }
}

function refuseDuplicates(farm: Farm, machine: NewNode): void {
  const holder = (test: (node: Node) => boolean): Node | undefined => farm.nodes.find(test);
  const taken = (node: Node | undefined, what: string): void => {
    if (node === undefined) return;
    throw new FarmError(
      'node.duplicate',
      `${what} belongs to ${node.name} already (id ${node.id}, ${node.mac}, ${node.address})`,
      'choose another, or change that node in farm.yaml',
    );
  };
  taken(
    holder((node) => node.mac === machine.mac),
    `MAC ${machine.mac}`,
  );
  taken(
    holder((node) => node.name === machine.name),
    `name ${machine.name}`,
  );
  taken(
    holder((node) => node.address === machine.address),
    `address ${machine.address}`,
  );
  taken(
    holder((node) => node.id === machine.id),
    `id ${machine.id}`,
  );
  if (machine.address === undefined) return;
  const { address } = machine;
  const network = farm.networks.find((candidate) => inNetwork(candidate.address, address));
  if (network === undefined) {
    throw new FarmError('node.address', `${address} is in none of the farm's networks`, `networks: ${farm.networks.map(networkText).join(', ')}`);
  }
  const reason = reserved(network, address);
  if (reason !== undefined) throw new FarmError('node.address', `${address} ${reason}`, `choose one of ${network.range.first}-${network.range.last}`);
}

function networkText({ name, address }: Network): string {
  return `${name} ${address.address}/${address.prefix}`;
}

function firstFree(last: number, free: (candidate: number) => boolean): number | undefined {
  for (let candidate = 1; candidate <= last; candidate++) if (free(candidate)) return candidate;
  return undefined;
}

/** The first address of the networks' ranges that nobody has. */
function freeAddress(farm: Farm): Ipv4 {
  const taken = new Set<Ipv4>(farm.nodes.map(({ address }) => address));
  for (const network of farm.networks) {
    for (let number = ipv4Number(network.range.first); number <= ipv4Number(network.range.last); number++) {
      const address = ipv4FromNumber(number);
      if (!taken.has(address) && reserved(network, address) === undefined) return address;
    }
  }
  const ranges = farm.networks.map(({ name, range }) => `${name} ${range.first}-${range.last}`).join(', ');
  throw new FarmError('node.full', `no address is free in ${ranges}`, 'widen `range` in farm.yaml');
}

/** The text with one more node: a line of its own, everything else untouched to the letter. */
function insert(text: string, node: Plan, profile: string | undefined): string {
  // The MAC in quotes: YAML 1.1 readers take bare digits with colons for a number in base 60.
  const fields = [`id: ${node.id}`, `mac: "${node.mac}"`, `ip: ${node.address}`, ...(profile === undefined ? [] : [`profile: ${JSON.stringify(profile)}`])];
  const entry = `${node.name}: { ${fields.join(', ')} }`;
  const document = parseDocument(text);
  const nodes = document.get('nodes', true);
  if (isMap(nodes) && nodes.range && nodes.items.length > 0) {
    const last = nodes.items.at(-1)?.value;
    const end = isNode(last) && last.range ? last.range[1] : nodes.range[1];
    if (nodes.flow) return `${text.slice(0, end)}, ${entry}${text.slice(end)}`;
    const indent = nodes.range[0] - 1 - text.lastIndexOf('\n', nodes.range[0] - 1);
    const newline = text.indexOf('\n', end);
    const at = newline < 0 ? text.length : newline;
    return `${text.slice(0, at)}\n${' '.repeat(indent)}${entry}${text.slice(at)}`;
  }
  if (isNode(nodes) && nodes.range) {
    const [start, end] = nodes.range;
    const newline = text.indexOf('\n', end);
    const at = newline < 0 ? text.length : newline;
    return `${text.slice(0, start).trimEnd()}${text.slice(end, at)}\n  ${entry}${text.slice(at)}`;
  }
  return `${text.replace(/\n?$/, '\n')}\nnodes:\n  ${entry}\n`;
}
