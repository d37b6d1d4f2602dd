// How two nodes agree that a job changes hands, over a network that loses, doubles and reorders: messages and what each side does. The job is run by exactly
// one of them at any time, and one copy of it is kept by somebody at every time. The image itself travels on a connection of the driver's.
//
//   source                        target
//   offer        ->               admit: accept or refuse
//   (transfer    ->               begun, complete)            the job runs on, then is frozen
//                <-    stored     the whole image is here, frozen
//   yours        ->               run                         from sending this on the source never runs it again
//                <-    running    the source discards its frozen copy
//                <-    returned   or: it could not be run, and nothing is left of it; the source runs it on
//   withdraw     ->               drop                        only ever instead of `yours`
import type { Offered, RefusalReason } from './admission.ts';

/** Serials rise within an incarnation: what is not above the last is old. */
export interface MoveId {
  readonly from: number;
  readonly incarnation: number;
  readonly serial: number;
}

export type MoveMessage =
  | { readonly kind: 'offer'; readonly move: MoveId; readonly offered: Offered }
  | { readonly kind: 'refuse'; readonly move: MoveId; readonly why: RefusalReason }
  | { readonly kind: 'accept' | 'withdraw' | 'stored' | 'yours' | 'running' | 'returned'; readonly move: MoveId };

/** A job on its way out. `given`: it is the target's, who has not said yet that it runs. */
interface Outgoing {
  readonly state: 'offered' | 'sending' | 'given';
  readonly move: MoveId;
  readonly offered: Offered;
  readonly at: number;
}

/** A job on its way in. `over`: refused, dropped or running; `returned`: it could not be run. Remembered to answer late messages. */
interface Incoming {
  readonly state: 'granted' | 'begun' | 'stored' | 'running' | 'returned' | 'over';
  readonly move: MoveId;
  readonly offered: Offered;
  readonly at: number;
}

/** By the other node's id: one move at a time for each pair. */
export interface Moves {
  readonly self: number;
  readonly incarnation: number;
  readonly serial: number;
  readonly outgoing: ReadonlyMap<number, Outgoing>;
  readonly incoming: ReadonlyMap<number, Incoming>;
  /** Who has refused, and until when it is not asked again, ms. */
  readonly refused: ReadonlyMap<number, number>;
}

export type MoveEvent =
  | { readonly kind: 'offer'; readonly to: number; readonly offered: Offered }
  | { readonly kind: 'heard'; readonly from: number; readonly message: MoveMessage; readonly verdict: (offered: Offered) => RefusalReason | undefined }
  /** The driver at the target: the connection of this move has come; all of the image is here and frozen; the image cannot be had. */
  | { readonly kind: 'begun' | 'complete' | 'broken'; readonly from: number }
  /** After `run`: it does not run here, never has, and its copy is gone. */
  | { readonly kind: 'unrun'; readonly from: number }
  /** The driver at the source could not dump or send. Has no effect once the job is given. */
  | { readonly kind: 'failed'; readonly to: number }
  /** The node's agent is known to be another incarnation, or its machine to be off: not merely silent. */
  | { readonly kind: 'gone'; readonly node: number }
  | { readonly kind: 'tick' };

export type MoveEffect =
  | { readonly kind: 'send'; readonly to: number; readonly message: MoveMessage }
  /** Source: start the transfer; the job runs on here (thaw it); its frozen copy may go. */
  | { readonly kind: 'transfer' | 'keep' | 'discard'; readonly to: number; readonly job: string }
  /** Target: run the image; throw it away. */
  | { readonly kind: 'run' | 'drop'; readonly from: number; readonly job: string }
  /** The other side is gone and only our frozen copy is known of: the policy for lost nodes decides (kill, or run from it). */
  | { readonly kind: 'orphaned'; readonly node: number; readonly job: string };

export interface Moved {
  readonly moves: Moves;
  readonly effects: readonly MoveEffect[];
}

/** An offer that is not answered for this long is withdrawn, ms: some resends, and a first connection on an old machine under load. */
const offerPatience = 10_000;
/** A grant whose transfer has not begun by then lapses, ms: three times what a link waits for a connection. */
const grantPatience = 30_000;
/** Who has refused is not asked again for this long, ms: its next load has come by then. */
const refusedFor = 3000;

export function noMoves(self: number, incarnation: number): Moves {
  return { self, incarnation, serial: 0, outgoing: new Map(), incoming: new Map(), refused: new Map() };
}

