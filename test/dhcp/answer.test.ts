// What is answered, and why not: RFC 2131 section 4.3 as tables.
import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { answer, type DhcpAnswer } from '../../src/dhcp/answer.ts';
import { option, readAddress, readText } from '../../src/dhcp/options.ts';
import type { DhcpPacket } from '../../src/dhcp/packet.ts';
import type { DhcpAsker, DhcpQuestions, Placement } from '../../src/dhcp/questions.ts';
import { farmOf, kernelFile, message, node, noLeases, pxeRom, request, requestedAddress, server, serverIdentifier } from './packets.ts';
import { verdict } from './verdict.ts';

function replied(said: DhcpAnswer): DhcpPacket {
  if (said.kind !== 'reply') throw new Error(`no reply: ${said.exchange.reason} ${said.exchange.detail}`);
  return said.packet;
}

const ours = serverIdentifier(server);
const theirs = serverIdentifier('10.11.0.99');
const own = requestedAddress(node.address);
const other = requestedAddress('10.11.0.8');
const relay = ipv4('10.11.0.254');
const elsewhere = ipv4('10.99.0.1');
const bound = { ciaddr: node.address };

describe('who is answered', () => {
  test.each([
    ['a node', message('discover'), 'OFFER 10.11.0.7'],
    ['a node on an IEEE 802 network', message('discover', [], { htype: 6 }), 'OFFER 10.11.0.7'],
    ['a MAC address that nobody registered', message('discover', [], { chaddr: Buffer.from('525400999999', 'hex') }), 'silence unknown-machine'],
    ['another server', message('discover', [], { op: 'reply' }), 'silence not-a-request'],
    ['InfiniBand, which has no MAC address', message('discover', [], { htype: 32, chaddr: Buffer.alloc(0) }), 'silence no-mac'],
    ['eight bytes of hardware address', message('discover', [], { chaddr: Buffer.alloc(8, 2) }), 'silence no-mac'],
    ['a zero MAC address', message('discover', [], { chaddr: Buffer.alloc(6) }), 'silence no-mac'],
    ['a group address', message('discover', [], { chaddr: Buffer.alloc(6, 0xff) }), 'silence no-mac'],
    ['a node behind the relay of its network', message('discover', [], { giaddr: relay }), 'OFFER 10.11.0.7'],
    ['a node behind the relay of another network', message('discover', [], { giaddr: elsewhere }), 'silence wrong-network'],
    ['a server message', message('offer'), 'silence not-a-request'],
    ['a message type from the future', request([[option.messageType, Buffer.from([77])]]), 'silence not-a-request'],
    ['a message type of two bytes', request([[option.messageType, Buffer.from([1, 1])]]), 'silence malformed'],
    ['an empty message type', request([[option.messageType, Buffer.alloc(0)]]), 'silence malformed'],
  ])('%s', (_, asked, expected) => {
    expect(verdict(asked)).toBe(expected);
  });

  test('a farm whose network is not the one asked from stays silent', () => {
    expect(verdict(message('discover'), { ...farmOf(), server: elsewhere })).toBe('silence wrong-network');
  });
});

describe('REQUEST', () => {
  test.each([
    ['SELECTING our offer', [ours, own], {}, 'ACK 10.11.0.7'],
    ['SELECTING our offer with ciaddr, against table 5', [ours, own], bound, 'ACK 10.11.0.7'],
    ['SELECTING another server', [theirs, own], {}, 'heard dhcp.other-server'],
    ['SELECTING another server without an address', [theirs], {}, 'silence other-server'],
    ['SELECTING us for an address we never offered', [ours, other], {}, 'NAK wrong-address'],
    ['SELECTING without an address', [ours], {}, 'silence no-address'],
    ['INIT-REBOOT with its own address', [own], {}, 'ACK 10.11.0.7'],
    ['INIT-REBOOT with another address', [other], {}, 'NAK wrong-address'],
    ['INIT-REBOOT from another network', [own], { giaddr: elsewhere }, 'NAK wrong-network'],
    ['INIT-REBOOT through the relay', [own], { giaddr: relay }, 'ACK 10.11.0.7'],
    ['RENEWING', [], bound, 'ACK 10.11.0.7'],
    ['RENEWING another address', [], { ciaddr: ipv4('10.11.0.8') }, 'NAK wrong-address'],
    ['RENEWING straight through a router: the network is not known', [own], bound, 'ACK 10.11.0.7'],
    ['REBINDING through a relay', [], { ...bound, giaddr: relay }, 'ACK 10.11.0.7'],
    ['nothing to go by', [], {}, 'silence no-address'],
    ['0.0.0.0 requested', [requestedAddress('0.0.0.0')], {}, 'silence no-address'],
    ['an address of three bytes', [[option.requestedAddress, Buffer.from([10, 11, 0])]], {}, 'silence malformed'],
    ['a server identifier of five bytes', [[option.serverIdentifier, Buffer.alloc(5)], own], {}, 'silence malformed'],
  ] as const)('%s', (_, options, fields, expected) => {
    expect(verdict(message('request', options, fields))).toBe(expected);
  });

  test('of a machine we do not know is never refused: it may be another server’s (RFC 2131 4.3.2)', () => {
    const stranger = { chaddr: Buffer.from('525400999999', 'hex') };
    expect(verdict(message('request', [own], stranger))).toBe('silence unknown-machine');
    expect(verdict(message('request', [], { ...stranger, ...bound }))).toBe('silence unknown-machine');
  });
});

