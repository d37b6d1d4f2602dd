import { describe, expect, test } from 'vitest';
import { graceTime } from '../../src/nlm/grace.ts';
import { defaultLockLimits } from '../../src/nlm/lock.ts';
import { shareBits } from '../../src/nlm/nlm.ts';
import { LockWorld, one, server, two } from '../support/lock-world.ts';
import { settle } from '../support/virtual-timers.ts';

const waits = { block: true } as const;

/** One holds; two waits for the same bytes. */
async function contended(): Promise<LockWorld> {
  const world = new LockWorld();
  expect(await world.lock(one, 1)).toBe('GRANTED');
  expect(await world.lock(two, 1, waits)).toBe('BLOCKED');
  return world;
}

describe('refusals', () => {
  test.each([
    ['a handle that we never gave', { handle: Buffer.from('forged') }, 'STALE_FH'],
    ['an offset that no file has', { offset: 2n ** 63n }, 'FBIG'],
  ])('%s', async (_, lock, status) => {
    const world = new LockWorld();
    expect(await world.lock(one, 1, lock)).toBe(status);
    expect(world.unlock(one, 1, lock)).toBe(status);
    expect(world.cancel(one, 1, lock)).toBe(status);
    expect(world.test(one, 1, lock)).toBe(status);
  });

  test('who is not admitted has no handles', async () => {
    const world = new LockWorld();
    expect(await world.lock(server, 1)).toBe('STALE_FH');
  });

  test.each([
    ['stale', 'STALE_FH'],
    ['denied', 'FAILED'],
    ['read-only', 'ROFS'],
  ] as const)('%s files are not locked, and what is locked in them is freed all the same', async (permit, status) => {
    const world = new LockWorld();
    await world.lock(one, 1);
    world.permit = () => permit;
    expect(await world.lock(one, 1)).toBe(status);
    expect(world.test(one, 1)).toBe(status);
    expect(world.unlock(one, 1)).toBe('GRANTED');
    world.permit = () => 'yes';
    expect(await world.lock(two, 1)).toBe('GRANTED');
  });

  test('a client at its limit is told that there are no more, and the operator too', async () => {
    const world = new LockWorld({ limits: { ...defaultLockLimits, perClient: 1 } });
    await world.lock(one, 1);
    expect(await world.lock(one, 1, { offset: 100n })).toBe('DENIED_NOLOCKS');
    expect(world.events.at(-1)).toMatchObject({ event: 'nlm.full', fields: { client: one, held: 1 } });
  });
});

describe('a client that waits', () => {
  test('is told as soon as it has its lock: by its own handle, range and process, from the address it knows', async () => {
    const world = await contended();
    expect(world.unlock(one, 1)).toBe('GRANTED');
    await settle();
    const [told] = world.told;
    expect(told).toMatchObject({ to: two, from: server, what: 'GRANTED' });
    expect(told?.lock).toMatchObject({ handle: Buffer.from('file a'), ownerHandle: Buffer.from('1@a-node'), svid: 1, offset: 0n, length: 10n });
    expect(world.test(one, 1)).toBe('DENIED');
    await world.timers.pass(600_000);
    expect(world.told.length).toBe(1);
    expect(world.test(one, 1)).toBe('DENIED');
  });

  test('and does not want it any more frees it', async () => {
    const world = await contended();
    world.reacts(two, 'DENIED');
    world.unlock(one, 1);
    await settle();
    expect(world.test(one, 1)).toBe('GRANTED');
  });

  test('is told again by both kinds of call if it cannot be reached, and then given up with all that it waits for', async () => {
    const world = await contended();
    expect(await world.lock(one, 2, { offset: 50n })).toBe('GRANTED');
    expect(await world.lock(two, 9, { offset: 50n, block: true })).toBe('BLOCKED');
    world.reacts(two, 'unreachable');
    world.unlock(one, 1);
    await world.timers.pass(60_000);
    expect(world.test(one, 1)).toBe('DENIED');
    await world.timers.pass(60_000);
    expect(world.test(one, 1)).toBe('GRANTED');
    expect(world.toldTo(two).slice(0, 4)).toEqual(['GRANTED', 'GRANTED_MSG', 'GRANTED', 'GRANTED_MSG']);
    expect(world.events.at(-1)).toMatchObject({ event: 'nlm.unreachable', fields: { client: two, kept: false } });
    world.unlock(one, 2, { offset: 50n });
    await settle();
    expect(world.test(one, 1, { offset: 50n })).toBe('GRANTED');
  });

  test('and may have heard keeps its lock when it says DENIED later: it can have taken it the first time', async () => {
    const world = await contended();
    world.reacts(two, 'silent', 'silent', 'DENIED');
    world.unlock(one, 1);
    await world.timers.pass(600_000);
    expect(world.toldTo(two).length).toBe(3);
    expect(world.test(one, 1)).toBe('DENIED');
    expect(world.unlock(two, 1)).toBe('GRANTED');
    expect(world.test(one, 1)).toBe('GRANTED');
  });

  test('and asks again meanwhile has it, and is not told any more', async () => {
    const world = await contended();
    world.reacts(two, 'unreachable');
    world.unlock(one, 1);
    await settle();
    expect(await world.lock(two, 1, waits)).toBe('GRANTED');
    await world.timers.pass(600_000);
    expect(world.told.length).toBe(1);
    expect(world.test(one, 1)).toBe('DENIED');
  });

  test('and restarts its own lock manager is told when that is done', async () => {
    const world = await contended();
    world.reacts(two, 'DENIED_GRACE_PERIOD', 'GRANTED');
    world.unlock(one, 1);
    await world.timers.pass(9000);
    expect(world.told.length).toBe(1);
    await world.timers.pass(2000);
    expect(world.told.length).toBe(2);
    expect(world.test(one, 1)).toBe('DENIED');
  });

  test('and asked by LOCK_MSG is told by GRANTED_MSG, and answers by GRANTED_RES', async () => {
    const world = new LockWorld();
    await world.lock(one, 1);
    await world.lock(two, 1, waits, true);
    world.unlock(one, 1);
    await settle();
    const [told] = world.told;
    expect(told?.what).toBe('GRANTED_MSG');
    world.service.grantedResult(one, told!.cookie!, 'DENIED');
    expect(world.test(one, 1)).toBe('DENIED');
    world.service.grantedResult(two, told!.cookie!, 'DENIED');
    expect(world.test(one, 1)).toBe('GRANTED');
    await world.timers.pass(600_000);
    expect(world.told.length).toBe(1);
  });

  test('and cancels is not told; there is nothing to cancel after that, so that it unlocks to be sure', async () => {
    const world = await contended();
    expect(world.cancel(two, 1)).toBe('GRANTED');
    expect(world.cancel(two, 1)).toBe('DENIED');
    world.unlock(one, 1);
    await settle();
    expect(world.told).toEqual([]);
  });

  test('and cancels while it is being told gives the lock to the next', async () => {
    const world = await contended();
    await world.lock(one, 2, waits);
    world.reacts(two, 'unreachable');
    world.unlock(one, 1);
    await settle();
    expect(world.cancel(two, 1)).toBe('GRANTED');
    await settle();
    expect(world.toldTo(one)).toEqual(['GRANTED']);
  });
});

