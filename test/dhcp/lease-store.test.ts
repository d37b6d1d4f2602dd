// The lease journal: cut anywhere, killed any time, rewritten, damaged.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import type { Fields } from '../../src/base/log.ts';
import { type LeaseStore, openLeases, readLeases } from '../../src/dhcp/lease-store.ts';
import { claimFor, claimOf, leaseSeconds, testPool } from '../support/leases.ts';

const folder = mkdtempSync(join(tmpdir(), 'farm-leases-'));
afterAll(() => rmSync(folder, { recursive: true }));

const noon = 1_800_000_000_000;
const pool = testPool('10.11.0.10-10.11.255.250');
let files = 0;
const newPath = (): string => join(folder, `store-${files++}`);

interface Opened {
  readonly store: LeaseStore;
  readonly logged: (Fields & { readonly event: string })[];
  pass(milliseconds: number): void;
  setClock(by: number): void;
}

function open(path: string, at = noon): Opened {
  let passed = 0;
  let error = 0;
  const logged: (Fields & { readonly event: string })[] = [];
  const store = openLeases({
    path,
    log: (_level, event, fields) => logged.push({ event, ...fields }),
    clock: { now: () => at + passed + error },
    elapsed: () => passed,
  });
  return {
    store,
    logged,
    pass: (milliseconds) => {
      passed += milliseconds;
    },
    setClock: (by) => {
      error += by;
    },
  };
}

const join1 = (store: LeaseStore, client: number) => store.offer(claimOf(client, pool, { rapid: true }));

describe('the lease journal', () => {
  it('cut at any byte of its tail has every lease that was whole, and no address goes to two', async () => {
    const path = newPath();
    const { store } = open(path);
    for (let client = 0; client < 12; client++) join1(store, client);
    store.release(claimFor(3, pool, ipv4('10.11.0.13')));
    store.decline(claimFor(4, pool, ipv4('10.11.0.14')));
    await store.close();
    const whole = readFileSync(path);
    for (let length = Math.max(0, whole.length - 140); length <= whole.length; length++) {
      const cut = newPath();
      writeFileSync(cut, whole.subarray(0, length));
      const lines = whole.subarray(0, length).toString().split('\n').length - 1;
      const again = open(cut).store;
      const leased = again.list().filter(({ state }) => state === 'leased');
      expect(leased).toHaveLength(lines === 14 ? 10 : lines === 13 ? 11 : lines);
      const stranger = join1(again, 99);
      expect(leased.map(({ address }) => address)).not.toContain(stranger.kind === 'address' ? stranger.address : undefined);
      await again.close();
      rmSync(cut);
    }
  });

  it('is rewritten when it has grown to four times what it says, and says the same', async () => {
    const path = newPath();
    const { store, pass } = open(path);
    for (let client = 0; client < 500; client++) join1(store, client);
    const before = store.list();
    for (let round = 0; round < 30; round++) {
      pass(60_000);
      for (let client = 0; client < 500; client++) join1(store, client);
      await store.stable();
    }
    const last = store.list();
    expect(last.map(({ address, key }) => [address, key])).toEqual(before.map(({ address, key }) => [address, key]));
    await store.close();
    const lines = readFileSync(path, 'utf8').split('\n').length - 1;
    expect(lines).toBeGreaterThan(500);
    expect(lines).toBeLessThan(31 * 500 - 5_000);
    expect(open(path, noon + 30 * 60_000).store.list()).toEqual(last);
  });

  it('that is rewritten while clients come, go and move says what is in memory', async () => {
    const path = newPath();
    const { store, pass } = open(path);
    const given = (client: number): string | undefined => {
      const offer = join1(store, client);
      return offer.kind === 'address' ? offer.address : undefined;
    };
    for (let client = 0; client < 2_000; client++) given(client);
    await store.stable();
    let copies = 0;
    for (let round = 0; round < 80; round++) {
      pass(6_000);
      for (let client = round % 7; client < 2_000; client += 3) {
        if (client % 31 === 0) store.release(claimFor(client, pool, ipv4(given(client) ?? '')));
        else if (client % 37 === 0) store.decline(claimFor(client, pool, ipv4(given(client) ?? '')));
        else given(client);
      }
      await new Promise((resolve) => setImmediate(resolve));
      if (existsSync(`${path}.new`)) copies++;
    }
    expect(copies).toBeGreaterThan(0);
    const before = store.list().filter(({ state }) => state === 'leased');
    await store.close();
    const after = open(path, noon + 80 * 6_000).store.list();
    expect(after.filter(({ state }) => state === 'leased')).toEqual(before);
  });

  it('is settled by its latest line when a client moves and its old address goes to another', async () => {
    const path = newPath();
    const { store } = open(path);
    const tiny = testPool('10.11.0.10-10.11.0.11');
    const taken = testPool('10.11.0.10-10.11.0.11', { reserved: ['10.11.0.10'] });
    store.offer(claimOf(1, tiny, { rapid: true }));
    store.offer(claimOf(1, taken, { rapid: true }));
    store.offer(claimOf(2, tiny, { rapid: true }));
    const leased = store.list().map(({ address, mac }) => [address, mac]);
    expect(leased).toEqual([
      ['10.11.0.10', '52:54:00:00:00:02'],
      ['10.11.0.11', '52:54:00:00:00:01'],
    ]);
    await store.close();
    expect(
      open(path)
        .store.list()
        .map(({ address, mac }) => [address, mac]),
    ).toEqual(leased);
  });

  it('keeps in mind what was declined, released and never ends', async () => {
    const path = newPath();
    const { store } = open(path);
    join1(store, 1);
    join1(store, 2);
    store.offer({ ...claimOf(3, { ...pool, leaseSeconds: Number.POSITIVE_INFINITY }, { rapid: true, hostName: 'old' }) });
    store.decline(claimFor(1, pool, ipv4('10.11.0.10')));
    store.release(claimFor(2, pool, ipv4('10.11.0.11')));
    const before = store.list();
    expect(before.map(({ state }) => state)).toEqual(['declined', 'released', 'leased']);
    await store.close();
    const again = open(path).store;
    expect(again.list()).toEqual(before);
    expect(again.offer(claimOf(1, pool))).toMatchObject({ address: '10.11.0.13' });
    expect(again.offer(claimOf(2, pool))).toMatchObject({ address: '10.11.0.11' });
    await again.close();
  });

  it('can be read while it is written, in the time of a clock that was set back', async () => {
    const path = newPath();
    const { store, pass, setClock, logged } = open(path);
    join1(store, 1);
    setClock(-86_400_000);
    pass(60_000);
    join1(store, 2);
    expect(logged).toEqual([{ event: 'lease.clock-back', seconds: 86_400 }]);
    await Promise.resolve(); // the turn ends
    const ends = readLeases(path, noon - 86_400_000 + 60_000).map(({ until }) => until);
    expect(ends).toEqual([leaseSeconds * 1000 - 86_400_000 + noon, leaseSeconds * 1000 - 86_400_000 + 60_000 + noon]);
    expect(store.list().map(({ until }) => until)).toEqual(ends);
  });

  it('that is damaged says so with the line', () => {
    const path = newPath();
    for (const line of ['{', '7', '{"lease":"10.11.0.300","net":"main","key":"01","at":1,"end":2}', '{"lease":"10.11.0.30","net":"main","at":1,"end":2}']) {
      writeFileSync(path, `{"lease":"10.11.0.10","net":"main","key":"0152","at":1,"end":null}\n${line}\n`);
      expect(() => openLeases({ path, log: () => {}, clock: { now: () => noon }, elapsed: () => 0 })).toThrow(/line 2 is/);
      expect(() => readLeases(path, noon)).toThrow(/line 2 is/);
    }
  });

  it('that is not there has no leases', () => {
    expect(readLeases(newPath(), noon)).toEqual([]);
  });
});

