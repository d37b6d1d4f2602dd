// farm dhcp why: every value with where it comes from, and the same decisions as for a datagram.
import { describe, expect, it, test } from 'vitest';
import { ipv4, mac } from '../../src/base/addresses.ts';
import type { BootPlan } from '../../src/boot/plan.ts';
import type { BootClient } from '../../src/dhcp/pxe.ts';
import { Cards } from '../../src/farm/cards.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { type DhcpQuestion, type DhcpWhy, explainDhcp } from '../../src/farm/explain-dhcp.ts';
import type { Node } from '../../src/farm/farm.ts';
import { place } from '../../src/farm/places.ts';
import { bootPlan } from '../../src/farm/planning.ts';
import { indexFarm } from '../../src/farm/registry.ts';

const farm = parseFarm(
  `name: lab
domain: farm.lan
unknown: lease
options: { ntp-servers: 10.11.0.1, 252: of the farm }
networks:
  main: { interface: eth1, address: 10.11.0.1/24, range: 10.11.0.10-10.11.0.99, dynamic: 10.11.0.100-10.11.0.199, router: 10.11.0.254, lease_time: 90m }
  lab2: { via: main, address: 10.12.0.0/24, range: 10.12.0.10-10.12.0.99, unknown: { policy: register, limit: 5, window: 1h } }
  quiet: { via: main, address: 10.13.0.0/24, unknown: ignore }
  theirs: { interface: eth2, address: 10.14.0.1/24, dhcp: proxy }
  none: { interface: eth3, address: 10.15.0.1/24, dhcp: off }
profiles:
  default: { options: { ntp-servers: 10.11.0.2 } }
nodes:
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10, options: { domain-name: n1.lan, vendor-x: { code: 224, type: u16, value: 5, always: true } } }
  n2: { id: 2, uuid: 4c4c4544-0035-3010-8054-b4c04f4e4431, ip: 10.12.0.11 }
  n3: { id: 3, mac: "52:54:00:00:00:03", ip: 10.14.0.10 }
  n4: { id: 4, mac: "52:54:00:00:00:04", ip: 10.15.0.10 }
`,
  '/f',
);
const registry = indexFarm(farm);
const built = (node: Node): BootPlan | undefined => bootPlan(farm, node, { images: { current: (name) => `${name}/0123456789ab` }, kernelArgs: [] });
const stranger = mac('52:54:00:99:99:99');
const uuid = '4c4c4544-0035-3010-8054-b4c04f4e4431';

function why(question: DhcpQuestion, plan = built): DhcpWhy {
  return explainDhcp(farm, registry, question, plan);
}

function about(answer: DhcpWhy, what: string): readonly string[] {
  return answer.steps.filter((step) => step.about === what).map(({ says }) => says);
}

it('says that beside another server a node gets its boot file from us, and no address, lease or options', () => {
  const answer = why({ mac: mac('52:54:00:00:00:03'), firmware: 'bios' });
  expect(answer).toMatchObject({ verdict: 'node', node: 'n3', address: '10.14.0.10', options: [] });
  expect(about(answer, 'address')).toEqual(['none from farm: the other server has to give it 10.14.0.10, nodes.n3.ip']);
  expect(about(answer, 'lease')).toEqual([]);
  expect(answer.boot[0]?.file).toMatch(/undionly/);
});

it.each([
  ['it has', 'leased', /^10\.11\.0\.105, leased to it \(farm leases\)$/],
  ['it had', 'expired', /^10\.11\.0\.105, which it had, if it is free; else one of 10\.11\.0\.100-/],
] as const)('names the leased address that %s', (_what, state, says) => {
  const lease = { address: ipv4('10.11.0.105'), network: 'main', state, key: '01525400999999', mac: stranger, hostName: undefined, since: 1, until: 2 };
  const others = [
    { ...lease, network: 'lab2' },
    { ...lease, mac: mac('52:54:00:99:99:98'), key: '00' },
  ];
  const leases = [...others, lease];
  const address = (question: DhcpQuestion) => about(explainDhcp(farm, registry, question, built, leases), 'address')[0];
  expect(address({ mac: stranger })).toMatch(says);
  expect(address({ mac: stranger, clientId: Buffer.from(lease.key, 'hex') })).toMatch(says);
  expect(address({ mac: mac('52:54:00:99:99:97') })).toMatch(/^one of 10/);
});

it('calls an option without a name of its own as farm.yaml does', () => {
  expect(why({ mac: mac('52:54:00:00:00:01') }).options.find(({ code }) => code === 224)?.name).toBe('vendor-x(224)');
});

