// Node sets as arguments: the same words wherever a command is about nodes.
import type { Command } from 'commander';
import { FarmError } from '../base/errors.ts';
import type { Farm, Node } from '../farm/farm.ts';
import { selectNodes } from '../farm/node-set.ts';

export const nodesArgument = 'names, ranges (n[01-20,33]), patterns (n*), @tag, %profile or all, joined by , ! & ^';

export interface ExcludeOption {
  readonly exclude: readonly string[];
}

/** `-x SET`, as often as wanted. */
export function withExclude(command: Command): Command {
  return command.option('-x, --exclude <nodes>', 'without these', (set: string, all: readonly string[]) => [...all, set], []);
}

/** Everything, or the nodes of `sets`. */
export function someOrAll({ exclude }: ExcludeOption, sets: readonly string[]): (farm: Farm) => readonly Node[] {
  return (farm) => selectNodes(farm, sets.length === 0 ? ['all'] : sets, exclude);
}

/** The nodes of `sets`, of which there has to be one at least. */
export function chosenNodes({ exclude }: ExcludeOption, sets: readonly string[]): (farm: Farm) => readonly Node[] {
  return (farm) => {
    const nodes = selectNodes(farm, sets, exclude);
    if (nodes.length === 0) throw new FarmError('nodes.none', 'no node is left', 'farm node list NODES shows what a set is');
    return nodes;
  };
}
