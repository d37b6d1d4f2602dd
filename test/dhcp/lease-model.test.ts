// Random lives of a lease store, with restarts and clocks that are set, against what its clients believe.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { type Ipv4, ipv4 } from '../../src/base/addresses.ts';
import { silentLog } from '../../src/base/log.ts';
import type { ProbeVerdict } from '../../src/base/probe.ts';
import { type LeaseStore, openLeases } from '../../src/dhcp/lease-store.ts';
import type { Prober } from '../../src/dhcp/prober.ts';
import type { Pool } from '../../src/dhcp/questions.ts';
import { claimFor, claimOf, leaseSeconds, testPool } from '../support/leases.ts';

const folder = mkdtempSync(join(tmpdir(), 'farm-leases-'));
afterAll(() => rmSync(folder, { recursive: true }));

const reservations = [[], ['10.11.0.10'], ['10.11.0.11', '10.11.0.14']];
const addresses = Array.from({ length: 8 }, (_, index) => ipv4(`10.11.0.${9 + index}`));

const client = fc.nat({ max: 7 });
const address = fc.constantFrom(...addresses);
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('join' as const), client, wanted: fc.option(address), rapid: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('discover' as const), client }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('request' as const), client, address }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('renew' as const), client }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'decline' as const), client }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('overhear' as const), address }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.constantFrom(1, 20, 700, leaseSeconds / 2, leaseSeconds) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reserve' as const), which: fc.nat({ max: reservations.length - 1 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('set back' as const), seconds: fc.nat({ max: 100_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('correct' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('probes' as const), taken: fc.boolean() }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

interface Believed {
  readonly address: Ipv4;
  /** True time, which no clock shows. */
  readonly end: number;
}

let files = 0;

class World {
  /** What each client believes to have. */
  readonly believed = new Map<number, Believed>();
  private readonly path = join(folder, String(files++));
  private truth = 1_800_000_000_000;
  private error = 0;
  /** What the clock was wrong by when the server was started: for all that the server can know it was right. */
  private errorAtStart = 0;
  private reserved = 0;
  private pool: Pool = testPool('10.11.0.10-10.11.0.15');
  private pending: ((verdict: ProbeVerdict) => void)[] = [];
  private store: LeaseStore;

  private readonly isProbing: boolean;

  constructor(isProbing: boolean) {
    this.isProbing = isProbing;
    this.store = this.open();
  }

  private open(): LeaseStore {
    const start = this.truth;
    this.errorAtStart = this.error;
    const prober: Prober = {
      open: () => Promise.resolve(),
      canProbe: () => this.isProbing,
      probe: () => new Promise((resolve) => this.pending.push(resolve)),
      close: () => Promise.resolve(),
    };
    return openLeases({ path: this.path, log: silentLog, clock: { now: () => this.truth + this.error }, elapsed: () => this.truth - start, prober });
  }

  async run(step: Operation): Promise<void> {
    switch (step.do) {
      case 'join':
        this.join(step.client, step.wanted ?? undefined, step.rapid);
        break;
      case 'discover':
        this.store.offer(claimOf(step.client, this.pool));
        break;
      case 'request':
        this.request(step.client, step.address);
        break;
      case 'renew':
        this.renew(step.client);
        break;
      case 'release':
      case 'decline':
        this.giveBack(step.client, step.do);
        break;
      case 'overhear':
        this.store.overheard(step.address, ipv4('10.11.0.2'));
        break;
      case 'wait':
        this.truth += step.seconds * 1000;
        break;
      case 'reserve':
        this.reserved = step.which;
        this.pool = testPool('10.11.0.10-10.11.0.15', { reserved: reservations[step.which] ?? [] });
        break;
      case 'set back':
        this.error -= step.seconds * 1000;
        break;
      case 'correct':
        // Not further: what a clock is set forward by counts as time that has passed.
        this.error = this.errorAtStart;
        break;
      case 'restart':
        this.store = this.open();
        break;
      case 'probes':
        for (const resolve of this.pending.splice(0)) resolve(step.taken ? { kind: 'answered' } : { kind: 'silent' });
        await new Promise((resolve) => setImmediate(resolve));
        break;
    }
  }

  private join(who: number, wanted: Ipv4 | undefined, rapid: boolean): void {
    const offer = this.store.offer(claimOf(who, this.pool, { ...(wanted === undefined ? {} : { wanted }), ...(rapid ? { rapid } : {}) }));
    if (offer.kind !== 'address') return;
    if (rapid) this.granted(who, offer.address, offer.seconds);
    else this.request(who, offer.address);
  }

  private request(who: number, wanted: Ipv4): void {
    const grant = this.store.request(claimFor(who, this.pool, wanted));
    if (grant.kind === 'granted') this.granted(who, grant.address, grant.seconds);
    else if (grant.kind === 'refused' && this.believed.get(who)?.address === wanted) this.believed.delete(who);
  }

  private renew(who: number): void {
    const held = this.live(who);
    if (held === undefined) return;
    const grant = this.store.request(claimFor(who, this.pool, held.address));
    const isReserved = this.pool.isReserved(held.address);
    expect(grant.kind, 'a live lease is renewed unless its address is a node’s now').toBe(isReserved ? 'refused' : 'granted');
    if (grant.kind === 'granted') this.granted(who, grant.address, grant.seconds);
    else this.believed.delete(who);
  }

  private giveBack(who: number, how: 'release' | 'decline'): void {
    const held = this.live(who);
    if (held === undefined) return;
    expect(this.store[how](claimFor(who, this.pool, held.address)), `${how} of a live lease`).toBe(true);
    this.believed.delete(who);
  }

  private live(who: number): Believed | undefined {
    const held = this.believed.get(who);
    return held !== undefined && held.end > this.truth ? held : undefined;
  }

  private granted(who: number, given: Ipv4, seconds: number): void {
    expect(addresses.slice(1, 7), 'an address of the pool').toContain(given);
    expect(reservations[this.reserved]).not.toContain(given);
    for (const other of this.believed.keys()) {
      if (other !== who) expect(this.live(other)?.address, `${given} is given to ${who} and believed by ${other}`).not.toBe(given);
    }
    this.believed.set(who, { address: given, end: this.truth + seconds * 1000 });
  }

  /** Whoever believes to have an address has it by the journal, and nobody has two. */
  check(): void {
    const leased = this.store.list().filter(({ state }) => state === 'leased');
    const keys = leased.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    for (const who of this.believed.keys()) {
      const held = this.live(who);
      if (held === undefined) continue;
      expect(leased.find(({ address: each }) => each === held.address)?.key).toBe(claimOf(who, this.pool).key);
    }
  }
}

it.each([
  ['unprobed', false],
  ['probed', true],
])('no address is leased twice and no client has two, through restarts and clocks that are set back (%s)', async (_name, isProbing) => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 60 }), async (operations) => {
      const world = new World(isProbing);
      for (const step of operations) {
        await world.run(step);
        world.check();
      }
    }),
    { numRuns: Number(process.env['LEASE_RUNS'] ?? 60) },
  );
});
