// farm add-node: enters machines into the registry.
import { Command } from 'commander';
import { type Ipv4, mac } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { identityText } from '../farm/farm.ts';
import { addNodes, type NewNode } from '../farm/nodes.ts';
import { dryRunOption, printDifference } from './change.ts';
import { clientIdArgument, farmDirectory, ipv4Argument, numberArgument, table, uuidArgument } from './options.ts';

interface AddNodeOptions {
  readonly name?: string;
  readonly ip?: Ipv4;
  readonly id?: number;
  readonly uuid?: string;
  readonly clientId?: Buffer;
  readonly network?: string;
  readonly profile?: string;
  readonly tag: readonly string[];
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
    .action((macs: string[], options: AddNodeOptions, command: Command) => {
      const edited = addNodes(farmDirectory(command), newNodes(macs, options), options.dryRun === true);
      if (options.dryRun === true) printDifference(edited);
      else process.stdout.write(table(edited.added.map((node) => [node.name, `id ${node.id}`, node.address, identityText(node)])));
    });
}

function newNodes(macs: readonly string[], { name, ip, id, uuid, clientId, network, profile, tag }: AddNodeOptions): readonly NewNode[] {
  const isSingle = [name, ip, id, uuid, clientId].some((option) => option !== undefined);
  if (macs.length > 1 && isSingle) {
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