describe('why a node gets what it gets', () => {
  const answer = why({ mac: mac('52:54:00:00:00:01') });

  it('names network, identity, address and lease', () => {
    expect(answer).toMatchObject({ verdict: 'node', node: 'n1', network: 'main', address: '10.11.0.10', leaseSeconds: null });
    expect(about(answer, 'network')).toEqual(['main 10.11.0.0/24, on eth1: taken to be asking in its own network (--relay names another)']);
    expect(about(answer, 'identity')).toEqual(["MAC address 52:54:00:00:00:01 is n1's"]);
    expect(about(answer, 'address')).toEqual(['10.11.0.10, nodes.n1.ip']);
  });

  it('says of each option where it comes from', () => {
    expect(answer.options.map(({ code, value, from, always }) => `${code} ${value}, ${from}${always ? ' always' : ''}`)).toEqual([
      '1 255.255.255.0, networks.main.address',
      '3 10.11.0.254, networks.main.router',
      '12 n1, nodes.n1',
      '15 n1.lan, nodes.n1.options.domain-name',
      '42 10.11.0.2, profiles.default.options.ntp-servers',
      '224 hex:0005, nodes.n1.options.vendor-x always',
      '252 of the farm, options.252',
    ]);
  });

  it('says what each kind of firmware loads, and then iPXE', () => {
    const files = new Map(answer.boot.map(({ client, file }) => [client, file]));
    expect(files.get('BIOS, its PXE ROM')).toMatch(/loaders\/undionly\.kpxe$/);
    expect(files.get('UEFI x64, HTTP boot')).toMatch(/^http:\/\/10\.11\.0\.1\/images\/debian-13\/0123456789ab\/loaders\/.*\.efi$/);
    expect(files.get('BIOS, iPXE')).toBe('http://10.11.0.1/boot/n1.ipxe');
    expect(why({ mac: mac('52:54:00:00:00:01'), firmware: 'efi-x64' }).boot.every(({ client }) => client.startsWith('UEFI x64'))).toBe(true);
    expect(why({ mac: mac('52:54:00:00:00:01'), firmware: 'rpi' }).boot).toMatchObject([{ client: 'rpi', how: expect.stringMatching(/^nothing: /) }]);
  });

  it('says that its image is not built', () => {
    expect(why({ mac: mac('52:54:00:00:00:01') }, () => undefined).boot).toMatchObject([{ how: expect.stringMatching(/debian-13 is not built/) }]);
  });
});

describe('who it is taken for', () => {
  test.each<[string, DhcpQuestion, string, readonly string[]]>([
    ['its GUID, after its MAC address', { mac: stranger, uuid }, 'node n2', ["MAC address 52:54:00:99:99:99 is no node's", `GUID ${uuid} is n2's`]],
    ["its MAC address, not another node's GUID", { mac: mac('52:54:00:00:00:01'), uuid }, 'node n1', ["MAC address 52:54:00:00:00:01 is n1's"]],
    [
      'nobody',
      { mac: stranger, clientId: Buffer.from('01aa', 'hex') },
      'lease ',
      ["MAC address 52:54:00:99:99:99 is no node's", "client id 01aa is no node's"],
    ],
    [
      'a node in a network that is not its own',
      { mac: mac('52:54:00:00:00:01'), relay: ipv4('10.12.0.1') },
      'silence n1',
      ["MAC address 52:54:00:00:00:01 is n1's"],
    ],
    ['a node where farm says nothing', { mac: mac('52:54:00:00:00:04') }, 'silence n4', ["MAC address 52:54:00:00:00:04 is n4's"]],
    ['a node where another server gives addresses', { mac: mac('52:54:00:00:00:03') }, 'node n3', ["MAC address 52:54:00:00:00:03 is n3's"]],
  ])('%s', (_, question, expected, identity) => {
    const answer = why(question);
    expect(`${answer.verdict} ${answer.node ?? ''}`).toBe(expected);
    expect(about(answer, 'identity')).toEqual(identity);
  });
});

describe('why a stranger gets what it gets', () => {
  test.each<[string, DhcpQuestion, DhcpWhy['verdict'], string, RegExp]>([
    ['a lease', { mac: stranger }, 'lease', 'policy', /^unknown is lease/],
    ['for the time of its network', { mac: stranger }, 'lease', 'lease', /^90m, networks.main.lease_time$/],
    ['from the range of its network', { mac: stranger }, 'lease', 'address', /10.11.0.100-10.11.0.199, networks.main.dynamic/],
    ['a place in the registry', { mac: stranger, relay: ipv4('10.12.0.3') }, 'register', 'policy', /^networks.lab2.unknown is register: .* up to 5, for 1h/],
    ['nothing', { mac: stranger, relay: ipv4('10.13.0.3') }, 'silence', 'policy', /^networks.quiet.unknown is ignore/],
    ['nothing from a network that the farm does not have', { mac: stranger, relay: ipv4('10.99.0.3') }, 'silence', 'network', /^none: the relay 10.99.0.3/],
    ['nothing where another server gives addresses', { mac: stranger, relay: ipv4('10.14.0.3') }, 'silence', 'policy', /proxy: another server gives/],
  ])('%s', (_, question, verdict, what, says) => {
    const answer = why(question);
    expect(answer.verdict).toBe(verdict);
    expect(about(answer, what).join('\n')).toMatch(says);
  });
});

const cards = [...farm.nodes.flatMap(({ mac: of }) => (of === undefined ? [] : [of])), stranger];
const links = ['10.11.0.1', '10.12.0.1', '10.13.0.1', '10.99.0.1'].map(ipv4);
const questions = cards.flatMap((card) =>
  links.flatMap((relay) => [
    { mac: card, relay },
    { mac: card, relay, uuid },
  ]),
);

test.each(questions)('what is explained of $mac $uuid at $relay is what the service decides', (question) => {
  const client: BootClient = { firmware: 'bios', loader: 'rom', http: false, pxe: true, bootp: false, architectures: [0], features: new Set() };
  const register = () => ({ reason: 'registering', detail: '' }) as const;
  const placed = place({ ...question, link: question.relay, client }, { farm, registry, cards: new Cards(), register });
  const told = why(question);
  if (placed.kind !== 'host') {
    expect(told.verdict).toBe(placed.kind === 'pool' ? 'lease' : placed.reason === 'registering' ? 'register' : 'silence');
    return;
  }
  // Of a node in a foreign network the service gives the address, and its rules refuse it.
  const isHome = registry.networkOf(question.relay) === registry.byName.get(placed.host.name ?? '')?.network;
  expect([told.verdict, told.node]).toEqual([isHome ? 'node' : 'silence', placed.host.name]);
  const custom = placed.host.options.map(({ code }) => code);
  expect(told.options.map(({ code }) => code).filter((code) => custom.includes(code))).toEqual(isHome ? custom : []);
});
