// Discovery: the datagram, and nodes that find each other on a virtual wire.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Ipv4, ipv4, ipv4FromNumber } from '../../src/base/addresses.ts';
import { WireError } from '../../src/base/errors.ts';
import {
  call,
  composeHello,
  type Discovery,
  discoveredNodes,
  type Found,
  hearHello,
  helloInterval,
  idOfAddress,
  newDiscovery,
} from '../../src/cluster/discovery.ts';
import { decodeHello, encodeHello, type Hello } from '../../src/cluster/hello.ts';
import { helloKey } from '../../src/cluster/key.ts';
import { safe, someId } from './facts.ts';
import { untilFuzzed } from './fuzz.ts';

const key = helloKey(Buffer.from('c0ffee00'.repeat(8)));
const otherKey = helloKey(Buffer.from('deadbeef'.repeat(8)));
const address = fc.nat(0xffffffff).map(ipv4FromNumber);
const hellos: fc.Arbitrary<Hello> = fc.record({
  kind: fc.constantFrom('announce' as const, 'answer' as const, 'leave' as const),
  ...{ cluster: fc.constant('farm'), id: someId, incarnation: safe, echo: safe, sequence: fc.nat(0xffffffff) },
  addresses: fc.array(address, { minLength: 1, maxLength: 6 }),
  peers: fc.array(fc.record({ id: someId, address }), { maxLength: 32 }),
});

describe('a hello', () => {
  test('is read as what was written', () => {
    fc.assert(
      fc.property(hellos, (hello) => {
        expect(decodeHello(encodeHello(hello, key), [otherKey, key])).toEqual(hello);
      }),
    );
  });

  test('changed, cut, of noise or of another key is refused with a WireError', () => {
    const changed = fc.tuple(hellos, fc.nat(), fc.integer({ min: 1, max: 255 })).map(([hello, at, bits]) => {
      const bytes = encodeHello(hello, key);
      bytes[at % bytes.length]! ^= bits;
      return bytes;
    });
    const noise = fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes));
    const cut = fc.tuple(hellos, fc.nat()).map(([hello, at]) => encodeHello(hello, key).subarray(0, at % encodeHello(hello, key).length));
    const foreign = hellos.map((hello) => encodeHello(hello, otherKey));
    untilFuzzed(fc.oneof(changed, noise, cut, foreign), (bytes) => {
      expect(() => decodeHello(bytes, [key])).toThrow(WireError);
    });
  });
});

test.each([
  ['10.0.0.98', 98],
  ['192.168.10.220', 2780],
  ['10.1.0.0', 65535],
])('the id of %s is %i, as omdiscd had it', (text, id) => {
  expect(idOfAddress(ipv4(text))).toBe(id);
});

interface Machine {
  readonly discovery: Discovery;
  readonly reports: Found[];
  up: boolean;
}

/** Machines on one wire: multicast reaches all, or nobody and there are seeds. */
class Wire {
  readonly machines = new Map<Ipv4, Machine>();
  readonly recorded: { hello: Hello; from: Ipv4; to: Ipv4 }[] = [];
  now = 0;
  private starts = 0;
  private readonly seeds: readonly Ipv4[] | undefined;

  constructor(seeds?: readonly Ipv4[]) {
    this.seeds = seeds;
  }

  start(text: string, id?: number): Machine {
    const own = ipv4(text);
    this.starts += 1;
    const machine = { discovery: newDiscovery('farm', id ?? idOfAddress(own), [own], this.starts), reports: [], up: true };
    this.machines.set(own, machine);
    this.call(machine);
    return machine;
  }

  call(machine: Machine): void {
    this.take(
      machine,
      call(machine.discovery, this.now, () => false),
    );
  }

  take(machine: Machine, found: Found): void {
    machine.reports.push(found);
    const [from] = machine.discovery.addresses;
    for (const order of found.send) {
      const hello = composeHello(machine.discovery, order);
      for (const to of order.to === undefined ? (this.seeds ?? [...this.machines.keys()]) : [order.to]) {
        this.recorded.push({ hello, from, to });
        this.deliver(hello, from, to);
      }
    }
  }

