// The NFS processes of `farm serve`: killed one by one and with their server, in a network namespace whose loopback has an address for each node.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatMtree } from '../../src/image/mtree.ts';

const top = fileURLToPath(new URL('../..', import.meta.url));
const command = join(top, 'bin', 'farm');
const lacking = process.getuid?.() === 0 ? undefined : 'root is needed';
if (lacking !== undefined && process.env['CI'] !== undefined) throw new Error(`the tests of the NFS processes cannot run: ${lacking}`);
const space = `fp${process.pid % 10_000}`;
const version = '0123456789ab';

let directory: string;
let server: ChildProcess | undefined;
let events: { readonly event: string }[] = [];

function inside(...args: readonly string[]): string {
  return execFileSync('ip', ['netns', 'exec', space, ...args], { encoding: 'utf8', timeout: 30_000, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function serve(): Promise<ChildProcess> {
  const args = ['netns', 'exec', space, process.execPath, command, '-C', directory, 'serve', '--only', 'nfs', '--log-format', 'json'];
  const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  events = [];
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line);
      events.push(event);
      if (event.event === 'serve.ready') resolve();
    });
    child.on('exit', (code) => reject(new Error(`farm serve ended with ${code}: ${JSON.stringify(events)}`)));
  });
  return child;
}

/** Processes whose parent is the server: `ip netns exec` becomes the program it runs. */
function nfsProcesses(): readonly number[] {
  const parent = server?.pid;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(Number(name)) === parent)
    .map(Number);
}

function parentOf(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

async function until(what: string, test: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (test()) return;
    await delay(50);
  }
  throw new Error(`not within 10 s: ${what}`);
}

/** Both nodes mount and read what is in the recording, by the load generator, each from its own address; how many calls were answered. */
function nodesRead(): { readonly operations: number; readonly failed: number; readonly clients: number } {
  const recording = join(directory, 'recording');
  writeFileSync(
    recording,
    'NFS recording 1\npath /\npath /etc/issue\npath /etc/hostname\nlookup 0 etc\nread 1 0 4096\nread 2 0 4096\ngetattr 1\nreaddirplus 0\n',
  );
  const args = ['--server', '10.11.0.1', '--path', `/debian-13/${version}`, '--recording', recording, '--clients', '10.11.0.11,10.11.0.12', '--privileged'];
  const load = ['--connections', '4', '--depth', '2', '--boots', '20', '--warmup', '0', '--json'];
  return JSON.parse(inside(process.execPath, join(top, 'bench', 'nfs', 'load.mjs'), ...args, ...load));
}

const all = { operations: 400, failed: 0, clients: 2 };

describe.skipIf(lacking !== undefined)(`the NFS processes${lacking === undefined ? '' : ` (${lacking})`}`, () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'farm-processes-'));
    const image = join(directory, 'images', 'debian-13', version);
    const common = { mode: 0o755, uid: 0, gid: 0, size: 0, mtime: { seconds: 1_750_000_000, nanoseconds: 0 }, target: undefined, device: undefined };
    const rest = { ...common, inode: undefined, sha256: undefined };
    const directories = ['.', 'etc', 'usr', 'usr/lib', 'usr/bin'].map((path) => ({ ...rest, path, kind: 'directory' as const }));
    mkdirSync(join(image, 'root', 'etc'), { recursive: true });
    writeFileSync(join(image, 'root', 'etc', 'issue'), 'image\n');
    writeFileSync(join(image, 'root.mtree'), formatMtree([...directories, { ...rest, path: 'etc/issue', kind: 'file', size: 6, sha256: 'ab'.repeat(32) }]));
    symlinkSync(version, join(directory, 'images', 'debian-13', 'current'));
    mkdirSync(join(directory, 'state'), { mode: 0o700 });
    writeFileSync(join(directory, 'state', 'key'), `${'5a'.repeat(32)}\n`);
    const nodes = ['  n1: { id: 1, mac: "52:54:00:00:01:01", ip: 10.11.0.11 }', '  n2: { id: 2, mac: "52:54:00:00:01:02", ip: 10.11.0.12 }'];
    const lines = ['name: lab', 'nfs: { processes: 2 }', 'networks:', '  main: { interface: lo, address: 10.11.0.1/24 }', 'nodes:', ...nodes];
    writeFileSync(join(directory, 'farm.yaml'), `${lines.join('\n')}\n`);
    execFileSync('ip', ['netns', 'add', space]);
    inside('ip', 'link', 'set', 'lo', 'up');
    inside('ip', 'address', 'add', '10.11.0.1/24', 'dev', 'lo');
    server = await serve();
  });

  afterAll(async () => {
    if (server !== undefined && server.exitCode === null) {
      const ended = new Promise((resolve) => server?.on('exit', resolve));
      server.kill('SIGTERM');
      await ended;
    }
    execFileSync('ip', ['netns', 'delete', space]);
    rmSync(directory, { recursive: true, force: true });
  });

  it('are as many as farm.yaml says, and each node is served by one', () => {
    expect(nfsProcesses()).toHaveLength(2);
    expect(nodesRead()).toMatchObject(all);
  });

  it('answer by UDP too', () => {
    expect(inside('rpcinfo', '-n', '2049', '-u', '10.11.0.1', '100003', '3')).toContain('ready and waiting');
  });

  it('are started again when one is killed, and who connects meanwhile waits', async () => {
    const [killed] = nfsProcesses();
    if (killed === undefined) throw new Error('there is none');
    process.kill(killed, 'SIGKILL');
    await until('its end is noticed', () => events.some(({ event }) => event === 'nfs.process-ended'));
    expect(nodesRead()).toMatchObject(all);
    expect(nfsProcesses()).toHaveLength(2);
    expect(nfsProcesses()).not.toContain(killed);
  });

  it('end with a server that is killed, and the next one serves', async () => {
    const before = nfsProcesses();
    server?.kill('SIGKILL');
    server = await serve();
    await until('they ended', () => before.every((pid) => parentOf(pid) === undefined));
    expect(nodesRead()).toMatchObject(all);
  });

  it('end with a server that ends, which leaves none behind', async () => {
    const before = nfsProcesses();
    const ended = new Promise((resolve) => server?.on('exit', resolve));
    server?.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(before.map(parentOf)).toEqual([undefined, undefined]);
    server = await serve();
  });
});
