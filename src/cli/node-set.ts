// farm node set, rename and remove: changes to machines that are in the registry.
import { Command } from 'commander';
import { FarmError } from '../base/errors.ts';
import { nameNodes, setNodes, takeOutNodes } from '../farm/change-nodes.ts';
import { type NodeChange, valueFromText } from '../farm/edit-nodes.ts';
import { foldNames } from '../farm/host-range.ts';
import { dryRunOption, printDifference } from './change.ts';
import { chosenNodes, type ExcludeOption, nodesArgument, withExclude } from './node-sets.ts';
import { farmDirectory, table } from './options.ts';

interface ChangeOptions extends ExcludeOption {
  readonly dryRun?: boolean;
}

interface SetOptions extends ChangeOptions {
  readonly tag: readonly string[];
  readonly untag: readonly string[];
}

const several = (word: string, all: readonly string[]): readonly string[] => [...all, word];

export function nodeSet(): Command {
  return withExclude(
    new Command('set')
      .description('change values of nodes')
      .argument('<words...>', `nodes (${nodesArgument}), then key=value as in farm.yaml; key= takes it out`),
  )
    .option('--tag <tag>', 'give them a tag', several, [])
    .option('--untag <tag>', 'take a tag away', several, [])
    .option(...dryRunOption)
    .action((words: string[], { tag, untag, dryRun, ...exclude }: SetOptions, command: Command) => {
      const isAssignment = (word: string): boolean => /^[a-z_]+=/.test(word);
      const sets = words.filter((word) => !isAssignment(word));
      const values = assignments(words.filter(isAssignment));
      if (sets.length === 0) throw new FarmError('usage', 'which nodes?', 'write them before the values: farm node set n[1-4] profile=gpu');
      if (Object.keys(values).length + tag.length + untag.length === 0) {
        throw new FarmError('usage', 'what is to be set?', 'write key=value as in farm.yaml, e.g. profile=gpu, or --tag TAG');
      }
      const edited = setNodes(farmDirectory(command), chosenNodes(exclude, sets), { values, tag, untag }, dryRun === true);
      if (dryRun === true) printDifference(edited);
      else if (edited.before === edited.after) console.log('nothing to change');
    });
}

function assignments(words: readonly string[]): NodeChange {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      const key = word.slice(0, at);
      const text = word.slice(at + 1);
      if (key === 'name') throw new FarmError('usage', 'a name is not set', 'farm node rename OLD NEW');
      return [key, text === '' ? undefined : valueFromText(key, text)];
    }),
  );
}

export function nodeRename(): Command {
  return withExclude(new Command('rename').description('give nodes other names; what they have written stays theirs').argument('<nodes>', nodesArgument))
    .argument('<names>', 'a name, or as many as nodes: rack1n[1-20]')
    .option(...dryRunOption)
    .action((set: string, to: string, { dryRun, ...exclude }: ChangeOptions, command: Command) => {
      const edited = nameNodes(farmDirectory(command), chosenNodes(exclude, [set]), to, dryRun === true);
      if (dryRun === true) printDifference(edited);
      else process.stdout.write(table([...edited.names].map(([from, now]) => [from, '->', now])));
    });
}

export function nodeRemove(): Command {
  return withExclude(
    new Command('remove').description('take nodes out of the registry; what they have written stays on the server').argument('<nodes...>', nodesArgument),
  )
    .option(...dryRunOption)
    .action((sets: string[], { dryRun, ...exclude }: ChangeOptions, command: Command) => {
      const edited = takeOutNodes(farmDirectory(command), chosenNodes(exclude, sets), dryRun === true);
      if (dryRun === true) printDifference(edited);
      else console.log(`removed ${foldNames(edited.removed.map(({ name }) => name))}`);
    });
}
