// One file that a client writes, as a state machine: RFC 1350 with the OACK of 2347 and the windows of 7440, seen from the receiver.
import { errorCodes, type TftpPacket } from './packet.ts';
import { backedOff, firstRoundTrip, type RoundTrip } from './roundtrip.ts';
import type { UploadTerms } from './terms.ts';
import { type Rollover, wireBlock } from './transfer.ts';

/** Blocks are counted from 1 without end. */
export interface Reception {
  readonly terms: UploadTerms;
  /** Most bytes that are taken. */
  readonly limit: number;
  /** `storing`: all is here and goes to the disk. `lingering`: the last ACK is out, and is sent again if it was lost. */
  readonly phase: 'new' | 'receiving' | 'storing' | 'lingering' | 'ended';
  /** All blocks up to this one are here. */
  readonly taken: number;
  readonly bytes: number;
  /** Blocks since the last ACK. */
  readonly inWindow: number;
  /** The client was told of the gap after `taken`. */
  readonly isTold: boolean;
  readonly rollover: Rollover;
  readonly roundTrip: RoundTrip;
  /** Milliseconds waited since the last progress. */
  readonly waited: number;
  /** ACKs sent more than once. */
  readonly repeats: number;
}

export type ReceptionEvent =
  | { readonly kind: 'start' }
  | { readonly kind: 'packet'; readonly packet: TftpPacket }
  /** The timer that was asked for last has run out. */
  | { readonly kind: 'timer' }
  /** The file is safe on the disk. */
  | { readonly kind: 'stored' }
  | { readonly kind: 'gone'; readonly reason: string }
  /** This side cannot go on; the client is told. */
  | { readonly kind: 'stop'; readonly code?: number; readonly message: string };

export type ReceptionOutcome = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly reason: string };

export type ReceptionEffect =
  | { readonly kind: 'send'; readonly packet: TftpPacket }
  | { readonly kind: 'keep'; readonly bytes: Buffer; readonly isLast: boolean }
  /** One timer; replaces the one before. Milliseconds. */
  | { readonly kind: 'timer'; readonly after: number }
  /** Once. What is kept stays after `done` and goes after `failed`. */
  | { readonly kind: 'outcome'; readonly outcome: ReceptionOutcome }
  /** Nothing more will come. */
  | { readonly kind: 'close' };

export interface ReceptionStep {
  readonly state: Reception;
  readonly effects: readonly ReceptionEffect[];
}

/** After so long without a new block the client is gone. Milliseconds. */
const patience = 60_000;
/** How long a client that has lost the last ACK can still ask for it: two repeats of most. Milliseconds. */
const lingering = 10_000;

export function newReception(terms: UploadTerms, limit: number): Reception {
  const roundTrip = firstRoundTrip(terms.timeout);
  return { terms, limit, phase: 'new', taken: 0, bytes: 0, inWindow: 0, isTold: false, rollover: 0, roundTrip, waited: 0, repeats: 0 };
}

/** The next state and what to do now. */
export function receive(state: Reception, event: ReceptionEvent): ReceptionStep {
  if (state.phase === 'ended') return { state, effects: [] };
  switch (event.kind) {
    case 'start':
      return waiting({ ...state, phase: 'receiving' }, [answer(state)]);
    case 'packet':
      return packet(state, event.packet);
    case 'timer':
      return expired(state);
    case 'stored':
      if (state.phase !== 'storing') return { state, effects: [] };
      return {
        state: { ...state, phase: 'lingering' },
        effects: [ack(state), { kind: 'timer', after: lingering }, { kind: 'outcome', outcome: { kind: 'done' } }],
      };
    case 'gone':
      return state.phase === 'lingering' ? close(state) : fail(state, event.reason);
    case 'stop':
      return state.phase === 'lingering' ? close(state) : refuse(state, event.code ?? errorCodes.undefined, event.message);
  }
}

function packet(state: Reception, got: TftpPacket): ReceptionStep {
  if (got.op === 'data') return data(state, got.block, got.bytes);
  if (got.op !== 'error') return { state, effects: [] }; // nothing else has a place in an upload
  const text = got.message.replace(/[^\x20-\x7e]/g, '?');
  return state.phase === 'lingering' ? close(state) : fail(state, `client: error ${got.code}${text === '' ? '' : `, ${text}`}`);
}

