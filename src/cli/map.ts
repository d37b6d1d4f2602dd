// farm map: the openmosix.map of the farm, or what is wrong with one.
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { FarmError, sentence } from '../base/errors.ts';
import type { MapWarning } from '../cluster/map-entry.ts';
import { importMap } from '../cluster/map-import.ts';
import { loadFarm } from '../farm/config.ts';
import { checkMap, farmMap, mapInForce } from '../farm/own-map.ts';
import { farmDirectory } from './options.ts';

interface MapOptions {
  readonly registry?: boolean;
  readonly check?: string;
  readonly import?: string;
}

export function mapCommand(): Command {
  return new Command('map')
    .description('print the openmosix.map that all nodes share')
    .option('--registry', 'print what farm.yaml gives, whatever the overlays have')
    .option('--check <file>', 'compare a map with farm.yaml; 1 if they disagree')
    .option('--import <file>', 'print a map of MOSIX2 or openMosix as an openmosix.map')
    .action((options: MapOptions, command: Command) => {
      if (options.import !== undefined) {
        const { text, warnings } = importMap(read(options.import), options.import);
        warn(warnings, options.import);
        process.stdout.write(text);
        return;
      }
      const directory = farmDirectory(command);
      const farm = loadFarm(directory);
      if (options.check !== undefined) {
        const warnings = checkMap(read(options.check), farm, options.check);
        warn(warnings, options.check);
        if (warnings.length > 0) process.exitCode = 1;
        return;
      }
      const { text, file, warnings } = mapInForce(farm, directory);
      if (file !== undefined && options.registry !== true) warn(warnings, file);
      process.stdout.write(options.registry === true ? farmMap(farm) : text);
    });
}

function read(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new FarmError('map.missing', `${path} cannot be read: ${sentence(error)}`, undefined, error);
  }
}

function warn(warnings: readonly MapWarning[], source: string): void {
  for (const { line, message } of warnings) process.stderr.write(`farm: warning: ${source}${line === undefined ? '' : ` line ${line}`}: ${message}\n`);
}
