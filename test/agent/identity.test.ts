// Which node this machine is: by option, by what its boot said, or by any of its addresses. On the loopback interface, which every machine has.
import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';
import { identify, localNetworks } from '../../src/agent/identity.ts';
import { readSettings } from '../../src/agent/settings.ts';
import { ipv4, parseIpv4 } from '../../src/base/addresses.ts';
import { parseMap } from '../../src/cluster/map.ts';
import { expandMap } from '../../src/cluster/nodes.ts';

const [outside] = Object.values(networkInterfaces()).flatMap((infos) =>
  (infos ?? []).flatMap(({ family, address }) => (family === 'IPv4' && !address.startsWith('127.') ? [address] : [])),
);
const none = ['--boot-env', '/nonexistent', '--server', '127.0.0.1'];

function map(text: string) {
  return expandMap(parseMap(text).entries, new Map());
}

describe('this machine', () => {
  test('is the node of the interface that --interface names', () => {
    expect(identify(map('4 127.0.0.1 1'), readSettings([...none, '--interface', 'lo']), 'map')).toEqual({ id: 4, address: '127.0.0.1' });
  });

  test('has no node on an interface without an address', () => {
    expect(() => identify(map('4 127.0.0.1 1'), readSettings([...none, '--interface', 'eth77']), 'map')).toThrow(
      expect.objectContaining({ code: 'interface.absent', message: 'the interface eth77 has no IPv4 address' }),
    );
  });

  test('is the node of --address, even if that is no address of it: binding will tell', () => {
    expect(identify(map('4 192.0.2.4 1'), readSettings([...none, '--address', '192.0.2.4']), 'map')).toEqual({ id: 4, address: '192.0.2.4' });
  });

  test('speaks from an alias where the main address of its node is on another machine', () => {
    expect(identify(map('4 192.0.2.4 1\n4 127.0.0.1 ALIAS'), readSettings([...none, '--interface', 'lo']), 'map')).toEqual({ id: 4, address: '127.0.0.1' });
  });

  test('is what its boot said, if the map agrees, and else whatever of its addresses the map has', () => {
    const settings = { ...readSettings(none), booted: { interface: 'eth77', address: ipv4('127.0.0.1') } };
    expect(identify(map('4 127.0.0.1 1'), settings, 'map')).toEqual({ id: 4, address: '127.0.0.1' });
    const renamed = { ...settings, booted: { interface: 'lo', address: parseIpv4('192.0.2.9') } };
    expect(identify(map('4 127.0.0.1 1'), renamed, 'map')).toEqual({ id: 4, address: '127.0.0.1' });
  });

  test.skipIf(outside === undefined)('is found by its address outside when nothing was said', () => {
    expect(identify(map(`9 ${outside} 1`), readSettings(none), 'map')).toEqual({ id: 9, address: outside });
  });

  test('is in the network of its loopback interface', () => {
    expect(localNetworks()).toContainEqual({ address: '127.0.0.1', prefix: 8 });
  });
});
