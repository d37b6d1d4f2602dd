// farm node, add-node and boot as a person types them, on a farm of three.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { addNodeCommand } from '../../src/cli/add-node.ts';
import { nodeCommand } from '../../src/cli/node.ts';
import { loadFarm } from '../../src/farm/config.ts';

const directory = mkdtempSync(join(tmpdir(), 'farm-node-'));
const config = join(directory, 'farm.yaml');
afterAll(() => rmSync(directory, { recursive: true }));

const start = `name: lab
networks:
  main: { interface: eth1, address: 10.11.0.1/16, range: 10.11.0.10-10.11.3.250 }
profiles:
  default: { tags: [lab] }
  gpu: { inherit: default, image: debian-12, options: { ntp-servers: 10.11.0.1 } }
nodes:
  # by the door
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10 } # loud
  n2: { id: 2, mac: "52:54:00:00:00:02", ip: 10.11.0.11, profile: gpu, tags: [big] }
  n3: { id: 3, mac: "52:54:00:00:00:03", ip: 10.11.0.12, profile: gpu, boot: local }
`;
beforeEach(() => {
  rmSync(join(directory, 'state'), { recursive: true, force: true });
  writeFileSync(config, start);
});

const text = (): string => readFileSync(config, 'utf8');

async function farm(...words: string[]): Promise<string> {
  const written: string[] = [];
  const collect = (part: unknown): boolean => written.push(String(part)) > 0;
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(collect),
    vi.spyOn(process.stderr, 'write').mockImplementation(collect),
    vi.spyOn(console, 'log').mockImplementation((part) => void written.push(`${part}\n`)),
  ];
  try {
    const program = new Command('farm').option('-C, --directory <dir>').addCommand(nodeCommand()).addCommand(addNodeCommand());
    await program.parseAsync(['-C', directory, ...words], { from: 'user' });
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return written.join('');
}

describe('farm node list', () => {
  it('shows the nodes of a set', async () => {
    expect(await farm('node', 'list', '%gpu', '-x', '@big')).toBe(
      'NODE  ID  ADDRESS     MACHINE            PROFILE  TAGS\nn3    3   10.11.0.12  52:54:00:00:00:03  gpu      lab\n',
    );
    expect(await farm('node', 'list', '--fold')).toBe('n[1-3]\n');
    expect(JSON.parse(await farm('node', 'list', 'n2', '--json'))).toMatchObject([{ name: 'n2', id: 2, tags: ['big', 'lab'] }]);
  });
});

describe('farm node show', () => {
  it('says where each value comes from', async () => {
    expect(await farm('node', 'show', 'n3')).toBe(`n3
  id                  3                  node n3
  mac                 52:54:00:00:00:03  node n3
  ip                  10.11.0.12         node n3
  network             main               ip 10.11.0.12
  profile             gpu <- default     node n3
  tag                 lab                profile gpu
  image               debian-12          profile gpu
  root                nfs                default
  loader              auto               default
  boot                local              node n3
  kernel_args         -                  default
  console_login       false              default
  power               wol                default
  openmosix           -                  default
  option ntp-servers  42                 profile gpu

`);
  });
});

describe('farm node set', () => {
  it('changes values, tags, and nothing else', async () => {
    await farm('node', 'set', 'n[1-2]', 'profile=gpu', 'kernel_args=[quiet]', '--tag', 'new', '--untag', 'big');
    expect(text()).toBe(
      start
        .replace('10.11.0.10 }', '10.11.0.10, profile: gpu, kernel_args: [ quiet ], tags: [ new ] }')
        .replace('tags: [big]', 'tags: [ new ], kernel_args: [ quiet ]'),
    );
    expect(loadFarm(directory).nodes[0]).toMatchObject({ tags: ['new', 'lab'], profile: { name: 'gpu', image: 'debian-12', kernelArgs: ['quiet'] } });
  });

  it('shows what it would change, and does not', async () => {
    expect(await farm('node', 'set', 'n3', 'boot=', 'mac=52-54-00-00-00-99', '--dry-run')).toBe(`--- farm.yaml\tnow
+++ farm.yaml\tthen
@@ -10,2 +10,2 @@
   n2: { id: 2, mac: "52:54:00:00:00:02", ip: 10.11.0.11, profile: gpu, tags: [big] }
-  n3: { id: 3, mac: "52:54:00:00:00:03", ip: 10.11.0.12, profile: gpu, boot: local }
+  n3: { id: 3, mac: "52-54-00-00-00-99", ip: 10.11.0.12, profile: gpu }
`);
    expect(text()).toBe(start);
  });

  it.each([
    [['n1', 'ip=10.11.0.12'], /10\.11\.0\.12 belongs to n3|belongs to n1/],
    [['n1', 'profile=gpx'], /no profile gpx \(did you mean gpu\?\)/],
    [['n1', 'imag=x'], /no such key \(did you mean image\?\)/],
    [['n9', 'boot=local'], /no node n9/],
    [['n1', 'name=x'], /a name is not set/],
    [['boot=local'], /which nodes\?/],
    [['n1'], /what is to be set\?/],
    [['n1', 'tags=[a'], /not a value/],
  ] as const)('%j changes nothing', async (words, message) => {
    await expect(farm('node', 'set', ...words)).rejects.toThrow(message);
    expect(text()).toBe(start);
  });
});

