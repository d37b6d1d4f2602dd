// Which node a machine is, and what becomes of machines that are none: tables.
import { describe, expect, it, test } from 'vitest';
import { ipv4, mac } from '../../src/base/addresses.ts';
import type { BootClient } from '../../src/dhcp/pxe.ts';
import type { DhcpAsker, Placement } from '../../src/dhcp/questions.ts';
import { Cards } from '../../src/farm/cards.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { place, type Questioned } from '../../src/farm/places.ts';
import { indexFarm } from '../../src/farm/registry.ts';

const text = `name: lab
domain: farm.lan
options: { ntp-servers: 10.11.0.1, 252: of the farm }
networks:
  main:
    interface: eth1
    address: 10.11.0.1/24
    range: 10.11.0.10-10.11.0.99
    dynamic: 10.11.0.100-10.11.0.199
    router: 10.11.0.150
    name_servers: [10.11.0.151]
    lease_time: 2h
    unknown: lease
    options: { 252: of the network }
  ignoring: { via: main, address: 10.12.0.0/24, range: 10.12.0.10-10.12.0.99, router: 10.12.0.1 }
  registering: { via: main, address: 10.13.0.0/24, range: 10.13.0.10-10.13.0.99, unknown: register }
  foreign: { interface: eth2, address: 10.14.0.1/24, dhcp: proxy }
profiles:
  default: { options: { time-servers: 10.11.0.5 } }
nodes:
  bymac: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10, options: { 252: of the node } }
  byid: { id: 2, client_id: "00:aa:bb", ip: 10.11.0.11 }
  byuuid: { id: 3, uuid: 4c4c4544-0035-3010-8054-b4c04f4e4431, ip: 10.11.0.12 }
  circuit: { id: 4, relay_port: { circuit: eth0/4 }, ip: 10.12.0.14 }
  both: { id: 5, relay_port: { circuit: eth0/4, remote: switch2 }, ip: 10.12.0.15 }
  there: { id: 6, relay_port: { circuit: eth0/4, relay: 10.12.0.9 }, ip: 10.12.0.16 }
  booted: { id: 7, mac: "52:54:00:00:00:07", uuid: 99999999-0035-3010-8054-b4c04f4e4431, ip: 10.11.0.17 }
`;

const rom: BootClient = { firmware: 'bios', loader: 'rom', http: false, pxe: true, bootp: false, architectures: [0], features: new Set() };
const system: BootClient = { ...rom, loader: 'none', pxe: false };
const uuid = '4c4c4544-0035-3010-8054-b4c04f4e4431';
const swapped = '44454c4c-3500-1030-8054-b4c04f4e4431';
const stranger = mac('52:54:00:99:99:99');

function world(yaml = text): Questioned {
  const farm = parseFarm(yaml, '/f');
  return { farm, registry: indexFarm(farm), cards: new Cards(), register: (_asker, network) => ({ reason: 'registering', detail: network.name }) };
}

function asker(more: Partial<DhcpAsker>): DhcpAsker {
  return { link: ipv4('10.11.0.1'), client: rom, ...more };
}

function verdict(placement: Placement): string {
  if (placement.kind === 'host') return `${placement.host.name} ${placement.host.address}`;
  return placement.kind === 'pool' ? `pool ${placement.pool.first}` : placement.reason;
}

describe('who a machine is', () => {
  const circuitId = Buffer.from('eth0/4');
  const remoteId = Buffer.from('switch2');
  test.each<[string, Partial<DhcpAsker>, string]>([
    ['its MAC address', { mac: mac('52:54:00:00:00:01') }, 'bymac 10.11.0.10'],
    ['its client id, whatever its card', { mac: stranger, clientId: Buffer.from('00aabb', 'hex') }, 'byid 10.11.0.11'],
    ['its client id over InfiniBand, without a MAC address (RFC 4390)', { clientId: Buffer.from('00aabb', 'hex') }, 'byid 10.11.0.11'],
    ['its GUID', { mac: stranger, uuid }, 'byuuid 10.11.0.12'],
    ['its GUID with its first groups swapped: pitfall 8', { mac: stranger, uuid: swapped }, 'byuuid 10.11.0.12'],
    ["a MAC address before another node's GUID", { mac: mac('52:54:00:00:00:01'), uuid }, 'bymac 10.11.0.10'],
    ["a MAC address before another node's client id", { mac: mac('52:54:00:00:00:01'), clientId: Buffer.from('00aabb', 'hex') }, 'bymac 10.11.0.10'],
    ['a client id before a GUID', { mac: stranger, clientId: Buffer.from('00aabb', 'hex'), uuid: swapped }, 'byid 10.11.0.11'],
    ['a GUID before the port it hangs on', { mac: stranger, uuid, circuitId }, 'byuuid 10.11.0.12'],
    ['the port it hangs on', { mac: stranger, circuitId, remoteId: Buffer.from('other'), relay: ipv4('10.12.0.1') }, 'circuit 10.12.0.14'],
    ['both ids of the port before one', { mac: stranger, circuitId, remoteId, relay: ipv4('10.12.0.1') }, 'both 10.12.0.15'],
    ['the port of that very relay before any', { mac: stranger, circuitId, relay: ipv4('10.12.0.9') }, 'there 10.12.0.16'],
    [
      'a second card by the GUID that its node has beside its MAC address',
      { mac: stranger, uuid: '99999999-0035-3010-8054-b4c04f4e4431' },
      'booted 10.11.0.17',
    ],
    ['nobody: a remote id alone', { mac: stranger, remoteId, link: ipv4('10.12.0.1') }, 'unknown-machine'],
    ['its address, although it asks elsewhere: the rules refuse that', { mac: mac('52:54:00:00:00:01'), link: ipv4('10.99.0.1') }, 'bymac 10.11.0.10'],
  ])('%s', (_, said, expected) => {
    expect(verdict(place(asker(said), world()))).toBe(expected);
  });

  it('is remembered by its card once its ROM has said its GUID, because no operating system says that', () => {
    const questioned = world();
    const card = mac('52:54:00:aa:00:01');
    expect(verdict(place(asker({ mac: card, client: system }), questioned))).toBe('pool 10.11.0.100');
    expect(verdict(place(asker({ mac: card, uuid }), questioned))).toBe('byuuid 10.11.0.12');
    expect(verdict(place(asker({ mac: card, client: system }), questioned))).toBe('byuuid 10.11.0.12');
  });

  it('has one card remembered: a new one takes the place of the old', () => {
    const questioned = world();
    const [old, fresh] = [mac('52:54:00:aa:00:01'), mac('52:54:00:aa:00:02')];
    place(asker({ mac: old, uuid }), questioned);
    place(asker({ mac: fresh, uuid }), questioned);
    expect(verdict(place(asker({ mac: old, client: system }), questioned))).toBe('pool 10.11.0.100');
    expect(verdict(place(asker({ mac: fresh, client: system }), questioned))).toBe('byuuid 10.11.0.12');
  });

  it('is not remembered for who plugs into its port', () => {
    const questioned = world();
    place(asker({ mac: stranger, circuitId: Buffer.from('eth0/4'), relay: ipv4('10.12.0.1'), link: ipv4('10.12.0.1') }), questioned);
    expect(verdict(place(asker({ mac: stranger, link: ipv4('10.12.0.1') }), questioned))).toBe('unknown-machine');
  });
});

