// Probes before dynamic offers, off the way of the datagram, in virtual time.
import { describe, expect, it } from 'vitest';
import { type Ipv4, ipv4 } from '../../src/base/addresses.ts';
import type { ProbeVerdict } from '../../src/base/probe.ts';
import { LeaseTable, quarantine } from '../../src/dhcp/leases.ts';
import { claimFor, claimOf, leaseSeconds, testPool } from '../support/leases.ts';

const noon = 1_800_000_000_000;
const silent: ProbeVerdict = { kind: 'silent' };

/** Answers what is asked for; gives the addresses. */
function answerProbes(table: LeaseTable, now: number, verdict: (address: Ipv4) => ProbeVerdict = () => silent): readonly string[] {
  const asked = table.takeProbes().map(({ address }) => address);
  for (const address of asked) table.probed(address, verdict(address), now);
  return asked;
}

const probingTable = (): LeaseTable => new LeaseTable(() => true);

describe('probing', () => {
  const pool = testPool('10.11.0.10-10.11.0.12');

  it('goes before the first client, so that it need not wait', () => {
    const table = probingTable();
    table.prepare(pool, noon);
    expect(answerProbes(table, noon)).toEqual(['10.11.0.10', '10.11.0.11', '10.11.0.12']);
    expect(table.offer(claimOf(1, pool), noon)).toMatchObject({ kind: 'address', address: '10.11.0.10' });
    expect(table.takeProbes()).toEqual([]);
  });

  it('lets a client wait that comes before the verdict', () => {
    const table = probingTable();
    expect(table.offer(claimOf(1, pool), noon).kind).toBe('wait');
    expect(table.offer(claimOf(2, pool), noon).kind).toBe('wait');
    expect(answerProbes(table, noon + 500)).toHaveLength(3);
    expect([1, 2].map((client) => table.offer(claimOf(client, pool), noon + 1000))).toMatchObject([{ address: '10.11.0.10' }, { address: '10.11.0.11' }]);
  });

  it('keeps an address out at which somebody answers, for a while, and tells it', () => {
    const table = probingTable();
    table.prepare(pool, noon);
    answerProbes(table, noon, (address) => (address === '10.11.0.10' ? { kind: 'answered' } : silent));
    expect(table.takeConflicts()).toMatchObject([{ address: '10.11.0.10', reason: 'answers' }]);
    expect(table.offer(claimOf(1, pool), noon)).toMatchObject({ address: '10.11.0.11' });
    expect(table.offer(claimOf(2, pool, { wanted: ipv4('10.11.0.10') }), noon)).toMatchObject({ address: '10.11.0.12' });
    expect(table.offer(claimOf(3, pool), noon + quarantine).kind).toBe('wait');
    expect(answerProbes(table, noon + quarantine)).toContain('10.11.0.10');
  });

  it('is not needed for a client that had the address', () => {
    const table = probingTable();
    table.prepare(pool, noon);
    answerProbes(table, noon);
    table.offer(claimOf(1, pool, { rapid: true }), noon);
    const later = noon + 5 * leaseSeconds * 1000;
    expect(table.offer(claimOf(1, pool), later)).toMatchObject({ kind: 'address', address: '10.11.0.10' });
    expect(table.takeProbes()).toEqual([]);
  });

  it('is done for the address that a client wishes', () => {
    const table = probingTable();
    const wide = testPool('10.11.0.0-10.11.255.255');
    table.prepare(wide, noon);
    answerProbes(table, noon);
    const wish = claimOf(1, wide, { wanted: ipv4('10.11.200.1') });
    expect(table.offer(wish, noon).kind).toBe('wait');
    expect(answerProbes(table, noon)).toEqual(['10.11.200.1']);
    expect(table.offer(wish, noon + 1000)).toMatchObject({ address: '10.11.200.1' });
  });

  it('does not count for ever', () => {
    const table = probingTable();
    table.prepare(pool, noon);
    answerProbes(table, noon);
    expect(table.offer(claimOf(1, pool), noon + quarantine).kind).toBe('wait');
    expect(answerProbes(table, noon + quarantine)).toHaveLength(3);
  });

  it('that could not be done leaves the address as it was', () => {
    const table = probingTable();
    table.prepare(pool, noon);
    answerProbes(table, noon, () => ({ kind: 'unknown' }));
    expect(table.offer(claimOf(1, pool), noon).kind).toBe('wait');
    expect(table.takeProbes().map(({ address }) => address)).toContain('10.11.0.10');
  });

  it('does not take an address from the owner that came back meanwhile and answers', () => {
    const table = probingTable();
    table.prepare(pool, noon);
    answerProbes(table, noon);
    table.offer(claimOf(1, pool, { rapid: true }), noon);
    const later = noon + 2 * leaseSeconds * 1000;
    table.prepare(pool, later);
    expect(table.request(claimFor(1, pool, ipv4('10.11.0.10')), later).kind).toBe('granted');
    answerProbes(table, later, () => ({ kind: 'answered' }));
    expect(table.book.list(later)[0]).toMatchObject({ address: '10.11.0.10', state: 'leased' });
  });

  it('is bounded, and stops nobody in a flood: what cannot be probed in time is given unprobed', () => {
    const table = probingTable();
    const wide = testPool('10.11.0.0-10.11.255.255');
    const kinds = new Map<string, number>();
    let most = 0;
    for (let client = 0; client < 30_000; client++) {
      const now = noon + client / 10;
      const { kind } = table.offer(claimOf(client, wide), now);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      if (client % 5000 === 4999) most = Math.max(most, answerProbes(table, now).length);
    }
    expect(most).toBe(256);
    expect(kinds.get('wait')).toBeLessThan(600);
    expect(kinds.get('address')).toBeGreaterThan(29_000);
    expect(table.counters().get('unprobed')).toBeGreaterThan(20_000);
  });
});
