// farm boot: what nodes do at their next boots.
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { FarmError } from '../base/errors.ts';
import { giveCommand, listActions } from '../farm/action-orders.ts';
import { actionNow, bootActions, nothingOrdered } from '../farm/actions.ts';
import { loadFarm } from '../farm/config.ts';
import { reinstallFile } from '../farm/node-files.ts';
import { selectNodes } from '../farm/node-set.ts';
import { type ExcludeOption, nodesArgument, withExclude } from './node-sets.ts';
import { farmDirectory, table } from './options.ts';

export function bootCommand(): Command {
  return withExclude(new Command('boot'))
    .description('say what nodes do when they boot: default, local, memtest, shell or reinstall; without arguments, show it')
    .argument('[nodes...]', `nodes (${nodesArgument}), then the action; default takes back what was said before`)
    .option('--once', 'at the next boot only')
    .option('--json', 'for programs')
    .action(async (words: readonly string[], options: ExcludeOption & { once?: boolean; json?: boolean }, command: Command) => {
      const directory = farmDirectory(command);
      if (words.length === 0) await show(directory, options.json === true);
      else await order(directory, words.slice(0, -1), words.at(-1) ?? '', options.once === true, options.exclude);
    });
}

async function order(directory: string, nodes: readonly string[], word: string, once: boolean, exclude: readonly string[]): Promise<void> {
  const action = bootActions.find((candidate) => candidate === word);
  if (action === undefined)
    throw new FarmError('usage', `there is no boot action ${word}`, `actions are ${bootActions.join(', ')}; they stand behind the nodes`);
  if (nodes.length === 0) throw new FarmError('usage', `which nodes are to boot ${action}?`, `write them before it: farm boot n1 n2 ${action}`);
  const chosen = selectNodes(loadFarm(directory), nodes, exclude).map(({ name }) => name);
  if (action === 'reinstall' && !existsSync(join(directory, reinstallFile))) {
    throw new FarmError(
      'action.reinstall',
      `there is nothing to reinstall with: no ${join(directory, reinstallFile)}`,
      'write the program that the nodes are to run there',
    );
  }
  await giveCommand(directory, { id: randomUUID(), nodes: chosen, action, once }, Date.now());
}

async function show(directory: string, json: boolean): Promise<void> {
  const ordered = await listActions(directory);
  const now = Date.now();
  const nodes = loadFarm(directory).nodes.map(({ name, profile }) => {
    const { standing, once, attempt } = ordered[name] ?? nothingOrdered;
    return { node: name, action: standing ?? profile.boot, once, booting: attempt === undefined ? undefined : actionNow({ attempt }, now) };
  });
  if (json) console.log(JSON.stringify(nodes, undefined, 2));
  else
    process.stdout.write(
      table([['NODE', 'EVERY BOOT', 'NEXT BOOT', 'THIS BOOT'], ...nodes.map(({ node, action, once, booting }) => [node, action, once ?? '', booting ?? ''])]),
    );
}
