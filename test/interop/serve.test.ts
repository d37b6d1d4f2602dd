// farm serve as a user runs it, in a network namespace of its own, asked by udhcpc and libnfs as two nodes and a stranger.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { on, once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatMtree, type ManifestEntry } from '../../src/image/mtree.ts';
import { farm } from '../support/farm-under-test.ts';

const top = fileURLToPath(new URL('../..', import.meta.url));
const command = join(top, 'bin', 'farm');
const lacking =
  process.getuid?.() !== 0 ? 'root is needed' : ['nfs-cat', 'udhcpc', 'ip'].find((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
if (lacking !== undefined && process.env['CI'] !== undefined) throw new Error(`the serve tests cannot run: ${lacking}`);

/** Namespaces and links carry this process's number, so that runs side by side do not meet. */
const unique = String(process.pid % 10_000);
const spaces = { server: `fs${unique}`, n1: `fa${unique}`, n2: `fb${unique}`, stranger: `fc${unique}` };
const addresses = { n1: '10.11.0.11', n2: '10.11.0.12', stranger: '10.11.0.77' } as const;
type Client = keyof typeof addresses;

let directory: string;
let server: ChildProcess | undefined;

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

function inside(space: keyof typeof spaces, program: string, ...args: readonly string[]): string {
  return execFileSync('ip', ['netns', 'exec', spaces[space], program, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 });
}

function url(path: string): string {
  return `nfs://10.11.0.1${path}?nfsport=2049&mountport=2049&version=3&autoreconnect=2`;
}

function macOf(client: Client): string {
  return { n1: '52:54:00:11:00:01', n2: '52:54:00:11:00:02', stranger: '52:54:00:11:00:77' }[client];
}

async function serve(): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', spaces.server, process.execPath, command, '-C', directory, 'serve', '--log-format', 'json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (JSON.parse(line).event === 'serve.ready') {
      child.stdout.resume();
      return child;
    }
  }
  throw new Error(`farm serve ended: ${errors}`);
}

/** The next event of that name in the server's log. */
async function eventOf(child: ChildProcess, name: string): Promise<object> {
  for await (const [line] of on(createInterface({ input: child.stdout! }), 'line', { signal: AbortSignal.timeout(10_000) })) {
    const event = JSON.parse(line);
    if (event.event === name) return event;
  }
  throw new Error(`no ${name}`);
}

/** A root of a few files, in the layout that `farm image build` publishes. */
function smallImage(images: string): void {
  const version = join(images, 'debian-13', '0123456789ab');
  const common = {
    mode: 0o755,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: { seconds: 1_750_000_000, nanoseconds: 0 },
    target: undefined,
    device: undefined,
    inode: undefined,
    sha256: undefined,
  };
  const entries: ManifestEntry[] = ['.', 'etc', 'root', 'usr', 'usr/lib', 'usr/bin'].map((path) => ({ ...common, path, kind: 'directory' }));
  entries.push(
    { ...common, path: 'etc/issue', kind: 'file', mode: 0o644, size: 6, sha256: 'ab'.repeat(32) },
    { ...common, path: 'lib', kind: 'symlink', target: 'usr/lib' },
  );
  mkdirSync(join(version, 'root', 'etc'), { recursive: true });
  writeFileSync(join(version, 'root', 'etc', 'issue'), 'image\n');
  writeFileSync(join(version, 'root.mtree'), formatMtree(entries));
  symlinkSync('0123456789ab', join(images, 'debian-13', 'current'));
}

