import { describe, expect, test } from 'vitest';
import { type Ipv4, ipv4 } from '../../src/base/addresses.ts';
import { defaultLockLimits, type Grant, type Wanted } from '../../src/nlm/lock.ts';
import { LockTable } from '../../src/nlm/locks.ts';

const one = ipv4('10.0.0.1');
const two = ipv4('10.0.0.2');

function wanted(client: Ipv4, svid: number, start: number, end: number, exclusive = true, rest: Partial<Wanted> = {}): Wanted {
  const owner = { client, via: 'wide/tcp', svid };
  return { file: 'f', owner, start: BigInt(start), end: BigInt(end), exclusive, ownerHandle: Buffer.from(`${svid}@${client}`), state: 1, ...rest };
}

const table = (limits = {}) => new LockTable<string>({ ...defaultLockLimits, ...limits });
const names = (grants: readonly Grant<string>[]) => grants.map(({ waiter }) => waiter.callback);

describe('byte-range locks', () => {
  test('exclude other processes of the same client and of others, and never their own', () => {
    const locks = table();
    expect(locks.lock(wanted(one, 1, 0, 9)).outcome).toBe('granted');
    expect(locks.lock(wanted(one, 1, 0, 9)).outcome).toBe('granted');
    expect(locks.lock(wanted(one, 2, 9, 9)).outcome).toBe('denied');
    expect(locks.lock(wanted(two, 1, 0, 0)).outcome).toBe('denied');
    expect(locks.lock(wanted(two, 1, 10, 10)).outcome).toBe('granted');
    expect(locks.lock(wanted(two, 1, 0, 9, true, { file: 'g' })).outcome).toBe('granted');
  });

  test('the same process number over another version or transport is another process', () => {
    const locks = table();
    locks.lock(wanted(one, 1, 0, 9));
    expect(locks.lock(wanted(one, 1, 0, 9, true, { owner: { client: one, via: 'wide/udp', svid: 1 } })).outcome).toBe('denied');
  });

  test('a test tells who is in the way, with the owner handle that its client knows', () => {
    const locks = table();
    locks.lock(wanted(one, 7, 4, Number(9)));
    locks.lock(wanted(one, 7, 20, 29, false));
    expect(locks.test(wanted(two, 1, 0, 100))).toEqual({ start: 4n, end: 9n, exclusive: true, svid: 7, ownerHandle: Buffer.from('7@10.0.0.1') });
    expect(locks.test(wanted(two, 1, 10, 100))).toMatchObject({ start: 20n, exclusive: false });
    expect(locks.test(wanted(two, 1, 10, 100, false))).toBeUndefined();
    expect(locks.test(wanted(one, 7, 0, 100))).toBeUndefined();
  });

  test('waiters are served in order, as many as there is room for', () => {
    const locks = table();
    locks.lock(wanted(one, 1, 0, 9));
    expect(locks.lock(wanted(two, 1, 0, 4, false), 'reader').outcome).toBe('blocked');
    expect(locks.lock(wanted(two, 2, 0, 9), 'writer').outcome).toBe('blocked');
    expect(locks.lock(wanted(two, 3, 3, 9, false), 'other reader').outcome).toBe('blocked');
    const { grants } = locks.unlock(wanted(one, 1, 0, 9));
    expect(names(grants)).toEqual(['reader', 'other reader']);
    expect(names(locks.unlock(wanted(two, 1, 0, 4)).grants)).toEqual([]);
    expect(names(locks.unlock(wanted(two, 3, 3, 9)).grants)).toEqual(['writer']);
  });

  test('a range that becomes shared lets readers in, and half of one that is freed lets in who wants that half', () => {
    const locks = table();
    locks.lock(wanted(one, 1, 0, 9));
    locks.lock(wanted(two, 1, 0, 4, false), 'reader');
    locks.lock(wanted(two, 2, 7, 7), 'writer');
    expect(names(locks.lock(wanted(one, 1, 0, 9, false)).grants)).toEqual(['reader']);
    expect(names(locks.unlock(wanted(one, 1, 7, 7)).grants)).toEqual(['writer']);
    expect(locks.used(one)).toEqual({ held: 2, waiting: 0 });
  });

  test('who asks again while it waits is still one waiter, and none once it asks without waiting', () => {
    const locks = table();
    locks.lock(wanted(one, 1, 0, 9));
    locks.lock(wanted(two, 1, 0, 9), 'first');
    locks.lock(wanted(two, 1, 0, 9), 'second');
    expect(locks.used(two).waiting).toBe(1);
    expect(locks.lock(wanted(two, 1, 0, 9)).outcome).toBe('denied');
    expect(locks.used(two).waiting).toBe(0);
    locks.lock(wanted(two, 1, 0, 9), 'third');
    expect(names(locks.unlock(wanted(one, 1, 0, 9)).grants)).toEqual(['third']);
  });

  test('a waiter that is cancelled is not served', () => {
    const locks = table();
    locks.lock(wanted(one, 1, 0, 9));
    locks.lock(wanted(two, 1, 0, 9), 'waiter');
    expect(locks.cancel(wanted(two, 1, 0, 8)).found).toBe(false);
    expect(locks.cancel(wanted(two, 1, 0, 9)).found).toBe(true);
    expect(locks.cancel(wanted(two, 1, 0, 9)).found).toBe(false);
    expect(locks.unlock(wanted(one, 1, 0, 9)).grants).toEqual([]);
    expect([...locks.clients()]).toEqual([]);
  });
});

