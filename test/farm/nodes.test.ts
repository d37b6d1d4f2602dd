import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ipv4, mac } from '../../src/base/addresses.ts';
import type { FarmError } from '../../src/base/errors.ts';
import { loadFarm } from '../../src/farm/config.ts';
import { initFarm } from '../../src/farm/init.ts';
import { addNodes } from '../../src/farm/nodes.ts';

function newFarm(): string {
  const directory = mkdtempSync(join(tmpdir(), 'farm-test-'));
  initFarm(directory, { name: 'lab', interface: 'eth1', address: '10.11.0.1/24' }, []);
  return directory;
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return `${(error as FarmError).code}: ${(error as FarmError).message}`;
  }
  throw new Error('accepted');
}

describe('farm init', () => {
  it('makes a farm that loads, and never a second time', () => {
    const directory = newFarm();
    expect(loadFarm(directory)).toMatchObject({ name: 'lab', domain: 'farm.lan', nodes: [] });
    expect(codeOf(() => initFarm(directory, {}, []))).toContain('farm.exists');
  });

  it('proposes the card that does not lead to the Internet, and says so', () => {
    const directory = mkdtempSync(join(tmpdir(), 'farm-test-'));
    const cards = [
      { name: 'eth0', addresses: [{ address: ipv4('192.168.1.5'), prefix: 24 }], hasDefaultRoute: true },
      { name: 'eth1', addresses: [{ address: ipv4('10.3.0.1'), prefix: 16 }], hasDefaultRoute: false },
    ];
    const { farm, proposals } = initFarm(directory, {}, cards);
    expect(farm.networks[0]).toMatchObject({ link: { interface: 'eth1' }, server: '10.3.0.1', subnet: { address: '10.3.0.0', prefix: 16 } });
    expect(proposals.join('\n')).toMatch(/eth1.*without the default route/);
  });

  it('suggests a router that is not the server itself', () => {
    for (const [address, router] of [
      ['10.11.0.1/24', '10.11.0.254'],
      ['10.11.0.2/24', '10.11.0.1'],
    ] as const) {
      const directory = mkdtempSync(join(tmpdir(), 'farm-test-'));
      initFarm(directory, { name: 'lab', interface: 'eth1', address }, []);
      const path = join(directory, 'farm.yaml');
      writeFileSync(path, readFileSync(path, 'utf8').replace('# router:', 'router:'));
      expect(loadFarm(directory).networks[0]?.router).toBe(router);
    }
  });

  it('keeps its key from other users', async () => {
    const { statSync } = await import('node:fs');
    expect(statSync(join(newFarm(), 'state', 'key')).mode & 0o777).toBe(0o600);
  });
});