describe.skipIf(lacking !== undefined)(`farm serve${lacking === undefined ? '' : ` (${lacking})`}`, () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'farm-serve-'));
    execFileSync(process.execPath, [
      command,
      'init',
      join(directory),
      '--name',
      'lab',
      '--interface',
      'farm0',
      '--address',
      '10.11.0.1/24',
      '--range',
      '10.11.0.11-10.11.0.50',
    ]);
    smallImage(join(directory, 'images'));
    farm(directory, 'add-node', macOf('n1'), macOf('n2'));
    for (const space of Object.values(spaces)) {
      ip('netns', 'add', space);
      ip('-n', space, 'link', 'set', 'lo', 'up');
    }
    ip('-n', spaces.server, 'link', 'add', 'farm0', 'type', 'bridge');
    ip('-n', spaces.server, 'addr', 'add', '10.11.0.1/24', 'dev', 'farm0');
    ip('-n', spaces.server, 'link', 'set', 'farm0', 'up');
    for (const client of Object.keys(addresses) as Client[]) {
      ip('-n', spaces.server, 'link', 'add', `v-${client}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', spaces[client]);
      ip('-n', spaces.server, 'link', 'set', `v-${client}`, 'master', 'farm0', 'up');
      ip('-n', spaces[client], 'link', 'set', 'eth0', 'address', macOf(client), 'up');
      ip('-n', spaces[client], 'addr', 'add', `${addresses[client]}/24`, 'dev', 'eth0');
    }
    server = await serve();
  });

  afterAll(() => {
    server?.kill('SIGKILL');
    for (const space of Object.values(spaces)) spawnSync('ip', ['netns', 'delete', space]);
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  it('gives a node its address by DHCP, and a stranger none', () => {
    expect(inside('n1', 'sh', '-c', 'udhcpc -i eth0 -n -q -t 3 -T 1 -s /bin/true 2>&1')).toContain(`lease of ${addresses.n1} obtained`);
    expect(() => inside('stranger', 'udhcpc', '-i', 'eth0', '-n', '-q', '-t', '2', '-T', '1', '-s', '/bin/true')).toThrow();
    const status = JSON.parse(farm(directory, 'status', '--json'));
    expect(status.unknown.map(({ mac }: { mac: string }) => mac)).toEqual([macOf('stranger')]);
  });

  it('shows each node the shared root as its own', () => {
    expect(inside('n1', 'nfs-cat', url('/etc/hostname'))).toBe('n1\n');
    expect(inside('n2', 'nfs-cat', url('/etc/hostname'))).toBe('n2\n');
    expect(inside('n1', 'nfs-cat', url('/etc/issue'))).toBe('image\n');
    expect(inside('n1', 'nfs-ls', url('/etc'))).not.toContain('$$');
    expect(() => inside('stranger', 'nfs-cat', url('/etc/issue'))).toThrow(/ACCES|denied/i);
  });

  it('refuses a program on a node that is not root, and could claim to be', () => {
    const asNobody = [
      'setpriv',
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
      'nfs-cat',
      url('/etc/issue').replace('autoreconnect=2', 'autoreconnect=0'),
    ] as const;
    expect(() => inside('n1', ...asNobody)).toThrow();
    expect(inside('n1', 'nfs-cat', url('/etc/issue'))).toBe('image\n');
  });

  it('keeps what a node writes for that node alone, also when the server is killed', async () => {
    const note = join(directory, 'note');
    writeFileSync(note, 'of n1\n');
    inside('n1', 'nfs-cp', note, url('/root/note'));
    expect(inside('n1', 'nfs-cat', url('/root/note'))).toBe('of n1\n');
    expect(() => inside('n2', 'nfs-cat', url('/root/note'))).toThrow(/NOENT/);
    server?.kill('SIGKILL');
    await once(server!, 'exit');
    server = await serve();
    expect(inside('n1', 'nfs-cat', url('/root/note'))).toBe('of n1\n');
  });

  it('tells beside the running server which file a node gets and why, by its exit status too', () => {
    const explain = (...args: readonly string[]) => spawnSync(process.execPath, [command, '-C', directory, 'explain', ...args], { encoding: 'utf8' });
    const hostname = explain('n2', '/etc/hostname');
    expect(hostname.stdout).toMatch(/^n2 gets \/etc\/hostname from the overlays: etc\/hostname\$\$HOST=n2\$\$/);
    expect(hostname.status).toBe(0);
    const absent = explain('n1', '/etc/nothing', '--json');
    expect(JSON.parse(absent.stdout)).toMatchObject({ verdict: 'absent', missing: '/etc/nothing: no layer has that name' });
    expect(absent.status).toBe(1);
    expect(explain('n99', '/').status).toBe(2);
  });

  it("shows a node that is added, and its line in everybody's files, without a restart", async () => {
    farm(directory, 'add-node', '--name', 'late', macOf('stranger'), '--ip', addresses.stranger);
    const deadline = Date.now() + 10_000;
    while (!inside('n1', 'nfs-cat', url('/etc/hosts')).includes('late')) if (Date.now() > deadline) throw new Error('the change was not published');
    expect(inside('stranger', 'nfs-cat', url('/etc/hostname'))).toBe('late\n');
    expect(inside('n1', 'nfs-cat', url('/etc/openmosix.map'))).toBe(farm(directory, 'map'));
  });

  it('adds the next machine that boots from the network, and no operating system', async () => {
    farm(directory, 'node', 'remove', 'late');
    const deadline = Date.now() + 10_000;
    while (inside('n1', 'nfs-cat', url('/etc/hosts')).includes('late')) if (Date.now() > deadline) throw new Error('the change was not published');
    const finder = spawn(command, ['-C', directory, 'add-node', '--discover', '1', '--tag', 'found'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(finder, 'exit');
    await once(finder.stderr, 'data'); // it waits now
    const ask = (...options: readonly string[]): unknown =>
      spawnSync('ip', ['netns', 'exec', spaces.stranger, 'udhcpc', '-i', 'eth0', '-n', '-q', '-t', '2', '-T', '1', '-s', '/bin/true', ...options]);
    ask();
    expect(finder.exitCode).toBeNull();
    ask('-V', 'PXEClient:Arch:00000:UNDI:002001');
    expect((await ended)[0]).toBe(0);
    expect(JSON.parse(farm(directory, 'node', 'list', '@found', '--json'))).toMatchObject([{ name: 'n3', mac: macOf('stranger') }]);
    farm(directory, 'node', 'remove', '@found');
  });

  it('keeps the last good state when farm.yaml is broken, and says so', async () => {
    const path = join(directory, 'farm.yaml');
    const good = readFileSync(path, 'utf8');
    const said = eventOf(server!, 'config.rejected');
    writeFileSync(path, good.replace('id: 1', 'id: none'));
    expect(await said).toMatchObject({
      level: 'error',
      event: 'config.rejected',
      error: expect.stringMatching(/farm\.yaml:\d+:\d+: nodes\.n1\.id/),
    });
    expect(inside('n1', 'nfs-cat', url('/etc/hostname'))).toBe('n1\n');
    writeFileSync(path, good);
  });

  it('is one for a farm: a second one is refused with a sentence', () => {
    const second = spawnSync('ip', ['netns', 'exec', spaces.server, process.execPath, command, '-C', directory, 'serve'], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect(second.status).toBe(2);
    expect(second.stderr).toMatch(/^farm: this farm is served already: another server listens at .*control\.sock\n {2}\S/);
  });

  it('says in one sentence which port is taken, and how to find by whom', () => {
    const other = mkdtempSync(join(tmpdir(), 'farm-other-'));
    execFileSync(process.execPath, [command, 'init', other, '--name', 'other', '--interface', 'farm0', '--address', '10.11.0.1/24']);
    const second = spawnSync('ip', ['netns', 'exec', spaces.server, process.execPath, command, '-C', other, 'serve'], { encoding: 'utf8', timeout: 20_000 });
    expect(second.status).toBe(2);
    expect(second.stderr).toMatch(/^farm: UDP port 67 .*\n {2}.*ss -l/);
    rmSync(other, { recursive: true });
  });

  it('says what to do when it may not open the ports', () => {
    const other = mkdtempSync(join(tmpdir(), 'farm-other-'));
    execFileSync(process.execPath, [command, 'init', other, '--name', 'other', '--interface', 'eth0', '--address', '10.11.0.12/24']);
    const args = [
      'netns',
      'exec',
      spaces.n2,
      'setpriv',
      '--inh-caps=-net_bind_service',
      '--bounding-set=-net_bind_service',
      process.execPath,
      command,
      '-C',
      other,
      'serve',
    ];
    const refused = spawnSync('ip', args, { encoding: 'utf8', timeout: 20_000 });
    expect(refused.status).toBe(2);
    expect(refused.stderr).toMatch(/^farm: UDP port 67 .*\n {2}run as root/);
    rmSync(other, { recursive: true });
  });

  it('ends cleanly on SIGTERM', async () => {
    const ended = once(server!, 'exit');
    server?.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
    server = undefined;
  });
});