describe('a restart of the server', () => {
  test('tells who held locks, and gives these back to them before anybody else gets any', async () => {
    const world = new LockWorld();
    await world.lock(one, 1);
    const before = world.service.state;
    world.restart();
    await settle();
    expect(world.service.state).toBe(before + 2);
    expect(world.told).toMatchObject([{ to: one, from: server, what: 'NOTIFY', state: before + 2 }]);
    expect(await world.lock(two, 1)).toBe('DENIED_GRACE_PERIOD');
    expect(world.test(two, 1)).toBe('DENIED_GRACE_PERIOD');
    expect(world.unlock(one, 1)).toBe('DENIED_GRACE_PERIOD');
    expect(world.cancel(one, 1)).toBe('DENIED_GRACE_PERIOD');
    expect(await world.lock(one, 1, { reclaim: true })).toBe('GRANTED');
    await world.timers.pass(graceTime);
    expect(world.events.at(-1)).toEqual({ event: 'nlm.grace-over', fields: { reclaimed: 1, others: [] } });
    expect(await world.lock(two, 1)).toBe('DENIED');
    expect(await world.lock(two, 1, { offset: 100n })).toBe('GRANTED');
    expect(await world.lock(one, 2, { offset: 200n, reclaim: true })).toBe('DENIED');
  });

  test('without locks there is nobody to tell and nothing to wait for', async () => {
    const world = new LockWorld();
    world.restart();
    expect(await world.lock(one, 1)).toBe('GRANTED');
    expect(world.told).toEqual([]);
  });

  test('a client that held nothing reclaims nothing', async () => {
    const world = new LockWorld();
    await world.lock(one, 1);
    world.restart();
    expect(await world.lock(two, 1, { reclaim: true })).toBe('DENIED');
  });

  test('a client that slept through a grace period is still told, and reclaims nothing in the next', async () => {
    const world = new LockWorld();
    world.reacts(one, 'unreachable');
    await world.lock(one, 1);
    await world.lock(two, 1, { offset: 50n });
    world.restart();
    await world.lock(two, 1, { offset: 50n, reclaim: true });
    await world.timers.pass(graceTime);
    expect(world.events.at(-1)).toMatchObject({ event: 'nlm.grace-over', fields: { others: [one] } });
    await world.lock(two, 2);
    world.restart();
    await settle();
    expect(world.toldTo(one)).toEqual(['NOTIFY']);
    expect(await world.lock(one, 1, { reclaim: true })).toBe('DENIED');
    expect(await world.lock(two, 2, { reclaim: true })).toBe('GRANTED');
  });

  test('a client that never answers is given up after a quarter of an hour', async () => {
    const world = new LockWorld();
    world.reacts(one, 'unreachable');
    await world.lock(one, 1);
    world.restart();
    await world.timers.pass(1_000_000);
    const { length } = world.told;
    expect(length).toBeGreaterThan(10);
    expect(world.events.at(-1)).toMatchObject({ event: 'nlm.unnotified', fields: { client: one } });
    world.restart();
    await world.timers.pass(1_000_000);
    expect(world.told).toEqual([]);
  });

  test('shares are reclaimed too', async () => {
    const world = new LockWorld();
    await world.lock(one, 1);
    world.restart();
    const args = {
      cookie: Buffer.alloc(0),
      caller: 'n',
      handle: Buffer.from('file a'),
      ownerHandle: Buffer.from('o'),
      mode: shareBits.write,
      access: shareBits.read,
    };
    expect(world.service.share(world.asker(one), { ...args, reclaim: false })).toBe('DENIED_GRACE_PERIOD');
    expect(world.service.share(world.asker(one), { ...args, reclaim: true })).toBe('GRANTED');
    expect(world.service.unshare(world.asker(one), { ...args, reclaim: false })).toBe('DENIED_GRACE_PERIOD');
    await world.timers.pass(graceTime);
    expect(world.service.share(world.asker(two), { ...args, access: shareBits.write, reclaim: false })).toBe('DENIED');
    expect(world.service.unshare(world.asker(one), { ...args, reclaim: false })).toBe('GRANTED');
    expect(world.service.share(world.asker(two), { ...args, access: shareBits.write, reclaim: false })).toBe('GRANTED');
  });
});