describe('a server that is killed', () => {
  let program = '';
  beforeAll(async () => {
    program = join(folder, 'writer.mjs');
    const entry = fileURLToPath(new URL('../support/lease-writer.ts', import.meta.url));
    await build({ entryPoints: [entry], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' });
  });

  /** Starts the writer, kills it without warning after `lines` acknowledged leases, gives these. */
  async function killAfter(path: string, first: number, lines: number): Promise<readonly string[]> {
    const child: ChildProcess = spawn(process.execPath, [program, path, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const acknowledged: string[] = [];
    const ended = once(child, 'close');
    if (child.stdout === null) throw new Error('no stdout');
    createInterface({ input: child.stdout }).on('line', (line) => {
      acknowledged.push(line);
      if (acknowledged.length === lines) child.kill('SIGKILL');
    });
    await ended;
    return acknowledged;
  }

  it('has every lease that it acknowledged, and gives none of them to another', async () => {
    const path = newPath();
    const given = new Map<string, string>();
    for (let round = 0; round < 5; round++) {
      const acknowledged = await killAfter(path, round * 10_000, 20 + round * 37);
      expect(acknowledged.length).toBeGreaterThanOrEqual(20);
      for (const line of acknowledged) {
        const [address = '', key = ''] = line.split(' ');
        expect(given.has(address)).toBe(false);
        given.set(address, key);
      }
      const kept = new Map(readLeases(path, Date.now()).map(({ address, key }) => [String(address), key]));
      for (const [address, key] of given) expect(kept.get(address)).toBe(key);
    }
  });
});
