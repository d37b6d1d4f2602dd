import { describe, expect, test } from 'vitest';
import { ipv4FromNumber } from '../../src/base/addresses.ts';
import type { Reply } from '../../src/rpc/message.ts';
import { voidBody } from '../../src/rpc/program.ts';
import { ReplyCache } from '../../src/rpc/reply-cache.ts';
import { encodeCall } from '../support/rpc-client.ts';

const one = ipv4FromNumber(1);
const other = ipv4FromNumber(2);
const success = (xid: number): Reply => ({ kind: 'success', xid, body: voidBody });

function message(xid: number, name = 'x'): Buffer {
  return encodeCall({ xid, program: 1, version: 1, procedure: 1 }, (to) => to.put(Buffer.from(name)));
}

function setup(most?: number) {
  const time = { now: 0 };
  const cache = new ReplyCache({ now: () => time.now }, most);
  let performed = 0;
  const perform = (reply: Reply | Promise<Reply> = success(1)) => {
    return () => {
      performed += 1;
      return reply;
    };
  };
  return { time, cache, perform, count: () => performed };
}

describe('the memory of answers', () => {
  test('the same call of the same client is performed once', () => {
    const { cache, perform, count } = setup();
    const first = cache.once(one, message(5), perform());
    expect(cache.once(one, message(5), perform(success(99)))).toBe(first);
    expect(count()).toBe(1);
  });

  test.each([
    ['another client', other, message(5)],
    ['another xid', one, message(6)],
    ['the same xid and other bytes', one, message(5, 'y')],
    ['the same xid and more bytes', one, message(5, 'xx')],
  ])('%s is performed anew', (_, client, again) => {
    const { cache, perform, count } = setup();
    void cache.once(one, message(5), perform());
    void cache.once(client, again, perform());
    expect(count()).toBe(2);
  });

  test('a call that comes again while it is under way gets the same answer when it is there', async () => {
    const { cache, perform, count } = setup();
    let finish: (reply: Reply) => void = () => {};
    const pending = new Promise<Reply>((resolve) => {
      finish = resolve;
    });
    const first = cache.once(one, message(5), perform(pending));
    const second = cache.once(one, message(5), perform());
    finish(success(5));
    expect(await second).toBe(await first);
    expect(count()).toBe(1);
    expect(await cache.once(one, message(5), perform())).toEqual(success(5));
    expect(count()).toBe(1);
  });

  test('a failure of ours is not remembered', async () => {
    const { cache, perform, count } = setup();
    void cache.once(one, message(5), perform({ kind: 'system-error', xid: 5 }));
    await cache.once(one, message(5), perform(Promise.resolve({ kind: 'garbage-arguments', xid: 5 })));
    await Promise.resolve();
    void cache.once(one, message(5), perform());
    expect(count()).toBe(3);
  });

  test('after two minutes the same bytes are a new call', () => {
    const { cache, perform, count, time } = setup();
    void cache.once(one, message(5), perform());
    time.now = 119_999;
    void cache.once(one, message(5), perform());
    expect(count()).toBe(1);
    time.now = 120_000;
    void cache.once(one, message(5), perform());
    expect(count()).toBe(2);
  });

  test("a client that makes many calls pushes out its own oldest, and nobody else's", () => {
    const { cache, perform, count } = setup();
    void cache.once(other, message(1), perform());
    for (let xid = 1; xid <= 513; xid += 1) void cache.once(one, message(xid), perform());
    expect(count()).toBe(514);
    void cache.once(other, message(1), perform());
    void cache.once(one, message(2), perform());
    expect(count()).toBe(514);
    void cache.once(one, message(1), perform());
    expect(count()).toBe(515);
  });

  test('when there are too many in all, the client that was heard least recently loses its oldest', () => {
    const { cache, perform, count } = setup(100);
    for (let address = 1; address <= 50; address += 1) {
      for (const xid of [1, 2]) void cache.once(ipv4FromNumber(address), message(xid), perform());
    }
    void cache.once(ipv4FromNumber(1), message(2), perform());
    void cache.once(ipv4FromNumber(51), message(1), perform());
    expect(count()).toBe(101);
    for (const address of [1, 2, 50, 51]) void cache.once(ipv4FromNumber(address), message(address === 2 ? 2 : 1), perform());
    expect(count()).toBe(101);
    void cache.once(ipv4FromNumber(2), message(1), perform());
    expect(count()).toBe(102);
  });
});
