// Orders of the server to a node's agent, `farm ctl`: they ride on the answer to a report, results come back by POST. Signed with the farm's key.
//
// An order names the node, the incarnation of its agent and a number that grows. An agent takes each number once: what was heard and is sent again does
// nothing, neither to this agent, nor to a later start, nor to another node. No clock is asked.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { WireError } from '../base/errors.ts';
import { nodeIdMax } from './map.ts';

/** The resource on the farm's HTTP server that takes results. */
export const resultsPath = '/agent/results';

/** What answers a report when there is something to do; bytes. A dozen words for each of sixteen orders. */
export const ordersBytesMax = 64 * 1024;
/** Of a POST of results, bytes: sixteen, each with two full texts. */
const resultsBytesMax = 512 * 1024;

const ordersMax = 16;
const wordsMax = 8;
/** Of what a tool says: a screen of usage and more. */
const sayMax = 8 * 1024;

export interface Order {
  /** The node's id. */
  readonly node: number;
  /** Of the agent that is to take it, from its reports. */
  readonly incarnation: number;
  /** Larger than that of every order before, for this incarnation. */
  readonly number: number;
  /** Arguments of mosctl: printable, at least one. */
  readonly words: readonly string[];
}

export interface OrderResult {
  readonly number: number;
  /** The exit status. */
  readonly status: number;
  readonly out: string;
  readonly complaint: string;
}

/** A word of an order: a sub-command, an id, an address, a name, a number. */
const wordShape = /^[\w.:+-]{1,64}$/;

/** Why these cannot be ordered, or undefined. */
export function wordsComplaint(words: readonly string[]): string | undefined {
  if (words.length === 0) return 'nothing is ordered';
  if (words.length > wordsMax) return `more than ${wordsMax} words`;
  const bad = words.find((word) => !wordShape.test(word));
  return bad === undefined ? undefined : `"${bad.replace(/[^\x20-\x7e]/g, '?').slice(0, 60)}" is no word of mosctl`;
}

/** The body that answers a report. */
export function encodeOrders(orders: readonly Order[], key: Buffer): string {
  return sealed('orders', orders.slice(0, ordersMax), key);
}

/** Throws `WireError` `order.signature` or `order.shape`. `keys`: the farm's keys that are accepted. */
export function decodeOrders(text: string, keys: readonly Buffer[]): readonly Order[] {
  if (text.length > ordersBytesMax) throw new WireError('order.shape', 0, `${text.length} characters of orders`);
  return list(opened('orders', text, keys), ordersMax).map((fields) => {
    const words = fields.get('words');
    if (!Array.isArray(words) || !words.every((word) => typeof word === 'string') || wordsComplaint(words) !== undefined) {
      throw new WireError('order.shape', 0, 'an order has words that are none');
    }
    return {
      node: whole(fields.get('node'), 1, nodeIdMax),
      incarnation: whole(fields.get('incarnation'), 0, Number.MAX_SAFE_INTEGER),
      number: whole(fields.get('number'), 1, Number.MAX_SAFE_INTEGER),
      words: [...words],
    };
  });
}

export interface Results {
  readonly node: number;
  readonly incarnation: number;
  readonly results: readonly OrderResult[];
}

export function encodeResults({ node, incarnation, results }: Results, key: Buffer): string {
  const cut = results.slice(0, ordersMax).map((result) => ({ ...result, out: result.out.slice(0, sayMax), complaint: result.complaint.slice(0, sayMax) }));
  return sealed(`results of ${node} ${incarnation}`, cut, key);
}

/** Throws `WireError` `order.signature` or `order.shape`. Whose results they are is known before: another's have another signature. */
export function decodeResults(text: string, node: number, incarnation: number, keys: readonly Buffer[]): readonly OrderResult[] {
  if (text.length > resultsBytesMax) throw new WireError('order.shape', 0, `${text.length} characters of results`);
  return list(opened(`results of ${node} ${incarnation}`, text, keys), ordersMax).map((fields) => ({
    number: whole(fields.get('number'), 1, Number.MAX_SAFE_INTEGER),
    status: whole(fields.get('status'), 0, 255),
    out: said(fields.get('out')),
    complaint: said(fields.get('complaint')),
  }));
}

/** What an agent has done so far; `last` is the largest number that it took, 0 before the first. */
export interface Taken {
  readonly node: number;
  readonly incarnation: number;
  readonly last: number;
}

/** The orders that are for this agent and new, ascending, and the state after them. Others are old news or somebody else's. */
export function takeOrders(taken: Taken, orders: readonly Order[]): { readonly fresh: readonly Order[]; readonly taken: Taken } {
  const fresh: Order[] = [];
  let { last } = taken;
  for (const order of [...orders].sort((a, b) => a.number - b.number)) {
    if (order.node !== taken.node || order.incarnation !== taken.incarnation || order.number <= last) continue;
    fresh.push(order);
    last = order.number;
  }
  return { fresh, taken: { ...taken, last } };
}

/** `purpose` is signed too, so that orders cannot be taken for results. */
function sealed(purpose: string, value: unknown, key: Buffer): string {
  const text = JSON.stringify(value);
  return `${signature(purpose, text, key).toString('hex')} ${text}`;
}

function opened(purpose: string, sealedText: string, keys: readonly Buffer[]): unknown {
  const [, hex = '', text = ''] = /^([0-9a-f]{64}) ([\s\S]*)$/.exec(sealedText) ?? [];
  const given = Buffer.from(hex, 'hex');
  const right = given.length === 32 && keys.some((key) => timingSafeEqual(signature(purpose, text, key), given));
  if (!right) throw new WireError('order.signature', 0, 'not signed with the key of this farm');
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new WireError('order.shape', 0, 'signed, and no JSON');
    throw error;
  }
}

function signature(purpose: string, text: string, key: Buffer): Buffer {
  return createHmac('sha256', key).update(`${purpose}\0${text}`).digest();
}

function list(value: unknown, most: number): readonly ReadonlyMap<string, unknown>[] {
  if (!Array.isArray(value) || value.length > most) throw new WireError('order.shape', 0, `no list of at most ${most}`);
  return value.map((item: unknown) => {
    if (typeof item !== 'object' || item === null) throw new WireError('order.shape', 0, 'no object');
    return new Map(Object.entries(item));
  });
}

function whole(value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new WireError('order.shape', 0, `no whole number from ${least} to ${most}`);
}

/** What a tool said, for a terminal: nothing that moves its cursor. */
function said(value: unknown): string {
  if (typeof value !== 'string' || value.length > sayMax) throw new WireError('order.shape', 0, `no text of at most ${sayMax}`);
  return value.replace(/[^\x20-\x7e\n\t]/g, '?');
}
