// From a map's lines to nodes with addresses, and to the one that this machine is.
import { describe, expect, test } from 'vitest';
import { ipv4, parseCidr } from '../../src/base/addresses.ts';
import { parseHosts } from '../../src/cluster/hosts.ts';
import { parseMap } from '../../src/cluster/map.ts';
import { type ClusterMap, expandMap, ownId, subnetWarnings } from '../../src/cluster/nodes.ts';

const hosts = parseHosts(
  ['127.0.0.1 localhost', '127.0.1.1 n4.farm n4', '10.0.0.1\tn1.farm n1 # the server', '127.0.1.1 n5', '10.0.0.5 n5', '::1 ip6-localhost', 'junk n9'].join(
    '\n',
  ),
);

function expand(text: string): ClusterMap {
  return expandMap(parseMap(text).entries, hosts);
}

describe('/etc/hosts', () => {
  test('gives every name its IPv4 addresses in order and passes over everything else', () => {
    expect([...hosts]).toEqual([
      ['localhost', ['127.0.0.1']],
      ['n4.farm', ['127.0.1.1']],
      ['n4', ['127.0.1.1']],
      ['n1.farm', ['10.0.0.1']],
      ['n1', ['10.0.0.1']],
      ['n5', ['127.0.1.1', '10.0.0.5']],
    ]);
  });
});

describe('host names in the map', () => {
  test('are looked up without regard to case', () => {
    expect(expand('1 N1.farm 1').addresses.get(1)).toBe('10.0.0.1');
  });

  test('that have a network address beside 127.x get that', () => {
    expect(expand('5 n5 1').addresses.get(5)).toBe('10.0.0.5');
  });

  test('that lead to 127.x only are refused with the remedy', () => {
    expect(() => expand('# farm\n4 n4 1')).toThrow(
      expect.objectContaining({
        code: 'map.loopback',
        message: 'openmosix.map line 2: n4 is 127.0.1.1 in /etc/hosts, which other nodes cannot reach',
        hint: 'in /etc/hosts, move n4 from the line of 127.0.1.1 to a line with its network address, or write that address into the map',
      }),
    );
  });

  test('that nobody knows are refused with line and remedy', () => {
    expect(() => expand('9 n9 1')).toThrow(expect.objectContaining({ code: 'map.host', message: 'openmosix.map line 1: /etc/hosts has no address for n9' }));
  });

  test('that lead to an address of another line are refused', () => {
    expect(() => expand('2 10.0.0.1 1\n1 n1 1')).toThrow('openmosix.map line 2: n1 is 10.0.0.1, which node 2 has');
  });
});

describe('the own id', () => {
  const map = expand('1 10.0.0.1 3\n2 10.1.0.2 ALIAS');

  test.each([
    ['its only address', ['10.0.0.3'], 3],
    ['any of its addresses', ['127.0.0.1', '192.168.1.9', '10.0.0.3'], 3],
    ['an alias', ['10.1.0.2'], 2],
    ['two addresses of one node', ['10.1.0.2', '10.0.0.2'], 2],
  ])('is found by %s', (_by, local, id) => {
    expect(ownId(map, local.map(ipv4))).toBe(id);
  });

  test('is not that of 127.0.0.1, which every machine has, unless there is nothing else', () => {
    const loopback = expand('1 127.0.0.1 1\n2 10.0.0.2 1');
    expect(ownId(loopback, ['127.0.0.1', '10.0.0.2'].map(ipv4))).toBe(2);
    expect(ownId(loopback, [ipv4('127.0.0.1')])).toBe(1);
  });

  test('that is missing is reported with the addresses tried and the line to add', () => {
    expect(() => ownId(map, ['127.0.0.1', '10.9.0.9', '10.9.0.8'].map(ipv4), '/etc/openmosix.map')).toThrow(
      expect.objectContaining({
        code: 'map.self',
        message: '/etc/openmosix.map is well formed, but this machine is not in it: it has 10.9.0.9, 10.9.0.8',
        hint: 'add a line to the map, e.g. "ID 10.9.0.9 1", or name the interface of the cluster network with --interface',
      }),
    );
    expect(() => ownId(map, [])).toThrow('it has no IPv4 address');
  });

  test('that is two is refused', () => {
    expect(() => ownId(map, ['10.0.0.1', '10.0.0.3'].map(ipv4))).toThrow(
      expect.objectContaining({ code: 'map.ambiguous', hint: 'make one of the two a further address: "1 10.0.0.3 ALIAS"' }),
    );
  });
});

test('nodes on the network or broadcast address of a local network are warned of', () => {
  const networks = ['10.0.0.9/24', '10.0.4.1/31'].map((text) => parseCidr(text)!);
  expect(subnetWarnings(expand('1 10.0.0.254 4\n9 10.0.4.0 1\n10 10.0.0.0 1'), networks)).toEqual([
    { line: undefined, message: 'node 2 has 10.0.0.255, the broadcast address of a local network' },
    { line: undefined, message: 'node 10 has 10.0.0.0, the network address of a local network' },
  ]);
});