/** Call `tick` once a second: it repeats what may have been lost. Messages are from members that gossip has authenticated. */
export function advance(moves: Moves, event: MoveEvent, now: number): Moved {
  if (event.kind === 'offer') return offer(moves, event.to, event.offered, now);
  if (event.kind === 'tick') return tick(moves, now);
  if (event.kind === 'gone') return gone(moves, event.node);
  if (event.kind === 'failed') {
    const out = moves.outgoing.get(event.to);
    return out === undefined || out.state === 'given' ? quiet(moves) : abort(moves, event.to, out, now);
  }
  if (event.kind === 'heard') {
    const { from, message } = event;
    return message.move.from === moves.self ? heardAsSource(moves, from, message, now) : heardAsTarget(moves, from, message, event.verdict, now);
  }
  return driven(moves, event.kind, event.from, now);
}

function offer(moves: Moves, to: number, offered: Offered, now: number): Moved {
  if (to === moves.self || busyWith(moves, to) || [...moves.outgoing.values()].some((out) => out.offered.job.id === offered.job.id)) return quiet(moves);
  const serial = moves.serial + 1;
  const move: MoveId = { from: moves.self, incarnation: moves.incarnation, serial };
  const outgoing = new Map(moves.outgoing).set(to, { state: 'offered', move, offered, at: now });
  return { moves: { ...moves, serial, outgoing }, effects: [send(to, { kind: 'offer', move, offered })] };
}

/** Whether a move between this node and `node` is under way, in either direction. */
export function busyWith(moves: Moves, node: number): boolean {
  const state = moves.incoming.get(node)?.state;
  return moves.outgoing.has(node) || state === 'granted' || state === 'begun' || state === 'stored';
}

function heardAsSource(moves: Moves, from: number, message: MoveMessage, now: number): Moved {
  const { kind, move } = message;
  const out = moves.outgoing.get(from);
  if (move.incarnation !== moves.incarnation) return quiet(moves);
  // Nothing of it here: it was withdrawn, or is long done, and a node on which it runs does not mind.
  if (out === undefined || out.move.serial !== move.serial)
    return kind === 'stored' || kind === 'accept' ? answer(moves, from, { kind: 'withdraw', move }) : quiet(moves);
  const job = out.offered.job.id;
  if (kind === 'accept' && out.state === 'offered')
    return { moves: withOut(moves, from, { ...out, state: 'sending', at: now }), effects: [{ kind: 'transfer', to: from, job }] };
  if (kind === 'refuse' && out.state !== 'given') {
    const refused = new Map(moves.refused).set(from, now + refusedFor);
    return { moves: withOut({ ...moves, refused }, from, undefined), effects: [{ kind: 'keep', to: from, job }] };
  }
  if (kind === 'stored' && out.state !== 'offered') return answer(withOut(moves, from, { ...out, state: 'given' }), from, { kind: 'yours', move });
  if (kind === 'returned' && out.state === 'given') return { moves: withOut(moves, from, undefined), effects: [{ kind: 'keep', to: from, job }] };
  if (kind === 'running' && out.state === 'given') return { moves: withOut(moves, from, undefined), effects: [{ kind: 'discard', to: from, job }] };
  return quiet(moves);
}

function heardAsTarget(moves: Moves, from: number, message: MoveMessage, verdict: (offered: Offered) => RefusalReason | undefined, now: number): Moved {
  const { kind, move } = message;
  if (move.from !== from) return quiet(moves);
  const known = moves.incoming.get(from);
  if (kind === 'offer') return heardOffer(moves, from, message, known, verdict, now);
  if (known === undefined || known.move.serial !== move.serial || known.move.incarnation !== move.incarnation) return quiet(moves);
  const job = known.offered.job.id;
  if (kind === 'yours' && known.state === 'stored') {
    return { moves: withIn(moves, from, { ...known, state: 'running' }), effects: [{ kind: 'run', from, job }, send(from, { kind: 'running', move })] };
  }
  if (kind === 'yours' && (known.state === 'running' || known.state === 'returned')) return answer(moves, from, { kind: known.state, move });
  if (kind === 'withdraw' && pending(known)) return { moves: withIn(moves, from, { ...known, state: 'over' }), effects: [{ kind: 'drop', from, job }] };
  return quiet(moves);
}

function heardOffer(
  moves: Moves,
  from: number,
  { move, offered }: MoveMessage & { readonly kind: 'offer' },
  known: Incoming | undefined,
  verdict: (offered: Offered) => RefusalReason | undefined,
  now: number,
): Moved {
  if (known !== undefined && known.move.incarnation === move.incarnation) {
    if (known.move.serial === move.serial && known.state === 'granted') return answer(moves, from, { kind: 'accept', move });
    if (known.move.serial === move.serial && known.state === 'over') return answer(moves, from, { kind: 'refuse', move, why: 'late' });
    if (known.move.serial >= move.serial) return quiet(moves);
  }
  // An older start of its agent, or one whose job we still hold: that is for `gone` to end.
  if (known !== undefined && (known.move.incarnation > move.incarnation || pending(known))) return answer(moves, from, { kind: 'refuse', move, why: 'pair' });
  const why = moves.outgoing.has(from) ? 'pair' : verdict(offered);
  const state = why === undefined ? 'granted' : 'over';
  const message: MoveMessage = why === undefined ? { kind: 'accept', move } : { kind: 'refuse', move, why };
  return answer(withIn(moves, from, { state, move, offered, at: now }), from, message);
}

