// The real mosrun, run by dash, before agents with a plain engine: what shells, pipes, files, signals and terminals make of it; and two agents over the link.
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { bundle, ip, makeSpaces, removeSpaces } from './namespaces.ts';

const mosrun = fileURLToPath(new URL('../../src/agent/tools/mosrun', import.meta.url));
const spaces = ['hy1', 'hy2'];
const top = mkdtempSync(join(tmpdir(), 'farm-mosrun-'));
const place = (node: number) => join(top, String(node), 'deputies');
const env = { PATH: `${top}:/usr/bin:/bin:/usr/sbin:/sbin`, FARM_DEPUTIES: place(1), HOME: top, TERM: 'dumb', PS1: '$ ' };

/** An agent in its network namespace; the files are the same for all. */
class Agent {
  readonly child: ChildProcessWithoutNullStreams;
  readonly lines: string[] = [];

  constructor(node: number) {
    const args = [`--net=/run/netns/hy${node}`, process.execPath, join(top, 'agent.mjs'), String(node), place(node)];
    this.child = spawn('nsenter', args, { stdio: 'pipe' });
    this.child.stderr.pipe(process.stderr);
    createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(line));
  }

  async heard(text: string): Promise<void> {
    await vi.waitUntil(() => this.lines.join('\n').includes(text), { timeout: 30_000 });
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    this.child.kill(signal);
    await exit;
  }
}

/** A program that makes a file and ends by itself once its agent is gone. */
const untilNobodyListens = (file: string) => `sh -c "echo up > ${file}; while echo x; do sleep 0.2; done"`;

/** What a shell prints and ends with. */
async function sh(text: string, shell = 'bash'): Promise<string> {
  const child = spawn(shell, ['-c', text], { env, cwd: top, stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000, killSignal: 'SIGKILL' });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const [code, signal] = await once(child, 'close');
  return `${said}[${code ?? signal}]`;
}

/** Somebody at a terminal. */
class Terminal {
  readonly child: ChildProcessWithoutNullStreams;
  private said = '';
  private at = 0;

  constructor(command: string) {
    this.child = spawn('script', ['-q', '-f', '-E', 'always', '-c', command, '/dev/null'], { env: { ...env, SHELL: '/bin/sh' }, cwd: top, stdio: 'pipe' });
    this.child.stdout.on('data', (chunk) => (this.said += chunk));
  }

  type(text: string): void {
    this.child.stdin.write(text);
  }

  /** Waits until this was shown after what was waited for before. */
  async shows(text: string): Promise<void> {
    await expect.poll(() => this.said.slice(this.at), { timeout: 15_000 }).toContain(text);
    this.at = this.said.indexOf(text, this.at) + text.length;
  }

  async end(): Promise<void> {
    this.child.stdin.end();
    this.child.kill('SIGKILL');
    await once(this.child, 'close');
  }
}

let one: Agent;
let two: Agent;

beforeAll(async () => {
  execFileSync('ln', ['-s', mosrun, join(top, 'mosrun')]);
  execFileSync('ln', ['-s', mosrun, join(top, 'runon')]);
  await bundle(new URL('mosrun-agent.ts', import.meta.url), join(top, 'agent.mjs'));
  makeSpaces(spaces);
  ip('-n', 'hy1', 'link', 'add', 'hya', 'type', 'veth', 'peer', 'name', 'hyb', 'netns', 'hy2');
  for (const [node, name] of ['hya', 'hyb'].entries()) {
    ip('-n', `hy${node + 1}`, 'address', 'add', `10.98.0.${node + 1}/24`, 'dev', name);
    ip('-n', `hy${node + 1}`, 'link', 'set', name, 'up');
  }
  [one, two] = [new Agent(1), new Agent(2)];
  await Promise.all([one.heard('"ready"'), two.heard('"ready"')]);
});

afterAll(async () => {
  for (const agent of [one, two]) await agent?.end('SIGKILL');
  removeSpaces(spaces);
  rmSync(top, { recursive: true, force: true });
});

