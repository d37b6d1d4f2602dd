// farm unit: the systemd service for this farm, on stdout.
import { realpathSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { loadFarm } from '../farm/config.ts';
import { unitText } from '../farm/unit.ts';
import { farmDirectory } from './options.ts';
import { commandPath } from './package.ts';

export function unitCommand(): Command {
  return new Command('unit')
    .description('print a systemd service for this farm: farm unit > /etc/systemd/system/farm.service')
    .option('--user <name>', 'run as this user, who owns the farm directory, with the capabilities that are needed', userArgument)
    .action((options: { user?: string }, command: Command) => {
      const farm = loadFarm(realpathSync(farmDirectory(command)));
      process.stdout.write(unitText(farm, { program: [process.execPath, realpathSync(commandPath)], user: options.user }));
    });
}

/** useradd(8). */
function userArgument(text: string): string {
  if (!/^[a-z_][a-z0-9_.-]{0,31}$/i.test(text)) throw new InvalidArgumentError('Write the name of a user of this machine.');
  return text;
}
