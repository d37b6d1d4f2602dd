// What farm doctor says of a machine.
import { describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { type Card, diagnose, type Facts, type Finding } from '../../src/farm/doctor.ts';

const text = (network = '', rest = ''): string => `name: lab
networks:
  main: { interface: eth1, address: 10.11.0.1/24${network} }
nodes:
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10 }
${rest}`;
const farm = parseFarm(text(), '/lab');

const eth1: Card = { up: true, carrier: true, addresses: [{ address: ipv4('10.11.0.1'), prefix: 24 }] };
const well: Facts = {
  isRoot: true,
  serving: false,
  cards: new Map([['eth1', eth1]]),
  listeners: [{ protocol: 'tcp', port: 22, address: ipv4('0.0.0.0') }],
  otherServers: new Map([['main', { kind: 'heard', servers: [] }]]),
  firewall: [],
  clockSynchronised: true,
  freeBytes: 1e11,
  keyMode: 0o600,
  builtImages: new Set(['debian-13']),
  serverAccounts: undefined,
};

const troubles = (findings: readonly Finding[]): readonly string[] =>
  findings.filter(({ state }) => state !== 'ok').map(({ state, check, says, remedy }) => `${state} ${check}: ${says} -> ${remedy ?? ''}`);

describe('farm doctor', () => {
  it('finds nothing where all is well', () => {
    expect(troubles(diagnose(farm, well))).toEqual([]);
    expect(diagnose(farm, well).map(({ check }) => check)).toEqual([
      'network main',
      'other DHCP, main',
      'ports',
      'firewall',
      'image debian-13',
      'nodes',
      'space',
      'key',
      'clock',
    ]);
  });

  it.each<[string, Partial<Facts>, RegExp]>([
    ['a card that is not there', { cards: new Map([['eth0', eth1]]) }, /^bad network main: there is no network card eth1 -> cards are eth0/],
    ['a card that is down', { cards: new Map([['eth1', { ...eth1, up: false }]]) }, /^bad network main: eth1 is down -> ip link set eth1 up/],
    [
      'a card without the address',
      { cards: new Map([['eth1', { ...eth1, addresses: [] }]]) },
      /^bad .* does not have the address 10\.11\.0\.1 -> ip addr add 10\.11\.0\.1\/24 dev eth1/,
    ],
    [
      'another prefix length',
      { cards: new Map([['eth1', { ...eth1, addresses: [{ address: ipv4('10.11.0.1'), prefix: 16 }] }]]) },
      /^warn .* eth1 has 10\.11\.0\.1\/16, farm\.yaml says 10\.11\.0\.1\/24/,
    ],
    ['a cable that is out', { cards: new Map([['eth1', { ...eth1, carrier: false }]]) }, /^warn .* nothing is plugged into eth1/],
    [
      'another DHCP server',
      { otherServers: new Map([['main', { kind: 'heard', servers: [ipv4('10.11.0.254')] }]]) },
      /^bad other DHCP, main: 10\.11\.0\.254 gives addresses here too.* -> .*dhcp: proxy/,
    ],
    [
      'a wire that could not be looked at',
      { otherServers: new Map([['main', { kind: 'unheard', why: 'eth1 is down' }]]) },
      /^warn other DHCP, main: nobody could look: eth1 is down/,
    ],
    [
      'a port that is taken',
      { listeners: [{ protocol: 'udp', port: 67, address: ipv4('0.0.0.0') }] },
      /^bad ports: another program has UDP port 67, which DHCP needs -> see which: ss -lpun sport = :67/,
    ],
    [
      'a port taken on our address alone',
      { listeners: [{ protocol: 'tcp', port: 80, address: ipv4('10.11.0.1') }] },
      /^bad ports: .* TCP port 80, which HTTP needs/,
    ],
    ['a firewall', { firewall: ['chain input drops'] }, /^warn firewall: chain input drops -> let in from the nodes: 67\/udp .*2049\/tcp/],
    ['an image that is not built', { builtImages: new Set() }, /^bad image debian-13: not built.* -> farm image build debian-13/],
    ['little space', { freeBytes: 1e9 }, /^warn space: 0\.9 GiB free/],
    ['no space', { freeBytes: 1e8 }, /^bad space: 0\.1 GiB free/],
    ['a key that others read', { keyMode: 0o644 }, /^bad key: others can read state\/key \(mode 644\).* -> chmod 600/],
    ['a clock of its own', { clockSynchronised: false }, /^warn clock: not synchronised.* -> timedatectl set-ntp true/],
    ['too few rights', { isRoot: false, otherServers: new Map() }, /^warn rights: this is not root/],
  ])('finds %s, and says what to do', (_name, facts, wanted) => {
    const found = troubles(diagnose(farm, { ...well, ...facts }));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(wanted);
  });

  it('is content with what another program has on another address, and with a server that runs', () => {
    expect(troubles(diagnose(farm, { ...well, listeners: [{ protocol: 'tcp', port: 80, address: ipv4('127.0.0.1') }] }))).toEqual([]);
    expect(troubles(diagnose(farm, { ...well, serving: true, isRoot: true, listeners: [{ protocol: 'tcp', port: 80, address: ipv4('0.0.0.0') }] }))).toEqual(
      [],
    );
  });

  it.each<[string, Facts['serverAccounts'], readonly string[]]>([
    ['none', { kind: 'found', users: [], warnings: [] }, ['warn users of this server: none from 2000 to 2999 -> correct `uids` of `users_from_server`']],
    ['some', { kind: 'found', users: ['ann', 'bob'], warnings: [] }, []],
    [
      'one that nodes cannot have',
      { kind: 'found', users: ['ann'], warnings: ['Bob (uid 2001) is left out: its name'] },
      ['warn users of this server: Bob (uid 2001) is left out: its name -> mend it on this server'],
    ],
    [
      'files that it may not read',
      { kind: 'failed', why: '/etc/shadow cannot be read', remedy: 'run it as root' },
      ['bad users of this server: /etc/shadow cannot be read -> run it as root'],
    ],
  ])('says what becomes of accounts of this server: %s', (_name, serverAccounts, wanted) => {
    const found = diagnose(parseFarm(text('', 'users_from_server: 2000-2999\n'), '/lab'), { ...well, serverAccounts });
    expect(found.some(({ check }) => check === 'users of this server')).toBe(true);
    expect(troubles(found)).toEqual(wanted.map((start) => expect.stringContaining(start)));
  });

  it('wants another DHCP server where there is to be one', () => {
    const proxy = parseFarm(text(', dhcp: proxy'), '/lab');
    expect(troubles(diagnose(proxy, well))[0]).toMatch(/^bad other DHCP, main: nobody gives addresses here/);
    expect(troubles(diagnose(proxy, { ...well, otherServers: new Map([['main', { kind: 'heard', servers: [ipv4('10.11.0.254')] }]]) }))).toEqual([]);
  });
});
