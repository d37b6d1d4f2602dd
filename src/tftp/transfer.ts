// One read transfer as a state machine: RFC 1350 with the OACK of 2347, windows of 7440, and no Sorcerer's Apprentice (RFC 1123 4.2.3.1).
import { errorCodes, type TftpPacket } from './packet.ts';
import { backedOff, firstRoundTrip, measured, type RoundTrip, repaired } from './roundtrip.ts';
import { blockCount, type Terms } from './terms.ts';

/** What follows block 65535 on the wire. */
export type Rollover = 0 | 1;

/** Blocks are counted from 1 without end; `wireBlock` is what is sent of the number. */
export interface Transfer {
  readonly terms: Terms;
  /** `offering`: the OACK is out. `sending`: DATA is out. */
  readonly phase: 'new' | 'offering' | 'sending' | 'ended';
  /** All blocks up to this one have arrived. */
  readonly acked: number;
  /** The highest block sent so far. */
  readonly sent: number;
  /** What was the highest block sent when last something was sent again; -1 before. */
  readonly repairedTo: number;
  readonly roundTrip: RoundTrip;
  /** When the flight, or the OACK, went out last. */
  readonly sentAt: number;
  /** Nothing in it went out before. */
  readonly isFirst: boolean;
  /** Milliseconds waited since the last progress. */
  readonly waited: number;
  /** Packets sent more than once. */
  readonly retransmits: number;
  /** DATA packets sent back to back, rounded down; fewer than the window after a loss, as the client may have no room for more at once. */
  readonly burst: number;
  readonly rollover: Rollover;
  /** How often the block after 65535 was sent in vain. */
  readonly turns: number;
}

export type TransferEvent =
  | { readonly kind: 'start' }
  | { readonly kind: 'packet'; readonly packet: TftpPacket }
  /** The timer that was asked for last has run out. */
  | { readonly kind: 'timer' }
  /** The client's port is closed (ICMP), or it began something else there: it must hear no more of this. */
  | { readonly kind: 'gone'; readonly reason: string }
  /** This side cannot go on; the client is told `message`. */
  | { readonly kind: 'stop'; readonly message: string };

export type Outcome =
  /** `confirmed` is false when the last ACK never came: all was sent, and some ROMs do not send it. */
  | { readonly kind: 'done'; readonly confirmed: boolean }
  /** The client only wanted to know the size (EDK2 before every download). */
  | { readonly kind: 'probe' }
  | { readonly kind: 'failed'; readonly reason: string };

export type Effect =
  | { readonly kind: 'send'; readonly packet: TftpPacket }
  /**
   * Send DATA of blocks `from` to `to`, both included, in bursts of the new state's `burst` and numbered by its `rollover`. Replaces whatever
   * an earlier such effect has not sent yet.
   */
  | { readonly kind: 'blocks'; readonly from: number; readonly to: number }
  /** One timer; replaces the one before. Milliseconds. */
  | { readonly kind: 'timer'; readonly after: number }
  | { readonly kind: 'end'; readonly outcome: Outcome };

export interface Step {
  readonly state: Transfer;
  readonly effects: readonly Effect[];
}

/** After so long without progress the client is gone: longer than any ROM waits before it starts anew. Milliseconds. */
const patience = 90_000;

/** What every receive ring has room for. */
const smallestBurst = 4;
/** For each flight without a loss: slowly, because what was too much once is likely to be too much again. */
const burstGrowth = 1 / 8;

/** The last number that 16 bits hold. */
const lastNumber = 65_535;

/** Unanswered repeats of the block after 65535 before it is tried with the other number. */
const turnsBeforeOther = 2;

export function newTransfer(terms: Terms): Transfer {
  const roundTrip = firstRoundTrip(terms.timeout);
  const figures = { acked: 0, sent: 0, repairedTo: -1, sentAt: 0, waited: 0, retransmits: 0, turns: 0 } as const;
  return { terms, phase: 'new', roundTrip, isFirst: true, burst: terms.windowsize, rollover: 0, ...figures };
}

/**
 * The 16 bits that stand for a block. After 65535 comes 0, as most clients expect; so 512-byte blocks are not limited to 32 MiB.
 * A few go on with 1.
 */
export function wireBlock(block: number, rollover: Rollover = 0): number {
  return rollover === 0 ? block & 0xffff : block === 0 ? 0 : ((block - 1) % lastNumber) + 1;
}

/** The next state and what to do now. `now` in milliseconds; only differences count. */
export function next(state: Transfer, event: TransferEvent, now: number): Step {
  if (state.phase === 'ended') return { state, effects: [] };
  switch (event.kind) {
    case 'start':
      return state.terms.reply.length === 0 ? flight(state, 0, state.roundTrip, now) : offer(state, now);
    case 'packet':
      return received(state, event.packet, now);
    case 'timer':
      return expired(state, now);
    case 'gone':
      return end(state, lost(state, event.reason));
    case 'stop':
      return giveUp(state, { kind: 'failed', reason: event.message });
  }
}

function received(state: Transfer, packet: TftpPacket, now: number): Step {
  switch (packet.op) {
    case 'ack':
      return acknowledged(state, packet.block, now);
    case 'error': {
      if (state.phase === 'offering' && asked(state.terms, 'tsize')) return end(state, { kind: 'probe' });
      const text = packet.message.replace(/[^\x20-\x7e]/g, '?');
      return end(state, { kind: 'failed', reason: `client: error ${packet.code}${text === '' ? '' : `, ${text}`}` });
    }
    default:
      return { state, effects: [] }; // nothing else has a place in a read transfer
  }
}