describe('in a shell', () => {
  test.each([
    ['prints and ends well', 'mosrun echo hello', 'hello\n[0]'],
    ['has the status of its program', 'mosrun sh -c "exit 3"; echo $?', '3\n[0]'],
    ['takes its place between others in a file', '(echo a; mosrun echo b; echo c) > f; cat f', 'a\nb\nc\n[0]'],
    ['appends', 'echo a > g; mosrun echo b >> g; cat g', 'a\nb\n[0]'],
    ['keeps errors apart', 'mosrun sh -c "echo o; echo e >&2" 2>/dev/null', 'o\n[0]'],
    ['keeps the order of both in one file', 'mosrun sh -c "echo o; echo e >&2; echo p" > h 2>&1; cat h', 'o\ne\np\n[0]'],
    ['reads a here-document', 'mosrun cat <<X\nhere\nX', 'here\n[0]'],
    ['stands in a pipeline', 'printf "x\\ny\\n" | mosrun cat | tail -1', 'y\n[0]'],
    ['ends when nobody reads it', 'mosrun yes 2>/dev/null | head -1', 'y\n[0]'],
    ['carries bytes as they are', 'head -c 3000000 /dev/urandom > r; mosrun cat < r | cmp - r && echo same', 'same\n[0]'],
    ['is where its caller is, with its variables and its umask', 'cd /; umask 027; X="a  b" mosrun sh -c "pwd; umask; echo \\"\\$X\\""', '/\n0027\na  b\n[0]'],
    ['keeps odd words', 'mosrun printf "<%s>" "a b" "" "*"', '<a b><><*>[0]'],
    ['is part of a job within one', 'mosrun mosrun -h -j 1,2 echo inner', 'inner\n[0]'],
    ['waits for a job in the background', 'mosrun sh -c "sleep 0.2; exit 4" & wait $!; echo $?', '4\n[0]'],
    ['goes to another node', 'mosrun -2 echo there', 'there\n[0]'],
    ['does so by its other name', 'runon 2 echo there', 'there\n[0]'],
    ['goes where it is best', 'mosrun -b sh -c "cat; exit 5" < /dev/null', '[5]'],
    ['goes on here if it has to', 'mosrun -9 -F echo here', 'here\n[0]'],
  ])('%s', async (_name, text, said) => {
    expect(await sh(text)).toBe(said);
  });

  test('wrong words are told, and nodes that there are not', async () => {
    expect(await sh('mosrun')).toMatch(/^mosrun: name a program\n {2}usage: mosrun .*\n\[2\]$/);
    expect(await sh('mosrun -q x')).toMatch(/^mosrun: -q is no option\n {2}usage: mosrun .*\n\[2\]$/);
    expect(await sh('mosrun -9 x')).toBe('mosrun: node 9 cannot be reached: the map does not have it\n  mosrun -F goes on anywhere\n[2]');
  });

  test('signals reach the program, and its death by one is passed on', async () => {
    expect(await sh('mosrun sleep 60 & sleep 1; kill $!; wait $!; echo $?', 'dash')).toMatch(/143\n\[0\]$/);
    const trap = 'mosrun sh -c \'trap "echo usr; exit 7" USR1; echo up; while :; do sleep 0.1; done\' 2>/dev/null & sleep 1; kill -USR1 $!; wait $!; echo $?';
    // The sleep is in the program's group and has the signal too, of which its shell complains.
    expect(await sh(trap, 'dash')).toBe('up\nusr\n7\n[0]');
  });

  test('a deputy that is killed takes its program with it', async () => {
    await sh('mosrun sleep 3141 & sleep 1; kill -9 $!', 'dash');
    await expect.poll(() => sh('pgrep -fx "sleep 3141"'), { timeout: 10_000 }).toBe('[1]');
  });

  test('nothing is left behind', async () => {
    await expect.poll(() => readdirSync(place(1)), { timeout: 10_000 }).toEqual(['agent']);
    expect(readdirSync(join(top, '1', 'homes'))).toEqual([]);
  });
});

describe('at a terminal', () => {
  test('Ctrl-C ends the program there, and a shell goes on', async () => {
    const terminal = new Terminal('bash --norc -i');
    terminal.type('mosrun sh -c "tty; echo up; sleep 100"\n');
    await terminal.shows('/dev/pts/');
    await terminal.shows('up');
    terminal.type('\x03');
    await terminal.shows('$ ');
    terminal.type('echo status $?\n');
    await terminal.shows('status 130');
    await terminal.end();
  });

  test('Ctrl-Z gives the terminal back, and fg takes it again', async () => {
    const terminal = new Terminal('bash --norc -i');
    terminal.type('mosrun cat\n');
    await one.heard('job.started');
    terminal.type('one\n');
    await terminal.shows('one\r\none');
    terminal.type('\x1a');
    await terminal.shows('Stopped');
    terminal.type('echo in the $((1+1))nd shell\n');
    await terminal.shows('in the 2nd shell');
    terminal.type('fg\n');
    await terminal.shows('mosrun cat');
    terminal.type('two\n');
    await terminal.shows('two\r\ntwo');
    terminal.type('\x04');
    await terminal.shows('$ ');
    terminal.type('echo ended $?\n');
    await terminal.shows('ended 0');
    await terminal.end();
  });

  test('one in the background takes nothing of what is typed', async () => {
    const terminal = new Terminal('bash --norc -i');
    terminal.type('mosrun sh -c "sleep 1; echo from behind" &\n');
    terminal.type('echo typed $((3+3))\n');
    await terminal.shows('typed 6');
    await terminal.shows('from behind');
    await terminal.end();
  });
});

describe('when an agent ends', () => {
  test('a node that is lost ends its jobs like a crash', async () => {
    const job = sh(`exec mosrun -2 ${untilNobodyListens('there')} > /dev/null`);
    await expect.poll(() => existsSync(join(top, 'there')), { timeout: 10_000 }).toBe(true);
    await two.end('SIGKILL');
    one.child.stdin.write('gone 2\n');
    expect(await job).toMatch(/^mosrun: the job is lost: node 2, where it ran, is down\n\[SIGKILL\]$/);
  });

  test('and is started again, deputies of jobs that it does not have any more hear of it', async () => {
    const job = sh(`exec mosrun ${untilNobodyListens('here')} > /dev/null`);
    await expect.poll(() => existsSync(join(top, 'here')), { timeout: 10_000 }).toBe(true);
    await one.end('SIGKILL');
    one = new Agent(1);
    expect(await job).toMatch(/^mosrun: the job is lost: the agent of this node was started again\n\[SIGKILL\]$/);
    await one.heard('"ready"');
    expect(await sh('mosrun echo again')).toBe('again\n[0]');
  });

  test('without one mosrun says so, and what to do', async () => {
    await one.end('SIGKILL');
    expect(await sh('mosrun echo x')).toMatch(/^mosrun: no agent of farm runs on this node.*\n {2}systemctl status farm-agent.*\n\[2\]$/);
  });
});
