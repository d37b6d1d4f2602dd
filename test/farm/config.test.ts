import { describe, expect, it, test } from 'vitest';
import type { FarmError } from '../../src/base/errors.ts';
import { parseFarm } from '../../src/farm/config.ts';

const good = `name: lab
domain: farm.lan
networks:
  main:
    interface: eth1
    address: 10.11.0.1/24
    range: 10.11.0.10-10.11.0.99
profiles:
  default: {}
nodes:
  n1: { id: 1, mac: "52:54:00:12:34:56", ip: 10.11.0.10 }
  n2: { id: 2, mac: 52-54-00-12-34-57, ip: 10.11.0.11 }
`;

function complaint(text: string): string {
  try {
    parseFarm(text, '/f');
  } catch (error) {
    return (error as FarmError).message;
  }
  throw new Error('accepted');
}

describe('farm.yaml', () => {
  it('is read with its defaults', () => {
    const farm = parseFarm(good, '/f');
    expect(farm).toMatchObject({ name: 'lab', httpPort: 80, profiles: [{ name: 'default', image: 'debian-13', kernelArgs: [], consoleLogin: false }] });
    expect(farm.nodes.map(({ name, mac, network }) => [name, mac, network.name])).toEqual([
      ['n1', '52:54:00:12:34:56', 'main'],
      ['n2', '52:54:00:12:34:57', 'main'],
    ]);
  });

  it('may have no nodes yet, however that is written', () => {
    for (const nodes of ['nodes: {}', 'nodes:', '']) expect(parseFarm(good.replace(/nodes:[\s\S]*/, nodes), '/f').nodes).toEqual([]);
  });

  test.each<[string, string, string, RegExp]>([
    ['a MAC that is none', '"52:54:00:12:34:56"', 'hello', /^\/f\/farm.yaml:11:\d+: nodes.n1.mac: expected a MAC address/],
    ['a multicast MAC', '"52:54:00:12:34:56"', '"01:00:5e:00:00:01"', /nodes.n1.mac: .*cannot be a machine's MAC/],
    ['an address outside', '10.11.0.11 }', '10.12.0.11 }', /farm.yaml:12:\d+: nodes.n2.ip: 10.12.0.11 is in none of the farm's networks/],
    ['an address twice', '10.11.0.11 }', '10.11.0.10 }', /nodes.n2.ip: 10.11.0.10 belongs to n1 already/],
    ['an id twice', 'id: 2', 'id: 1', /nodes.n2.id: 1 belongs to n1 already/],
    ['a MAC that YAML takes for a number', '52-54-00-12-34-57', '525400123457', /nodes.n2.mac: expected a MAC address as text: put it in quotes/],
    ['a MAC twice', '52-54-00-12-34-57', '5254.0012.3456', /nodes.n2.mac: 52:54:00:12:34:56 belongs to n1 already/],
    ['an id of 0', 'id: 1', 'id: 0', /nodes.n1.id: /],
    ["the server's address", '10.11.0.11 }', '10.11.0.1 }', /nodes.n2.ip: 10.11.0.1 is the server's own address/],
    ['the broadcast address', '10.11.0.11 }', '10.11.0.255 }', /nodes.n2.ip: 10.11.0.255 is the network's broadcast address/],
    [
      'a profile that is not there',
      'ip: 10.11.0.11 }',
      'ip: 10.11.0.11, profile: defualt }',
      /nodes.n2.profile: there is no profile defualt \(did you mean default\?\)/,
    ],
    ['an unknown key', 'interface: eth1', 'interfaces: eth1', /networks.main/],
    ['a range that runs backwards', '10.11.0.10-10.11.0.99', '10.11.0.99-10.11.0.10', /networks.main.range: expected two addresses, lower first/],
    ['a range outside', '10.11.0.10-10.11.0.99', '10.12.0.10-10.12.0.99', /networks.main.range: the range is not inside 10.11.0.0\/24/],
    ['a host name with a dot', 'n2:', 'n2.x:', /n2\.x/],
    ['broken YAML', 'nodes:', 'nodes: [', /^\/f\/farm.yaml:\d+:\d+: /],
  ])('with %s is refused with its place', (_what, from, to, expected) => {
    expect(complaint(good.replace(from, to))).toMatch(expected);
  });

  it('lists every complaint at once', () => {
    expect(complaint(good.replace('id: 2', 'id: 1').replace('10.11.0.11 }', '10.12.0.11 }')).split('\n')).toHaveLength(2);
  });
});