describe('a restart of a client', () => {
  test('frees what it held in its former state, and tells who waited', async () => {
    const world = await contended();
    world.service.restarted(one, 1); // late, of the restart before: its locks are of this state
    expect(world.test(two, 2)).toBe('DENIED');
    world.service.restarted(one, 3);
    await settle();
    expect(world.toldTo(two)).toEqual(['GRANTED']);
    expect(world.events.at(-1)).toMatchObject({ event: 'nlm.freed', fields: { client: one, locks: 1 } });
  });

  test('and what it waited for', async () => {
    const world = await contended();
    world.service.restarted(two, 3);
    world.unlock(one, 1);
    await settle();
    expect(world.told).toEqual([]);
    expect(world.test(one, 2)).toBe('GRANTED');
  });

  test('it is not told of a restart of the server that it did not see', async () => {
    const world = new LockWorld();
    await world.lock(one, 1);
    world.service.restarted(one, 3);
    world.restart();
    await settle();
    expect(world.told).toEqual([]);
  });

  test('shares end with it', async () => {
    const world = new LockWorld();
    const args = { cookie: Buffer.alloc(0), caller: 'n', handle: Buffer.from('file a'), ownerHandle: Buffer.from('o'), mode: 3, access: 3, reclaim: false };
    expect(world.service.share(world.asker(one), args)).toBe('GRANTED');
    expect(world.service.share(world.asker(two), args)).toBe('DENIED');
    world.service.release(one, 'it boots');
    expect(world.service.share(world.asker(two), args)).toBe('GRANTED');
  });
});

describe('what is kept', () => {
  test('a lock that could not survive a crash is not given', async () => {
    const world = new LockWorld();
    world.disk.isFull = true;
    expect(await world.lock(one, 1)).toBe('DENIED_NOLOCKS');
    expect(world.events.at(-1)).toMatchObject({ event: 'nlm.unkept', fields: { client: one } });
    world.disk.isFull = false;
    expect(await world.lock(two, 1)).toBe('GRANTED');
  });

  test('nor a place in the queue', async () => {
    const world = new LockWorld();
    await world.lock(one, 1);
    world.disk.isFull = true;
    expect(await world.lock(two, 1, waits)).toBe('DENIED_NOLOCKS');
    world.unlock(one, 1);
    await settle();
    expect(world.told).toEqual([]);
  });

  test('the second lock of a client waits for no disk', async () => {
    const world = new LockWorld();
    await world.lock(one, 1);
    expect(world.lock(one, 1, { offset: 50n })).toBe('GRANTED');
  });

  test('a client is forgotten when it has held nothing for a while', async () => {
    const world = new LockWorld();
    await world.lock(one, 1);
    await world.lock(two, 1, { offset: 50n });
    world.unlock(one, 1);
    await world.timers.pass(200_000);
    world.restart();
    await settle();
    expect(world.told.map(({ to }) => to)).toEqual([two]);
  });

  test('a client that looks after its locks itself (NM_LOCK) is not', async () => {
    const world = new LockWorld();
    const lock = { caller: 'pc', handle: Buffer.from('file a'), ownerHandle: Buffer.alloc(0), svid: 1, offset: 0n, length: 0n };
    const args = { cookie: Buffer.alloc(0), block: false, exclusive: true, lock, reclaim: false, state: 0 };
    expect(world.service.lock(world.asker(one), args, { monitored: false, asynchronous: false })).toBe('GRANTED');
    world.restart();
    expect(world.told).toEqual([]);
  });
});
