// The lock table against a model with one cell for each byte of each owner.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import type { Grant, Wanted } from '../../src/nlm/lock.ts';
import { LockTable } from '../../src/nlm/locks.ts';
import { lastByte } from '../../src/nlm/ranges.ts';

/** The cell behind the last stands for everything beyond. */
const bytes = 12;
const clients = ['10.0.0.1', '10.0.0.1', '10.0.0.2', '10.0.0.2'].map(ipv4);

type Cells = (boolean | undefined)[];

interface Asked {
  readonly owner: number;
  readonly exclusive: boolean;
  readonly cells: readonly number[];
}

interface Pending {
  readonly grant: Grant<string>;
  readonly asked: Asked;
  /** What its owner had before. */
  readonly before: Cells;
}

const same = (one: Asked, other: Asked) => one.owner === other.owner && one.exclusive === other.exclusive && one.cells.join() === other.cells.join();

function wantedOf({ owner, exclusive, cells }: Asked): Wanted {
  const [start = 0] = cells;
  const end = cells.at(-1) === bytes ? lastByte : BigInt(cells.at(-1) ?? 0);
  return { file: 'f', owner: { client: clients[owner]!, via: '', svid: owner }, start: BigInt(start), end, exclusive, ownerHandle: Buffer.alloc(0), state: 1 };
}

class Comparison {
  private readonly table = new LockTable<string>();
  private readonly owners: Cells[] = clients.map(() => Array.from({ length: bytes + 1 }));
  private waiting: Asked[] = [];
  private pending: Pending[] = [];

  lock(asked: Asked, waits: boolean): void {
    this.settleOverlapping(asked);
    const { outcome, grants } = this.table.lock(wantedOf(asked), waits ? 'waiter' : undefined);
    const known = this.waiting.some((waiter) => same(waiter, asked));
    if (!this.isBlocked(asked)) {
      expect(outcome).toBe('granted');
      this.dropWaiting((waiter) => same(waiter, asked));
      this.set(asked, asked.exclusive);
    } else if (waits) {
      expect(outcome).toBe('blocked');
      if (!known) this.waiting.push(asked);
    } else {
      expect(outcome).toBe('denied');
      this.dropWaiting((waiter) => same(waiter, asked));
    }
    this.expectGrants(grants);
  }

  unlock(asked: Asked): void {
    this.settleOverlapping(asked);
    this.set(asked, undefined);
    this.expectGrants(this.table.unlock(wantedOf(asked)).grants);
  }

  cancel(asked: Asked): void {
    if (this.pending.some((one) => same(one.asked, asked))) return;
    expect(this.table.cancel(wantedOf(asked)).found).toBe(this.waiting.some((waiter) => same(waiter, asked)));
    this.dropWaiting((waiter) => same(waiter, asked));
  }

  withdraw(): void {
    const last = this.pending.pop();
    if (last === undefined) return;
    const cells = this.owners[last.asked.owner]!;
    for (const cell of last.asked.cells) cells[cell] = last.before[cell];
    this.expectGrants(this.table.withdraw(last.grant));
  }

  settle(): void {
    const last = this.pending.pop();
    if (last !== undefined) this.table.settle(last.grant);
  }

  free({ owner }: Asked): void {
    const isFreed = (other: number) => clients[other] === clients[owner];
    const { grants } = this.table.free(clients[owner]!);
    for (const [other, cells] of this.owners.entries()) if (isFreed(other)) cells.fill(undefined);
    this.dropWaiting((waiter) => isFreed(waiter.owner));
    this.pending = this.pending.filter(({ asked }) => !isFreed(asked.owner));
    this.expectGrants(grants);
  }

  /** Asks for each byte whether it is in the way of each owner. */
  check(): void {
    for (let cell = 0; cell <= bytes; cell += 1) {
      for (const owner of clients.keys()) {
        const asked = { owner, exclusive: true, cells: [cell] };
        expect(this.table.test(wantedOf(asked)) !== undefined).toBe(this.isBlocked(asked));
      }
    }
  }

  end(): void {
    for (const client of clients) this.table.free(client);
    expect([...this.table.clients()]).toEqual([]);
  }

  private isBlocked({ owner, exclusive, cells }: Asked): boolean {
    return this.owners.some((held, other) => other !== owner && cells.some((cell) => held[cell] === true || (exclusive && held[cell] === false)));
  }

  private set({ owner, cells }: Asked, to: boolean | undefined): void {
    for (const cell of cells) this.owners[owner]![cell] = to;
  }

  private dropWaiting(leaves: (waiter: Asked) => boolean): void {
    this.waiting = this.waiting.filter((waiter) => !leaves(waiter));
  }

  private settleOverlapping({ owner, cells }: Asked): void {
    this.pending = this.pending.filter(({ asked }) => asked.owner !== owner || !asked.cells.some((cell) => cells.includes(cell)));
  }

  /** The model grants too; the table must have granted the same in the same order. */
  private expectGrants(grants: readonly Grant<string>[]): void {
    const granted: Asked[] = [];
    for (const asked of this.waiting) {
      if (this.isBlocked(asked)) continue;
      const grant = grants[granted.length];
      expect(grant?.waiter).toMatchObject(wantedOf(asked));
      this.pending.push({ grant: grant!, asked, before: [...this.owners[asked.owner]!] });
      this.set(asked, asked.exclusive);
      granted.push(asked);
    }
    this.waiting = this.waiting.filter((waiter) => !granted.includes(waiter));
    expect(grants.length).toBe(granted.length);
  }
}

const step = fc.record({
  act: fc.constantFrom('lock', 'lock', 'wait', 'wait', 'unlock', 'unlock', 'cancel', 'withdraw', 'settle', 'free'),
  owner: fc.nat(clients.length - 1),
  from: fc.nat(bytes - 1),
  to: fc.nat(bytes),
  exclusive: fc.boolean(),
});

test('the table holds, grants and gives back what the model does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const comparison = new Comparison();
      for (const { act, owner, from, to, exclusive } of steps) {
        const asked: Asked = { owner, exclusive, cells: Array.from({ length: Math.max(from, to) - from + 1 }, (_, index) => from + index) };
        if (act === 'lock' || act === 'wait') comparison.lock(asked, act === 'wait');
        else comparison[act](asked);
        comparison.check();
      }
      comparison.end();
    }),
    { numRuns: 150 },
  );
});
