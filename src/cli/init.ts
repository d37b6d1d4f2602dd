// farm init: makes a farm directory.
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { Command } from 'commander';
import { parseCidr } from '../base/addresses.ts';
import { systemCode } from '../base/errors.ts';
import { type InitOptions, initFarm, type LocalInterface } from '../farm/init.ts';
import { cidrArgument } from './options.ts';

export function initCommand(): Command {
  return new Command('init')
    .description('make a farm: a commented farm.yaml and its directories')
    .argument('[dir]', 'where to make it', '.')
    .option('--name <name>', "the farm's name (default: the directory's)")
    .option('--interface <if>', "the server's network card in the farm's network")
    .option('--address <a/n>', "the server's address there, with prefix length", (text) => {
      cidrArgument(text);
      return text;
    })
    .option('--range <first-last>', 'where node addresses are taken from')
    .option('--domain <domain>', 'the domain of all host names (default: farm.lan)')
    .addHelpText('after', '\nExample: farm init lab --interface eth1 --address 10.11.0.1/24')
    .action((directory: string, options: InitOptions) => {
      const { farm, proposals } = initFarm(directory, options, localInterfaces());
      for (const proposal of proposals) console.log(`  ${proposal}`);
      console.log(`farm ${farm.name} made in ${farm.directory}`);
      console.log('next: farm image build, farm add-node <mac>, farm serve');
    });
}

/** This machine's network cards, without loopback, and which has the default route. */
function localInterfaces(): readonly LocalInterface[] {
  const routed = defaultRouteInterfaces();
  return Object.entries(networkInterfaces())
    .filter(([, addresses]) => addresses?.some(({ internal }) => !internal))
    .map(([name, addresses = []]) => ({
      name,
      addresses: addresses
        .flatMap(({ family, cidr }) => (family === 'IPv4' && cidr !== null ? [parseCidr(cidr)] : []))
        .filter((address) => address !== undefined),
      hasDefaultRoute: routed.has(name),
    }));
}

/** Interfaces with a default route, from the kernel's table (proc(5), /proc/net/route). */
function defaultRouteInterfaces(): ReadonlySet<string> {
  let routes: string;
  try {
    routes = readFileSync('/proc/net/route', 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return new Set();
  }
  const rows = routes
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'));
  return new Set(rows.flatMap(([name, destination]) => (name !== undefined && destination === '00000000' ? [name] : [])));
}
