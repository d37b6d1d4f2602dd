// Pools and claims for the tests of dynamic leases.
import { type Cidr, type Ipv4, ipv4, type Mac, mac, parseCidr } from '../../src/base/addresses.ts';
import type { LeaseClaim, Pool } from '../../src/dhcp/questions.ts';

export const leaseSeconds = 3600;

export interface PoolOptions {
  readonly name?: string;
  readonly subnet?: string;
  readonly reserved?: readonly string[];
  readonly leaseSeconds?: number;
}

export function testPool(
  range: string,
  { name = 'main', subnet = '10.11.0.1/16', reserved = [], leaseSeconds: seconds = leaseSeconds }: PoolOptions = {},
): Pool {
  const [first = '', last = ''] = range.split('-');
  const cidr = parseCidr(subnet) as Cidr;
  const taken = new Set(reserved);
  return {
    name,
    first: ipv4(first),
    last: ipv4(last),
    subnet: cidr,
    leaseSeconds: seconds,
    isReserved: (address) => taken.has(address),
    host: { subnet: cidr, server: cidr.address, routers: [], nameServers: [], options: [] },
  };
}

function macOf(client: number): Mac {
  return mac(`52:54:00:${[client >> 16, client >> 8, client].map((byte) => (byte & 255).toString(16).padStart(2, '0')).join(':')}`);
}

export function claimOf(client: number, pool: Pool, more: Partial<LeaseClaim> = {}): LeaseClaim {
  const address = macOf(client);
  return { key: `01${address.replaceAll(':', '')}`, mac: address, pool, ...more };
}

export function claimFor(client: number, pool: Pool, address: Ipv4): LeaseClaim & { readonly address: Ipv4 } {
  return { ...claimOf(client, pool), address };
}
