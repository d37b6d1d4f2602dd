// A virtual clock, a lossy seeded network and a client by the book (RFC 1350, 2347, 7440), for the transfer rules.
import { encode, type TftpPacket } from '../../src/tftp/packet.ts';
import { blockCount, type Terms } from '../../src/tftp/terms.ts';
import { newTransfer, next, type Outcome, type Transfer, type TransferEvent, wireBlock } from '../../src/tftp/transfer.ts';

export interface Weather {
  readonly seed: number;
  /** Of each direction, 0 to 1. */
  readonly loss: number;
  readonly duplicates: number;
  /** Milliseconds, one way. */
  readonly delay: number;
  /** What of `delay` differs from packet to packet, 0 to 1: packets overtake each other. */
  readonly jitter: number;
}

/** How the client answers; real ones differ. */
export interface Habits {
  /** ACKs every block out of order, not only the first: some do. */
  readonly talkative: boolean;
  readonly timeout: number;
}

export interface Result {
  readonly outcome: Outcome;
  /** Block numbers in the order the client took them. */
  readonly taken: readonly number[];
  readonly sent: number;
  readonly transfer: Transfer;
  readonly now: number;
}

/** Takes what comes first out of `queue`; of two at the same time the one that was put in first. */
export function takeEarliest<Event extends { readonly at: number }>(queue: Event[]): Event | undefined {
  let first = 0;
  for (const [index, { at }] of queue.entries()) if (at < (queue[first]?.at ?? 0)) first = index;
  return queue.splice(first, 1)[0];
}

/** mulberry32. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function simulate(terms: Terms, weather: Weather, habits: Habits): Result {
  const dice = random(weather.seed);
  const queue: { at: number; run: () => void }[] = [];
  let now = 0;
  let transfer = newTransfer(terms);
  let outcome: Outcome | undefined;
  let timerRound = 0;
  let sent = 0;
  const blocks = blockCount(terms);
  const taken: number[] = [];
  // The client
  let expected = 1;
  let inWindow = 0;
  let gapAnswered = false;
  let open = true;
  let heard = 0;
  let started = false;

  const later = (after: number, run: () => void) => queue.push({ at: now + after, run });
  const travel = () => weather.delay * (1 - weather.jitter * dice());
  const carry = (run: () => void) => {
    if (dice() < weather.loss) return;
    later(travel(), run);
    if (dice() < weather.duplicates) later(travel(), run);
  };

  function server(event: TransferEvent): void {
    const step = next(transfer, event, now);
    transfer = step.state;
    for (const effect of step.effects) {
      if (effect.kind === 'send') {
        sent += 1;
        encode(effect.packet);
        carry(() => client(effect.packet));
      } else if (effect.kind === 'blocks') {
        for (let block = effect.from; block <= effect.to; block += 1) {
          sent += 1;
          const packet: TftpPacket = { op: 'data', block: wireBlock(block), bytes: Buffer.alloc(0) };
          carry(() => client(packet));
        }
      } else if (effect.kind === 'timer') {
        timerRound += 1;
        const round = timerRound;
        later(effect.after, () => {
          if (round === timerRound && outcome === undefined) server({ kind: 'timer' });
        });
      } else {
        outcome = effect.outcome;
      }
    }
  }

  const ack = (block: number) => carry(() => server({ kind: 'packet', packet: { op: 'ack', block: wireBlock(block) } }));

  function client(packet: TftpPacket): void {
    if (!open) {
      carry(() => server({ kind: 'gone', reason: 'port closed' }));
      return;
    }
    heard = now;
    if (packet.op === 'oack') {
      if (expected === 1) ack(0);
      started = true;
      return;
    }
    if (packet.op !== 'data') return;
    started = true;
    if (packet.block !== wireBlock(expected)) {
      const again = packet.block === wireBlock(expected - 1); // its ACK was lost
      if (again || !gapAnswered || habits.talkative) ack(expected - 1);
      gapAnswered = true;
      inWindow = 0;
      return;
    }
    gapAnswered = false;
    taken.push(expected);
    expected += 1;
    inWindow += 1;
    if (expected > blocks) {
      ack(blocks);
      open = false;
    } else if (inWindow === terms.windowsize) {
      inWindow = 0;
      ack(expected - 1);
    }
  }

  function nag(): void {
    if (!open || outcome !== undefined) return;
    if (started && now - heard >= habits.timeout) {
      ack(expected - 1);
      inWindow = 0;
      gapAnswered = false;
    }
    later(habits.timeout, nag);
  }

  server({ kind: 'start' });
  later(habits.timeout, nag);
  for (let steps = 0; steps < 2_000_000 && outcome === undefined; steps += 1) {
    const event = takeEarliest(queue);
    if (event === undefined) break;
    now = event.at;
    event.run();
  }
  if (outcome === undefined) throw new Error('the transfer neither ended nor gave up');
  return { outcome, taken, sent, transfer, now };
}
