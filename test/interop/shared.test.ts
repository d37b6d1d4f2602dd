// Shared paths of a farm as a user runs it: two nodes and a third of another profile, each libnfs in a network namespace, asking farm serve.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import { locksJournal } from '../../src/farm/directory.ts';
import { Images } from '../../src/farm/images.ts';
import { LiveFarm } from '../../src/farm/live.ts';
import { openFarmLocks } from '../../src/farm/locks.ts';
import { sharedOwner } from '../../src/farm/shared.ts';
import { handleKey } from '../../src/farm/values.ts';
import { NodeViews } from '../../src/farm/views.ts';
import { formatMtree, type ManifestEntry } from '../../src/image/mtree.ts';
import { encodeHandle } from '../../src/nfs/handles.ts';
import { makeSpaces, removeSpaces } from './namespaces.ts';

const top = fileURLToPath(new URL('../..', import.meta.url));
const command = join(top, 'bin', 'farm');
const needed = ['nfs-cat', 'nfs-cp', 'nfs-ls', 'showmount', 'ip'];
const lacking = process.getuid?.() !== 0 ? 'root is needed' : needed.find((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
if (lacking !== undefined && process.env['CI'] !== undefined) throw new Error(`the tests of shared paths cannot run: ${lacking}`);

const unique = String(process.pid % 10_000);
const spaces = { server: `hs${unique}`, n1: `ha${unique}`, n2: `hb${unique}`, n3: `hc${unique}` };
const addresses = { n1: '10.11.0.11', n2: '10.11.0.12', n3: '10.11.0.13' } as const;
type Client = keyof typeof addresses;
const clients: readonly Client[] = ['n1', 'n2', 'n3'];

let directory: string;
let server: ChildProcess;

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

function inside(space: Client, program: string, ...args: readonly string[]): string {
  return execFileSync('ip', ['netns', 'exec', spaces[space], program, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 });
}

/** What a program that failed has said; some of libnfs' say it on stdout. */
function complaint(space: Client, program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', spaces[space], program, ...args], { encoding: 'utf8', timeout: 20_000 });
  if (status === 0) throw new Error(`${program} ${args.join(' ')} did not fail`);
  return stdout + stderr;
}

function url(path: string, options = ''): string {
  return `nfs://10.11.0.1${path}?nfsport=2049&mountport=2049&version=3&autoreconnect=2${options}`;
}

function put(space: Client, path: string, text: string, options = ''): void {
  const file = join(directory, 'note');
  writeFileSync(file, text);
  inside(space, 'nfs-cp', file, url(path, options));
}

async function serve(): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', spaces.server, process.execPath, command, '-C', directory, 'serve', '--only', 'nfs', '--log-format', 'json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (JSON.parse(line).event !== 'serve.ready') continue;
    child.stdout.resume();
    return child;
  }
  throw new Error('farm serve ended');
}

/** An image in the layout that `farm image build` publishes, with something in its /home. */
function smallImage(images: string): void {
  const version = join(images, 'debian-13', '0123456789ab');
  const mtime = { seconds: 1_750_000_000, nanoseconds: 0 };
  const common = { mode: 0o755, uid: 0, gid: 0, size: 0, mtime, target: undefined, device: undefined, inode: undefined, sha256: undefined };
  const entries: ManifestEntry[] = ['.', 'etc', 'opt', 'root'].map((path) => ({ ...common, path, kind: 'directory' }));
  entries.push(
    { ...common, path: 'home', kind: 'directory', mode: 0o1775, gid: 50 },
    { ...common, path: 'home/guest', kind: 'directory', mode: 0o700, uid: 1000, gid: 1000 },
    { ...common, path: 'home/guest/readme', kind: 'file', mode: 0o640, uid: 1000, gid: 1000, size: 6, sha256: 'ab'.repeat(32) },
    { ...common, path: 'home/guest/link', kind: 'symlink', target: 'readme' },
  );
  mkdirSync(join(version, 'root', 'home', 'guest'), { recursive: true });
  writeFileSync(join(version, 'root', 'home', 'guest', 'readme'), 'image\n');
  writeFileSync(join(version, 'root.mtree'), formatMtree(entries));
  symlinkSync('0123456789ab', join(images, 'debian-13', 'current'));
}

