// farm ssh: one command on many nodes, what each says behind its name.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { loadFarm } from '../farm/config.ts';
import { stateDirectory } from '../farm/directory.ts';
import { foldOutputs, type NodeOutput, runOnNodes, type SshLine, unreachable } from '../farm/ssh.ts';
import { chosenNodes, type ExcludeOption, nodesArgument, withExclude } from './node-sets.ts';
import { farmDirectory, numberArgument } from './options.ts';

interface SshOptions extends ExcludeOption {
  readonly user: string;
  readonly parallel: number;
  readonly fold?: boolean;
  readonly json?: boolean;
}

/** Folded output waits in memory until all nodes are done: what a node says beyond this is cut. */
const heldMax = 4 << 20;

export function sshCommand(): Command {
  return withExclude(new Command('ssh').description('run a command on nodes at once, farm ssh NODES -- COMMAND; ends with the largest status'))
    .argument('<nodes>', nodesArgument)
    .argument('<words...>', "the command, behind -- ; each node's shell reads it")
    .option('--fold', 'wait for all, and print what several say alike once: n[1-4]: ...')
    .option('-l, --user <name>', 'log in as', 'root')
    .option('--parallel <number>', 'so many at once', numberArgument(1, 1024), 32)
    .option('--json', 'for programs: what each said, when all are done')
    .action(async (set: string, words: readonly string[], options: SshOptions, command: Command) => {
      const directory = farmDirectory(command);
      const nodes = chosenNodes(options, [set])(loadFarm(directory));
      const keys = join(stateDirectory(directory), 'known_hosts');
      const terms = { user: options.user, words, knownHosts: existsSync(keys) ? keys : undefined };
      const stop = new AbortController();
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => stop.abort());
      const held = new Map(nodes.map(({ name }) => [name, new Held()]));
      const isHeld = options.fold === true || options.json === true;
      const onLine = (node: string, line: SshLine): void => (isHeld ? held.get(node)?.add(line) : print(node, line));
      const ends = await runOnNodes(nodes, terms, options.parallel, onLine, stop.signal);
      const outputs = ends.map((end): NodeOutput => ({ ...end, lines: held.get(end.node)?.lines ?? [] }));
      if (options.json === true) console.log(JSON.stringify(outputs, undefined, 2));
      else if (options.fold === true) for (const { name, lines } of foldOutputs(outputs)) for (const line of lines) print(name, line);
      if (options.json !== true) tellFailures(outputs);
      process.exitCode = Math.max(...ends.map(({ status }) => status));
    });
}

class Held {
  readonly lines: SshLine[] = [];
  private size = 0;

  add(line: SshLine): void {
    if (this.size > heldMax) return;
    this.size += line.text.length + 1;
    this.lines.push(this.size > heldMax ? { stream: 'stderr', text: `(more than ${heldMax} characters: the rest is left out)` } : line);
  }
}

function print(name: string, { stream, text }: SshLine): void {
  process[stream].write(`${name}: ${text}\n`);
}

function tellFailures(outputs: readonly NodeOutput[]): void {
  const failed = foldOutputs(outputs.filter(({ status }) => status !== 0).map((output) => ({ ...output, lines: [] })));
  for (const { name, status } of failed) process.stderr.write(`${name}: ${status === unreachable ? 'ssh failed' : `ended with ${status}`}\n`);
  if (failed.some(({ status }) => status === unreachable))
    process.stderr.write('  is the node up? farm status; may root log in by key, and is its host key known?\n');
}
