// What two agents say to each other of a move, as JSON on a link: the messages of cluster/handshake.ts, and what is said at the head of a transfer.
import { type Offered, refusalReasons } from '../../cluster/admission.ts';
import { moveReasons } from '../../cluster/balance.ts';
import type { MoveId, MoveMessage } from '../../cluster/handshake.ts';
import { nodeIdMax } from '../../cluster/map.ts';
import type { StreamPositions } from '../jobs/types.ts';
import { amount, type Fields, fields, flag, foreign, list, oneOf, perhaps, signed, text, whole } from './shape.ts';
import { type Versions, versionsOf } from './versions.ts';

const bareKinds = ['accept', 'withdraw', 'stored', 'yours', 'running', 'returned'] as const;
/** `HOME-PID-START`, with room. */
const jobIdMax = 64;
/** A sentence for people. */
const sayMax = 1000;

/** A message, and what goes with it: with an offer what the source is, with a refusal the reason in words. */
export interface Said {
  readonly message: MoveMessage;
  readonly versions: Versions | undefined;
  readonly detail: string | undefined;
}

/** Throws `WireError` `shape`. */
export function readSaid(value: unknown): Said {
  const from = fields(value, 'a message');
  return {
    message: readMessage(fields(from.get('message'), 'message')),
    versions: perhaps(from, 'versions', (all, name) => versionsOf(fields(all.get(name), name))),
    detail: perhaps(from, 'detail', (all, name) => text(all, name, sayMax)),
  };
}

function readMessage(from: Fields): MoveMessage {
  const move = readMoveId(from.get('move'));
  const kind = from.get('kind');
  if (kind === 'offer') return { kind, move, offered: readOffered(from.get('offered')) };
  if (kind === 'refuse') return { kind, move, why: oneOf(from, 'why', refusalReasons) };
  return { kind: oneOf(from, 'kind', bareKinds), move };
}

export function readMoveId(value: unknown): MoveId {
  const from = fields(value, 'move');
  return { from: node(from, 'from'), incarnation: whole(from, 'incarnation'), serial: whole(from, 'serial', 1) };
}

function readOffered(value: unknown): Offered {
  const from = fields(value, 'offered');
  const job = fields(from.get('job'), 'job');
  const traffic = fields(job.get('traffic'), 'traffic');
  const source = fields(from.get('source'), 'source');
  const memory = fields(source.get('memory'), 'memory');
  return {
    job: {
      id: text(job, 'id', jobIdMax),
      home: node(job, 'home'),
      cpu: amount(job, 'cpu'),
      memory: amount(job, 'memory'),
      traffic: { node: node(traffic, 'node'), ratio: amount(traffic, 'ratio') },
    },
    source: {
      id: node(source, 'id'),
      cpus: whole(source, 'cpus', 1),
      speed: amount(source, 'speed'),
      wanted: amount(source, 'wanted'),
      memory: { total: amount(memory, 'total'), usable: signed(memory, 'usable') },
    },
    reason: oneOf(from, 'reason', moveReasons),
    nodes: whole(from, 'nodes', 1, nodeIdMax),
  };
}

function node(from: Fields, name: string): number {
  return whole(from, name, 1, nodeIdMax);
}

/** What a job takes along besides its memory: its history, and what its user wants of it. */
export interface Luggage {
  readonly moves: number;
  /** Ms of processor time, everywhere. */
  readonly used: number;
  readonly cpu: number;
  readonly dirtyRate: number;
  /** Nodes it has left, and how many ms ago. */
  readonly left: readonly { readonly node: number; readonly ago: number }[];
  readonly wishes: Wishes;
  readonly recalled: boolean;
  /** Ms since its last checkpoint, or since it began. */
  readonly checkpointed?: number | undefined;
}

/** What a job's user has asked for: the flags of mosrun. */
export interface Wishes {
  /** -L, nomig, or the file `lock`. */
  readonly locked: boolean;
  /** -j; undefined: all nodes. */
  readonly allowed: readonly number[] | undefined;
  /** -c, -i: what it does most. */
  readonly hint: 'cpu' | 'io' | undefined;
  /** -n, -s, -f, -t, -d: thousandths of its statistics that are kept after so many seconds. */
  readonly decay: { readonly keep: number; readonly interval: number | undefined } | undefined;
  /** -A: minutes between checkpoints. */
  readonly checkpoint: number | undefined;
}

export const noWishes: Wishes = { locked: false, allowed: undefined, hint: undefined, decay: undefined, checkpoint: undefined };

/** More than five minutes of moves every few seconds; older ones say nothing. */
const leftMax = 128;

export function readWishes(value: unknown): Wishes {
  const from = fields(value, 'wishes');
  return {
    locked: flag(from, 'locked'),
    allowed: perhaps(from, 'allowed', (all, name) => list(all, name, nodeIdMax, (item) => whole(new Map([['node', item]]), 'node', 1, nodeIdMax))),
    hint: perhaps(from, 'hint', (all, name) => oneOf(all, name, ['cpu', 'io'])),
    decay: perhaps(from, 'decay', (all, name) => {
      const decay = fields(all.get(name), name);
      return { keep: whole(decay, 'keep', 0, 1000), interval: perhaps(decay, 'interval', (some, word) => whole(some, word, 1, 3600)) };
    }),
    checkpoint: perhaps(from, 'checkpoint', (all, name) => whole(all, name, 1)),
  };
}

export function readLuggage(value: unknown): Luggage {
  const from = fields(value, 'luggage');
  return {
    moves: whole(from, 'moves'),
    used: amount(from, 'used'),
    cpu: amount(from, 'cpu'),
    dirtyRate: amount(from, 'dirtyRate'),
    left: list(from, 'left', leftMax, (item) => {
      const one = fields(item, 'left');
      return { node: node(one, 'node'), ago: amount(one, 'ago') };
    }),
    wishes: readWishes(from.get('wishes')),
    recalled: flag(from, 'recalled'),
    checkpointed: perhaps(from, 'checkpointed', amount),
  };
}

export function leftWith<Left>(left: readonly Left[], one: Left): readonly Left[] {
  return [...left, one].slice(-leftMax);
}

export function readPositions(value: unknown): StreamPositions {
  const from = fields(value, 'positions');
  const [control = 0, events = 0] = (['control', 'events'] as const).map((name) => perhaps(from, name, whole));
  return { input: whole(from, 'input'), inputEnded: flag(from, 'inputEnded'), output: whole(from, 'output'), errors: whole(from, 'errors'), control, events };
}

/** The other side's answer on the stream of a transfer: it went on, or why it did not. */
export type Word = { readonly ok: true } | { readonly ok: false; readonly code: string; readonly why: string };

export function readWord(value: unknown): Word {
  const from = fields(value, 'an answer');
  if (flag(from, 'ok')) return { ok: true };
  return { ok: false, code: text(from, 'code', jobIdMax), why: text(from, 'why', sayMax) };
}

/** A line of JSON of at most `sayMax` characters in its sentence. */
export function wordLine(word: Word): string {
  return `${JSON.stringify(word.ok ? word : { ...word, code: word.code.slice(0, jobIdMax), why: word.why.slice(0, sayMax) })}\n`;
}

export function readJobId(from: Fields, name = 'job'): string {
  const id = text(from, name, jobIdMax);
  if (/^\d+-\d+-\d+$/.test(id)) return id;
  throw foreign(name, 'no id of a job');
}
