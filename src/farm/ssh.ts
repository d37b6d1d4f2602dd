// Runs a command on nodes by ssh(1), many at once: how it is called, what each says, line by line or whole, and how it ends.
import { spawn } from 'node:child_process';
import { FarmError, systemCode } from '../base/errors.ts';
import { inParallel } from '../base/in-parallel.ts';
import type { Node } from './farm.ts';
import { foldNames } from './host-range.ts';

export interface SshTerms {
  readonly user: string;
  readonly words: readonly string[];
  /** The nodes' host keys; undefined: those that this user's ssh knows. */
  readonly knownHosts: string | undefined;
}

/** ssh(1) ends with it when it could not reach the node, and a program may too. */
export const unreachable = 255;

/** A node that is off answers nothing; one that hangs is given up after three questions. */
const patience = ['-o', 'ConnectTimeout=10', '-o', 'ServerAliveInterval=10', '-o', 'ServerAliveCountMax=3'];

/** No prompt for a password, no terminal. With the farm's own list of keys another machine at the node's address is refused. */
function sshArguments({ name, address }: Pick<Node, 'name' | 'address'>, { user, words, knownHosts }: SshTerms): readonly string[] {
  const keys =
    knownHosts === undefined
      ? []
      : ['-o', `UserKnownHostsFile="${knownHosts}"`, '-o', 'GlobalKnownHostsFile=none', '-o', 'StrictHostKeyChecking=yes', '-o', `HostKeyAlias=${name}`];
  return ['-T', '-n', '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR', ...patience, ...keys, '-l', user, '--', address, ...words];
}

export type Stream = 'stdout' | 'stderr';

export interface SshLine {
  readonly stream: Stream;
  /** Without its line break. */
  readonly text: string;
}

export interface SshEnd {
  readonly node: string;
  /** The command's own, 255 if ssh could not reach the node, 128 and the signal's number if ssh was ended by one. */
  readonly status: number;
}

/** Longer lines are cut into such pieces: a node that writes no line breaks would fill the memory. */
const lineMax = 64 * 1024;

/** `onLine` gets each line as it comes. Throws `program.missing`. Ended by `signal`, every ssh is. */
export function runOnNodes(
  nodes: readonly Node[],
  terms: SshTerms,
  atOnce: number,
  onLine: (node: string, line: SshLine) => void,
  signal: AbortSignal,
): Promise<readonly SshEnd[]> {
  return inParallel(nodes, atOnce, async (node) => ({
    node: node.name,
    status: await runOn(sshArguments(node, terms), (line) => onLine(node.name, line), signal),
  }));
}

function runOn(args: readonly string[], onLine: (line: SshLine) => void, signal: AbortSignal): Promise<number> {
  return new Promise((settle, reject) => {
    if (signal.aborted) return settle(unreachable);
    const child = spawn('ssh', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const stop = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', stop);
    const ends = (['stdout', 'stderr'] as const).map((stream) => lineCutter((text) => onLine({ stream, text }), child[stream]));
    child.on('error', (error) => {
      const hint = 'apt-get install openssh-client';
      reject(systemCode(error) === 'ENOENT' ? new FarmError('program.missing', 'ssh is not installed', hint, error) : error);
    });
    child.on('close', (code, ended) => {
      signal.removeEventListener('abort', stop);
      for (const end of ends) end();
      settle(code ?? (ended === 'SIGTERM' ? 143 : 137));
    });
  });
}

/** Hands on whole lines; the function that it gives, what is left. */
function lineCutter(onText: (text: string) => void, stream: NodeJS.ReadableStream): () => void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onText(line);
    while (rest.length > lineMax) {
      onText(rest.slice(0, lineMax));
      rest = rest.slice(lineMax);
    }
  });
  return () => {
    if (rest !== '') onText(rest);
  };
}

/** What a node said, to be compared with what the others did. */
export interface NodeOutput extends SshEnd {
  readonly lines: readonly SshLine[];
}

export interface FoldedOutput {
  readonly nodes: readonly string[];
  /** `n[1-4]` */
  readonly name: string;
  readonly status: number;
  readonly lines: readonly SshLine[];
}

/** Nodes that said the same and ended the same become one, in the order of the first of them. */
export function foldOutputs(outputs: readonly NodeOutput[]): readonly FoldedOutput[] {
  const groups = new Map<string, NodeOutput[]>();
  for (const output of outputs) {
    // Each stream for itself: which of the two came first is chance.
    const of = (wanted: Stream): readonly string[] => output.lines.flatMap(({ stream, text }) => (stream === wanted ? [text] : []));
    const key = JSON.stringify([output.status, of('stdout'), of('stderr')]);
    groups.set(key, [...(groups.get(key) ?? []), output]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const nodes = group.map(({ node }) => node);
    return [{ nodes, name: foldNames(nodes), status: first.status, lines: first.lines }];
  });
}
