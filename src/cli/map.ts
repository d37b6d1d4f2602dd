// farm map: the openmosix.map of the farm.
import { Command } from 'commander';
import { loadFarm } from '../farm/config.ts';
import { farmMap } from '../farm/live.ts';
import { farmDirectory } from './options.ts';

export function mapCommand(): Command {
  return new Command('map').description('print the openmosix.map that all nodes share').action((_options: unknown, command: Command) => {
    process.stdout.write(farmMap(loadFarm(farmDirectory(command))));
  });
}
