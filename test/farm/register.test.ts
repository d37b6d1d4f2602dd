// Strangers that become nodes: the rules as a table and properties, and the whole way into farm.yaml.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest';
import { ipv4, type Mac, mac } from '../../src/base/addresses.ts';
import type { BootClient } from '../../src/dhcp/pxe.ts';
import { loadFarm } from '../../src/farm/config.ts';
import { initFarm } from '../../src/farm/init.ts';
import { LiveFarm } from '../../src/farm/live.ts';
import { Registrar } from '../../src/farm/register.ts';
import { noRegistration, type Outcome, type RegisterEvent, type RegisterPolicy, registerStep } from '../../src/farm/register-rules.ts';

const rom: BootClient = { firmware: 'bios', loader: 'rom', http: false, pxe: true, bootp: false, architectures: [0], features: new Set() };
const policy: RegisterPolicy = { scope: '', limit: 2, windowSeconds: 60, profile: 'default' };
const card = (number: number): Mac => mac(`52:54:00:00:00:${number.toString(16).padStart(2, '0')}`);
const seen = (number: number, client = rom, scope = ''): RegisterEvent => ({ kind: 'seen', mac: card(number), network: 'main', scope, client });
const published = (...policies: readonly RegisterPolicy[]): RegisterEvent => ({ kind: 'published', policies, isNode: () => false });

/** Every outcome of events that happen at given milliseconds. */
function run(...events: readonly (readonly [number, RegisterEvent])[]): readonly Outcome[] {
  let registration = noRegistration(0);
  return events.map(([at, event]) => {
    const outcome = registerStep(registration, event, at);
    registration = outcome.registration;
    return outcome;
  });
}

function verdicts(...events: readonly (readonly [number, RegisterEvent])[]): readonly string[] {
  return run(...events).flatMap(({ verdict }) =>
    verdict === undefined ? [] : [verdict.kind === 'no' ? verdict.why.split(' ').slice(0, 3).join(' ') : verdict.kind],
  );
}

describe('who is registered', () => {
  test.each<[string, readonly (readonly [number, RegisterEvent])[], readonly string[]]>([
    ['a boot ROM', [[1, seen(1)]], ['new']],
    ['iPXE', [[1, seen(1, { ...rom, loader: 'ipxe' })]], ['new']],
    ['a BOOTP client, which may be a ROM', [[1, seen(1, { ...rom, loader: 'none', bootp: true })]], ['new']],
    ['no operating system', [[1, seen(1, { ...rom, loader: 'none' })]], ['an operating system']],
    [
      'each machine once',
      [
        [1, seen(1)],
        [2, seen(1)],
        [3, seen(2)],
      ],
      ['new', 'waiting', 'new'],
    ],
    [
      'as many as the limit',
      [
        [1, seen(1)],
        [2, seen(2)],
        [3, seen(3)],
        [4, seen(1)],
      ],
      ['new', 'new', 'registering ended with', 'waiting'],
    ],
    [
      'nobody after the window',
      [
        [59_000, seen(1)],
        [60_000, seen(2)],
      ],
      ['new', 'registering ended 60'],
    ],
    ['nobody in a network without this policy', [[1, seen(1, rom, 'other')]], ['nothing is registered']],
    [
      'those who come in the same window after the clock went back',
      [
        [50_000, seen(1)],
        [-900_000, seen(2)],
      ],
      ['new', 'new'],
    ],
    [
      'nobody once the window has ended, wherever the clock goes',
      [
        [50_000, { kind: 'tick' }],
        [-900_000, { kind: 'tick' }],
        [-889_000, seen(2)],
      ],
      ['registering ended 60'],
    ],
  ])('%s', (_, events, expected) => {
    expect(verdicts([0, published(policy)], ...events)).toEqual(expected);
  });

  it('is not begun anew by the nodes that it adds, but by another policy', () => {
    expect(verdicts([0, published(policy)], [1, seen(1)], [2, seen(2)], [3, published({ ...policy })], [4, seen(3)])).toEqual([
      'new',
      'new',
      'registering ended with',
    ]);
    expect(verdicts([0, published(policy)], [61_000, published({ ...policy, windowSeconds: 61 })], [61_001, seen(3)])).toEqual(['new']);
  });

  it('counts what could not be added as not there, and leaves farm.yaml alone for a while', () => {
    const [, first] = run([0, published(policy)], [1, seen(1)]);
    const newcomers = [...(first?.registration.newcomers.values() ?? [])];
    expect(verdicts([0, published(policy)], [1, seen(1)], [2, { kind: 'failed', newcomers }], [3, seen(1)], [31_000, seen(1)], [31_001, seen(2)])).toEqual([
      'new',
      'adding a machine',
      'new',
      'new',
    ]);
  });

  it('says once that it has ended, and why', () => {
    const ends = (...events: readonly (readonly [number, RegisterEvent])[]): readonly string[] =>
      run([0, published(policy)], ...events).flatMap(({ closed }) => closed.map(({ why, count }) => `${why} ${count}`));
    expect(ends([1, seen(1)], [60_000, { kind: 'tick' }], [60_001, { kind: 'tick' }])).toEqual(['time 1']);
    expect(ends([1, seen(1)], [2, seen(2)], [3, { kind: 'tick' }], [90_000, { kind: 'tick' }])).toEqual(['limit 2']);
  });

  it('never lets in more than its limit, nor anybody twice, whatever comes', () => {
    const event = fc.oneof(
      fc.nat(9).map((number) => seen(number)),
      fc.constant<RegisterEvent>({ kind: 'tick' }),
      fc.constant(published(policy)),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: -100_000, max: 100_000 }), event), { maxLength: 40 }), (events) => {
        const outcomes = run([0, published(policy)], ...events);
        const added = outcomes.flatMap(({ verdict }) => (verdict?.kind === 'new' ? [verdict.newcomer.mac] : []));
        expect(added.length).toBeLessThanOrEqual(policy.limit);
        expect(new Set(added).size).toBe(added.length);
      }),
      { numRuns: 200 },
    );
  });
});

