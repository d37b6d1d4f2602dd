import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Heap, type HeapItem } from '../../src/base/heap.ts';

it('has the smallest first, whatever was put in, taken out and moved', () => {
  const operation = fc.record({ item: fc.nat({ max: 30 }), rank: fc.integer({ min: -50, max: 50 }), isRemoval: fc.boolean() });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const heap = new Heap<HeapItem>();
      const items = Array.from({ length: 31 }, (): HeapItem => ({ rank: 0, place: 0 }));
      const inside = new Set<HeapItem>();
      for (const { item, rank, isRemoval } of operations) {
        const chosen = items[item]!;
        heap.remove(chosen);
        inside.delete(chosen);
        if (!isRemoval) {
          heap.push(chosen, rank);
          inside.add(chosen);
        }
        expect(heap.size).toBe(inside.size);
        expect(heap.first()?.rank).toBe(inside.size === 0 ? undefined : Math.min(...[...inside].map((each) => each.rank)));
      }
      const order: number[] = [];
      for (let first = heap.first(); first !== undefined; first = heap.first()) {
        order.push(first.rank);
        heap.remove(first);
      }
      expect(order).toEqual([...inside].map(({ rank }) => rank).sort((a, b) => a - b));
    }),
  );
});
