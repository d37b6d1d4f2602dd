// farm add-node: enters machines into the registry.
import { Command } from 'commander';
import { type Ipv4, mac } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { addNodes } from '../farm/nodes.ts';
import { farmDirectory, ipv4Argument, numberArgument, table } from './options.ts';

export function addNodeCommand(): Command {
  return new Command('add-node')
    .description('add machines by their MAC addresses; name, address and id are the next free ones')
    .argument('<mac...>', '52:54:00:12:34:56, 52-54-00-12-34-56, 5254.0012.3456 or 525400123456')
    .option('--name <name>', 'host name')
    .option('--ip <address>', 'address', ipv4Argument)
    .option('--id <id>', 'openMosix node id, 1 to 65535', numberArgument(1, 65_535))
    .option('--profile <profile>', 'profile of farm.yaml (default: default)')
    .action((macs: string[], options: { name?: string; ip?: Ipv4; id?: number; profile?: string }, command: Command) => {
      const single = options.name ?? options.ip ?? options.id;
      if (macs.length > 1 && single !== undefined) {
        throw new FarmError('usage', '--name, --ip and --id are for one machine at a time', 'add the machines one by one, or let farm choose');
      }
      const machines = macs.map((text) => ({ mac: mac(text), name: options.name, address: options.ip, id: options.id, profile: options.profile }));
      const added = addNodes(farmDirectory(command), machines);
      process.stdout.write(table(added.map((node) => [node.name, `id ${node.id}`, node.address, node.mac])));
    });
}
