// farm power: nodes switched on and off from here, by Wake-on-LAN, IPMI or Redfish.
import { Argument, Command } from 'commander';
import { mac } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { loadFarm } from '../farm/config.ts';
import type { PowerOrder } from '../power/order.ts';
import { orderPower, type PowerResult } from '../power/power.ts';
import { chosenNodes, type ExcludeOption, nodesArgument, withExclude } from './node-sets.ts';
import { farmDirectory, table } from './options.ts';
import { fetchStatus } from './status.ts';

interface PowerOptions extends ExcludeOption {
  readonly soft?: boolean;
  readonly json?: boolean;
}

const orders = ['on', 'off', 'cycle', 'status'] as const;

export function powerCommand(): Command {
  return withExclude(new Command('power').description('switch nodes on and off: Wake-on-LAN, IPMI or Redfish, as `power` of farm.yaml says'))
    .addArgument(new Argument('<order>', 'what to do').choices(orders))
    .argument('<nodes...>', nodesArgument)
    .option('--soft', 'with off: ask the operating system to shut down')
    .option('--json', 'for programs')
    .action(async (word: (typeof orders)[number], sets: string[], options: PowerOptions, command: Command) => {
      if (options.soft === true && word !== 'off') throw new FarmError('usage', '--soft is for off only', 'farm power off NODES --soft');
      const order: PowerOrder = options.soft === true ? 'shutdown' : word;
      const directory = farmDirectory(command);
      const nodes = chosenNodes(options, sets)(loadFarm(directory));
      const status = new Map((await fetchStatus(directory)).nodes.map((node) => [node.name, node]));
      const results = await orderPower(nodes, order, directory, (node) => {
        const { mac: last, stage } = status.get(node.name) ?? {};
        return { card: node.mac ?? (last === undefined ? undefined : mac(last)), reports: stage === 'agent' || stage === 'up' };
      });
      if (options.json === true) console.log(JSON.stringify(results, undefined, 2));
      else tell(results);
      if (results.some(({ outcome }) => outcome.kind === 'failed')) process.exitCode = 1;
    });
}

/** What was done on stdout; what failed on stderr, a remedy that several have in common once. */
function tell(results: readonly PowerResult[]): void {
  process.stdout.write(table(results.flatMap(({ node, by, outcome }) => (outcome.kind === 'failed' ? [] : [[node, by, ...wordsOf(outcome)]]))));
  const remedies = new Set<string>();
  for (const { node, outcome } of results) {
    if (outcome.kind !== 'failed') continue;
    process.stderr.write(`${node}: ${outcome.reason}\n`);
    if (outcome.remedy !== undefined) remedies.add(outcome.remedy);
  }
  for (const remedy of remedies) process.stderr.write(`  ${remedy}\n`);
}

function wordsOf(outcome: Exclude<PowerResult['outcome'], { kind: 'failed' }>): readonly string[] {
  return outcome.kind === 'told' ? ['told', outcome.detail] : [outcome.state, outcome.detail ?? ''];
}
