// farm node list and show: the machines of the registry, and where each of their values comes from.
import { Command } from 'commander';
import { loadFarm } from '../farm/config.ts';
import { identityText, type Node } from '../farm/farm.ts';
import { foldNames } from '../farm/host-range.ts';
import { clientIdText } from '../farm/identifiers.ts';
import { openmosixLines } from '../farm/openmosix-setting.ts';
import { chosenNodes, type ExcludeOption, nodesArgument, someOrAll, withExclude } from './node-sets.ts';
import { farmDirectory, table } from './options.ts';

interface ListOptions extends ExcludeOption {
  readonly json?: boolean;
  readonly fold?: boolean;
}

export function nodeList(): Command {
  return withExclude(new Command('list').description('list nodes, all or some').argument('[nodes...]', nodesArgument))
    .option('--fold', 'their names only, as short as they can be written: n[1-20]')
    .option('--json', 'for programs')
    .action((sets: string[], options: ListOptions, command: Command) => {
      const nodes = someOrAll(options, sets)(loadFarm(farmDirectory(command)));
      if (options.json === true) console.log(JSON.stringify(nodes.map(summary), undefined, 2));
      else if (options.fold === true) console.log(foldNames(nodes.map(({ name }) => name)));
      else if (nodes.length === 0) console.log('No nodes yet. Add one with: farm add-node <mac>');
      else process.stdout.write(table([['NODE', 'ID', 'ADDRESS', 'MACHINE', 'PROFILE', 'TAGS'], ...nodes.map(listRow)]));
    });
}

function listRow(node: Node): readonly string[] {
  return [node.name, String(node.id), node.address, identityText(node), node.profile.name, node.tags.join(' ')];
}

function summary({ name, id, mac, uuid, clientId, address, network, profile, tags }: Node): object {
  return {
    name,
    id,
    mac,
    uuid,
    clientId: clientId === undefined ? undefined : clientIdText(clientId),
    address,
    network: network.name,
    profile: profile.name,
    tags,
  };
}

export function nodeShow(): Command {
  return withExclude(
    new Command('show').description('show all that is said of nodes, and where: node, profile or default').argument('<nodes...>', nodesArgument),
  )
    .option('--json', 'for programs')
    .action((sets: string[], options: ListOptions, command: Command) => {
      const nodes = chosenNodes(options, sets)(loadFarm(farmDirectory(command)));
      if (options.json === true)
        console.log(
          JSON.stringify(
            nodes.map((node) => ({ ...summary(node), values: valuesOf(node) })),
            undefined,
            2,
          ),
        );
      else
        console.log(
          nodes.map((node) => `${node.name}\n${table(valuesOf(node).map(({ key, value, from }) => [`  ${key}`, valueWords(value), from]))}`).join('\n'),
        );
    });
}

interface Value {
  readonly key: string;
  readonly value: unknown;
  readonly from: string;
}

function valuesOf(node: Node): readonly Value[] {
  const { name, profile, network, tags } = node;
  const own = `node ${name}`;
  const said = (key: string, value: unknown): readonly Value[] => (value === undefined ? [] : [{ key, value, from: own }]);
  const booted = {
    image: profile.image,
    root: profile.root,
    loader: profile.loader,
    boot: profile.boot,
    kernel_args: profile.kernelArgs,
    console_login: profile.consoleLogin,
    power: profile.power.kind,
    openmosix: openmosixLines(profile.openmosix).map(({ key, value }) => `${key}=${value}`),
  };
  return [
    ...said('id', node.id),
    ...said('mac', node.mac),
    ...said('client_id', node.clientId === undefined ? undefined : clientIdText(node.clientId)),
    ...said('uuid', node.uuid),
    ...said('relay_port', node.relayPort === undefined ? undefined : identityText({ relayPort: node.relayPort })),
    ...said('ip', node.address),
    { key: 'network', value: network.name, from: `ip ${node.address}` },
    { key: 'profile', value: [profile.name, ...profile.ancestors].join(' <- '), from: own },
    ...tags.map((tag) => ({ key: 'tag', value: tag, from: profile.tags.includes(tag) ? `profile ${profile.name}` : own })),
    ...Object.entries(booted).map(([key, value]) => ({ key, value, from: profile.origins[key] ?? 'default' })),
    ...node.options.map((option) => ({ key: `option ${option.name}`, value: option.code, from: own })),
    ...profile.options.map((option) => ({ key: `option ${option.name}`, value: option.code, from: `profile ${profile.name}` })),
  ];
}

function valueWords(value: unknown): string {
  return Array.isArray(value) ? value.join(' ') || '-' : String(value);
}