describe('a second DHCP server', () => {
  test('is told of by the clients that take its offer, and the address counts as used', () => {
    const heard: string[] = [];
    const leases = { ...noLeases, overheard: (address: string, from: string, now: number) => heard.push(`${address} ${from} ${now}`) };
    const { exchange } = answer(message('request', [theirs, other]), { ...farmOf(), leases, now: 5 });
    expect(exchange).toMatchObject({ event: 'dhcp.other-server', otherServer: '10.11.0.99', address: '10.11.0.8', mac: '52:54:00:12:34:56' });
    expect(heard).toEqual(['10.11.0.8 10.11.0.99 5']);
  });

  test('is nothing to tell of when a stranger takes its offer, but the address counts', () => {
    const heard: string[] = [];
    const leases = { ...noLeases, overheard: (address: string) => heard.push(address) };
    expect(verdict(message('request', [theirs, other], { chaddr: Buffer.from('525400999999', 'hex') }), { ...farmOf(), leases })).toBe('silence other-server');
    expect(heard).toEqual(['10.11.0.8']);
  });

  test('is told of by its own replies, where they come by', () => {
    const { exchange } = answer(message('offer', [theirs], { op: 'reply', yiaddr: ipv4('10.11.0.8') }), farmOf());
    expect(exchange).toMatchObject({ event: 'dhcp.other-server', otherServer: '10.11.0.99', address: '10.11.0.8' });
    expect(verdict(message('offer', [ours], { op: 'reply' }))).toBe('silence not-a-request');
  });
});

describe('rapid commit (RFC 4039)', () => {
  const rapid: readonly [number, Buffer] = [option.rapidCommit, Buffer.alloc(0)];
  test('a DISCOVER with option 80 gets its ACK at once, with option 80 in it', () => {
    const said = answer(message('discover', [rapid]), farmOf());
    expect(said.exchange.event).toBe('dhcp.ack');
    expect(replied(said).options.get(option.rapidCommit)).toEqual(Buffer.alloc(0));
    expect(said).toMatchObject({ commits: false });
  });
  test('a REQUEST does not', () => {
    expect(replied(answer(message('request', [rapid, own]), farmOf())).options.has(option.rapidCommit)).toBe(false);
  });
  test('on another network it gets silence', () => {
    expect(verdict(message('discover', [rapid], { giaddr: elsewhere }))).toBe('silence wrong-network');
  });
});

describe('networks', () => {
  test('of which DHCP is off, or that the farm has not, get silence', () => {
    const context = farmOf();
    const questions: DhcpQuestions = { ...context.questions, mode: () => 'off' };
    expect(verdict(message('discover'), { ...context, questions })).toBe('silence off');
  });

  test('a renewal without a relay is of the network of its address, if that is the farm’s', () => {
    const links: string[] = [];
    const context = farmOf();
    const place: DhcpQuestions['place'] = (asker) => {
      links.push(asker.link);
      return { kind: 'host', host: node };
    };
    const questions: DhcpQuestions = { ...context.questions, place, mode: (link) => (link.startsWith('10.') ? 'full' : 'off') };
    for (const ciaddr of ['10.12.0.5', '192.0.2.7']) answer(message('request', [], { ciaddr: ipv4(ciaddr) }), { ...context, questions });
    answer(message('discover', [], { ciaddr: ipv4('10.12.0.5') }), { ...context, questions });
    answer(request([], { ciaddr: ipv4('10.12.0.5') }), { ...context, questions });
    expect(links).toEqual(['10.12.0.5', server, server, server]);
  });
});

