// Sockets that systemd passes: what /proc/net says of them, and who gets which.
import { endianness } from 'node:os';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { ipv4, ipv4Any } from '../../src/base/addresses.ts';
import { boundSockets, keepPassed, passedSockets, takePassed, untakenSockets } from '../../src/base/passed-sockets.ts';

afterEach(() => keepPassed([]));

const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n';
const row = (local: string, inode: number): string =>
  `  126: ${local} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 ${inode} 2 0000000000000000 0\n`;

describe.runIf(endianness() === 'LE')('the tables of /proc/net', () => {
  it('tell what each socket is bound to', () => {
    const tables = { udp: head + row('00000000:0043', 17) + row('01000B0A:0045', 18), tcp: head + row('01000B0A:0050', 19) };
    expect([...boundSockets((transport) => tables[transport])]).toEqual([
      ['19', { transport: 'tcp', address: '10.11.0.1', port: 80 }],
      ['17', { transport: 'udp', address: '0.0.0.0', port: 67 }],
      ['18', { transport: 'udp', address: '10.11.0.1', port: 69 }],
    ]);
  });

  it('leave out connections that nobody has any more, and IPv6', () => {
    const table = head + row('0100007F:0050', 0) + row('00000000000000000000000001000000:0050', 20);
    expect(boundSockets(() => table).size).toBe(0);
  });

  it('can have anything in them', () => {
    fc.assert(
      fc.property(fc.string(), (text) => boundSockets(() => text) instanceof Map),
      { numRuns: 200 },
    );
  });
});

describe('what systemd says it passes', () => {
  it.each([
    ['nothing', {}],
    ['to another process', { LISTEN_PID: '1', LISTEN_FDS: '3' }],
    ['a process, and no number', { LISTEN_PID: '7' }],
    ['none', { LISTEN_PID: '7', LISTEN_FDS: '0' }],
  ])('%s: no sockets', (_what, environment) => {
    expect(passedSockets(environment, 7)).toEqual([]);
  });

  it.each([
    ['a number that is none', { LISTEN_FDS: '-1' }],
    ['more than there can be', { LISTEN_FDS: '100000' }],
    ['descriptors that are not there', { LISTEN_FDS: '256' }],
  ])('%s is refused', (_what, environment) => {
    expect(() => passedSockets({ LISTEN_PID: '7', ...environment }, 7)).toThrow(expect.objectContaining({ code: 'sockets.passed' }));
  });
});

describe('a passed socket', () => {
  const dhcp = { transport: 'udp', address: ipv4Any, port: 67, interface: 'eth1', descriptor: 3 } as const;
  const http = { transport: 'tcp', address: ipv4('10.11.0.1'), port: 80, descriptor: 4 } as const;

  it.each([
    [{ transport: 'udp', address: ipv4Any, port: 67, interface: 'eth1' } as const, 3],
    [{ transport: 'udp', address: ipv4Any, port: 67, interface: 'eth2' } as const, undefined],
    [{ transport: 'udp', address: ipv4Any, port: 67 } as const, undefined],
    [{ transport: 'tcp', address: ipv4('10.11.0.1'), port: 80, interface: undefined } as const, 4],
    [{ transport: 'udp', address: ipv4('10.11.0.1'), port: 80 } as const, undefined],
    [{ transport: 'tcp', address: ipv4('10.11.0.2'), port: 80 } as const, undefined],
  ])('is for who opens exactly that: %j', (place, descriptor) => {
    keepPassed([dhcp, http]);
    expect(takePassed(place)).toBe(descriptor);
  });

  it('is given once; the others are told', () => {
    keepPassed([dhcp, http]);
    expect(untakenSockets()).toEqual(['udp 0.0.0.0:67 on eth1', 'tcp 10.11.0.1:80']);
    takePassed(http);
    expect(takePassed(http)).toBeUndefined();
    expect(untakenSockets()).toEqual(['udp 0.0.0.0:67 on eth1']);
  });
});
