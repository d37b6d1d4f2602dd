// Orders and results on the wire: what is not the farm's, not for this agent or not new does nothing.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { decodeOrders, decodeResults, encodeOrders, encodeResults, type Order, takeOrders, wordsComplaint } from '../../src/cluster/orders.ts';
import { untilFuzzed } from './fuzz.ts';

const key = Buffer.from('the key of this farm, derived');
const other = Buffer.from('the key of another farm');
const order = (number: number, more: Partial<Order> = {}): Order => ({ node: 3, incarnation: 77, number, words: ['stay'], ...more });
const result = { number: 1, status: 0, out: 'yes\n', complaint: '' };

describe('orders', () => {
  test('come as they went, under the new key and, during a rotation, under the old', () => {
    const orders = [order(1), order(2, { words: ['setspeed', '5000'] })];
    expect(decodeOrders(encodeOrders(orders, key), [key])).toEqual(orders);
    expect(decodeOrders(encodeOrders(orders, key), [other, key])).toEqual(orders);
  });

  test('of another farm, changed by a byte, or taken for results are refused', () => {
    const text = encodeOrders([order(1)], key);
    expect(() => decodeOrders(text, [other])).toThrow(expect.objectContaining({ code: 'order.signature' }));
    for (let at = 0; at < text.length; at += 1) {
      const mutated = `${text.slice(0, at)}${text[at] === 'x' ? 'y' : 'x'}${text.slice(at + 1)}`;
      expect(() => decodeOrders(mutated, [key])).toThrow(expect.objectContaining({ code: 'order.signature' }));
    }
    expect(() => decodeOrders(encodeResults({ node: 3, incarnation: 77, results: [] }, key), [key])).toThrow(WireError);
  });

  test.each([
    [{ words: [] }],
    [{ words: Array(9).fill('x') }],
    [{ words: ['a b'] }],
    [{ words: ['$(reboot)'] }],
    [{ words: ['../../bin/sh'] }],
    [{ node: 0 }],
    [{ number: 0 }],
    [{ number: 1.5 }],
    [{ incarnation: -1 }],
  ])('that are no orders are refused though the signature is right: %j', (more) => {
    expect(() => decodeOrders(encodeOrders([order(1, more)], key), [key])).toThrow(expect.objectContaining({ code: 'order.shape' }));
  });

  test('no text crashes the reader', () => {
    untilFuzzed(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `${'0'.repeat(64)} ${text}`),
      ),
      (text) => {
        expect(() => decodeOrders(text, [key])).toThrow(WireError);
      },
    );
  });

  test('have words that are an argument of mosctl and nothing a shell could mistake', () => {
    for (const words of [['stay'], ['-stay'], ['whois', '10.11.0.12'], ['whois', 'n1.farm.lan'], ['setspeed', '500']])
      expect(wordsComplaint(words)).toBeUndefined();
    for (const words of [[], [''], ['a;b'], ['a\n'], ['x'.repeat(65)]]) expect(wordsComplaint(words)).toMatch(/\w/);
  });
});

describe('an agent takes', () => {
  const taken = { node: 3, incarnation: 77, last: 5 };

  test('what is new, in the order of the numbers, once', () => {
    const first = takeOrders(taken, [order(8), order(6), order(5)]);
    expect([first.fresh.map(({ number }) => number), first.taken.last]).toEqual([[6, 8], 8]);
    expect(takeOrders(first.taken, [order(8), order(6), order(7)]).fresh).toEqual([]);
  });

  test('nothing that is for another node or for another start of itself', () => {
    expect(takeOrders(taken, [order(9, { node: 4 }), order(9, { incarnation: 76 }), order(9, { incarnation: 78 })])).toEqual({ fresh: [], taken });
  });

  test('no number twice, whatever is replayed in whatever order', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 6 }), { maxLength: 20 }), (bodies) => {
        let state = { ...taken, last: 0 };
        const done: number[] = [];
        for (const numbers of bodies) {
          const step = takeOrders(
            state,
            numbers.map((number) => order(number)),
          );
          done.push(...step.fresh.map(({ number }) => number));
          state = step.taken;
        }
        expect(done).toEqual([...new Set(done)].sort((a, b) => a - b));
      }),
    );
  });
});

describe('results', () => {
  test('come as they went, shortened, without what moves a cursor', () => {
    expect(decodeResults(encodeResults({ node: 3, incarnation: 77, results: [result] }, key), 3, 77, [key])).toEqual([result]);
    const long = { ...result, out: `\u001b[2J${'x'.repeat(10_000)}` };
    const [shown] = decodeResults(encodeResults({ node: 3, incarnation: 77, results: [long] }, key), 3, 77, [key]);
    expect([shown!.out.length, shown!.out.slice(0, 5)]).toEqual([8192, '?[2Jx']);
  });

  test('of another node or another start are refused', () => {
    const text = encodeResults({ node: 3, incarnation: 77, results: [result] }, key);
    for (const [node, incarnation] of [[4, 77] as const, [3, 78] as const]) {
      expect(() => decodeResults(text, node, incarnation, [key])).toThrow(expect.objectContaining({ code: 'order.signature' }));
    }
  });
});