function configure(profiles: Readonly<Record<Client, string>>): void {
  const config = join(directory, 'farm.yaml');
  const text = parseDocument(readFileSync(config, 'utf8'));
  const shared = [{ path: '/home', squash: 'none' }, '/srv/data', { path: '/opt', access: 'ro' }, { path: '/srv/old', tags: true }];
  text.setIn(['profiles'], {
    default: { shared },
    alone: {},
    reader: { shared: [{ path: '/home', access: 'ro', squash: 'all', anonuid: 1000, anongid: 1000 }] },
  });
  const nodes = clients.map((name, index) => [name, { id: index + 1, mac: `52:54:00:12:00:0${index + 1}`, ip: addresses[name], profile: profiles[name] }]);
  text.setIn(['nodes'], Object.fromEntries(nodes));
  writeFileSync(config, String(text));
}

describe.skipIf(lacking !== undefined)(`shared paths${lacking === undefined ? '' : ` (${lacking})`}`, () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'farm-shared-'));
    const how = ['--name', 'lab', '--interface', 'farm0', '--address', '10.11.0.1/24', '--range', '10.11.0.11-10.11.0.50'];
    execFileSync(process.execPath, [command, 'init', directory, ...how]);
    smallImage(join(directory, 'images'));
    configure({ n1: 'default', n2: 'default', n3: 'reader' });
    makeSpaces(Object.values(spaces));
    ip('-n', spaces.server, 'link', 'add', 'farm0', 'type', 'bridge');
    ip('-n', spaces.server, 'addr', 'add', '10.11.0.1/24', 'dev', 'farm0');
    ip('-n', spaces.server, 'link', 'set', 'farm0', 'up');
    for (const client of clients) {
      ip('-n', spaces.server, 'link', 'add', `v-${client}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', spaces[client]);
      ip('-n', spaces.server, 'link', 'set', `v-${client}`, 'master', 'farm0', 'up');
      ip('-n', spaces[client], 'link', 'set', 'eth0', 'up');
      ip('-n', spaces[client], 'addr', 'add', `${addresses[client]}/24`, 'dev', 'eth0');
    }
    server = await serve();
  });

  afterAll(() => {
    server?.kill('SIGKILL');
    removeSpaces(Object.values(spaces));
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  it('are told to nodes that have them', () => {
    expect(
      inside('n1', 'showmount', '--no-headers', '-e', '10.11.0.1')
        .split('\n')
        .map((line) => line.split(' ')[0]),
    ).toEqual(['/', '/home', '/srv/data', '/opt', '/srv/old', '']);
    expect(inside('n3', 'showmount', '--no-headers', '-e', '10.11.0.1')).not.toContain('/srv/data');
  });

  it('begin as the image has them, once', async () => {
    expect(existsSync(join(directory, 'shared'))).toBe(false);
    expect(inside('n1', 'nfs-cat', url('/home/guest/readme'))).toBe('image\n');
    expect(inside('n1', 'nfs-ls', url('/home'))).toMatch(/^drwx------ +2 +1000 +1000 +\d+ guest$/m);
    const { mode, gid } = statSync(join(directory, 'shared', 'home'));
    expect([mode & 0o7777, gid]).toEqual([0o1775, 50]);
    expect(
      execFileSync('find', ['home', '-printf', '%p %M %u:%g %T@\\n'], { cwd: join(directory, 'shared'), encoding: 'utf8' })
        .split('\n')
        .toSorted(),
    ).toEqual([
      '',
      expect.stringMatching(/^home drwxrwxr-t .* 1750000000\.0+$/),
      expect.stringMatching(/^home\/guest drwx------ .* 1750000000\.0+$/),
      expect.stringMatching(/^home\/guest\/link lrwxrwxrwx .* 1750000000\.0+$/),
      expect.stringMatching(/^home\/guest\/readme -rw-r----- .* 1750000000\.0+$/),
    ]);
    rmSync(join(directory, 'shared', 'home', 'guest', 'link'));
    server.kill('SIGKILL');
    await once(server, 'exit');
    server = await serve();
    expect(inside('n2', 'nfs-ls', url('/home/guest'))).not.toContain('link');
  });

  it('are one tree: what a node writes, or somebody on the server, the others have at once', () => {
    put('n1', '/home/letter', 'from n1\n');
    expect(inside('n2', 'nfs-cat', url('/home/letter'))).toBe('from n1\n');
    put('n2', '/home/answer', 'from n2\n');
    expect(inside('n1', 'nfs-cat', url('/home/answer'))).toBe('from n2\n');
    expect(readFileSync(join(directory, 'shared', 'home', 'answer'), 'utf8')).toBe('from n2\n');
    writeFileSync(join(directory, 'shared', 'home', 'letter'), 'from the server\n');
    expect(inside('n1', 'nfs-cat', url('/home/letter'))).toBe('from the server\n');
  });

  it('take root for nobody unless the profile says otherwise', () => {
    const note = join(directory, 'note');
    expect(complaint('n1', 'nfs-cp', note, url('/srv/data/note'))).toMatch(/ACCES/);
    chmodSync(join(directory, 'shared', 'srv', 'data'), 0o1777);
    put('n1', '/srv/data/note', 'as root\n');
    put('n1', '/srv/data/own', 'as 1000\n', '&uid=1000&gid=1000');
    const owners = execFileSync('stat', ['-c', '%u:%g', 'note', 'own'], { cwd: join(directory, 'shared', 'srv', 'data'), encoding: 'utf8' });
    expect(owners).toBe('65534:65534\n1000:1000\n');
    expect(statSync(join(directory, 'shared', 'home', 'letter')).uid).toBe(0);
  });

  it('are, for checkpoints of jobs, one that every node has without a word in farm.yaml, root as root, and that is not listed', () => {
    const path = '/var/lib/farm/checkpoints';
    put('n1', `${path}/kept`, 'pages\n');
    expect(inside('n3', 'nfs-cat', url(`${path}/kept`))).toBe('pages\n');
    expect(statSync(join(directory, 'shared', path, 'kept')).uid).toBe(0);
    expect(inside('n1', 'showmount', '-e', '--no-headers', '10.11.0.1')).not.toContain(path);
  });

  it('are read-only where the profile says so, the same path for one profile and not for another', () => {
    expect(complaint('n1', 'nfs-cp', join(directory, 'note'), url('/opt/note'))).toMatch(/ROFS/);
    expect(complaint('n3', 'nfs-cp', join(directory, 'note'), url('/home/note'))).toMatch(/ROFS/);
    // Everybody on n3 is user 1000 there.
    expect(inside('n3', 'nfs-cat', url('/home/guest/readme', '&uid=7&gid=7'))).toBe('image\n');
    expect(complaint('n1', 'nfs-cat', url('/home/guest/readme', '&uid=7&gid=7'))).toMatch(/ACCES/);
  });

  it('are as each node has them where the profile says that names have tags', () => {
    expect(inside('n1', 'nfs-ls', url('/srv/old'))).not.toContain('motd');
    for (const name of ['motd$$HOST=n1$$', 'motd$$CLIENT$$']) writeFileSync(join(directory, 'shared', 'srv', 'old', name), `${name}\n`);
    for (const name of ['motd$$HOST=n1$$', 'motd$$CLIENT$$']) writeFileSync(join(directory, 'shared', 'home', name), 'plain\n');
    expect(inside('n1', 'nfs-cat', url('/srv/old/motd'))).toBe('motd$$HOST=n1$$\n');
    expect(inside('n2', 'nfs-cat', url('/srv/old/motd'))).toBe('motd$$CLIENT$$\n');
    expect(inside('n2', 'nfs-ls', url('/srv/old'))).not.toContain('$$');
    expect(inside('n1', 'nfs-ls', url('/home'))).toContain('motd$$HOST=n1$$');
  });

  it('are nothing to nodes of other profiles, neither by path nor by a handle that they have seen', async () => {
    expect(complaint('n3', 'nfs-ls', url('/srv/data'))).toMatch(/NOENT|ACCES/);
    // From here on the farm is ours: its journals have one writer.
    server.kill('SIGKILL');
    await once(server, 'exit');
    const live = new LiveFarm({ directory, builtinOverlay: join(top, 'templates', 'root'), programFiles: [], log: () => {} });
    const views = new NodeViews(live, new Images(directory, []), systemClock, () => {});
    const { tree } = views.mount(ipv4(addresses.n1), '/opt') ?? {};
    const seenBy = (client: Client) => views.view(sharedOwner('/opt'), tree?.generation ?? 0, ipv4(addresses[client]))?.tree === tree;
    expect([tree !== undefined, ...clients.map(seenBy)]).toEqual([true, true, true, false]);
    expect(views.view(sharedOwner('/opt'), tree?.generation ?? 0, ipv4('10.11.0.99'))).toBeUndefined();
    configure({ n1: 'default', n2: 'alone', n3: 'reader' });
    live.reload();
    expect(clients.map(seenBy)).toEqual([true, false, false]);
    live.close();
    await views.close();
  });

  it('keep no locks of a node that has left', async () => {
    configure({ n1: 'default', n2: 'default', n3: 'reader' });
    rmSync(locksJournal(directory), { force: true });
    const events: string[] = [];
    const live = new LiveFarm({ directory, builtinOverlay: join(top, 'templates', 'root'), programFiles: [], log: () => {} });
    const views = new NodeViews(live, new Images(directory, []), systemClock, () => {});
    const locks = openFarmLocks(live, live.key, views, (_level, event, fields) => void events.push(`${event} ${fields?.['client']} ${fields?.['why']}`));
    const { tree } = views.mount(ipv4(addresses.n1), '/home') ?? {};
    if (tree === undefined) throw new Error('/home is not shared');
    const handle = encodeHandle(handleKey(live.key), { owner: sharedOwner('/home'), generation: tree.generation, object: tree.lookup(tree.root, 'letter') });
    const lock = { caller: '', handle, ownerHandle: Buffer.alloc(0), svid: 1, offset: 0n, length: 0n };
    const credential = { flavor: 'unix', machine: '', uid: 0, gid: 0, gids: [] } as const;
    const tries = (client: Client) => {
      const asker = { client: ipv4(addresses[client]), port: 700, transport: 'tcp', credential, server: ipv4('10.11.0.1'), version: 4 } as const;
      const args = { cookie: Buffer.alloc(4), block: false, exclusive: true, lock, reclaim: false, state: 1 };
      return locks.service.lock(asker, args, { monitored: true, asynchronous: false });
    };
    expect([await tries('n2'), await tries('n1'), await tries('n3')]).toEqual(['GRANTED', 'DENIED', 'ROFS']);
    const config = join(directory, 'farm.yaml');
    writeFileSync(config, readFileSync(config, 'utf8').replace(addresses.n2, '10.11.0.40'));
    live.reload();
    expect(events).toContain('nlm.freed 10.11.0.12 its node has moved or left');
    expect([await tries('n1'), await tries('n2')]).toEqual(['GRANTED', 'STALE_FH']);
    live.close();
    await locks.close();
    await views.close();
  });
});
