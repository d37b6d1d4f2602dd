// farm top: mosmon's screen on the server, of what the nodes report.
import { Command } from 'commander';
import { watch } from '../agent/tools/watch.ts';
import { firstView } from '../cluster/monitor.ts';
import { monitorNode } from '../farm/cluster-view.ts';
import type { NodeStatus } from '../farm/status.ts';
import { farmDirectory } from './options.ts';
import { fetchStatus } from './status.ts';

export function topCommand(): Command {
  return new Command('top').description('watch the load of the nodes; h shows the keys').action(async (_options: unknown, command: Command) => {
    const directory = farmDirectory(command);
    const nodes = async () => (await fetchStatus(directory)).nodes.map((node) => monitorNode(node.id, node.cluster, reports(node)));
    await watch({ view: { ...firstView, dead: true, totals: true }, nodes, input: process.stdin, output: process.stdout });
  });
}

function reports({ stage }: NodeStatus): boolean {
  return stage === 'agent' || stage === 'up';
}
