// farm add-node: enters machines into the registry.
import { setTimeout } from 'node:timers/promises';
import { Command } from 'commander';
import { type Ipv4, mac } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { identityText, type Node } from '../farm/farm.ts';
import { addNodes, type NewNode } from '../farm/nodes.ts';
import { operatingSystem } from '../farm/sightings.ts';
import { dryRunOption, printDifference } from './change.ts';
import { clientIdArgument, farmDirectory, ipv4Argument, numberArgument, table, uuidArgument } from './options.ts';
import { fetchStatus } from './status.ts';

interface AddNodeOptions {
  readonly name?: string;
  readonly ip?: Ipv4;
  readonly id?: number;
  readonly uuid?: string;
  readonly clientId?: Buffer;
  readonly network?: string;
  readonly profile?: string;
  readonly tag: readonly string[];
  readonly discover?: number;
  readonly dryRun?: boolean;
}

export function addNodeCommand(): Command {
  return new Command('add-node')
    .description('add machines by their MAC addresses; name, address and id are the next free ones')
    .argument('[mac...]', '52:54:00:12:34:56, 52-54-00-12-34-56, 5254.0012.3456 or 525400123456')
    .option('--name <name>', 'host name')
    .option('--ip <address>', 'address', ipv4Argument)
    .option('--id <id>', 'openMosix node id, 1 to 65535', numberArgument(1, 65_535))
    .option('--uuid <guid>', 'its GUID, instead of a MAC address or beside it', uuidArgument)
    .option('--client-id <id>', 'its DHCP client id in hex or as text:NAME, likewise', clientIdArgument)
    .option('--network <network>', 'network of farm.yaml to take the address from (default: the first with a free one)')
    .option('--profile <profile>', 'profile of farm.yaml (default: default)')
    .option('--tag <tag>', 'a tag for them', (tag: string, all: readonly string[]) => [...all, tag], [])
    .option(...dryRunOption)
    .option('--discover <count>', 'add the next unknown machines that are switched on, in their order', numberArgument(1, 65_535))
    .action(async (macs: string[], options: AddNodeOptions, command: Command) => {
      if (options.discover !== undefined) return discover(farmDirectory(command), macs, options, options.discover);
      const edited = addNodes(farmDirectory(command), newNodes(macs, options), options.dryRun === true);
      if (options.dryRun === true) printDifference(edited);
      else process.stdout.write(addedText(edited.added));
    });
}

function addedText(added: readonly Node[]): string {
  return table(added.map((node) => [node.name, `id ${node.id}`, node.address, identityText(node)]));
}

/** A ROM asks for some tens of seconds; it is a node at its next question. */
const lookMilliseconds = 500;

async function discover(directory: string, macs: readonly string[], options: AddNodeOptions, count: number): Promise<void> {
  if (macs.length > 0 || isForOne(options) || options.dryRun === true) {
    throw new FarmError('usage', '--discover finds the machines itself, and names them', 'give it --profile, --network and --tag alone');
  }
  const since = Date.now();
  process.stderr.write(`waiting for ${count} machines: switch them on one after the other, in the order of their names\n`);
  for (let left = count; left > 0; ) {
    const { serving, unknown } = await fetchStatus(directory);
    if (!serving)
      throw new FarmError(
        'serve.absent',
        'farm serve is not running, and nobody else hears new machines',
        'start it in another terminal, or: systemctl start farm',
      );
    const found = unknown.filter(({ lastSeen, detail }) => lastSeen >= since && detail !== operatingSystem).slice(-left);
    // Last seen first: the order in which they were switched on is the other way round.
    for (const { mac: card } of [...found].reverse()) process.stdout.write(addedText(addNodes(directory, newNodes([card], options)).added));
    left -= found.length;
    if (left > 0) await setTimeout(lookMilliseconds);
  }
}

function isForOne({ name, ip, id, uuid, clientId }: AddNodeOptions): boolean {
  return [name, ip, id, uuid, clientId].some((option) => option !== undefined);
}

function newNodes(macs: readonly string[], options: AddNodeOptions): readonly NewNode[] {
  const { name, ip, id, uuid, clientId, network, profile, tag } = options;
  if (macs.length > 1 && isForOne(options)) {
    throw new FarmError('usage', '--name, --ip, --id, --uuid and --client-id are for one machine at a time', 'add the machines one by one, or let farm choose');
  }
  if (macs.length === 0 && uuid === undefined && clientId === undefined) {
    throw new FarmError('usage', 'which machine?', 'give its MAC address, e.g. farm add-node 52:54:00:12:34:56, or --uuid or --client-id');
  }
  const common = {
    name,
    address: ip,
    id,
    network,
    profile,
    tags: tag,
    ...(uuid === undefined ? {} : { uuid }),
    ...(clientId === undefined ? {} : { clientId }),
  };
  return macs.length === 0 ? [common] : macs.map((text) => ({ ...common, mac: mac(text) }));
}