describe('farm node rename', () => {
  it('takes along what a node has written, also when two change names', async () => {
    for (const name of ['n1', 'n2']) {
      mkdirSync(join(directory, 'state/private', name), { recursive: true });
      writeFileSync(join(directory, 'state/private', name, 'journal'), name);
    }
    await farm('node', 'rename', 'n[1-2]', 'n[2-3]').then(
      () => expect.unreachable(),
      () => expect(text()).toBe(start),
    );
    await farm('node', 'rename', 'n[1-2]', 'pc[01-02]');
    expect(text()).toBe(start.replace('n1:', 'pc01:').replace('n2:', 'pc02:'));
    expect(readFileSync(join(directory, 'state/private/pc02/journal'), 'utf8')).toBe('n2');
    expect(existsSync(join(directory, 'state/private/n1'))).toBe(false);
  });

  it('is refused where it cannot be done right', async () => {
    mkdirSync(join(directory, 'state/private/n1'), { recursive: true });
    mkdirSync(join(directory, 'state/private/old'), { recursive: true });
    await expect(farm('node', 'rename', 'n1', 'old')).rejects.toThrow(/kept under the name old already/);
    await expect(farm('node', 'rename', 'n[1-2]', 'x')).rejects.toThrow(/2 nodes \(n\[1-2\]\) cannot have 1 names/);
    writeFileSync(join(directory, 'state/control.sock'), '');
    await expect(farm('node', 'rename', 'n1', 'x')).rejects.toThrow(/running server holds/);
    expect(text()).toBe(start);
  });
});

describe('farm node remove', () => {
  it('takes lines out and says which nodes', async () => {
    expect(await farm('node', 'remove', '%gpu')).toBe('removed n[2-3]\n');
    expect(text()).toBe(start.replace(/ {2}n[23].*\n/g, ''));
  });
});

describe('farm node export and import', () => {
  it.each(['csv', 'yaml', 'json'])('lose nothing that %s has a place for', async (format) => {
    const list = join(directory, `list.${format}`);
    const before = loadFarm(directory).nodes.map(({ name, id, mac, address, tags, profile }) => ({ name, id, mac, address, tags, profile: profile.name }));
    writeFileSync(list, await farm('node', 'export', '--format', format));
    await farm('node', 'remove', 'all');
    expect(await farm('node', 'import', list)).toContain('n3  id 3  10.11.0.12  52:54:00:00:00:03\n');
    const after = loadFarm(directory).nodes;
    expect(after.map(({ name, id, mac, address, tags, profile }) => ({ name, id, mac, address, tags, profile: profile.name }))).toEqual(before);
    expect(after[2]?.profile.boot).toBe(format === 'csv' ? 'default' : 'local');
  });

  it('takes machines from dhcpd.conf with addresses of this farm, and says what it leaves out', async () => {
    const list = join(directory, 'dhcpd.conf');
    writeFileSync(list, 'host web { hardware ethernet 52:54:00:00:01:01; fixed-address 192.168.1.7; }\nhost db { fixed-address 192.168.1.8; }\n');
    await expect(farm('node', 'import', list)).rejects.toThrow(/192\.168\.1\.7 is in none of the farm's networks/);
    expect(await farm('node', 'import', list, '--no-keep-addresses', '--profile', 'gpu')).toBe(
      'not imported: dhcpd.conf:2: host db, which has no hardware ethernet\nweb  id 4  10.11.0.13  52:54:00:00:01:01\n',
    );
  });
});

describe('farm add-node', () => {
  it('can say beforehand what it would write', async () => {
    expect(await farm('add-node', '52:54:00:00:00:09', '--tag', 'new', '--dry-run')).toContain(
      '+  n4: { id: 4, mac: "52:54:00:00:00:09", ip: 10.11.0.13, tags: [new] }\n',
    );
    expect(text()).toBe(start);
  });
});