describe('farm add-node', () => {
  it('takes the next free name, id and address', () => {
    const directory = newFarm();
    addNodes(directory, [{ mac: mac('52:54:00:00:00:01') }, { mac: mac('525400000002') }]);
    addNodes(directory, [{ mac: mac('5254.0000.0003'), name: 'big', id: 9, address: ipv4('10.11.0.50') }]);
    const { added } = addNodes(directory, [{ mac: mac('52-54-00-00-00-04') }]);
    expect(added.map(({ name, id, address }) => [name, id, address])).toEqual([['n3', 3, '10.11.0.12']]);
    expect(loadFarm(directory).nodes.map(({ name }) => name)).toEqual(['n1', 'n2', 'n3', 'big']);
  });

  it('keeps every comment and every other line of farm.yaml', () => {
    const directory = newFarm();
    const path = join(directory, 'farm.yaml');
    writeFileSync(
      path,
      `${readFileSync(path, 'utf8').replace('nodes: {}', 'nodes: # ours\n  # the corner PC\n  corner: { id: 4, mac: "52:54:00:00:00:09", ip: 10.11.0.99 } # slow')}`,
    );
    const before = readFileSync(path, 'utf8');
    addNodes(directory, [{ mac: mac('52:54:00:00:00:01') }]);
    const after = readFileSync(path, 'utf8');
    for (const line of before.split('\n')) expect(after.split('\n')).toContain(line);
    expect(after.split('\n').length).toBe(before.split('\n').length + 1);
    expect(existsSync(`${path}.lock`)).toBe(false);
  });

  it('finds its place however `nodes` is written', () => {
    for (const nodes of [
      'nodes: {}',
      'nodes:',
      'nodes: {} # none yet',
      '',
      'nodes: { a: { id: 5, mac: "52:54:00:00:00:09", ip: 10.11.0.99 } }',
      'nodes:\n    a:\n      id: 5\n      mac: "52:54:00:00:00:09"\n      ip: 10.11.0.99 # last',
    ]) {
      for (const ending of ['', '\n', '\n\n# the end\n']) {
        const directory = newFarm();
        const path = join(directory, 'farm.yaml');
        writeFileSync(path, readFileSync(path, 'utf8').replace('nodes: {}\n', nodes + ending));
        const known = loadFarm(directory).nodes.length;
        addNodes(directory, [{ mac: mac('52:54:00:00:00:01') }, { mac: mac('52:54:00:00:00:02') }]);
        expect(loadFarm(directory).nodes).toHaveLength(known + 2);
        if (ending.includes('end')) expect(readFileSync(path, 'utf8')).toContain('# the end');
      }
    }
  });

  it('names the node that has what is wanted', () => {
    const directory = newFarm();
    addNodes(directory, [{ mac: mac('52:54:00:00:00:01') }]);
    const taken = /node\.duplicate: .* belongs to n1 already \(id 1, 52:54:00:00:00:01, 10\.11\.0\.10\)/;
    expect(codeOf(() => addNodes(directory, [{ mac: mac('525400000001') }]))).toMatch(taken);
    const other = { mac: mac('52:54:00:00:00:02') };
    expect(codeOf(() => addNodes(directory, [{ ...other, name: 'n1' }]))).toMatch(taken);
    expect(codeOf(() => addNodes(directory, [{ ...other, id: 1 }]))).toMatch(taken);
    expect(codeOf(() => addNodes(directory, [{ ...other, address: ipv4('10.11.0.10') }]))).toMatch(taken);
    expect(codeOf(() => addNodes(directory, [{ ...other, address: ipv4('10.99.0.10') }]))).toContain('node.address');
    expect(codeOf(() => addNodes(directory, [{ ...other, address: ipv4('10.11.0.1') }]))).toContain("the server's own address");
  });

  it('knows machines without a MAC address by what they are given', () => {
    const directory = newFarm();
    const uuid = '4c4c4544-0035-3010-8054-b4c04f4e4431';
    addNodes(directory, [
      { uuid },
      { clientId: Buffer.from('marjorie') },
      { clientId: Buffer.from('0001', 'hex'), mac: mac('52:54:00:00:00:03') },
      { relayPort: { circuit: Buffer.from('eth0/"1"'), remote: Buffer.from([0, 1]), relay: ipv4('10.11.0.3') } },
    ]);
    expect(loadFarm(directory).nodes).toMatchObject([
      { name: 'n1', uuid },
      { name: 'n2', clientId: Buffer.from('marjorie') },
      { name: 'n3', clientId: Buffer.from([0, 1]), mac: '52:54:00:00:00:03' },
      { name: 'n4', relayPort: { circuit: Buffer.from('eth0/"1"'), remote: Buffer.from([0, 1]), relay: '10.11.0.3' } },
    ]);
    expect(codeOf(() => addNodes(directory, [{ uuid: '44454c4c-3500-1030-8054-b4c04f4e4431' }]))).toMatch(/node\.duplicate: GUID .* belongs to n1 already/);
    expect(codeOf(() => addNodes(directory, [{}]))).toContain('node.identity');
  });

  it('takes the address from the network that is named, and none of a dynamic range', () => {
    const directory = newFarm();
    const path = join(directory, 'farm.yaml');
    const networks = '  two: { via: main, address: 10.12.0.0/24, range: 10.12.0.1-10.12.0.9, router: 10.12.0.1, dynamic: 10.12.0.20-10.12.0.30 }\n\nprofiles:';
    writeFileSync(path, readFileSync(path, 'utf8').replace('\nprofiles:', networks));
    expect(addNodes(directory, [{ mac: mac('52:54:00:00:00:01'), network: 'two' }]).added).toMatchObject([{ name: 'n1', address: '10.12.0.2' }]);
    expect(codeOf(() => addNodes(directory, [{ mac: mac('52:54:00:00:00:02'), network: 'too' }]))).toContain('there is no network too (did you mean two?)');
    const dynamic = { mac: mac('52:54:00:00:00:02'), address: ipv4('10.12.0.25') };
    expect(codeOf(() => addNodes(directory, [dynamic]))).toContain('is inside `dynamic` of network two');
  });

  it('does not give a name that another has in capitals', () => {
    const directory = newFarm();
    addNodes(directory, [{ mac: mac('52:54:00:00:00:01'), name: 'N2', id: 7 }]);
    const { added } = addNodes(directory, [{ mac: mac('52:54:00:00:00:02') }, { mac: mac('52:54:00:00:00:03') }]);
    expect(added.map(({ name, id }) => [name, id])).toEqual([
      ['n1', 1],
      ['n3', 2],
    ]);
  });

  it('adds all or none', () => {
    const directory = newFarm();
    const before = readFileSync(join(directory, 'farm.yaml'), 'utf8');
    codeOf(() => addNodes(directory, [{ mac: mac('52:54:00:00:00:01') }, { mac: mac('52:54:00:00:00:01') }]));
    expect(readFileSync(join(directory, 'farm.yaml'), 'utf8')).toBe(before);
  });

  it('says when no address is left', () => {
    const directory = mkdtempSync(join(tmpdir(), 'farm-test-'));
    initFarm(directory, { name: 'lab', interface: 'eth1', address: '10.11.0.1/24', range: '10.11.0.10-10.11.0.10' }, []);
    addNodes(directory, [{ mac: mac('52:54:00:00:00:01') }]);
    expect(codeOf(() => addNodes(directory, [{ mac: mac('52:54:00:00:00:02') }]))).toMatch(
      /node\.full: no address is free in main 10\.11\.0\.10-10\.11\.0\.10/,
    );
  });
});
