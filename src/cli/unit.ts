// farm unit: the systemd service for this farm, and its sockets if wanted, on stdout or as files.
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { loadFarm } from '../farm/config.ts';
import { socketUnits } from '../farm/socket-units.ts';
import { unitText } from '../farm/unit.ts';
import { farmDirectory } from './options.ts';
import { commandPath } from './package.ts';

interface UnitOptions {
  readonly user?: string;
  readonly sockets?: boolean;
  readonly out?: string;
}

export function unitCommand(): Command {
  return new Command('unit')
    .description('print a systemd service for this farm: farm unit > /etc/systemd/system/farm.service')
    .option('--user <name>', 'run as this user, who owns the farm directory, with the capabilities that are needed', userArgument)
    .option('--sockets', 'with socket units: systemd opens the ports, and the server runs as a user (farm) who needs no right to')
    .option('--out <dir>', 'write the units there, such as /etc/systemd/system, instead of printing them')
    .action((options: UnitOptions, command: Command) => {
      const farm = loadFarm(realpathSync(farmDirectory(command)));
      const sockets = options.sockets === true ? socketUnits(farm) : [];
      const user = options.user ?? (options.sockets === true ? 'farm' : undefined);
      const text = unitText(farm, { program: [process.execPath, realpathSync(commandPath)], user, sockets: sockets.map(({ name }) => name) });
      const units = [{ name: 'farm.service', text }, ...sockets];
      if (options.out !== undefined) {
        mkdirSync(options.out, { recursive: true });
        for (const unit of units) writeFileSync(join(options.out, unit.name), unit.text);
        for (const { name } of units) console.log(join(options.out, name));
      } else if (sockets.length === 0) process.stdout.write(text);
      else process.stdout.write(units.map((unit) => `# ${unit.name}\n${unit.text}`).join('\n'));
    });
}

/** useradd(8). */
function userArgument(text: string): string {
  if (!/^[a-z_][a-z0-9_.-]{0,31}$/i.test(text)) throw new InvalidArgumentError('Write the name of a user of this machine.');
  return text;
}
