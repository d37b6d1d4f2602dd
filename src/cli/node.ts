// farm node: the registry of machines.
import { Command } from 'commander';
import { nodeExport, nodeImport } from './node-exchange.ts';
import { nodeList, nodeShow } from './node-list.ts';
import { nodeRemove, nodeRename, nodeSet } from './node-set.ts';

export function nodeCommand(): Command {
  const command = new Command('node').description('list, show, change, rename, remove, import and export the machines of the farm');
  for (const part of [nodeList(), nodeShow(), nodeSet(), nodeRename(), nodeRemove(), nodeImport(), nodeExport()]) command.addCommand(part);
  return command;
}
