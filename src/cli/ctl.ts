// farm ctl: mosctl on nodes, from the server.
import { Command } from 'commander';
import { FarmError } from '../base/errors.ts';
import { wordsComplaint } from '../cluster/orders.ts';
import { loadFarm } from '../farm/config.ts';
import { type CtlAnswer, giveOrder } from '../farm/ctl.ts';
import { chosenNodes, type ExcludeOption, nodesArgument, withExclude } from './node-sets.ts';
import { farmDirectory } from './options.ts';

const no = 1;
const unable = 2;

export function ctlCommand(): Command {
  return withExclude(new Command('ctl'))
    .description('run mosctl on nodes: farm ctl n1,n2 block')
    .argument('<nodes>', nodesArgument)
    .argument('<words...>', 'a command of mosctl')
    .option('--json', 'for programs')
    .action(async (nodes: string, words: readonly string[], options: ExcludeOption & { json?: boolean }, command: Command) => {
      const complaint = wordsComplaint(words);
      if (complaint !== undefined) throw new FarmError('usage', complaint, 'farm ctl NODES status');
      const directory = farmDirectory(command);
      const names = chosenNodes(options, [nodes])(loadFarm(directory)).map(({ name }) => name);
      const answers = await giveOrder(directory, { nodes: names, words });
      if (options.json === true) console.log(JSON.stringify(answers, undefined, 2));
      else for (const answer of answers) tell(answer, answers.length > 1);
      process.exitCode = Math.max(0, ...answers.map(({ outcome }) => (outcome.kind === 'silent' || outcome.status > no ? unable : outcome.status)));
    });
}

function tell({ node, outcome }: CtlAnswer, named: boolean): void {
  if (outcome.kind === 'silent') {
    process.stderr.write(`${node}: no answer; it may be off, or has not reported since: farm status\n`);
    return;
  }
  const prefixed = (text: string) => (named && text !== '' ? text.trimEnd().replace(/^/gm, `${node}: `).concat('\n') : text);
  process.stdout.write(prefixed(outcome.out));
  process.stderr.write(prefixed(outcome.complaint));
}
