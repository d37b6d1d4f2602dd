// What the server has ordered its nodes to do and has not heard the end of: `farm ctl`. In memory, because whoever ordered it waits for the answer.
import { FarmError } from '../base/errors.ts';
import { encodeOrders, type Order, type OrderResult } from '../cluster/orders.ts';

/** Longer than three reports of a node are apart, and than a busy node needs for a command. */
export const orderPatience = 60_000;

/** Orders to one node that wait. */
const waitingMax = 16;

/** What became of one node's order; `silent`: no answer in time. */
export type Outcome = ({ readonly kind: 'done' } & OrderResult) | { readonly kind: 'silent' };

interface Waiting {
  readonly words: readonly string[];
  /** Which agent was given it, and under which number; undefined until its next report. */
  given: { readonly incarnation: number; readonly number: number } | undefined;
  readonly settle: (outcome: Outcome) => void;
}

export class Orders {
  private readonly key: Buffer;
  private readonly waiting = new Map<number, Waiting[]>();
  private last = 0;

  /** `key` is `orderKey` of the farm's key. `now` makes numbers that grow from one start of the server to the next. */
  constructor(key: Buffer, now: number) {
    this.key = key;
    this.last = now;
  }

  /** Settles with what the node answers, or `silent` when `patience` ms are over. Throws `FarmError` `orders.many`. */
  give(node: number, words: readonly string[], patience = orderPatience): Promise<Outcome> {
    const queue = this.waiting.get(node) ?? [];
    if (queue.length >= waitingMax) throw new FarmError('orders.many', `node ${node} has ${queue.length} orders waiting`, 'wait until it has answered them');
    this.waiting.set(node, queue);
    return new Promise((resolve) => {
      const settle = (outcome: Outcome): void => {
        clearTimeout(timer);
        queue.splice(queue.indexOf(order), 1);
        resolve(outcome);
      };
      const order: Waiting = { words, given: undefined, settle };
      const timer = setTimeout(() => settle({ kind: 'silent' }), patience);
      queue.push(order);
    });
  }

  /** The body for the report of this agent; undefined if there is nothing to order. The same again until it is answered: answers get lost. */
  body(node: number, incarnation: number): string | undefined {
    const queue = this.waiting.get(node) ?? [];
    const orders = queue.map((waiting): Order => {
      if (waiting.given?.incarnation !== incarnation) {
        this.last += 1;
        waiting.given = { incarnation, number: this.last };
      }
      return { node, incarnation, number: waiting.given.number, words: waiting.words };
    });
    return orders.length === 0 ? undefined : encodeOrders(orders, this.key);
  }

  /** The agent's results have come. */
  take(node: number, results: readonly OrderResult[]): void {
    for (const result of results) {
      const waiting = this.waiting.get(node)?.find(({ given }) => given?.number === result.number);
      waiting?.settle({ kind: 'done', ...result });
    }
  }
}
