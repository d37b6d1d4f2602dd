// What machines that lease an address are told: RFC 2131 section 4.3 over leases that are written down here.
import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { answer, type DhcpContext } from '../../src/dhcp/answer.ts';
import { LeaseTable } from '../../src/dhcp/leases.ts';
import { option, readU32, textValue } from '../../src/dhcp/options.ts';
import type { LeaseClaim, LeaseGrant, LeaseOffer, Leases, Pool } from '../../src/dhcp/questions.ts';
import { farmOf, message, node, noLeases, request, requestedAddress, server, serverIdentifier, wants } from './packets.ts';
import { verdict } from './verdict.ts';

const { address: _, leaseSeconds: __, name: ___, ...network } = node;
const pool: Pool = {
  name: 'main',
  first: ipv4('10.11.0.100'),
  last: ipv4('10.11.0.199'),
  subnet: node.subnet,
  leaseSeconds: 600,
  isReserved: (address) => address === node.address,
  host: network,
};
const leased = ipv4('10.11.0.120');
const stranger = { chaddr: Buffer.from('525400999999', 'hex') };
const identifier: readonly [number, Buffer] = [option.clientIdentifier, Buffer.from('ff0001', 'hex')];
const rapid: readonly [number, Buffer] = [option.rapidCommit, Buffer.alloc(0)];

function farm(leases: Partial<Leases> = {}, place: Pool = pool): DhcpContext {
  return { ...farmOf(node, undefined, { kind: 'pool', pool: place }), leases: { ...noLeases, ...leases }, now: 1000 };
}

const offers = (offer: LeaseOffer): Partial<Leases> => ({ offer: () => offer });
const grants = (grant: LeaseGrant): Partial<Leases> => ({ request: () => grant });
const offered = offers({ kind: 'address', address: leased, seconds: 600 });
const granted = grants({ kind: 'granted', address: leased, seconds: 600 });
const own = requestedAddress(leased);
const ours = serverIdentifier(server);

test.each([
  ['DISCOVER', message('discover', [], stranger), offered, 'OFFER 10.11.0.120'],
  ['DISCOVER while the address is probed', message('discover', [], stranger), offers({ kind: 'wait', why: 'w' }), 'silence probing'],
  ['DISCOVER when all are taken', message('discover', [], stranger), offers({ kind: 'full', why: 'f' }), 'silence pool-full'],
  ['DISCOVER with rapid commit', message('discover', [rapid], stranger), offered, 'ACK 10.11.0.120'],
  ['DISCOVER from a network that is not the pool’s', message('discover', [], { ...stranger, giaddr: ipv4('10.99.0.1') }), offered, 'silence wrong-network'],
  ['SELECTING', message('request', [ours, own], stranger), granted, 'ACK 10.11.0.120'],
  ['SELECTING what was never offered', message('request', [ours, own], stranger), grants({ kind: 'unknown' }), 'NAK no-lease'],
  ['INIT-REBOOT', message('request', [own], stranger), granted, 'ACK 10.11.0.120'],
  ['INIT-REBOOT of another’s address', message('request', [own], stranger), grants({ kind: 'refused', why: 'n1 has it' }), 'NAK wrong-address'],
  ['INIT-REBOOT without a record', message('request', [own], stranger), grants({ kind: 'unknown' }), 'silence no-lease'],
  ['INIT-REBOOT on the wrong network', message('request', [requestedAddress('192.168.1.5')], stranger), granted, 'NAK wrong-network'],
  ['INIT-REBOOT with a node’s address', message('request', [requestedAddress(node.address)], stranger), granted, 'NAK wrong-address'],
  ['RENEWING', message('request', [], { ...stranger, ciaddr: leased }), granted, 'ACK 10.11.0.120'],
  ['RENEWING without a record', message('request', [], { ...stranger, ciaddr: leased }), grants({ kind: 'unknown' }), 'silence no-lease'],
  ['RENEWING what has gone to another', message('request', [], { ...stranger, ciaddr: leased }), grants({ kind: 'refused', why: 'x' }), 'NAK wrong-address'],
  ['a REQUEST of nothing', message('request', [], stranger), granted, 'silence no-address'],
  ['INFORM', message('inform', [], { ...stranger, ciaddr: ipv4('10.11.0.44') }), {}, 'ACK 0.0.0.0'],
  ['DECLINE of its own', message('decline', [ours, own], stranger), { decline: () => true }, 'heard dhcp.decline'],
  ['DECLINE of what it never had', message('decline', [ours, own], stranger), {}, 'silence no-lease'],
  ['DECLINE of nothing', message('decline', [ours], stranger), { decline: () => true }, 'silence no-address'],
  ['RELEASE', message('release', [ours], { ...stranger, ciaddr: leased }), { release: () => true }, 'heard dhcp.release'],
  ['RELEASE of what it never had', message('release', [ours], { ...stranger, ciaddr: leased }), {}, 'silence no-lease'],
  ['BOOTP', request([], stranger), offered, 'BOOTP 10.11.0.120'],
  ['BOOTP when all are taken', request([], stranger), offers({ kind: 'full', why: 'f' }), 'silence pool-full'],
  ['BOOTP that calls another server', request([], { ...stranger, sname: 'otherhost' }), offered, 'silence other-server'],
  ['BOOTP from a network that is not the pool’s', request([], { ...stranger, giaddr: ipv4('10.99.0.1') }), offered, 'silence wrong-network'],
] as const)('%s', (_, asked, leases, expected) => {
  expect(verdict(asked, farm(leases))).toBe(expected);
});