function driven(moves: Moves, kind: 'begun' | 'complete' | 'broken' | 'unrun', from: number, now: number): Moved {
  const known = moves.incoming.get(from);
  if (known === undefined) return quiet(moves);
  const { move, state } = known;
  if (kind === 'begun' && state === 'granted') return quiet(withIn(moves, from, { ...known, state: 'begun', at: now }));
  if (kind === 'complete' && state === 'begun') return answer(withIn(moves, from, { ...known, state: 'stored', at: now }), from, { kind: 'stored', move });
  if (kind === 'unrun' && state === 'running') return answer(withIn(moves, from, { ...known, state: 'returned' }), from, { kind: 'returned', move });
  if (kind === 'broken' && (state === 'granted' || state === 'begun')) return lapse(moves, from, known);
  return quiet(moves);
}

function lapse(moves: Moves, from: number, known: Incoming): Moved {
  const { move, offered } = known;
  const effects: readonly MoveEffect[] = [{ kind: 'drop', from, job: offered.job.id }, send(from, { kind: 'refuse', move, why: 'late' })];
  return { moves: withIn(moves, from, { ...known, state: 'over' }), effects };
}

function tick(moves: Moves, now: number): Moved {
  let next: Moves = { ...moves, refused: new Map([...moves.refused].filter(([, until]) => until > now)) };
  const effects: MoveEffect[] = [];
  const then = (step: Moved) => {
    next = step.moves;
    effects.push(...step.effects);
  };
  for (const [to, out] of moves.outgoing) {
    // While it sends as well: a target that has given up says so again.
    if (out.state === 'offered' && now - out.at >= offerPatience) then(abort(next, to, out, now));
    else if (out.state !== 'given') then(answer(next, to, { kind: 'offer', move: out.move, offered: out.offered }));
    if (out.state === 'given') then(answer(next, to, { kind: 'yours', move: out.move }));
  }
  for (const [from, known] of moves.incoming) {
    if (known.state === 'granted' && now - known.at >= grantPatience) then(lapse(next, from, known));
    if (known.state === 'stored') then(answer(next, from, { kind: 'stored', move: known.move }));
  }
  return { moves: next, effects };
}

function abort(moves: Moves, to: number, { move, offered }: Outgoing, now: number): Moved {
  const refused = new Map(moves.refused).set(to, now + refusedFor);
  return { moves: withOut({ ...moves, refused }, to, undefined), effects: [{ kind: 'keep', to, job: offered.job.id }, send(to, { kind: 'withdraw', move })] };
}

function gone(moves: Moves, node: number): Moved {
  const out = moves.outgoing.get(node);
  const known = moves.incoming.get(node);
  const effects: MoveEffect[] = [];
  if (out !== undefined)
    effects.push(out.state === 'given' ? { kind: 'orphaned', node, job: out.offered.job.id } : { kind: 'keep', to: node, job: out.offered.job.id });
  if (known !== undefined && pending(known)) {
    effects.push(known.state === 'stored' ? { kind: 'orphaned', node, job: known.offered.job.id } : { kind: 'drop', from: node, job: known.offered.job.id });
  }
  const over = known === undefined ? moves : withIn(moves, node, { ...known, state: known.state === 'running' ? 'running' : 'over' });
  return { moves: withOut(over, node, undefined), effects };
}

function pending({ state }: Incoming): boolean {
  return state === 'granted' || state === 'begun' || state === 'stored';
}

function withOut(moves: Moves, to: number, out: Outgoing | undefined): Moves {
  const outgoing = new Map(moves.outgoing);
  if (out === undefined) outgoing.delete(to);
  else outgoing.set(to, out);
  return { ...moves, outgoing };
}

function withIn(moves: Moves, from: number, known: Incoming): Moves {
  return { ...moves, incoming: new Map(moves.incoming).set(from, known) };
}

function send(to: number, message: MoveMessage): MoveEffect {
  return { kind: 'send', to, message };
}

function answer(moves: Moves, to: number, message: MoveMessage): Moved {
  return { moves, effects: [send(to, message)] };
}

function quiet(moves: Moves): Moved {
  return { moves, effects: [] };
}
