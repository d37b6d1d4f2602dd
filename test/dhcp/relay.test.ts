// Where a client is, as relays tell it: RFC 3046, 3527 and 5107 in option 82, RFC 3011 in option 118.
import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { answer } from '../../src/dhcp/answer.ts';
import { addressesValue, option, readAddress } from '../../src/dhcp/options.ts';
import { encodePacket } from '../../src/dhcp/packet.ts';
import type { DhcpAsker } from '../../src/dhcp/questions.ts';
import { farmOf, hostAt, message, node, requestedAddress, server, serverIdentifier } from './packets.ts';
import { verdict } from './verdict.ts';

const relay = ipv4('10.12.0.1');
const giaddr = { giaddr: relay };
const part = (code: number, value: Buffer) => Buffer.concat([Buffer.from([code, value.length]), value]);
const option82 = (...parts: Buffer[]): readonly [number, Buffer] => [option.relayAgentInformation, Buffer.concat(parts)];
const address = (text: string) => addressesValue([ipv4(text)]);
const subnet = (text: string): readonly [number, Buffer] => [option.subnetSelection, address(text)];
const link = part(5, address('10.13.0.0'));
const override = part(11, address('10.12.0.1'));

function askerOf(options: readonly (readonly [number, Buffer])[], fields = {}): DhcpAsker | undefined {
  let seen: DhcpAsker | undefined;
  const context = farmOf();
  const place = (asker: DhcpAsker) => {
    seen = asker;
    return { kind: 'nobody', reason: 'no-network', detail: '' } as const;
  };
  answer(message('discover', options, fields), { ...context, questions: { ...context.questions, place } });
  return seen;
}

test.each([
  ['our own', [], {}, server],
  ['the relay’s', [], giaddr, relay],
  ['the one that the client selects (RFC 3011)', [subnet('10.14.0.0')], {}, '10.14.0.0'],
  ['that rather than the relay’s', [subnet('10.14.0.0')], giaddr, '10.14.0.0'],
  ['the one that the relay selects (RFC 3527) before both', [option82(link), subnet('10.14.0.0')], giaddr, '10.13.0.0'],
  ['a selection of 0.0.0.0 is none', [option82(part(5, Buffer.alloc(4)))], giaddr, relay],
  ['a selection without a relay is nobody’s', [option82(link)], {}, server],
] as const)('the network is %s', (_, options, fields, expected) => {
  expect(askerOf(options, fields)?.link).toBe(expected);
});

test('the port is told as the relay wrote it', () => {
  const asker = askerOf([option82(part(1, Buffer.from('Gi1/0/7')), part(2, Buffer.from('0006aabb', 'hex')))], giaddr);
  expect([asker?.circuitId?.toString(), asker?.remoteId?.toString('hex'), asker?.relay]).toEqual(['Gi1/0/7', '0006aabb', relay]);
  expect(askerOf([])).not.toHaveProperty('circuitId');
});

test.each([
  ['a selected network of three bytes', option82(part(5, Buffer.alloc(3))), giaddr],
  ['an override of five bytes', option82(part(11, Buffer.alloc(5))), giaddr],
  ['option 118 of six bytes', [option.subnetSelection, Buffer.alloc(6)] as const, {}],
])('%s is refused', (_, given, fields) => {
  expect(verdict(message('discover', [given], fields))).toBe('silence malformed');
});

describe('replies', () => {
  const behind = hostAt(ipv4('10.13.0.7'), 24);
  const inNetwork = (options: readonly (readonly [number, Buffer])[]) => answer(message('discover', options, giaddr), farmOf(behind));

  test('to a network that the relay selects', () => {
    expect(inNetwork([option82(link)])).toMatchObject({ kind: 'reply', route: { kind: 'relay', address: relay } });
    expect(verdict(message('discover', [], giaddr), farmOf(behind))).toBe('silence wrong-network');
  });

  test('have option 82 as it was, last before the end, and 118', () => {
    const said = inNetwork([option82(link, part(1, Buffer.from('x'))), subnet('10.14.0.0')]);
    if (said.kind !== 'reply') throw new Error('silence');
    const bytes = encodePacket(said.packet);
    const tail = Buffer.concat([Buffer.from([82, 9]), link, part(1, Buffer.from('x')), Buffer.from([255])]);
    expect(bytes.indexOf(tail)).toBe(bytes.lastIndexOf(255, bytes.length) - tail.length + 1);
    expect(readAddress(said.packet.options, option.subnetSelection)).toBe('10.14.0.0');
  });

  test('are signed as the relay wants it (RFC 5107), and REQUESTs to that name are ours', () => {
    const asked = message('discover', [option82(override)], giaddr);
    const said = answer(asked, farmOf(hostAt(ipv4('10.12.0.7'))));
    expect(said.kind === 'reply' && readAddress(said.packet.options, option.serverIdentifier)).toBe(relay);
    const request = (...options: (readonly [number, Buffer])[]) =>
      verdict(message('request', [requestedAddress('10.12.0.7'), ...options], giaddr), farmOf(hostAt(ipv4('10.12.0.7'))));
    expect(request(serverIdentifier(relay), option82(override))).toBe('ACK 10.12.0.7');
    expect(request(serverIdentifier(server), option82(override))).toBe('ACK 10.12.0.7');
    expect(request(serverIdentifier(relay))).toBe('heard dhcp.other-server');
  });

  test('to a client of ours are not signed by whoever is no relay', () => {
    const said = answer(message('discover', [option82(override)]), farmOf(node));
    expect(said.kind === 'reply' && readAddress(said.packet.options, option.serverIdentifier)).toBe(server);
  });
});