describe('machines in no registry', () => {
  test.each([
    ['lease, where there is a dynamic range', '10.11.0.1', 'pool 10.11.0.100'],
    ['are ignored by default', '10.12.0.1', 'unknown-machine'],
    ['are registered', '10.13.0.77', 'registering'],
    ['get nothing where another server gives addresses', '10.14.0.1', 'unknown-machine'],
    ['get nothing in networks that are not the farm’s', '10.99.0.1', 'no-network'],
  ])('%s', (_, link, expected) => {
    expect(verdict(place(asker({ mac: stranger, link: ipv4(link) }), world()))).toBe(expected);
  });

  it('have no pool where the farm leases and the network has no dynamic range', () => {
    const questioned = world(text.replace('domain: farm.lan', 'domain: farm.lan\nunknown: lease'));
    expect(verdict(place(asker({ mac: stranger, link: ipv4('10.12.0.1') }), questioned))).toBe('no-pool');
  });

  it('are named in the reason', () => {
    expect(place(asker({ mac: stranger, uuid: swapped.replace('b4', 'b5'), link: ipv4('10.12.0.1') }), world())).toMatchObject({
      detail: `no node has the MAC address ${stranger} or the GUID ${swapped.replace('b4', 'b5')}`,
    });
  });

  it('never lease what the farm, its router or a name server has', () => {
    const placement = place(asker({ mac: stranger }), world());
    if (placement.kind !== 'pool') throw new Error(placement.kind);
    const { pool } = placement;
    expect(pool).toMatchObject({ first: '10.11.0.100', last: '10.11.0.199', leaseSeconds: 7200, subnet: { address: '10.11.0.0', prefix: 24 } });
    const taken = ['10.11.0.1', '10.11.0.10', '10.11.0.150', '10.11.0.151', '10.11.0.0', '10.11.0.255'];
    expect([...taken, '10.11.0.100', '10.11.0.199'].filter((address) => pool.isReserved(ipv4(address)))).toEqual(taken);
  });
});

describe('what a machine is told', () => {
  const told = (placement: Placement): string[] => {
    if (placement.kind === 'nobody') throw new Error(placement.reason);
    const { options } = placement.kind === 'host' ? placement.host : placement.pool.host;
    return options.map(({ code, value }) => `${code} ${code === 252 ? value.toString() : value.join('.')}`);
  };

  it('comes from the narrowest that says it: farm, network, profile, node', () => {
    const questioned = world();
    expect(told(place(asker({ mac: mac('52:54:00:00:00:01') }), questioned))).toEqual(['4 10.11.0.5', '42 10.11.0.1', '252 of the node']);
    expect(told(place(asker({ mac: mac('52:54:00:00:00:07') }), questioned))).toEqual(['4 10.11.0.5', '42 10.11.0.1', '252 of the network']);
    expect(told(place(asker({ mac: stranger }), questioned))).toEqual(['42 10.11.0.1', '252 of the network']);
  });

  it('names the server as the machine reaches it, and leases without end to nodes', () => {
    const placement = place(asker({ mac: stranger, circuitId: Buffer.from('eth0/4') }), world());
    expect(placement).toMatchObject({
      host: {
        server: '10.11.0.1',
        subnet: { address: '10.12.0.0', prefix: 24 },
        routers: ['10.12.0.1'],
        domain: 'farm.lan',
        leaseSeconds: Number.POSITIVE_INFINITY,
      },
    });
  });

  it('is new when the farm is', () => {
    const card = mac('52:54:00:00:00:07');
    place(asker({ mac: card }), world());
    expect(place(asker({ mac: card }), world(text.replace('farm.lan', 'new.lan')))).toMatchObject({ host: { domain: 'new.lan' } });
  });
});
