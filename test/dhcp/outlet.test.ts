// On which way a reply leaves: RFC 2131 4.1 as far as sockets and frames can do it.
import { describe, expect, test } from 'vitest';
import { ipv4, mac, macBytes } from '../../src/base/addresses.ts';
import { deliver, type OutletOptions } from '../../src/dhcp/outlet.ts';
import { message, nodeMac, server } from './packets.ts';

const address = ipv4('10.11.0.7');
const source = { address: ipv4('10.11.0.9'), port: 1024 };
const reply = message('ack', [], { yiaddr: address });
const bytes = Buffer.alloc(300, 5);

function outlet(frames: 'taken' | 'refused' | 'no door' | 'closed') {
  const sent: Buffer[] = [];
  const own = frames === 'closed' ? undefined : mac('02:00:0a:0b:00:01');
  const send = (frame: Buffer) => {
    sent.push(frame);
    return frames === 'taken';
  };
  const door = { address: own, send };
  const options: OutletOptions = { server, serverPort: 67, clientPort: 68, frames: frames === 'no door' ? undefined : door };
  return { sent, options };
}

test.each([
  ['to a relay, on the servers’ port', { kind: 'relay', address }, { address, port: 67 }],
  ['to an address', { kind: 'unicast', address }, { address, port: 68 }],
  ['to all', { kind: 'broadcast' }, { address: '255.255.255.255', port: 68 }],
  ['to where it came from', { kind: 'source' }, source],
] as const)('%s', (_, route, to) => {
  const { sent, options } = outlet('taken');
  expect(deliver(bytes, reply, route, source, options)).toEqual({ kind: 'datagram', to, route: route.kind });
  expect(sent).toEqual([]);
});

test('to a boot server client without an address yet', () => {
  const { options } = outlet('taken');
  expect(deliver(bytes, reply, { kind: 'source' }, { address: ipv4('0.0.0.0'), port: 4011 }, options)).toMatchObject({
    to: { address: '255.255.255.255', port: 4011 },
  });
});

describe('a client that has no address yet', () => {
  const route = { kind: 'unconfigured', address } as const;

  test('gets a frame to its hardware address and its address to be', () => {
    const { sent, options } = outlet('taken');
    expect(deliver(bytes, reply, route, source, options)).toEqual({ kind: 'sent' });
    const [frame] = sent;
    expect(frame?.subarray(0, 6)).toEqual(macBytes(nodeMac));
    expect(frame?.subarray(6, 12).toString('hex')).toBe('02000a0b0001');
    expect(frame?.subarray(26, 38).toString('hex')).toBe('0a0b00010a0b000700430044');
    expect(frame?.subarray(42)).toEqual(bytes);
  });

  test.each(['refused', 'no door', 'closed'] as const)('gets a broadcast if that cannot be: %s', (frames) => {
    const { options } = outlet(frames);
    expect(deliver(bytes, reply, route, source, options)).toEqual({ kind: 'datagram', to: { address: '255.255.255.255', port: 68 }, route: 'broadcast' });
  });

  test('gets a broadcast if the reply is longer than a frame', () => {
    const { sent, options } = outlet('taken');
    expect(deliver(Buffer.alloc(1473), reply, route, source, options)).toMatchObject({ route: 'broadcast' });
    expect(sent).toEqual([]);
  });
});