describe('registering machines', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function farm(range: string): { readonly directory: string; readonly live: LiveFarm; readonly registrar: Registrar; readonly log: string[] } {
    const directory = mkdtempSync(join(tmpdir(), 'farm-test-'));
    initFarm(directory, { name: 'lab', interface: 'eth1', address: '10.11.0.1/24', range }, []);
    const path = join(directory, 'farm.yaml');
    writeFileSync(path, `unknown: { policy: register, limit: 4 }\n${readFileSync(path, 'utf8')}`);
    const log: string[] = [];
    const note = (_level: string, event: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      if (event.startsWith('register.')) log.push(`${event} ${fields['node'] ?? fields['mac'] ?? fields['why']}`);
    };
    const live = new LiveFarm({ directory, builtinOverlay: join(directory, 'overlays', 'root'), programFiles: [], log: note });
    return { directory, live, registrar: new Registrar({ live, log: note, clock: { now: () => Date.now() } }), log };
  }

  const ask = ({ live, registrar }: ReturnType<typeof farm>, number: number): string => {
    const network = live.published.farm.networks[0];
    if (network === undefined) throw new Error('no network');
    return registrar.seen({ mac: card(number), link: ipv4('10.11.0.1'), client: rom }, network).reason;
  };

  it('enters them in the order seen, with the next names, ids and addresses', () => {
    const world = farm('10.11.0.10-10.11.0.99');
    expect([3, 1, 3, 2].map((number) => ask(world, number))).toEqual(['registering', 'registering', 'registering', 'registering']);
    vi.advanceTimersByTime(500);
    world.live.reload();
    expect(loadFarm(world.directory).nodes.map(({ name, mac: of, address }) => [name, of, address])).toEqual([
      ['n1', card(3), '10.11.0.10'],
      ['n2', card(1), '10.11.0.11'],
      ['n3', card(2), '10.11.0.12'],
    ]);
    expect([4, 5].map((number) => ask(world, number))).toEqual(['registering', 'unknown-machine']);
    world.registrar.close();
    expect(world.log).toEqual(['register.node n1', 'register.node n2', 'register.node n3', 'register.closed limit', 'register.node n4']);
  });

  it('takes the first as long as there is an address, and says what the next lacks', () => {
    const world = farm('10.11.0.10-10.11.0.11');
    for (const number of [1, 2, 3, 4]) ask(world, number);
    vi.advanceTimersByTime(500);
    world.live.reload();
    expect(loadFarm(world.directory).nodes.map(({ mac: of }) => of)).toEqual([card(1), card(2)]);
    expect(world.log.filter((line) => line.startsWith('register.failed'))).toEqual([`register.failed ${card(3)}`]);
    expect(ask(world, 3)).toBe('unknown-machine');
    world.registrar.close();
  });

  it('says by itself that the window has ended', () => {
    const world = farm('10.11.0.10-10.11.0.99');
    vi.advanceTimersByTime(1_805_000);
    expect(world.log).toEqual(['register.closed time']);
    expect(ask(world, 1)).toBe('unknown-machine');
    world.registrar.close();
  });
});
