import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { tagClient } from '../../src/farm/farm.ts';

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
    expect(farm).toMatchObject({
      name: 'lab',
      httpPort: 80,
      leaseSeconds: 43_200,
      unknown: { kind: 'ignore' },
      options: [],
      tftp: { singlePort: false, largestBlock: undefined },
      profiles: [{ name: 'default', image: 'debian-13', kernelArgs: [], consoleLogin: false, root: 'nfs', loader: 'auto', boot: 'default' }],
    });
    expect(farm.tls).toBeUndefined();
    expect(farm.upload).toBeUndefined();
    expect(farm.networks).toMatchObject([
      {
        link: { kind: 'direct', interface: 'eth1' },
        server: '10.11.0.1',
        subnet: { address: '10.11.0.0', prefix: 24 },
        dhcp: 'full',
        leaseSeconds: 43_200,
        unknown: { kind: 'ignore' },
      },
    ]);
    expect(farm.nodes.map(({ name, mac, network }) => [name, mac, network.name])).toEqual([
      ['n1', '52:54:00:12:34:56', 'main'],
      ['n2', '52:54:00:12:34:57', 'main'],
    ]);
  });

  it('puts a node into groups: its profile, then its tags', () => {
    const farm = parseFarm(good.replace('id: 2,', 'id: 2, tags: [gpu, rack1],'), '/f');
    expect(farm.nodes.map((node) => tagClient(farm, node).groups)).toEqual([['default'], ['default', 'gpu', 'rack1']]);
    expect(() => parseFarm(good.replace('id: 2,', 'id: 2, tags: [a$$b],'), '/f')).toThrow(/nodes.n2.tags/);
  });

  it('may have no nodes yet, however that is written', () => {
    for (const nodes of ['nodes: {}', 'nodes:', '']) expect(parseFarm(good.replace(/nodes:[\s\S]*/, nodes), '/f').nodes).toEqual([]);
  });

  test.each<[string, string, string, RegExp]>([
    ['a MAC that is none', '"52:54:00:12:34:56"', 'hello', /^\/f\/farm.yaml:11:\d+: nodes.n1.mac: expected a MAC address/],
    ['a multicast MAC', '"52:54:00:12:34:56"', '"01:00:5e:00:00:01"', /nodes.n1.mac: .*cannot be a machine's MAC/],
    ['an address outside', '10.11.0.11 }', '10.12.0.11 }', /farm.yaml:12:\d+: nodes.n2.ip: 10.12.0.11 is in none of the farm's networks/],
    ['an address twice', '10.11.0.11 }', '10.11.0.10 }', /nodes.n2.ip: 10.11.0.10 belongs to n1 already/],
    ['an id twice', 'id: 2', 'id: 1', /nodes.n2.id: id 1 belongs to n1 already/],
    ['a MAC that YAML takes for a number', '52-54-00-12-34-57', '525400123457', /nodes.n2.mac: expected a MAC address as text: put it in quotes/],
    ['a MAC twice', '52-54-00-12-34-57', '5254.0012.3456', /nodes.n2.mac: MAC 52:54:00:12:34:56 belongs to n1 already/],
    ['an id of 0', 'id: 1', 'id: 0', /nodes.n1.id: /],
    ["the server's address", '10.11.0.11 }', '10.11.0.1 }', /nodes.n2.ip: 10.11.0.1 is the server's own address/],
    ['the broadcast address', '10.11.0.11 }', '10.11.0.255 }', /nodes.n2.ip: 10.11.0.255 is the network's broadcast address/],
    [
      'a profile that is not there',
      'ip: 10.11.0.11 }',
      'ip: 10.11.0.11, profile: defualt }',
      /nodes.n2.profile: there is no profile defualt \(did you mean default\?\)/,
    ],
    ['no default profile, where nodes use it', 'default: {}', 'main: {}', /farm.yaml:11:\d+: nodes.n1.profile: there is no profile default, which is used/],
    ['an unknown key', 'interface: eth1', 'interfaces: eth1', /networks.main.interfaces: there is no such key \(did you mean interface\?\)/],
    ['an unknown key of a node', 'id: 2', 'id: 2, profil: x', /nodes.n2.profil: there is no such key \(did you mean profile\?\)/],
    ['a range that runs backwards', '10.11.0.10-10.11.0.99', '10.11.0.99-10.11.0.10', /networks.main.range: expected two addresses, lower first/],
    ['a range outside', '10.11.0.10-10.11.0.99', '10.12.0.10-10.12.0.99', /networks.main.range: the range is not inside 10.11.0.0\/24/],
    ['a host name with a dot', 'n2:', 'n2.x:', /n2\.x/],
    ['a name that differs in capitals only', 'n2:', 'N1:', /farm.yaml:12:\d+: nodes.N1: the name n1, in other letters, belongs to n1 already/],
    ['a node called localhost', 'n2:', 'LocalHost:', /nodes.LocalHost: localhost is every machine itself/],
    ['a node called as the server', 'n2:', 'lab-server:', /nodes.lab-server: lab-server is the server's own name/],
    ['a node twice', 'n2:', 'n1:', /^\/f\/farm.yaml:12:3: nodes.n1: this key stands twice/],
    ['a key twice', 'domain:', 'name:', /^\/f\/farm.yaml:2:1: name: this key stands twice/],
    ['broken YAML', 'nodes:', 'nodes: [', /^\/f\/farm.yaml:\d+:\d+: /],
    ['a node with nothing to know it by', 'mac: 52-54-00-12-34-57, ', '', /nodes.n2: expected one of `mac`, `client_id`, `uuid` and `relay_port`/],
    ['a GUID of zeros', 'id: 2', 'id: 2, uuid: 00000000-0000-0000-0000-000000000000', /nodes.n2.uuid: expected a GUID such as/],
    ['a client id of one byte', 'id: 2', 'id: 2, client_id: "01"', /nodes.n2.client_id: expected option 61 in hex, two bytes/],
    ["a client id that is another's card", 'id: 2', 'id: 2, client_id: "01:52:54:00:12:34:56"', /nodes.n2.client_id: client id 01:52.* belongs to n1 already/],
    ['a relay port without ids', 'id: 2', 'id: 2, relay_port: { relay: 10.11.0.3 }', /nodes.n2.relay_port: expected `circuit` or `remote`, or both/],
    ['a loader that is none', 'id: 2', 'id: 2, loader: pxelinx', /nodes.n2.loader: expected auto, .* or nbi, not "pxelinx" \(did you mean pxelinux\?\)/],
    [
      'a mode that is none',
      'interface: eth1',
      'interface: eth1\n    dhcp: ful',
      /networks.main.dhcp: expected full, proxy or off, not "ful" \(did you mean full\?\)/,
    ],
    ['a router elsewhere', 'interface: eth1', 'interface: eth1\n    router: 10.12.0.1', /networks.main.router: 10.12.0.1 is not inside 10.11.0.0\/24/],
    ['the broadcast address as router', 'interface: eth1', 'interface: eth1\n    router: 10.11.0.255', /networks.main.router: 10.11.0.255 is the network's/],
    ['a server at the network address', '10.11.0.1/24', '10.11.0.0/24', /networks.main.address: expected the server's own address, which 10.11.0.0 cannot be/],
    ['neither card nor relay', '    interface: eth1\n', '', /networks.main: expected `interface`, .*, or `via`/],
    ['both card and relay', 'interface: eth1', 'interface: eth1\n    via: main', /networks.main.via: expected `interface` or `via`, not both/],
    [
      'a dynamic range over the static one',
      'interface: eth1',
      'interface: eth1\n    dynamic: 10.11.0.99-10.11.0.120',
      /networks.main.dynamic: it overlaps `range` 10/,
    ],
    ['a dynamic range outside', 'interface: eth1', 'interface: eth1\n    dynamic: 10.11.0.200-10.11.1.3', /networks.main.dynamic: the range is not inside/],
    ['a lease of no time', 'domain:', 'lease_time: 0\ndomain:', /lease_time: expected a time such as 90s, 30m/],
    ['a lease without number', 'domain:', 'lease_time: soon\ndomain:', /lease_time: expected a time such as 90s, 30m/],
    ['a policy that is none', 'domain:', 'unknown: leese\ndomain:', /unknown.policy: expected ignore, lease or register, not "leese" \(did you mean lease\?\)/],
    ['leases without a dynamic range', 'domain:', 'unknown: lease\ndomain:', /^\/f\/farm.yaml:2:10: unknown: to lease addresses a network needs `dynamic`/],
    ['a policy that is no word', 'domain:', 'unknown: true\ndomain:', /unknown.policy: expected ignore, lease or register, not true/],
    ['leases where none can be', 'interface: eth1', 'interface: eth1\n    unknown: lease', /needs `dynamic`, such as 10.11.0.100-10.11.0.254$/m],
    ['an option without a value', 'domain:', 'options: { routers: }\ndomain:', /:2:\d+: options.routers: it is empty: expected the value of a DHCP option/],
    ['an option that is not to be set', 'domain:', 'options: { 12: me }\ndomain:', /options.12: option host-name\(12\) cannot be set: .*name; leave it out/],
    ['half a MAC address', '52-54-00-12-34-57', '52-54-00', /nodes.n2.mac: expected a MAC address such as "52:54:00:12:34:56": "52-54-00" is not/],
    ['a relay port of text', 'id: 2', 'id: 2, relay_port: eth0', /nodes.n2.relay_port: expected what the relay adds, such as \{ circuit: "eth0" \}/],
    ['a limit for leases', 'domain:', 'unknown: { policy: lease, limit: 3 }\ndomain:', /unknown.limit: this key is for `policy: register` only/],
    ['a profile for newcomers that is not there', 'domain:', 'unknown: { policy: register, profile: x }\ndomain:', /unknown.profile: there is no profile x/],
    [
      'leases where another server gives addresses',
      'interface: eth1',
      'interface: eth1\n    dhcp: proxy\n    unknown: lease',
      /networks.main.unknown: with `dhcp: proxy`/,
    ],
    ['HTTPS on the port of HTTP', 'domain:', 'tls: { certificate: a, key: b, port: 80 }\ndomain:', /tls.port: 80 is `http_port` already/],
    ['a block smaller than TFTP starts with', 'domain:', 'tftp: { largest_block: 100 }\ndomain:', /tftp.largest_block: expected a number of at least 512/],
    ['an upload limit without number', 'domain:', 'upload: { limit: much }\ndomain:', /upload.limit: expected a size such as 64m or 1g/],
    [
      'an option that is none',
      'domain:',
      'options: { ntp-servrs: 10.11.0.1 }\ndomain:',
      /^\/f\/farm.yaml:2:24: options.ntp-servrs: .*did you mean ntp-servers\?/,
    ],
    ['a value that its option cannot have', 'domain:', 'options: { ntp-servers: hello }\ndomain:', /options.ntp-servers: .*address/],
    [
      'an option under two names',
      'domain:',
      'options: { ntp-servers: 10.11.0.1, 42: 10.11.0.2 }\ndomain:',
      /options.ntp-servers: option 42 is here twice: 42 is the same/,
    ],
  ])('with %s is refused with its place', (_what, from, to, expected) => {
    expect(good).toContain(from);
    expect(complaint(good.replace(from, to))).toMatch(expected);
  });

  it('lists every complaint at once', () => {
    expect(complaint(good.replace('id: 2', 'id: 1').replace('10.11.0.11 }', '10.12.0.11 }')).split('\n')).toHaveLength(2);
  });

  it('does not list thousands of complaints', () => {
    const nodes = Array.from({ length: 3000 }, (_, index) => `  m${index}: { id: 1, mac: "52:54:00:12:34:56", ip: 10.11.0.10 }\n`).join('');
    const said = complaint(good + nodes).split('\n');
    expect(said).toHaveLength(41);
    expect(said.at(-1)).toBe(`and ${9000 - 40} more`);
  });
});

describe('a farm.yaml that is no farm at all', () => {
  const rich = `${good}  n3: { id: 3, uuid: &u "4c4c4544-0035-3010-8054-b4c04f4e4431", ip: 10.11.0.13, options: { 252: x } }\nunknown: { policy: register }\n`;
  const piece = fc.constantFrom(
    '&u',
    '*u',
    '*x',
    '<<: *u',
    '{',
    '}',
    '[',
    ']',
    '- ',
    ': ',
    '\n',
    '\n  ',
    '|',
    '"',
    '!!binary a',
    '? ',
    'null',
    '[]',
    '{}',
    '0',
    '-1',
    '1e9',
    '\t',
    '%YAML 1.1\n',
    '---',
    '\u2028',
  );
  const change = fc.tuple(fc.nat(rich.length), fc.nat(12), piece);

  it('is refused in words, whatever is broken in it', () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        let text = rich;
        for (const [at, length, put] of changes) text = text.slice(0, at) + put + text.slice(at + length);
        try {
          parseFarm(text, '/f');
        } catch (error) {
          if (!(error instanceof FarmError)) throw error;
          expect(error.message).not.toContain('undefined');
        }
      }),
      { numRuns: 300, interruptAfterTimeLimit: 3000 },
    );
  });

  test.each([
    ['nothing', ''],
    ['a list', '- a'],
    ['a number', '7'],
    ['an alias to nothing', good.replace('eth1', '*eth')],
    [
      'a bomb of aliases',
      `a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\nname: [*d,*d]\n`,
    ],
    ['two documents', `${good}---\n${good}`],
  ])('is refused: %s', (_, text) => {
    expect(() => parseFarm(text, '/f')).toThrow(FarmError);
  });
});

const relayed = good.replace(
  'profiles:',
  '  lab2: { via: main, address: 10.12.0.0/24, range: 10.12.0.10-10.12.0.99, router: 10.12.0.1, lease_time: 1h, unknown: lease, dynamic: 10.12.0.100-10.12.0.110 }\nprofiles:',
);

describe('a network behind a relay', () => {
  it("is reached at the address of its relay's network", () => {
    const farm = parseFarm(relayed.replace('10.11.0.11 }', '10.12.0.11 }'), '/f');
    expect(farm.networks[1]).toMatchObject({
      link: { kind: 'relayed', via: 'main', interface: 'eth1' },
      server: '10.11.0.1',
      subnet: { address: '10.12.0.0', prefix: 24 },
      leaseSeconds: 3600,
      unknown: { kind: 'lease' },
    });
    expect(farm.nodes[1]?.network.name).toBe('lab2');
  });

  it('may stand before the network that it is behind', () => {
    const text = relayed.replace(/networks:\n/, 'networks:\n  lab3: { via: main, address: 10.13.0.0/24 }\n');
    expect(parseFarm(text, '/f').networks[0]).toMatchObject({ name: 'lab3', server: '10.11.0.1' });
  });

  test.each([
    ['behind a network that is not there', 'via: main', 'via: mian', /networks.lab2.via: there is no network mian \(did you mean main\?\)/],
    ['behind itself', 'via: main', 'via: lab2', /networks.lab2.via: lab2 is behind a relay itself/],
    ['with an address of the server', '10.12.0.0/24', '10.12.0.1/24', /networks.lab2.address: expected 10.12.0.0\/24/],
    [
      'that overlaps another',
      '10.12.0.0/24, range: 10.12.0.10-10.12.0.99, router: 10.12.0.1',
      '10.11.0.0/16, router: 10.11.0.7',
      /networks.lab2.address: 10.11.0.0\/16 overlaps network main, 10.11.0.0\/24/,
    ],
    ['whose leases have no range', ', dynamic: 10.12.0.100-10.12.0.110', '', /networks.lab2.unknown: to lease addresses the network needs `dynamic`/],
  ])('%s is refused', (_what, from, to, expected) => {
    expect(relayed).toContain(from);
    expect(complaint(relayed.replace(from, to))).toMatch(expected);
  });

  it('shares no card with another network of this server', () => {
    const text = good.replace('profiles:', '  two: { interface: eth1, address: 10.13.0.1/24 }\nprofiles:');
    expect(complaint(text)).toMatch(/networks.two.interface: eth1 is the card of network main already/);
  });

  it('keeps fixed addresses out of its dynamic range', () => {
    expect(complaint(relayed.replace('10.11.0.11 }', '10.12.0.105 }'))).toMatch(/nodes.n2.ip: 10.12.0.105 is inside `dynamic` of network lab2/);
  });
});

describe('what a node is known by', () => {
  it('may be anything but a MAC address', () => {
    const farm = parseFarm(
      `${good}  n3: { id: 3, client_id: "text:marjorie", ip: 10.11.0.13 }
  n4: { id: 4, uuid: 4C4C4544003530108054B4C04F4E4431, ip: 10.11.0.14 }
  n5: { id: 5, relay_port: { circuit: eth0/5, remote: "hex:00:0a", relay: 10.11.0.3 }, ip: 10.11.0.15 }
`,
      '/f',
    );
    expect(farm.nodes.slice(2)).toMatchObject([
      { clientId: Buffer.from('marjorie') },
      { uuid: '4c4c4544-0035-3010-8054-b4c04f4e4431' },
      { relayPort: { circuit: Buffer.from('eth0/5'), remote: Buffer.from([0, 10]), relay: '10.11.0.3' } },
    ]);
    expect(farm.nodes.slice(2).map(({ mac }) => mac)).toEqual([undefined, undefined, undefined]);
  });

  it('is refused twice, a GUID in either byte order', () => {
    const uuids = (a: string, b: string) => good.replace('id: 1', `id: 1, uuid: ${a}`).replace('id: 2', `id: 2, uuid: ${b}`);
    const uuid = '4c4c4544-0035-3010-8054-b4c04f4e4431';
    const swapped = '44454c4c-3500-1030-8054-b4c04f4e4431';
    expect(complaint(uuids(uuid, uuid))).toMatch(/nodes.n2.uuid: GUID .* belongs to n1/);
    expect(complaint(uuids(uuid, swapped))).toMatch(/nodes.n2.uuid: GUID .* belongs to n1/);
  });
});

describe('what newcomers get', () => {
  it('is said in one word or with its limits, for the farm or a network', () => {
    const text = (unknown: string) => parseFarm(good.replace('domain:', `unknown: ${unknown}\ndomain:`), '/f').unknown;
    expect(text('register')).toMatchObject({ kind: 'register', limit: 32, windowSeconds: 1800, scope: '', profile: { name: 'default' } });
    expect(text('{ policy: register, limit: 4, window: 2h }')).toMatchObject({ limit: 4, windowSeconds: 7200 });
    const network = good.replace('interface: eth1', 'interface: eth1\n    unknown: { policy: register, window: infinite }');
    expect(parseFarm(network, '/f').networks[0]?.unknown).toMatchObject({ scope: 'main', windowSeconds: Number.POSITIVE_INFINITY });
  });
});
