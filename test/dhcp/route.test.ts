// Where a reply goes: the table of RFC 2131 section 4.1.
import { expect, test } from 'vitest';
import { ipv4, ipv4Any } from '../../src/base/addresses.ts';
import { type ReplyKind, replyRoute } from '../../src/dhcp/route.ts';
import { request } from './packets.ts';

const client = ipv4('10.11.0.7');
const relay = ipv4('10.12.0.1');
const none = ipv4Any;

test.each([
  ['to the relay, whatever else is set', 'offer', relay, none, 0x8000, { kind: 'relay', address: relay }],
  ['to the relay even for a client with an address', 'ack', relay, client, 0, { kind: 'relay', address: relay }],
  ['to the address that the client has', 'ack', none, client, 0, { kind: 'unicast', address: client }],
  ['to that address though it asks for a broadcast', 'ack', none, client, 0x8000, { kind: 'unicast', address: client }],
  ['to all if it asks for that', 'offer', none, none, 0x8000, { kind: 'broadcast' }],
  ['to a client without an address', 'offer', none, none, 0, { kind: 'unconfigured', address: client }],
  ['other flags ask for nothing', 'offer', none, none, 0x7fff, { kind: 'unconfigured', address: client }],
  ['a NAK to all', 'nak', none, none, 0, { kind: 'broadcast' }],
  ['a NAK to all though the client claims an address', 'nak', none, client, 0, { kind: 'broadcast' }],
  ['a NAK through the relay', 'nak', relay, client, 0, { kind: 'relay', address: relay }],
  ['the answer to INFORM past the relay', 'inform', relay, client, 0, { kind: 'unicast', address: client }],
  ['BOOTP like DHCP', 'bootp', none, none, 0, { kind: 'unconfigured', address: client }],
] as const)('%s', (_, kind: ReplyKind, giaddr, ciaddr, flags, route) => {
  expect(replyRoute(request([], { giaddr, ciaddr, flags }), kind, client)).toEqual(route);
});
