// rpcinfo and showmount, and the system's rpcbind on port 111, against our port mapper: in network namespaces. http://git.linux-nfs.org (rpcbind, nfs-utils)
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

const server = '10.98.0.1';
const namespace = 'farm-rpc';

function missingPrograms(): readonly string[] {
  const missing = ['rpcinfo', 'showmount', 'rpcbind', 'ip', 'unshare'].filter((program) => {
    try {
      execFileSync('sh', ['-c', `command -v ${program}`]);
      return false;
    } catch {
      return true;
    }
  });
  if (missing.length > 0 && process.env['CI'] !== undefined) throw new Error(`${missing.join(', ')} missing: apt-get install rpcbind nfs-common iproute2`);
  return missing;
}

const missing = missingPrograms();
const title = missing.length === 0 ? 'port 111' : `port 111 (skipped: ${missing.join(', ')} missing, apt-get install rpcbind nfs-common)`;

describe.skipIf(missing.length > 0)(title, () => {
  let folder: string;
  let program: string;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'farm-rpc-'));
    program = join(folder, 'farm.mjs');
    const entry = fileURLToPath(new URL('nfs-portmap-farm.ts', import.meta.url));
    await build({ entryPoints: [entry], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' });
  });

  beforeEach(() => {
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
    execFileSync('ip', ['-n', namespace, 'address', 'add', `${server}/32`, 'dev', 'lo']);
  });

  afterEach(async () => {
    for (const child of children.splice(0).reverse()) await end(child);
    execFileSync('ip', ['netns', 'delete', namespace]);
    rmSync(join(folder, 'farm.log'), { force: true });
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  async function end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    if (child.stdin === null) child.kill('SIGTERM');
    else child.stdin.end();
    await exited;
  }

  /** Our server; resolves with the sockets that it says it has. */
  async function farm(): Promise<{ readonly child: ChildProcess; readonly sockets: string }> {
    const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, program, server, join(folder, 'farm.log')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.push(child);
    const [line] = await once(child.stdout, 'data');
    return { child, sockets: String(line).trim() };
  }

  /** The distribution's rpcbind, with a /run of its own. */
  async function rpcbind(): Promise<void> {
    const script = 'mount -t tmpfs tmpfs /run && exec rpcbind -f';
    const child = spawn('unshare', ['--mount', '--propagation', 'private', 'ip', 'netns', 'exec', namespace, 'sh', '-c', script], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    children.push(child);
    for (let tries = 0; listed().length === 0; tries += 1) {
      if (tries > 50) throw new Error('rpcbind does not answer');
      await new Promise((resolve) => setTimeout(resolve, 100)); // it has no way to say that it is ready
    }
  }

  const run = (command: string, ...args: string[]) => execFileSync('ip', ['netns', 'exec', namespace, command, ...args], { encoding: 'utf8', timeout: 20_000 });

  /** Program, version, protocol and port of `rpcinfo -p`; empty if nobody answers. */
  function listed(): readonly string[] {
    try {
      return run('sh', '-c', `rpcinfo -p ${server} 2>/dev/null`)
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(/ +/).slice(0, 4).join(' '))
        .filter((line) => line !== '');
    } catch {
      return [];
    }
  }

  const ours = ['100003 2', '100003 3', '100005 1', '100005 2', '100005 3'].flatMap((version) => [`${version} tcp 2049`, `${version} udp 2049`]);

  test('is answered by our own port mapper where it is free', async () => {
    const { sockets } = await farm();
    expect(sockets).toBe(`tcp ${server}:2049, udp ${server}:2049, tcp ${server}:111, udp ${server}:111`);
    expect(listed()).toEqual(expect.arrayContaining([...ours, '100000 2 udp 111', '100000 4 tcp 111']));
    for (const transport of ['udp', 'tcp']) {
      expect(run('rpcinfo', '-T', transport, server, '100003')).toMatch(/version 2 ready and waiting\n.*version 3 ready and waiting/);
      expect(run('rpcinfo', '-T', transport, server, '100005', '3')).toMatch(/version 3 ready/);
    }
    expect(run('rpcinfo', server)).toMatch(/100003 +3 +udp +10\.98\.0\.1\.8\.1 /); // rpcbind 4 DUMP
    expect(run('rpcinfo', '-l', server, '100003', '2')).toMatch(/inet\/udp\/clts +10\.98\.0\.1\.8\.1/); // GETADDRLIST
    expect(run('showmount', '-e', server)).toMatch(/^\/ /m);
    expect(() => run('rpcinfo', '-T', 'tcp', server, '100227', '3')).toThrow();
  });

  test('is left to the rpcbind that has it, which knows our programs until we end', async () => {
    await rpcbind();
    const before = listed();
    expect(before.filter((line) => !line.startsWith('100000'))).toEqual([]);
    const { child, sockets } = await farm();
    expect(sockets).toBe(`tcp ${server}:2049, udp ${server}:2049`);
    expect(
      listed()
        .filter((line) => !before.includes(line))
        .toSorted(),
    ).toEqual(ours.toSorted());
    expect(run('rpcinfo', '-T', 'udp', server, '100003', '3')).toMatch(/ready/);
    expect(run('showmount', '-e', server)).toMatch(/^\/ /m);
    await end(child);
    expect(listed()).toEqual(before);
    const log = readFileSync(join(folder, 'farm.log'), 'utf8');
    expect(log).toContain('portmap.registered');
    expect(log).not.toContain('portmap.absent');
  });
});
