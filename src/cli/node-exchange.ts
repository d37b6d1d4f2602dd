// farm node import and export: lists of machines from and for other programs.
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import { FarmError } from '../base/errors.ts';
import { configFile, loadFarm } from '../farm/config.ts';
import { nodesAsWritten } from '../farm/edit-nodes.ts';
import { identityText, type Node } from '../farm/farm.ts';
import { clientIdText } from '../farm/identifiers.ts';
import { csvColumns, csvLine } from '../farm/import/csv.ts';
import { formatOf, type ImportFormat, importFormats, importNodes } from '../farm/import/formats.ts';
import { addNodes } from '../farm/nodes.ts';
import { dryRunOption, printDifference } from './change.ts';
import { type ExcludeOption, nodesArgument, someOrAll, withExclude } from './node-sets.ts';
import { farmDirectory, table } from './options.ts';

interface ImportOptions {
  readonly format?: ImportFormat;
  readonly profile?: string;
  readonly network?: string;
  readonly keepAddresses: boolean;
  readonly dryRun?: boolean;
}

export function nodeImport(): Command {
  return new Command('import')
    .description('add the machines of a list: CSV, YAML, JSON, ISC dhcpd.conf, dnsmasq or Warewulf nodes.conf')
    .argument('<file>', '- for standard input')
    .addOption(new Option('--format <format>', 'what it is (default: by what stands in it)').choices(importFormats))
    .option('--profile <profile>', 'profile of those that name none')
    .option('--network <network>', 'network to take addresses from, for those that have none')
    .option('--no-keep-addresses', 'choose new addresses from the range, instead of those of the list')
    .option(...dryRunOption)
    .action((file: string, { format, profile, network, keepAddresses, dryRun }: ImportOptions, command: Command) => {
      const text = readFileSync(file === '-' ? 0 : file, 'utf8');
      const { nodes, ignored } = importNodes(text, file === '-' ? 'standard input' : basename(file), format ?? formatOf(text));
      for (const what of ignored) process.stderr.write(`not imported: ${what}\n`);
      if (nodes.length === 0)
        throw new FarmError('import.empty', `no machine was found in ${file}`, `say what it is with --format: ${importFormats.join(', ')}`);
      const wanted = nodes.map((node) => ({
        ...node,
        profile: node.profile ?? profile,
        ...(keepAddresses ? {} : { address: undefined }),
        network: node.address === undefined || !keepAddresses ? network : undefined,
      }));
      const edited = addNodes(farmDirectory(command), wanted, dryRun === true);
      if (dryRun === true) printDifference(edited);
      else process.stdout.write(table(edited.added.map((node) => [node.name, `id ${node.id}`, node.address, identityText(node)])));
    });
}

interface ExportOptions extends ExcludeOption {
  readonly format: 'csv' | 'yaml' | 'json';
}

export function nodeExport(): Command {
  return withExclude(new Command('export').description('write nodes as farm node import reads them').argument('[nodes...]', nodesArgument))
    .addOption(new Option('--format <format>', 'of the list; csv has no options and further keys').choices(['csv', 'yaml', 'json']).default('yaml'))
    .action((sets: string[], { format, ...exclude }: ExportOptions, command: Command) => {
      const directory = farmDirectory(command);
      const nodes = someOrAll(exclude, sets)(loadFarm(directory));
      if (format === 'csv') process.stdout.write([csvLine(csvColumns), ...nodes.map((node) => csvLine(csvCells(node)))].join(''));
      else {
        const written = nodesAsWritten(readFileSync(join(directory, configFile), 'utf8'));
        const data = { nodes: Object.fromEntries(nodes.map(({ name }) => [name, written[name]])) };
        process.stdout.write(format === 'json' ? `${JSON.stringify(data, undefined, 2)}\n` : stringify(data));
      }
    });
}

function csvCells({ name, id, mac, address, profile, tags, uuid, clientId }: Node): readonly string[] {
  const own = tags.filter((tag) => !profile.tags.includes(tag));
  const shownProfile = profile.name === 'default' ? '' : profile.name;
  return [name, String(id), mac ?? '', address, shownProfile, own.join(' '), uuid ?? '', clientId === undefined ? '' : clientIdText(clientId)];
}