describe('the other messages', () => {
  test.each([
    ['INFORM at its address', message('inform', [], bound), 'ACK 0.0.0.0'],
    ['INFORM at another address of its network', message('inform', [], { ciaddr: ipv4('10.11.0.200') }), 'ACK 0.0.0.0'],
    ['INFORM without an address', message('inform'), 'silence no-address'],
    ['INFORM that would send us to a stranger', message('inform', [], { ciaddr: ipv4('192.0.2.1') }), 'silence no-address'],
    ['DECLINE', message('decline', [ours, own]), 'heard dhcp.decline'],
    ['DECLINE to another server', message('decline', [theirs, own]), 'silence other-server'],
    ['RELEASE', message('release', [ours], bound), 'heard dhcp.release'],
    ['RELEASE to another server', message('release', [theirs], bound), 'silence other-server'],
    ['BOOTP', request([]), 'BOOTP 10.11.0.7'],
    ['BOOTP without the cookie', request([], { cookie: false }), 'BOOTP 10.11.0.7'],
    ['BOOTP that calls us by name', request([], { sname: 'HEAD' }), 'BOOTP 10.11.0.7'],
    ['BOOTP that calls us by address', request([], { sname: server }), 'BOOTP 10.11.0.7'],
    ['BOOTP that calls another server', request([], { sname: 'elsewhere' }), 'silence other-server'],
    ['BOOTP from another network', request([], { giaddr: elsewhere }), 'silence wrong-network'],
  ])('%s', (_, asked, expected) => {
    expect(verdict(asked)).toBe(expected);
  });

  test('a declined address is named, so that the machine which has it too can be looked for', () => {
    expect(answer(message('decline', [ours, own]), farmOf()).exchange).toMatchObject({ host: node, address: node.address });
  });
});

describe('NAK', () => {
  test('says no address, why, and who says it', () => {
    const packet = replied(answer(message('request', [other, [option.clientIdentifier, Buffer.from('01aa', 'hex')]], { flags: 1 }), farmOf()));
    expect([packet.yiaddr, packet.ciaddr, packet.siaddr, packet.file, packet.flags]).toEqual(['0.0.0.0', '0.0.0.0', '0.0.0.0', '', 1]);
    expect([...packet.options.keys()]).toEqual([option.messageType, option.serverIdentifier, option.message, option.clientIdentifier]);
    expect(readText(packet.options, option.message)).toBe('n1 has 10.11.0.7, not 10.11.0.8');
    expect(readAddress(packet.options, option.serverIdentifier)).toBe(server);
  });

  test('makes the relay broadcast it (RFC 2131 4.3.2)', () => {
    const said = answer(message('request', [other], { giaddr: relay }), farmOf());
    expect(replied(said).flags).toBe(0x8000);
    expect(said).toMatchObject({ route: { kind: 'relay', address: relay } });
  });
});

describe('what is asked of the farm', () => {
  test('the MAC address, the relay and the UUID of the machine', () => {
    const askers: unknown[] = [];
    const context = farmOf();
    const questions = {
      ...context.questions,
      place: (asker: DhcpAsker): Placement => {
        askers.push(asker);
        return { kind: 'host', host: node };
      },
    };
    answer(message('discover', pxeRom, { giaddr: relay }), { ...context, questions });
    const client = expect.objectContaining({ firmware: 'bios', loader: 'rom' });
    expect(askers).toEqual([{ mac: '52:54:00:12:34:56', link: relay, relay, uuid: '00112233-4455-6677-8899-aabbccddeeff', client }]);
  });

  test('the exchange tells who was given what', () => {
    expect(answer(message('discover', pxeRom), farmOf(node, kernelFile)).exchange).toMatchObject({
      event: 'dhcp.offer',
      asked: 'DISCOVER',
      mac: '52:54:00:12:34:56',
      client: { firmware: 'bios', loader: 'rom', pxe: true },
      host: node,
      address: '10.11.0.7',
      file: 'undionly.kpxe',
    });
  });

  test('a machine that nobody registered is told of with all that it says of itself', () => {
    const { exchange } = answer(message('discover', pxeRom, { chaddr: Buffer.from('525400999999', 'hex') }), farmOf());
    expect(exchange).toMatchObject({ event: 'dhcp.ignore', reason: 'unknown-machine', mac: '52:54:00:99:99:99', client: { firmware: 'bios', loader: 'rom' } });
  });
});
