// Locks with the rpcbind, rpc.statd and sm-notify of nfs-utils on two nodes in network namespaces. Needs root, nfs-common and rpcbind.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle, inside, ip, makeSpaces, removeSpaces, Told } from './namespaces.ts';

const tag = `fnlm${process.pid % 10000}`;
const space = { server: `${tag}s`, one: `${tag}a`, two: `${tag}b` };
const address = { one: '10.11.0.2', two: '10.11.0.3' };

function installed(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
    return true;
  } catch (error) {
    if (process.env['CI'] !== undefined) throw new Error(`${program} is missing: apt-get install nfs-common rpcbind`, { cause: error });
    return false;
  }
}

const missing = ['rpcbind', 'rpc.statd', 'sm-notify', 'rpcinfo'].filter((program) => !installed(program));
const title = missing.length === 0 ? 'locks' : `locks (skipped: ${missing.join(', ')} missing, apt-get install nfs-common rpcbind)`;

/** rpcbind and statd in a /run of their own, then the node. */
const nodeScript = `
  set -e
  mount -t tmpfs none /run
  echo "$3 node" > /run/hosts
  mount --bind /run/hosts /etc/hosts
  await() { tries=0; until rpcinfo -p 127.0.0.1 2>/dev/null | grep -q "$1"; do tries=$((tries + 1)); [ $tries -lt 100 ]; sleep 0.1; done; }
  rpcbind -f &
  await portmapper
  rpc.statd -F -L -P "$2" 2>"$2/log" &
  await status
  exec "$0" "$1" "$2" "$3"
`;

/** A node is a shell script first. */
class Node extends Told {
  constructor(where: string, script: string, program: string, state: string, own: string) {
    super(where, script, [program, state, own]);
  }

  async does(command: string): Promise<unknown> {
    const before = this.lines.length;
    this.child.stdin?.write(`${command}\n`);
    const line = await this.heard(command, (each) => this.lines.indexOf(each) >= before);
    return line['status'];
  }

  /** As at boot. */
  async restarts(): Promise<unknown> {
    this.child.stdin?.write('restart\n');
    return this.heard('sm-notify');
  }
}

describe.skipIf(missing.length > 0)(title, () => {
  const folder = mkdtempSync(join(tmpdir(), 'farm-nlm-'));
  const programs = { server: join(folder, 'server.mjs'), node: join(folder, 'node.mjs'), starter: join(folder, 'starter.mjs') };
  let server: Told;
  let nodes: { readonly one: Node; readonly two: Node };

  const serve = async () => {
    server = new Told(space.server, programs.server, [join(folder, 'locks-monitored')]);
    await server.heard('ready');
  };

  beforeAll(async () => {
    await bundle(new URL('./nlm-server.ts', import.meta.url), programs.server);
    await bundle(new URL('./nlm-node.ts', import.meta.url), programs.node);
    writeFileSync(
      programs.starter,
      `import { spawn } from 'node:child_process';
       const child = spawn('unshare', ['-m', 'bash', '-c', ${JSON.stringify(nodeScript)}, process.execPath, ...process.argv.slice(2)], { stdio: 'inherit' });
       child.once('exit', (code) => process.exit(code ?? 1));`,
    );
    makeSpaces(Object.values(space));
    ip('-n', space.server, 'link', 'add', 'br0', 'type', 'bridge');
    ip('-n', space.server, 'addr', 'add', '10.11.0.1/24', 'dev', 'br0');
    ip('-n', space.server, 'link', 'set', 'br0', 'up');
    for (const name of ['one', 'two'] as const) {
      ip('link', 'add', name, 'netns', space.server, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space[name]);
      ip('-n', space.server, 'link', 'set', name, 'master', 'br0', 'up');
      ip('-n', space[name], 'addr', 'add', `${address[name]}/24`, 'dev', 'eth0');
      ip('-n', space[name], 'link', 'set', 'eth0', 'up');
    }
    await serve();
    const node = (name: 'one' | 'two') => {
      const state = join(folder, name);
      for (const each of [state, join(state, 'sm'), join(state, 'sm.bak')]) mkdirSync(each);
      return new Node(space[name], programs.starter, programs.node, state, address[name]);
    };
    nodes = { one: node('one'), two: node('two') };
    await Promise.all([nodes.one.heard('ready'), nodes.two.heard('ready')]);
  });

  afterAll(async () => {
    removeSpaces(Object.values(space));
    rmSync(folder, { recursive: true, force: true });
  });

  test('rpcinfo finds every version on both transports, and each answers', async () => {
    const said = await inside(space.one, 'rpcinfo', ['-p', '10.11.0.1']);
    for (const version of [1, 3, 4]) for (const transport of ['tcp', 'udp']) expect(said).toMatch(new RegExp(`100021 +${version} +${transport} +4045`));
    expect(said).toMatch(/100024 +1 +udp +4046/);
    for (const [flag, program, version] of [
      ['-u', '100021', '4'],
      ['-t', '100021', '1'],
      ['-u', '100024', '1'],
    ] as const) {
      expect(await inside(space.one, 'rpcinfo', [flag, '10.11.0.1', program, version])).toContain('ready and waiting');
    }
  });

  test('a node that waits is called back through its own rpcbind', async () => {
    const { one, two } = nodes;
    expect(await one.does('lock')).toBe('GRANTED');
    expect(await two.does('lock')).toBe('DENIED');
    expect(await two.does('wait')).toBe('BLOCKED');
    expect(await one.does('unlock')).toBe('GRANTED');
    expect(await two.heard('granted')).toMatchObject({ svid: 1, handle: 'a handle' });
    expect(await one.does('lock')).toBe('DENIED');
    expect(await two.does('unlock')).toBe('GRANTED');
    expect(await one.does('lock')).toBe('GRANTED');
  });

  test('a server that was killed tells statd, statd its kernel, and the lock is taken back before anybody else has it', async () => {
    const { one, two } = nodes;
    server.child.kill('SIGKILL');
    await serve();
    expect(await two.does('lock')).toBe('DENIED_GRACE_PERIOD');
    expect(await one.heard('rebooted')).toEqual({ event: 'rebooted', name: '10.11.0.1', state: 3, ours: true });
    expect(await one.heard('reclaimed')).toMatchObject({ status: 'GRANTED' });
    expect(await server.heard('nlm.grace-over')).toMatchObject({ reclaimed: 1, others: ['10.11.0.3'] });
    // Two held a lock a moment ago: it is told too, and has nothing to reclaim.
    const notified = server.lines.filter(({ event }) => event === 'nlm.notified').map(({ client }) => client);
    expect(notified.toSorted()).toEqual(['10.11.0.2', '10.11.0.3']);
    expect(await two.does('lock')).toBe('DENIED');
  });

  test('a node that restarted says so by sm-notify, and its locks are free', async () => {
    const { one, two } = nodes;
    expect(await two.does('wait')).toBe('BLOCKED');
    expect(await one.restarts()).toMatchObject({ status: 0 });
    expect(await server.heard('nlm.freed')).toMatchObject({ client: '10.11.0.2', locks: 1 });
    await two.heard('granted', () => two.lines.filter(({ event }) => event === 'granted').length === 2);
  });
});
