// One tagged directory under the real unfs3 (`unfsd -c`) and under us, read by libnfs' tools from several addresses: the same contents where tags(7) and
// docs/decisions/tags.md agree, and what each does where they do not. No Debian has unfs3: where there is none, what it said is in the golden file.
// scripts/unfsd.sh makes it; with UPDATE_GOLDEN=1 what it says is written down.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { bundle, ip, makeSpaces, removeSpaces } from './namespaces.ts';

const ours = fileURLToPath(new URL('../../.farm/peers/unfsd', import.meta.url));
const unfsd = process.env['UNFSD'] ?? ours;
const isThere = existsSync(unfsd);
const golden = fileURLToPath(new URL('../golden/unfs3-tags.json', import.meta.url));
const lacking =
  process.getuid?.() !== 0
    ? 'root is needed'
    : ['nfs-cat', 'nfs-cp', 'nfs-ls', 'ip'].find((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
if (lacking !== undefined && process.env['CI'] !== undefined) throw new Error(`the tag tests cannot run: ${lacking}`);

const recorded: Record<string, unknown> = existsSync(golden) ? JSON.parse(readFileSync(golden, 'utf8')) : {};

/** What unfs3 says to one question: by itself, or from what was written down. */
async function ofUnfs3<Value>(question: string, ask: () => Value | Promise<Value>): Promise<Value> {
  if (isThere) recorded[question] = await ask();
  if (!(question in recorded)) throw new Error(`it was never written down what unfs3 says to: ${question}`);
  return recorded[question] as Value;
}

/** Namespaces and links carry this process's number, so that runs side by side do not meet. */
const unique = String(process.pid % 10_000);
const server = `ft${unique}s`;
const nodes = {
  n1: { space: `ft${unique}a`, address: '10.77.1.11' },
  n12: { space: `ft${unique}b`, address: '10.77.1.12' },
  other: { space: `ft${unique}c`, address: '10.77.2.13' },
  away: { space: `ft${unique}d`, address: '10.0.0.14' },
} as const;
type Client = keyof typeof nodes;
const names = Object.keys(nodes) as readonly Client[];
const hostsOfServer = join('/etc/netns', server);

/** Of each file that a client looks for, what the tags of the directory say: a file's content is its stored name. */
const tree: Readonly<Record<string, readonly string[]>> = {
  plain: ['plain'],
  address: ['address', 'address$$IP=10.77.1.11$$', 'address$$IP=10.77.2.13$$'],
  network: ['network', 'network$$IP=10.77.1.0_24$$', 'network$$IP=10.77.0.0_16$$'],
  eight: ['eight', 'eight$$IP=10.0.0.0_8$$'],
  host: ['host', 'host$$HOST=n1$$', 'host$$HOST=other$$'],
  prefix: ['prefix', 'prefix$$HOST=n*$$'],
  ip_host: ['ip_host', 'ip_host$$IP=10.77.1.11$$', 'ip_host$$HOST=n1$$', 'ip_host$$HOST=n12$$'],
  client: ['client', 'client$$CLIENT$$', 'client$$HOST=n1$$'],
  bare: ['bare$$HOST=n1$$', 'bare$$IP=10.77.2.13$$'],
  always: ['always', 'always$$ALWAYS=IP$$', 'always$$IP=10.77.1.12$$'],
  plain$$$$: [],
  client$$$$: [],
  'always_here/f': ['always_here/f', 'always_here/$$ALWAYS=CLIENT$$', 'always_here/g$$CLIENT$$'],
  'always_here/g': [],
};

/** Where they differ: by byte order in place of ranks, by missing checks, and by what unfs3 has not. */
const differing: Readonly<Record<string, readonly string[]>> = {
  foo: ['foo', 'foobar$$HOST=n1$$'],
  exact: ['exact$$HOST=n1$$', 'exact$$HOST=n1*$$'],
  ranks: ['ranks$$IP=10.0.0.0_24$$', 'ranks$$IP=10.0.0.0_8$$'],
  fqdn: ['fqdn', 'fqdn$$HOST=n1.farm.lan$$'],
  odd: ['odd', 'odd$$IP=10.77.1.8_29$$'],
  // The directory of a file is what libnfs mounts, and unfs3 does not translate what is mounted.
  'sub/inside': ['sub/inside', 'sub$$IP=10.77.2.13$$/inside'],
};

let top: string;
let served: readonly ChildProcess[] = [];

async function inside(space: string, program: string, ...args: readonly string[]): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', space, program, ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 });
  const heard: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('latin1').on('data', (text: string) => heard.push(text));
  const [code] = await once(child, 'close');
  const said = heard.join('');
  if (code === 0) return said;
  return `failed: ${/NFS3ERR_\w+/.exec(said)?.[0] ?? said}`;
}

const ports = { unfs3: 20_491, ours: 2049 } as const;
type Server = keyof typeof ports;

function url(which: Server, path: string): string {
  const base = which === 'unfs3' ? join(top, 'unfs3') : '';
  return `nfs://10.77.0.1${base}/tree/${path}?nfsport=${ports[which]}&mountport=${ports[which]}&version=3`;
}

function cat(which: Server, client: Client, path: string): Promise<string> {
  const ask = () => inside(nodes[client].space, 'nfs-cat', url(which, path));
  return which === 'unfs3' ? ofUnfs3(`${client} reads ${path}`, ask) : ask();
}

function fill(directory: string): void {
  for (const stored of [...Object.values(tree), ...Object.values(differing)].flat()) {
    mkdirSync(join(directory, stored, '..'), { recursive: true });
    writeFileSync(join(directory, stored), stored);
  }
  mkdirSync(join(directory, 'made'));
  for (const rule of ['own$$CREATE=IP$$', 'all$$CREATE=CLIENT$$', 'there$$CREATE=IP$$', 'there$$HOST=n1$$', 'forced$$ALWAYS=IP$$']) {
    writeFileSync(join(directory, 'made', rule), rule);
  }
  mkdirSync(join(directory, 'made_here'));
  writeFileSync(join(directory, 'made_here', '$$CREATE=IP$$'), '');
  symlinkSync('plain$$$$', join(directory, 'link$$CLIENT$$'));
}

async function ready(child: ChildProcess, said: RegExp): Promise<void> {
  for await (const line of createInterface({ input: child.stdout! })) {
    if (!said.test(line)) continue;
    child.stdout?.resume();
    return;
  }
  throw new Error(`a server ended before it said ${said}`);
}

async function startUnfs3(): Promise<ChildProcess> {
  const lists = join(top, 'exports');
  writeFileSync(lists, `"${join(top, 'unfs3')}" (rw,no_root_squash,insecure)\n`);
  const port = String(ports.unfs3);
  const args = ['-d', '-c', '-p', '-u', '-n', port, '-m', port, '-e', lists];
  const child = spawn('ip', ['netns', 'exec', server, 'stdbuf', '-oL', unfsd, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr?.resume();
  await ready(child, /Copyright|UNFS3/);
  return child;
}

async function startOurs(): Promise<ChildProcess> {
  const program = join(top, 'tagged-farm.mjs');
  await bundle(new URL('./tagged-farm.ts', import.meta.url), program);
  const clients = names.map((host) => ({ address: nodes[host].address, host, fqdn: `${host}.farm.lan`, groups: [] }));
  const args = [program, '10.77.0.1', join(top, 'ours'), join(top, 'state'), JSON.stringify(clients)];
  const child = spawn('ip', ['netns', 'exec', server, process.execPath, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  await ready(child, /2049/);
  return child;
}

describe.skipIf(lacking !== undefined)(`tags beside unfs3${lacking === undefined ? '' : ` (${lacking})`}`, () => {
  beforeAll(async () => {
    top = mkdtempSync(join(tmpdir(), 'farm-tags-'));
    fill(join(top, 'unfs3', 'tree'));
    cpSync(join(top, 'unfs3'), join(top, 'ours'), { recursive: true, verbatimSymlinks: true });
    makeSpaces([server, ...names.map((name) => nodes[name].space)]);
    // unfs3 asks the name service for the client's name; `ip netns exec` puts this file over /etc/hosts.
    mkdirSync(hostsOfServer, { recursive: true });
    writeFileSync(join(hostsOfServer, 'hosts'), names.map((name) => `${nodes[name].address} ${name}.farm.lan ${name}\n`).join(''));
    ip('-n', server, 'link', 'add', 'tags0', 'type', 'bridge');
    ip('-n', server, 'addr', 'add', '10.77.0.1/8', 'dev', 'tags0');
    ip('-n', server, 'link', 'set', 'tags0', 'up');
    for (const name of names) {
      const { space, address } = nodes[name];
      ip('-n', server, 'link', 'add', `v-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
      ip('-n', server, 'link', 'set', `v-${name}`, 'master', 'tags0', 'up');
      ip('-n', space, 'addr', 'add', `${address}/8`, 'dev', 'eth0');
      ip('-n', space, 'link', 'set', 'eth0', 'up');
    }
    served = [...(isThere ? [await startUnfs3()] : []), await startOurs()];
  });

  afterAll(() => {
    if (isThere && process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(golden, `${JSON.stringify(recorded, undefined, 2)}\n`);
    for (const child of served) child.kill();
    removeSpaces([server, ...names.map((name) => nodes[name].space)]);
    rmSync(hostsOfServer, { recursive: true, force: true });
    if (top !== undefined) rmSync(top, { recursive: true, force: true });
  });

  test.each(names)('%s gets the same contents from both', async (client) => {
    const got: Record<string, Record<Server, string>> = {};
    for (const path of [...Object.keys(tree), 'link']) got[path] = { unfs3: await cat('unfs3', client, path), ours: await cat('ours', client, path) };
    for (const [path, { unfs3, ours: we }] of Object.entries(got)) expect({ path, content: we }).toEqual({ path, content: unfs3 });
    expect(Object.values(got).filter(({ unfs3 }) => !unfs3.startsWith('failed')).length).toBeGreaterThan(8);
  });

  it('what they get is what the table of the order says', async () => {
    expect(await cat('unfs3', 'n1', 'ip_host')).toBe('ip_host$$IP=10.77.1.11$$');
    expect(await cat('unfs3', 'n12', 'ip_host')).toBe('ip_host$$HOST=n12$$');
    expect(await cat('unfs3', 'n1', 'always')).toBe('failed: NFS3ERR_NOENT');
    expect(await cat('unfs3', 'n12', 'always')).toBe('always$$IP=10.77.1.12$$');
  });

  test.each([
    ['n1', 'foo', 'failed: NFS3ERR_NOENT', 'foo'],
    ['n1', 'exact', 'exact$$HOST=n1*$$', 'exact$$HOST=n1$$'],
    ['away', 'ranks', 'ranks$$IP=10.0.0.0_8$$', 'ranks$$IP=10.0.0.0_24$$'],
    ['n1', 'fqdn', 'fqdn', 'fqdn$$HOST=n1.farm.lan$$'],
    ['n1', 'odd', 'odd', 'odd$$IP=10.77.1.8_29$$'],
    ['other', 'sub/inside', 'sub/inside', 'sub$$IP=10.77.2.13$$/inside'],
  ] as const)('%s asks for %s and they differ as documented', async (client, path, theirs, we) => {
    expect({ unfs3: await cat('unfs3', client, path), ours: await cat('ours', client, path) }).toEqual({ unfs3: theirs, ours: we });
  });

  it('creating by CREATE and ALWAYS leaves the same files in the directory', async () => {
    const local = join(top, 'local');
    writeFileSync(local, 'new');
    for (const which of isThere ? (['unfs3', 'ours'] as const) : (['ours'] as const)) {
      for (const client of ['n1', 'away'] as const) {
        for (const name of ['made/own', 'made/all', 'made/there', 'made/forced', 'made/ruleless', 'made_here/x']) {
          await inside(nodes[client].space, 'nfs-cp', local, url(which, name));
        }
      }
    }
    const content = (which: Server, directory: string) =>
      readdirSync(join(top, which, 'tree', directory))
        .sort()
        .map((name) => [name, readFileSync(join(top, which, 'tree', directory, name), 'utf8')]);
    for (const directory of ['made', 'made_here']) {
      const theirs = await ofUnfs3(`${directory} holds`, () => content('unfs3', directory));
      expect(content('ours', directory)).toEqual(theirs);
    }
    const made = content('ours', 'made').map(([name]) => name);
    expect(made).toContain('own$$IP=10.77.1.11$$');
    expect(made).toContain('all$$CLIENT$$');
    expect(made).toContain('forced$$IP=10.0.0.14$$');
    // nfs-cp creates GUARDED: where a version matches, the name exists.
    expect(content('ours', 'made')).toContainEqual(['there$$HOST=n1$$', 'there$$HOST=n1$$']);
    expect(made).not.toContain('there$$IP=10.77.1.11$$');
  });

  it('listings show stored names there, and plain names here', async () => {
    const list = async (which: Server) =>
      (await inside(nodes.n1.space, 'nfs-ls', url(which, '')))
        .trim()
        .split('\n')
        .map((line) => line.split(/ +/).at(-1) ?? '');
    expect(await ofUnfs3('n1 lists', () => list('unfs3'))).toContain('host$$HOST=n1$$');
    const plain = await list('ours');
    expect(plain.filter((name) => name.includes('$$'))).toEqual([]);
    expect(plain).toEqual(expect.arrayContaining(['host', 'bare', 'sub', 'link', 'made']));
    expect(plain).not.toContain('always');
  });
});
