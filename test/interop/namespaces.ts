// Network namespaces, and the programs that run in them: what the wires of dhcp.test.ts and ndp.test.ts have in common.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });

export function makeSpaces(names: readonly string[]): void {
  for (const name of names) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
}

/** Ends what a failed test may have left in the namespaces, a client in the background say, and removes them. */
export function removeSpaces(names: readonly string[]): void {
  for (const name of names) {
    const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
    for (const pid of stdout.split('\n').filter((each) => each !== '')) spawnSync('kill', [pid]);
    spawnSync('ip', ['netns', 'del', name]);
  }
}

/** Makes one file of a program beside these tests: `ip netns exec` starts it with plain node. */
export async function bundle(program: URL, outfile: string): Promise<void> {
  await build({
    entryPoints: [fileURLToPath(program)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
}

/** Nothing of the tester's own environment: clients hand theirs to their scripts, which print it. */
const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

/** Runs a program in a namespace and gives all it said, and `status <n>`. */
export async function inside(where: string, command: string, args: readonly string[]): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', where, command, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 40_000 });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const [code, signal] = await once(child, 'close');
  return `${said}\nstatus ${code ?? signal}\n`;
}

export type Line = { readonly event: string } & Readonly<Record<string, unknown>>;

/** One of our services in a namespace: a bundled program that tells events as lines of JSON and ends with its stdin. */
export class Told {
  readonly lines: Line[] = [];
  readonly child: ChildProcess;
  private wake: () => void = () => {};

  constructor(where: string, program: string, args: readonly string[]) {
    this.child = spawn('ip', ['netns', 'exec', where, process.execPath, program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.lines.push(JSON.parse(line));
      this.wake();
    });
    this.child.once('exit', () => this.wake());
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** The first event of this name, past or to come; the test's own time limit ends the wait. */
  async heard(event: string, matching: (line: Line) => boolean = () => true): Promise<Line> {
    for (;;) {
      const found = this.lines.find((line) => line.event === event && matching(line));
      if (found !== undefined) return found;
      await this.more(event);
    }
  }

  /** Settles with the next line; rejects if none will come. */
  protected async more(awaited: string): Promise<void> {
    if (this.ended) throw new Error(`ended without ${awaited}; told ${JSON.stringify(this.lines)}`);
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
  }

  /** Ends it, if it has not ended. */
  async end(): Promise<void> {
    if (this.ended) return;
    const exit = once(this.child, 'exit');
    this.child.stdin?.end();
    await exit;
  }
}