  deliver(hello: Hello, from: Ipv4, to: Ipv4): void {
    const machine = this.machines.get(to);
    if (machine?.up) this.take(machine, hearHello(machine.discovery, hello, from, this.now));
  }

  pass(calls: number): void {
    for (let i = 0; i < calls; i += 1) {
      this.now += helloInterval;
      for (const machine of this.machines.values()) if (machine.up) this.call(machine);
    }
  }

  ids(machine: Machine): number[] {
    return discoveredNodes(machine.discovery).map(({ id }) => id);
  }
}

describe('nodes without a map', () => {
  test('find each other at the first call, and a late one is found by all', () => {
    const wire = new Wire();
    const all = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((text) => wire.start(text));
    for (const machine of all) expect(wire.ids(machine)).toEqual([1, 2, 3]);
    wire.start('10.0.0.9');
    for (const machine of wire.machines.values()) expect(wire.ids(machine)).toEqual([1, 2, 3, 9]);
  });

  test('find each other through one seed where there is no multicast', () => {
    const wire = new Wire([ipv4('10.0.0.1')]);
    for (const text of ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4']) wire.start(text);
    wire.pass(2);
    for (const machine of wire.machines.values()) expect(wire.ids(machine)).toEqual([1, 2, 3, 4]);
  });

  test('forget one that says goodbye at once, and one that falls silent after six calls', () => {
    const wire = new Wire();
    const [first, second, third] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((text) => wire.start(text));
    wire.take(third!, { send: [{ kind: 'leave', to: undefined, echo: 0 }], changed: false, collision: undefined, renumber: undefined });
    third!.up = false;
    expect(wire.ids(first!)).toEqual([1, 2]);
    second!.up = false;
    wire.pass(6);
    expect(wire.ids(first!)).toEqual([1, 2]);
    wire.pass(1);
    expect(wire.ids(first!)).toEqual([1]);
  });

  test('with one id for two settle it: who started first keeps it, the other takes the next free one', () => {
    const wire = new Wire();
    const first = wire.start('10.0.5.7', 7);
    const other = wire.start('10.0.0.8', 8);
    const late = wire.start('10.1.0.7', 7);
    wire.pass(1);
    expect([wire.ids(first), wire.ids(other)]).toEqual([
      [7, 8],
      [7, 8],
    ]);
    const lost = late.reports.find(({ renumber }) => renumber !== undefined);
    // It has not heard of node 8 yet, and would lose once more.
    expect(lost).toMatchObject({ renumber: 8, collision: { id: 7, winner: '10.0.5.7', loser: '10.1.0.7', ours: true } });
    const again = wire.start('10.1.0.7', 8);
    wire.pass(1);
    const last = again.reports.findLast(({ renumber }) => renumber !== undefined);
    expect(last?.renumber).toBe(9);
    const settled = wire.start('10.1.0.7', 9);
    wire.pass(1);
    expect(wire.ids(settled)).toEqual([7, 8, 9]);
    expect(wire.ids(first)).toEqual([7, 8, 9]);
    expect(other.reports.some(({ collision }) => collision?.winner === '10.0.5.7' && !collision.ours)).toBe(true);
    expect(first.reports.some(({ renumber }) => renumber !== undefined)).toBe(false);
  });

  test('believe no recording: played back to a node that started anew it adds nobody, renumbers nobody and removes nobody', () => {
    const wire = new Wire();
    for (const text of ['10.0.0.1', '10.0.0.2', '10.1.0.1']) wire.start(text);
    wire.pass(2);
    const recorded = [...wire.recorded];
    wire.machines.clear();
    const anew = wire.start('10.0.0.1');
    const peer = wire.start('10.0.0.4');
    for (const { hello, from } of recorded) wire.deliver(hello, from, ipv4('10.0.0.1'));
    for (const { hello, from } of recorded) wire.deliver({ ...hello, kind: 'leave' }, from, ipv4('10.0.0.1'));
    expect(wire.ids(anew)).toEqual([1, 4]);
    expect(wire.ids(peer)).toEqual([1, 4]);
    expect(anew.reports.some(({ renumber }) => renumber !== undefined)).toBe(false);
  });
});
