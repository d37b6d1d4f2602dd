// A client that reboots in the middle of a download and asks again from the same port, over a bad network with a virtual clock.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TftpPacket } from '../../src/tftp/packet.ts';
import { isRepeat } from '../../src/tftp/repeat.ts';
import { agree, blockCount } from '../../src/tftp/terms.ts';
import { newTransfer, next, type Outcome, type Transfer, type TransferEvent, wireBlock } from '../../src/tftp/transfer.ts';
import { random, takeEarliest, type Weather } from './network.ts';

/** No ROM is back sooner. Milliseconds. */
const booting = 2000;
const timeout = 1000;

interface Served {
  readonly id: number;
  readonly request: string;
  transfer: Transfer;
  heardAt: number | undefined;
  timer: number;
  outcome?: Outcome;
}

/** Which transfer each block that the client took came from, and how the transfers ended. */
function simulate(isSinglePort: boolean, names: readonly [string, string], rebootAt: number, weather: Weather) {
  const dice = random(weather.seed);
  const queue: { at: number; run: () => void }[] = [];
  const served: Served[] = [];
  let now = 0;
  const later = (after: number, run: () => void) => queue.push({ at: now + after, run });
  const carry = (run: () => void) => {
    if (dice() < weather.loss) return;
    later(weather.delay * (1 - weather.jitter * dice()), run);
    if (dice() < weather.duplicates) later(weather.delay * (1 - weather.jitter * dice()), run);
  };
  // The client: what it asks for now, and the transfer that has answered (its port tells, unless there is only one)
  let life = 0;
  let isUp = true;
  let answeredBy: number | undefined;
  let askedAt = 0;
  let expected = 1;
  let isDone = false;
  const taken: number[] = [];

  function handle(one: Served, event: TransferEvent): void {
    const step = next(one.transfer, event, now);
    one.transfer = step.state;
    for (const effect of step.effects) {
      const sentAt = now;
      if (effect.kind === 'send') carry(() => client(one.id, effect.packet, sentAt));
      else if (effect.kind === 'blocks') {
        for (let block = effect.from; block <= effect.to; block += 1) {
          const packet: TftpPacket = { op: 'data', block: wireBlock(block), bytes: Buffer.alloc(0) };
          carry(() => client(one.id, packet, sentAt));
        }
      } else if (effect.kind === 'timer') {
        one.timer += 1;
        const round = one.timer;
        later(effect.after, () => {
          if (round === one.timer && one.outcome === undefined) handle(one, { kind: 'timer' });
        });
      } else one.outcome = effect.outcome;
    }
  }

  function asked(request: string): void {
    const before = served.at(-1);
    if (before !== undefined && before.outcome === undefined) {
      if (isRepeat(before, request, now)) return;
      handle(before, { kind: 'gone', reason: 'the client began anew' });
    }
    const transfer = newTransfer(agree([{ name: 'tsize', value: '0' }], request.length * 512, { blksize: 1468, windowsize: 1 }));
    const one: Served = { id: served.length, request, transfer, heardAt: undefined, timer: 0 };
    served.push(one);
    handle(one, { kind: 'start' });
  }

  function ack(to: number, block: number): void {
    carry(() => {
      // With a single port the server takes it for the transfer of this client that it knows; otherwise each has its own port.
      const one = isSinglePort ? served.at(-1) : served[to];
      if (one === undefined || one.outcome !== undefined) return;
      one.heardAt = now;
      handle(one, { kind: 'packet', packet: { op: 'ack', block } });
    });
  }

  /** Nothing of the first life is still under way: no client can tell an old OACK from the one that it waits for. */
  function client(from: number, packet: TftpPacket, sentAt: number): void {
    if (!isUp || isDone || sentAt < askedAt) return;
    const isOthers = !isSinglePort && answeredBy !== undefined && answeredBy !== from;
    if (isOthers) return;
    if (packet.op === 'oack' && expected === 1) {
      answeredBy = from;
      ack(from, 0);
    }
    if (packet.op !== 'data' || answeredBy === undefined) return;
    if (packet.block === expected) {
      taken.push(from);
      expected += 1;
    }
    ack(from, expected - 1);
    const current = served.at(-1);
    if (life === 1 && current !== undefined && expected > blockCount(current.transfer.terms)) isDone = true;
  }

  /** The first one arrives at once, so that the old transfer offers nothing in between. */
  function request(own: number, isFirst = false): void {
    if (own !== life || !isUp || answeredBy !== undefined) return;
    if (isFirst) {
      askedAt = now;
      asked(names[life] ?? '');
    } else carry(() => asked(names[life] ?? ''));
    later(timeout, () => request(own));
  }

  later(0, () => request(0, true));
  later(rebootAt, () => {
    isUp = false;
  });
  later(rebootAt + booting, () => {
    isUp = true;
    life = 1;
    answeredBy = undefined;
    expected = 1;
    taken.length = 0;
    request(1, true);
  });
  for (let steps = 0; steps < 200_000 && !(isDone && served.at(-1)?.outcome !== undefined); steps += 1) {
    const event = takeEarliest(queue);
    if (event === undefined) break;
    now = event.at;
    event.run();
  }
  return { isDone, taken, last: served.at(-1), outcomes: served.map(({ outcome }) => outcome?.kind) };
}

describe.each([
  ['a socket for each transfer', false],
  ['a single port', true],
])('a client that reboots and asks from the same port, with %s,', (_, isSinglePort) => {
  const weather = fc.record({
    seed: fc.integer(),
    loss: fc.double({ min: 0, max: 0.2, noNaN: true }),
    duplicates: fc.double({ min: 0, max: 0.2, noNaN: true }),
    delay: fc.integer({ min: 1, max: 200 }),
    jitter: fc.constantFrom(0, 0.5),
  });
  const name = fc.integer({ min: 1, max: 40 }).map((length) => 'x'.repeat(length));

  it('gets the whole file, all of it from one transfer, and the old transfer is over', () => {
    fc.assert(
      fc.property(fc.tuple(name, name), fc.integer({ min: 0, max: 3000 }), weather, (names, rebootAt, sky) => {
        const { isDone, taken, last, outcomes } = simulate(isSinglePort, names, rebootAt, sky);
        expect(isDone).toBe(true);
        expect(new Set(taken)).toEqual(new Set([last?.id]));
        expect(taken.length).toBe(names[1].length + 1);
        expect(outcomes.every((outcome) => outcome !== undefined)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
