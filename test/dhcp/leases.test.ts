// The rules of dynamic leases, RFC 2131 section 4.3, in virtual time.
import { describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { LeaseTable, offerHold, quarantine } from '../../src/dhcp/leases.ts';
import type { Pool } from '../../src/dhcp/questions.ts';
import { claimFor, claimOf, leaseSeconds, testPool } from '../support/leases.ts';

const noon = 1_800_000_000_000;
const leaseEnd = leaseSeconds * 1000;
const server2 = ipv4('10.11.0.2');

function newTable(): LeaseTable {
  return new LeaseTable(() => false);
}

/** What a client gets that discovers and requests; undefined if it gets nothing. */
function lease(table: LeaseTable, client: number, pool: Pool, now: number): string | undefined {
  const offer = table.offer(claimOf(client, pool), now);
  if (offer.kind !== 'address') return undefined;
  const grant = table.request(claimFor(client, pool, offer.address), now);
  return grant.kind === 'granted' ? grant.address : undefined;
}

describe('an address is chosen', () => {
  const pool = testPool('10.11.0.10-10.11.0.19', { reserved: ['10.11.0.10', '10.11.0.12'] });

  it('from the pool in order, never a reserved one, and no second for one client', () => {
    const table = newTable();
    const given = [1, 2, 1, 3, 2].map((client) => lease(table, client, pool, noon));
    expect(given).toEqual(['10.11.0.11', '10.11.0.13', '10.11.0.11', '10.11.0.14', '10.11.0.13']);
  });

  it('as the client wishes, if it is free and in the pool', () => {
    const table = newTable();
    const wished = (client: number, wanted: string) => table.offer(claimOf(client, pool, { wanted: ipv4(wanted) }), noon);
    expect(wished(1, '10.11.0.17')).toMatchObject({ address: '10.11.0.17' });
    expect(wished(2, '10.11.0.17')).toMatchObject({ address: '10.11.0.11' });
    expect(wished(3, '10.11.0.12')).toMatchObject({ address: '10.11.0.13' });
    expect(wished(4, '10.11.9.9')).toMatchObject({ address: '10.11.0.14' });
    expect(wished(5, '192.168.1.7')).toMatchObject({ address: '10.11.0.15' });
  });

  it('again for a client whose lease has ended, as long as nobody has it', () => {
    const table = newTable();
    expect(lease(table, 1, pool, noon)).toBe('10.11.0.11');
    expect(lease(table, 2, pool, noon + 2 * leaseEnd)).toBe('10.11.0.13');
    expect(lease(table, 1, pool, noon + 9 * leaseEnd)).toBe('10.11.0.11');
  });

  it('never used before longest unused, and not at all when all are in use', () => {
    const small = testPool('10.11.0.20-10.11.0.23');
    const table = newTable();
    for (const [client, at] of [3, 1, 2].entries()) lease(table, client, small, noon + at);
    const later = noon + leaseEnd + 100;
    expect([10, 11, 12, 13, 14].map((client) => lease(table, client, small, later))).toEqual([
      '10.11.0.23',
      '10.11.0.21',
      '10.11.0.22',
      '10.11.0.20',
      undefined,
    ]);
    expect(table.offer(claimOf(14, small), later)).toEqual({ kind: 'full', why: 'every address of main from 10.11.0.20 to 10.11.0.23 is in use' });
  });

  it('for each of its networks, for a client that is in several', () => {
    const table = newTable();
    const other = testPool('10.12.0.10-10.12.0.19', { name: 'lab2', subnet: '10.12.0.0/24' });
    expect([lease(table, 1, pool, noon), lease(table, 1, other, noon), lease(table, 1, pool, noon)]).toEqual(['10.11.0.11', '10.12.0.10', '10.11.0.11']);
  });
});

describe('an offer', () => {
  const pool = testPool('10.11.0.10-10.11.0.11');

  it('keeps its address for its client, for a while', () => {
    const table = newTable();
    table.offer(claimOf(1, pool), noon);
    expect(table.offer(claimOf(2, pool), noon)).toMatchObject({ address: '10.11.0.11' });
    expect(table.offer(claimOf(1, pool), noon + offerHold - 1)).toMatchObject({ address: '10.11.0.10' });
    expect(table.offer(claimOf(3, pool), noon + offerHold)).toMatchObject({ address: '10.11.0.11' });
  });

  it('is as good as new to whom it was made, until somebody else takes it', () => {
    const table = newTable();
    table.offer(claimOf(1, pool), noon);
    expect(table.request(claimFor(1, pool, ipv4('10.11.0.10')), noon + offerHold + 1)).toMatchObject({ kind: 'granted', seconds: leaseSeconds });
  });

  it('of a flood does not keep a pool from those who mean it', () => {
    const table = newTable();
    for (let stranger = 100; stranger < 50_100; stranger++) table.offer(claimOf(stranger, pool), noon);
    const offer = table.offer(claimOf(1, pool), noon);
    expect(offer.kind).toBe('address');
    const address = offer.kind === 'address' ? offer.address : ipv4('0.0.0.0');
    for (let stranger = 100; stranger < 5_100; stranger++) table.offer(claimOf(stranger, pool), noon);
    expect(table.request(claimFor(1, pool, address), noon)).toMatchObject({ kind: 'granted' });
    const late = [...Array(4000).keys()].map((index) => table.request(claimFor(100 + index, pool, address), noon).kind);
    expect(new Set(late)).toEqual(new Set(['refused']));
  });

  it('is a lease at once with rapid commit, and the same again for a retransmission', () => {
    const table = newTable();
    const rapid = claimOf(1, pool, { rapid: true });
    expect(table.offer(rapid, noon)).toEqual({ kind: 'address', address: '10.11.0.10', seconds: leaseSeconds });
    expect(table.takeChanges()).toHaveLength(1);
    expect(table.offer(rapid, noon + 4000)).toEqual({ kind: 'address', address: '10.11.0.10', seconds: leaseSeconds - 4 });
    expect(table.takeChanges()).toEqual([]);
    expect(table.book.list(noon)).toMatchObject([{ address: '10.11.0.10', state: 'leased' }]);
  });

  it('to BOOTP is a lease without end', () => {
    const table = newTable();
    const bootp = claimOf(1, { ...pool, leaseSeconds: Number.POSITIVE_INFINITY }, { rapid: true });
    expect(table.offer(bootp, noon)).toMatchObject({ seconds: Number.POSITIVE_INFINITY });
    expect(table.takeChanges()).toMatchObject([{ lease: '10.11.0.10', end: null }]);
    expect(table.book.list(noon * 2)).toMatchObject([{ state: 'leased', until: Number.POSITIVE_INFINITY }]);
  });

  it('is not made to an identifier that no option can hold', () => {
    expect(newTable().offer({ key: 'ab'.repeat(256), pool }, noon).kind).toBe('full');
  });
});

describe('a REQUEST', () => {
  const pool = testPool('10.11.0.10-10.11.0.19', { reserved: ['10.11.0.12'], subnet: '10.11.0.1/24' });
  /** Client 2 had .10 until now, so client 1 has the next, .11; client 3 was offered .13. */
  function world(): LeaseTable {
    const table = newTable();
    lease(table, 2, pool, noon - leaseEnd);
    lease(table, 1, pool, noon);
    table.offer(claimOf(3, pool), noon);
    return table;
  }
  const cases: readonly (readonly [client: number, address: string, kind: string, why: string])[] = [
    [1, '10.11.0.11', 'granted', 'its lease'],
    [2, '10.11.0.10', 'granted', 'its old lease'],
    [3, '10.11.0.13', 'granted', 'its offer'],
    [2, '10.11.0.11', 'refused', 'of another client'],
    [9, '10.11.0.11', 'refused', 'of another client, by a stranger'],
    [9, '10.11.0.13', 'unknown', 'offered to another, by a stranger'],
    [1, '10.11.0.12', 'refused', 'of a registered machine'],
    [9, '10.11.0.12', 'refused', 'of a registered machine, by a stranger'],
    [1, '10.11.0.14', 'refused', 'never given, by a client that has another'],
    [9, '10.11.0.14', 'unknown', 'never given, by a stranger'],
    [9, '10.11.0.10', 'unknown', 'free, by a stranger'],
    [9, '10.11.0.200', 'unknown', 'of our network and not of the pool, by a stranger: another server may have given it'],
    [1, '10.11.0.200', 'refused', 'of our network and not of the pool, by a client that we know'],
    [9, '192.168.1.10', 'refused', 'of another network'],
  ];
  it.each(cases)('of client %i for %s is %s: %s', (client, address, kind) => {
    expect(world().request(claimFor(client, pool, ipv4(address)), noon + 1).kind).toBe(kind);
  });

  it('is refused when farm.yaml has taken its address out of the network', () => {
    const table = world();
    const moved = testPool('10.12.0.10-10.12.0.19', { subnet: '10.12.0.1/24' });
    expect(table.request(claimFor(1, moved, ipv4('10.11.0.11')), noon).kind).toBe('refused');
    expect(lease(table, 1, moved, noon)).toBe('10.12.0.10');
  });

  it('is refused when farm.yaml has given its address to a registered machine, and is answered with another', () => {
    const table = world();
    const changed = testPool('10.11.0.10-10.11.0.19', { reserved: ['10.11.0.11'], subnet: '10.11.0.1/24' });
    expect(table.request(claimFor(1, changed, ipv4('10.11.0.11')), noon)).toEqual({ kind: 'refused', why: '10.11.0.11 belongs to a registered machine' });
    expect(lease(table, 1, changed, noon)).toBe('10.11.0.12');
  });

  it('of a retransmission gets the same answer and writes nothing', () => {
    const table = newTable();
    lease(table, 1, pool, noon);
    table.takeChanges();
    expect(table.request(claimFor(1, pool, ipv4('10.11.0.10')), noon + 1000)).toMatchObject({ seconds: leaseSeconds - 1 });
    expect(table.takeChanges()).toEqual([]);
    expect(table.request(claimFor(1, pool, ipv4('10.11.0.10')), noon + 10_000)).toMatchObject({ seconds: leaseSeconds });
    expect(table.takeChanges()).toHaveLength(1);
  });
});

describe('a range that changes', () => {
  it('gives addresses back to the pool that a registered machine had, and keeps leases of addresses that go to another network', () => {
    const table = newTable();
    const narrow = testPool('10.11.0.10-10.11.0.11', { reserved: ['10.11.0.10'] });
    expect([1, 2].map((client) => lease(table, client, narrow, noon))).toEqual(['10.11.0.11', undefined]);
    const wide = testPool('10.11.0.10-10.11.0.11', { name: 'other' });
    expect([3, 4].map((client) => lease(table, client, wide, noon))).toEqual(['10.11.0.10', undefined]);
    expect(lease(table, 1, wide, noon)).toBe('10.11.0.11');
  });

  it('keeps two leases of one client apart that come together in one network', () => {
    const table = newTable();
    const one = testPool('10.11.0.10-10.11.0.10', { name: 'one' });
    const two = testPool('10.11.0.11-10.11.0.11', { name: 'two' });
    lease(table, 1, one, noon);
    lease(table, 1, two, noon);
    const both = testPool('10.11.0.10-10.11.0.12', { name: 'two' });
    expect(lease(table, 1, both, noon)).toBe('10.11.0.11');
    expect([2, 3].map((client) => lease(table, client, both, noon))).toEqual(['10.11.0.12', undefined]);
    const copy = newTable();
    for (const line of table.book.lines(noon)) copy.book.replay(line);
    expect([2, 3].map((client) => lease(copy, client, both, noon))).toEqual(['10.11.0.12', undefined]);
  });
});

describe('an address that is given back', () => {
  const pool = testPool('10.11.0.10-10.11.0.10');
  const address = ipv4('10.11.0.10');

  it('by RELEASE is free, and kept in mind for its owner', () => {
    const table = newTable();
    lease(table, 1, pool, noon);
    expect(table.release(claimFor(2, pool, address), noon)).toBe(false);
    expect(table.release(claimFor(1, pool, address), noon)).toBe(true);
    expect(table.release(claimFor(1, pool, address), noon)).toBe(false);
    expect(table.book.list(noon)).toMatchObject([{ state: 'released', until: noon }]);
    expect(lease(table, 1, pool, noon + 1)).toBe(address);
    table.release(claimFor(1, pool, address), noon + 2);
    expect(lease(table, 2, pool, noon + 3)).toBe(address);
  });

  it('by DECLINE rests for a bounded time, is nobody’s, and is told once', () => {
    const table = newTable();
    lease(table, 1, pool, noon);
    expect(table.decline(claimFor(2, pool, address), noon)).toBe(false);
    expect(table.decline(claimFor(1, pool, address), noon)).toBe(true);
    expect(table.decline(claimFor(1, pool, address), noon)).toBe(false);
    expect(table.takeConflicts()).toMatchObject([{ address, network: 'main', reason: 'declined', by: '52:54:00:00:00:01' }]);
    expect(lease(table, 1, pool, noon + quarantine - 1)).toBeUndefined();
    expect(table.request(claimFor(1, pool, address), noon + 1)).toEqual({ kind: 'unknown' });
    expect(lease(table, 1, pool, noon + quarantine)).toBe(address);
  });

  it('by DECLINE of an offer rests too', () => {
    const table = newTable();
    table.offer(claimOf(1, pool), noon);
    expect(table.decline(claimFor(1, pool, address), noon)).toBe(true);
    expect(table.offer(claimOf(1, pool), noon).kind).toBe('full');
  });
});

describe('an address that another server gives away', () => {
  const pool = testPool('10.11.0.10-10.11.0.11');

  it('is not offered for a while, also beyond those that were used yet', () => {
    const table = newTable();
    table.prepare(pool, noon);
    table.overheard(ipv4('10.11.0.11'), server2, noon);
    table.overheard(ipv4('10.99.0.1'), server2, noon);
    expect(table.takeConflicts()).toMatchObject([{ address: '10.11.0.11', reason: 'elsewhere', by: server2 }]);
    expect([1, 2].map((client) => lease(table, client, pool, noon))).toEqual(['10.11.0.10', undefined]);
    expect(lease(table, 2, pool, noon + quarantine)).toBe('10.11.0.11');
  });

  it('is not taken from the client that has it from us', () => {
    const table = newTable();
    lease(table, 1, pool, noon);
    table.overheard(ipv4('10.11.0.10'), server2, noon + 1);
    expect(table.request(claimFor(1, pool, ipv4('10.11.0.10')), noon + 10_000).kind).toBe('granted');
  });
});

it('shows no control characters of a host name', () => {
  const table = newTable();
  const pool = testPool('10.11.0.10-10.11.0.11');
  table.offer(claimOf(1, pool, { hostName: `a\u001b[2J${'b'.repeat(300)}`, rapid: true }), noon);
  expect(table.book.list(noon)[0]?.hostName).toMatch(/^a\?\[2Jb{59}$/);
});