test.each([
  ['an offer', message('discover', [], stranger), false],
  ['an ACK', message('request', [ours, own], stranger), true],
  ['an ACK by rapid commit', message('discover', [rapid], stranger), true],
  ['a reply by BOOTP', request([], stranger), true],
  ['a reply by BOOTP to a registered machine', request([]), false],
  ['the answer to INFORM', message('inform', [], { ...stranger, ciaddr: leased }), false],
  ['a NAK', message('request', [requestedAddress('192.168.1.5')], stranger), false],
  ['an ACK to a registered machine', message('request', [requestedAddress(node.address)]), false],
] as const)('whether the lease has to be on the disk first: %s', (_, asked, commits) => {
  expect(answer(asked, farm({ ...offered, ...granted }))).toMatchObject({ kind: 'reply', commits });
});

test('the reply has the lease’s time, its network, no name and no node', () => {
  const said = answer(message('discover', [wants(1, 3, 12, 15, 58, 59)], stranger), farm(offered));
  if (said.kind !== 'reply') throw new Error('silence');
  expect([...said.packet.options.keys()]).toEqual([53, 54, 51, 1, 3, 15, 58, 59]);
  expect([51, 58, 59].map((code) => readU32(said.packet.options, code))).toEqual([600, 300, 525]);
  expect(said.exchange.host?.name).toBeUndefined();
});

test('who asks by BOOTP has its address at once and for good, as every later asker sees', () => {
  const table = new LeaseTable(() => false);
  const context = { ...farm(), leases: table };
  const asked = request([], stranger);
  const first = answer(asked, context);
  expect(first).toMatchObject({
    kind: 'reply',
    commits: true,
    packet: { yiaddr: pool.first },
    exchange: { event: 'bootp.reply', host: { leaseSeconds: Number.POSITIVE_INFINITY } },
  });
  if (first.kind === 'reply') expect([51, 53, 54, 58, 80].filter((code) => first.packet.options.has(code))).toEqual([]);
  expect(table.book.list(1000)).toMatchObject([{ address: pool.first, state: 'leased', until: Number.POSITIVE_INFINITY }]);
  expect(answer(asked, { ...context, now: 10 ** 12 })).toMatchObject({ packet: { yiaddr: pool.first } });
  expect(answer(message('discover', [], { chaddr: Buffer.from('525400888888', 'hex') }), context)).toMatchObject({ packet: { yiaddr: '10.11.0.101' } });
});

test('a lease without end has no T1', () => {
  const said = answer(message('discover', [wants(58, 59)], stranger), farm(offers({ kind: 'address', address: leased, seconds: Number.POSITIVE_INFINITY })));
  expect(said.kind === 'reply' && [...said.packet.options.keys()]).toEqual([53, 54, 51, 1]);
});

describe('a client is known', () => {
  function claimed(options: readonly (readonly [number, Buffer])[], fields = {}): Partial<LeaseClaim> | undefined {
    let seen: LeaseClaim | undefined;
    const offer = (claim: LeaseClaim): LeaseOffer => {
      seen = claim;
      return { kind: 'full', why: '' };
    };
    answer(message('discover', options, { ...stranger, ...fields }), farm({ offer }));
    if (seen === undefined) return undefined;
    const { pool: _, ...claim } = seen;
    return claim;
  }

  test.each([
    ['by hardware type and address', [], {}, { key: '01525400999999', mac: '52:54:00:99:99:99' }],
    ['by its identifier', [identifier], {}, { key: 'ff0001', mac: '52:54:00:99:99:99' }],
    [
      'by an identifier that is its address as by the address',
      [[61, Buffer.from('01525400999999', 'hex')]],
      {},
      { key: '01525400999999', mac: '52:54:00:99:99:99' },
    ],
    ['by its address if the identifier is a single byte', [[61, Buffer.from([1])]], {}, { key: '01525400999999', mac: '52:54:00:99:99:99' }],
    ['over InfiniBand by its identifier', [identifier], { htype: 32, chaddr: Buffer.alloc(0) }, { key: 'ff0001' }],
    ['with the address it would like', [own], {}, { key: '01525400999999', mac: '52:54:00:99:99:99', wanted: leased }],
    ['with its name', [[12, textValue('PC-7.example.org')]], {}, { key: '01525400999999', mac: '52:54:00:99:99:99', hostName: 'pc-7' }],
    ['without a name that is none', [[12, textValue('<script>')]], {}, { key: '01525400999999', mac: '52:54:00:99:99:99' }],
    ['in a hurry', [rapid], {}, { key: '01525400999999', mac: '52:54:00:99:99:99', rapid: true }],
    ['not over InfiniBand without one', [], { htype: 32, chaddr: Buffer.alloc(0) }, undefined],
    ['not by a UUID alone', [[97, Buffer.from('0000112233445566778899aabbccddeeff', 'hex')]], { chaddr: Buffer.alloc(6) }, undefined],
    ['not by an identifier of 300 bytes', [[61, Buffer.alloc(300, 1)]], {}, undefined],
  ] as const)('%s', (_, options, fields, expected) => {
    expect(claimed(options, fields)).toEqual(expected);
  });
});
