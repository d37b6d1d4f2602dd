// What a node says of itself, for tests.
import fc from 'fast-check';
import { type Entry, type Facts, type Measures, noFlags } from '../../src/cluster/entry.ts';

export const measures: Measures = {
  load: 125,
  utilization: 0.5,
  memory: { total: 2 ** 34, free: 2 ** 33, usable: 2 ** 32, swapTotal: 2 ** 30, swapFree: 2 ** 20 },
  rates: { networkIn: 1600, networkOut: 3200, diskRead: 0, diskWrite: 16 },
  pressure: { cpu: 12.34, memory: 0, io: 0.01 },
};

export const facts: Facts = { flags: noFlags, guests: 0, version: '0.1.0', speed: 10_000, cpus: 4, measures };

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const pages = u32.map((count) => count * 4096);
const percent = u16.map((hundredths) => hundredths / 100);
const rate = u32.map((count) => count * 16);
const part = (whole: fc.Arbitrary<number>) => fc.tuple(whole, whole).map(([a, b]) => [Math.max(a, b), Math.min(a, b)] as const);

const someMeasures: fc.Arbitrary<Measures> = fc.record({
  load: u32,
  utilization: fc.nat(10_000).map((parts) => parts / 10_000),
  memory: fc
    .tuple(part(pages), part(pages))
    .map(([[total, free], [swapTotal, swapFree]]) => ({ total, free, usable: Math.min(free, total), swapTotal, swapFree })),
  rates: fc.record({ networkIn: rate, networkOut: rate, diskRead: rate, diskWrite: rate }),
  pressure: fc.record({ cpu: percent, memory: percent, io: percent }),
});

const someFacts: fc.Arbitrary<Facts> = fc.record({
  flags: fc.record({ stay: fc.boolean(), lstay: fc.boolean(), block: fc.boolean(), quiet: fc.boolean(), nomfs: fc.boolean(), expel: fc.boolean() }),
  guests: u16,
  version: fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.')),
  speed: fc.integer({ min: 1, max: 0xffffffff }),
  cpus: fc.integer({ min: 1, max: 0xffff }),
  measures: fc.option(someMeasures, { nil: undefined }),
});

export const someId = fc.integer({ min: 1, max: 65535 });
export const safe = fc.nat(Number.MAX_SAFE_INTEGER);

export const someEntry: fc.Arbitrary<Entry> = fc.record({ id: someId, incarnation: safe, refutation: u16, beat: u32, age: u32, facts: someFacts });
