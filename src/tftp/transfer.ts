// One read transfer as a state machine: RFC 1350 with the OACK of 2347, windows of 7440, and no Sorcerer's Apprentice (RFC 1123 4.2.3.1).
import { errorCodes, type TftpPacket } from './packet.ts';
import { backedOff, firstRoundTrip, measured, type RoundTrip, repaired } from './roundtrip.ts';
import { blockCount, type Terms } from './terms.ts';

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
  /** Send DATA of blocks `from` to `to`, both included. Replaces whatever an earlier such effect has not sent yet. */
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

export function newTransfer(terms: Terms): Transfer {
  const roundTrip = firstRoundTrip(terms.timeout);
  return { terms, phase: 'new', acked: 0, sent: 0, repairedTo: -1, roundTrip, sentAt: 0, isFirst: true, waited: 0, retransmits: 0 };
}

/** The 16 bits that stand for a block. After 65535 comes 0, as most clients expect; so 512-byte blocks are not limited to 32 MiB. */
export function wireBlock(block: number): number {
  return block & 0xffff;
}

/** The next state and what to do now. `now` in milliseconds; only differences count. */
export function next(state: Transfer, event: TransferEvent, now: number): Step {
  if (state.phase === 'ended') return { state, effects: [] };
  switch (event.kind) {
    case 'start':
      return state.terms.reply.length === 0 ? flight(state, 0, now) : offer(state, now);
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

function acknowledged(state: Transfer, wire: number, now: number): Step {
  if (state.phase === 'offering') {
    // RFC 2347: the client accepts an OACK with ACK 0.
    return wire === 0 ? flight(withMeasure(state, now), 0, now) : { state, effects: [] };
  }
  const ahead = (wire - state.acked) & 0xffff;
  const block = state.acked + ahead;
  if (block > state.sent) return { state, effects: [] }; // late: far ahead is how a number from behind looks
  if (ahead === 0) {
    // Lock step: never an answer to a repeated ACK, or every packet doubles to the end (RFC 1123 4.2.3.1); the timer repairs a loss.
    // A window: the client says that the first block of this flight is missing (RFC 7440 4). Believed once for each flight, and not while
    // the repeats may be echoes of an earlier repair.
    const missing = state.terms.windowsize > 1 && state.acked > state.repairedTo;
    return missing ? flight(state, state.acked, now) : { state, effects: [] };
  }
  if (block === blockCount(state.terms)) return end({ ...state, acked: block }, { kind: 'done', confirmed: true });
  // Less than the whole flight: the block after it was lost, and the client has thrown away what followed (RFC 7440 4).
  return flight(block === state.sent ? withMeasure(state, now) : state, block, now);
}

function withMeasure(state: Transfer, now: number): Transfer {
  const took = now - state.sentAt;
  return { ...state, roundTrip: state.isFirst ? measured(state.roundTrip, took) : repaired(state.roundTrip, took) };
}

/** Sends the window after block `acked`. */
function flight(state: Transfer, acked: number, now: number): Step {
  const to = Math.min(acked + state.terms.windowsize, blockCount(state.terms));
  const repeated = Math.max(0, state.sent - acked);
  const advanced: Transfer = {
    ...state,
    phase: 'sending',
    acked,
    sent: to,
    repairedTo: repeated > 0 ? state.sent : state.repairedTo,
    sentAt: now,
    isFirst: repeated === 0,
    waited: acked > state.acked || state.phase !== 'sending' ? 0 : state.waited,
    retransmits: state.retransmits + repeated,
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
  return state.phase === 'offering' ? offer(state, now) : flight(state, state.acked, now);
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