function data(before: Reception, wire: number, bytes: Buffer): ReceptionStep {
  if (before.phase === 'lingering') return wire === number(before, before.taken) ? repeat(before) : { state: before, effects: [] };
  if (before.phase !== 'receiving') return { state: before, effects: [] };
  const state = rolledOver(before, wire);
  if (wire !== number(state, state.taken + 1)) return outOfOrder(state);
  const { blksize, windowsize } = state.terms;
  if (bytes.length > blksize) return refuse(state, errorCodes.illegal, `Blocks of ${blksize} bytes were agreed`);
  const total = state.bytes + bytes.length;
  if (total > state.limit) return refuse(state, errorCodes.full, `More than the ${state.limit} bytes that may be stored`);
  const isLast = bytes.length < blksize;
  const isFull = state.inWindow + 1 >= windowsize;
  const taken: Reception = {
    ...state,
    phase: isLast ? 'storing' : 'receiving',
    taken: state.taken + 1,
    bytes: total,
    inWindow: isFull ? 0 : state.inWindow + 1,
    isTold: false,
    roundTrip: firstRoundTrip(state.terms.timeout),
    waited: 0,
  };
  const keep: ReceptionEffect = { kind: 'keep', bytes, isLast };
  return waiting(taken, isFull && !isLast ? [keep, ack(taken)] : [keep]); // the last ACK says that the file is safe
}

/** The number after 65535 shows in lock step which one the client goes on with. */
function rolledOver(state: Reception, wire: number): Reception {
  return state.taken === 65_535 && state.terms.windowsize === 1 && wire === 1 ? { ...state, rollover: 1 } : state;
}

/**
 * Lock step: the client has not got our ACK. In a window: something is lost, and the client hears once what (RFC 7440 4). A client that
 * sends again because of an ACK it already had would double the traffic, but by RFC 1123 4.2.3.1 it must not.
 */
function outOfOrder(state: Reception): ReceptionStep {
  if (state.terms.windowsize > 1 && state.isTold) return { state, effects: [] };
  return repeat({ ...state, isTold: true, inWindow: 0 });
}

function repeat(state: Reception): ReceptionStep {
  return { state: { ...state, repeats: state.repeats + 1 }, effects: [answer(state)] };
}

function expired(before: Reception): ReceptionStep {
  if (before.phase === 'lingering') return close(before);
  const waited = before.waited + before.roundTrip.wait;
  if (before.phase === 'storing') return waiting(before, []); // the disk is slow: that is not the client's fault
  if (waited >= patience) return refuse(before, errorCodes.undefined, `Nothing came for ${Math.round(waited / 1000)} s`);
  const state: Reception = { ...before, waited, isTold: false, inWindow: 0, roundTrip: backedOff(before.roundTrip), repeats: before.repeats + 1 };
  return waiting(state, [answer(state)]);
}

function waiting(state: Reception, effects: readonly ReceptionEffect[]): ReceptionStep {
  return { state, effects: [...effects, { kind: 'timer', after: state.roundTrip.wait }] };
}

/** What the client waits for: the OACK, or the ACK of what is here. */
function answer(state: Reception): ReceptionEffect {
  if (state.taken === 0 && state.terms.reply.length > 0) return { kind: 'send', packet: { op: 'oack', options: state.terms.reply } };
  return ack(state);
}

function ack(state: Reception): ReceptionEffect {
  return { kind: 'send', packet: { op: 'ack', block: number(state, state.taken) } };
}

function number(state: Reception, block: number): number {
  return wireBlock(block, state.rollover);
}

function refuse(state: Reception, code: number, message: string): ReceptionStep {
  const { state: ended, effects } = fail(state, message);
  return { state: ended, effects: [{ kind: 'send', packet: { op: 'error', code, message } }, ...effects] };
}

function fail(state: Reception, reason: string): ReceptionStep {
  return { state: { ...state, phase: 'ended' }, effects: [{ kind: 'outcome', outcome: { kind: 'failed', reason } }, { kind: 'close' }] };
}

function close(state: Reception): ReceptionStep {
  return { state: { ...state, phase: 'ended' }, effects: [{ kind: 'close' }] };
}