function acknowledged(before: Transfer, wire: number, now: number): Step {
  if (before.phase === 'offering') {
    // RFC 2347: the client accepts an OACK with ACK 0.
    return wire === 0 ? flight(before, 0, roundTripAfter(before, now), now) : { state: before, effects: [] };
  }
  const state = before.turns >= turnsBeforeOther && isTurning(before) ? withRollover(before, wire) : before;
  const ahead = distance(state, wire);
  const block = state.acked + ahead;
  if (block > state.sent) return { state, effects: [] }; // late: far ahead is how a number from behind looks
  if (ahead === 0) {
    // Lock step: never an answer to a repeated ACK, or every packet doubles to the end (RFC 1123 4.2.3.1); the timer repairs a loss.
    // A window: the client says that the first block of this flight is missing (RFC 7440 4). Believed once for each flight, and not while
    // the repeats may be echoes of an earlier repair.
    const missing = state.terms.windowsize > 1 && state.acked > state.repairedTo;
    return missing ? flight(state, state.acked, state.roundTrip, now) : { state, effects: [] };
  }
  if (block === blockCount(state.terms)) return end({ ...state, acked: block }, { kind: 'done', confirmed: true });
  // Less than the whole flight: the block after it was lost, and the client has thrown away what followed (RFC 7440 4).
  return flight(state, block, block === state.sent ? roundTripAfter(state, now) : state.roundTrip, now);
}

/** How many blocks after the last acknowledged one this number means, if it is not from before it. */
function distance(state: Transfer, wire: number): number {
  if (state.rollover === 0) return (wire - state.acked) & 0xffff;
  return wire === 0 ? lastNumber : (wire - wireBlock(state.acked, 1) + lastNumber) % lastNumber;
}

/** In lock step, and the block after 65535 is out for the first time: nothing shows yet which number the client expects for it. */
function isTurning(state: Transfer): boolean {
  return state.acked === lastNumber && state.terms.windowsize === 1;
}

function withRollover(state: Transfer, wire: number): Transfer {
  return wire === 0 || wire === 1 ? { ...state, rollover: wire } : state;
}

function roundTripAfter(state: Transfer, now: number): RoundTrip {
  const took = now - state.sentAt;
  return state.isFirst ? measured(state.roundTrip, took) : repaired(state.roundTrip, took);
}

/** Sends the window after block `acked`. */
function flight(state: Transfer, acked: number, roundTrip: RoundTrip, now: number): Step {
  const to = Math.min(acked + state.terms.windowsize, blockCount(state.terms));
  const repeated = Math.max(0, state.sent - acked);
  const progress = acked > state.acked || state.phase !== 'sending';
  // Spelled out: this runs for every ACK, and V8 takes microseconds for a spread whose members are overwritten.
  const advanced: Transfer = {
    terms: state.terms,
    phase: 'sending',
    acked,
    sent: to,
    repairedTo: repeated > 0 ? state.sent : state.repairedTo,
    roundTrip,
    sentAt: now,
    isFirst: repeated === 0,
    waited: progress ? 0 : state.waited,
    retransmits: state.retransmits + repeated,
    burst: repeated > 0 ? Math.max(smallestBurst, state.burst / 2) : Math.min(state.terms.windowsize, state.burst + burstGrowth),
    rollover: state.rollover,
    turns: progress ? 0 : state.turns,
  };
  return { state: advanced, effects: [{ kind: 'blocks', from: acked + 1, to }, timer(advanced)] };
}

function offer(state: Transfer, now: number): Step {
  const again = state.phase === 'offering';
  const offered: Transfer = {
    ...state,
    phase: 'offering',
    sentAt: now,
    isFirst: !again,
    repairedTo: again ? 0 : state.repairedTo, // two OACKs bring two ACK 0, which then mean no loss
    retransmits: state.retransmits + (again ? 1 : 0),
  };
  return { state: offered, effects: [{ kind: 'send', packet: { op: 'oack', options: state.terms.reply } }, timer(offered)] };
}

function expired(before: Transfer, now: number): Step {
  const waited = before.waited + before.roundTrip.wait;
  if (waited >= patience) return giveUp(before, lost(before, `no answer for ${Math.round(waited / 1000)} s`));
  const state: Transfer = { ...before, waited, roundTrip: backedOff(before.roundTrip) };
  if (state.phase === 'offering') return offer(state, now);
  return flight(isTurning(state) ? turned(state) : state, state.acked, state.roundTrip, now);
}

/** Tries both numbers in turn: a client drops the one that it does not expect, and its ACK of the other tells which it is. */
function turned(state: Transfer): Transfer {
  const turns = state.turns + 1;
  return { ...state, turns, rollover: turns >= turnsBeforeOther && turns % 2 === 0 ? 1 : 0 };
}

/** The client is not there any more. What that means depends on what it can have received. */
function lost(state: Transfer, reason: string): Outcome {
  if (state.phase === 'offering' && asked(state.terms, 'tsize')) return { kind: 'probe' };
  if (state.phase === 'sending' && state.sent === blockCount(state.terms)) return { kind: 'done', confirmed: false };
  return { kind: 'failed', reason };
}

/** Ends from this side; a client that may still listen is told of a failure. */
function giveUp(state: Transfer, outcome: Outcome): Step {
  const { state: ended, effects } = end(state, outcome);
  if (outcome.kind !== 'failed') return { state: ended, effects };
  return { state: ended, effects: [{ kind: 'send', packet: { op: 'error', code: errorCodes.undefined, message: outcome.reason } }, ...effects] };
}

function end(state: Transfer, outcome: Outcome): Step {
  return { state: { ...state, phase: 'ended' }, effects: [{ kind: 'end', outcome }] };
}

function timer(state: Transfer): Effect {
  return { kind: 'timer', after: state.roundTrip.wait };
}

function asked(terms: Terms, option: string): boolean {
  return terms.reply.some(({ name }) => name.toLowerCase() === option);
}