describe('a grant', () => {
  function granted(): { locks: LockTable<string>; grant: Grant<string> } {
    const locks = table();
    locks.lock(wanted(two, 1, 5, 6, false));
    locks.lock(wanted(one, 1, 0, 3));
    locks.lock(wanted(two, 1, 0, 9), 'upgrade');
    locks.lock(wanted(one, 2, 0, 0), 'next');
    const [grant] = locks.unlock(wanted(one, 1, 0, 3)).grants;
    return { locks, grant: grant! };
  }

  test('that is not wanted any more leaves what was held before, and the next gets its turn', () => {
    const { locks, grant } = granted();
    expect(names(locks.withdraw(grant))).toEqual(['next']);
    expect(locks.test(wanted(one, 9, 0, 4))).toMatchObject({ start: 0n, end: 0n, exclusive: true });
    expect(locks.test(wanted(one, 9, 1, 9))).toMatchObject({ start: 5n, end: 6n, exclusive: false });
    expect(locks.withdraw(grant)).toEqual([]);
  });

  test.each([
    ['asks for it again', (locks: LockTable<string>) => locks.lock(wanted(two, 1, 0, 9), 'again')],
    ['unlocks a part', (locks: LockTable<string>) => locks.unlock(wanted(two, 1, 2, 2))],
  ])('is settled when its owner %s', (_, act) => {
    const { locks, grant } = granted();
    expect(locks.isPending(grant)).toBe(true);
    act(locks);
    expect(locks.isPending(grant)).toBe(false);
    expect(locks.withdraw(grant)).toEqual([]);
    expect(locks.test(wanted(one, 9, 9, 9))).toMatchObject({ exclusive: true });
  });

  test('is withdrawn by a CANCEL that crosses it', () => {
    const { locks, grant } = granted();
    const { found, grants } = locks.cancel(wanted(two, 1, 0, 9));
    expect([found, names(grants), locks.isPending(grant)]).toEqual([true, ['next'], false]);
  });
});

describe('a client that restarts', () => {
  test('loses what it had in its former state only', () => {
    const locks = table();
    locks.lock(wanted(one, 1, 0, 9, true, { state: 3 }));
    locks.lock(wanted(one, 2, 20, 29, true, { state: 5 }));
    locks.lock(wanted(two, 1, 0, 9), 'waiter');
    const { freed, grants } = locks.free(one, 5);
    expect([freed, names(grants)]).toEqual([1, ['waiter']]);
    expect(locks.free(one, 5).freed).toBe(0);
    expect(locks.free(one).freed).toBe(1);
    expect(locks.used(one)).toEqual({ held: 0, waiting: 0 });
  });

  test('whose state nobody said loses everything, waiting requests and grants too', () => {
    const locks = table();
    locks.lock(wanted(two, 1, 0, 9));
    locks.lock(wanted(one, 1, 0, 0, true, { state: 0 }), 'granted');
    locks.lock(wanted(one, 2, 0, 9, true, { state: 0 }), 'waiting');
    const [grant] = locks.unlock(wanted(two, 1, 0, 0)).grants;
    locks.free(one, 7);
    expect(locks.isPending(grant!)).toBe(false);
    expect(locks.unlock(wanted(two, 1, 0, 9)).grants).toEqual([]);
    expect([...locks.clients()]).toEqual([]);
  });
});

describe('limits', () => {
  test('bound what a client holds, also by splitting, and what all hold', () => {
    const locks = table({ perClient: 2, inAll: 3 });
    locks.lock(wanted(one, 1, 0, 9));
    expect(locks.unlock(wanted(one, 1, 4, 4)).outcome).toBe('granted');
    expect(locks.unlock(wanted(one, 1, 2, 2)).outcome).toBe('full');
    expect(locks.lock(wanted(one, 1, 20, 20)).outcome).toBe('full');
    expect(locks.lock(wanted(one, 1, 4, 4)).outcome).toBe('granted');
    locks.lock(wanted(one, 1, 20, 20));
    expect(locks.lock(wanted(two, 1, 30, 30)).outcome).toBe('granted');
    expect(locks.lock(wanted(two, 1, 40, 40)).outcome).toBe('full');
    locks.unlock(wanted(one, 1, 0, 100));
    expect(locks.lock(wanted(two, 1, 40, 40)).outcome).toBe('granted');
  });

  test('bound who waits', () => {
    const locks = table({ waitingPerClient: 1, waitingInAll: 2 });
    locks.lock(wanted(one, 1, 0, 9));
    expect(locks.lock(wanted(two, 1, 0, 1), 'a').outcome).toBe('blocked');
    expect(locks.lock(wanted(two, 1, 0, 2), 'b').outcome).toBe('full');
    expect(locks.lock(wanted(one, 2, 0, 1), 'c').outcome).toBe('blocked');
    expect(locks.lock(wanted(ipv4('10.0.0.3'), 2, 0, 1), 'd').outcome).toBe('full');
    locks.abandon(two);
    expect(locks.lock(wanted(ipv4('10.0.0.3'), 2, 0, 1), 'e').outcome).toBe('blocked');
  });
});
