// Two agents' link on loopback: who gets in, and what a hostile one may do.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { asking } from '../../../src/agent/link/asking.ts';
import { decodeFrame, encodeFrame, frameBytesMax, frameReader } from '../../../src/agent/link/frames.ts';
import { admitted, formatIdentity, keyName, parseIdentity } from '../../../src/agent/link/identity.ts';
import { type LinkOptions, type RunningLink, startLink } from '../../../src/agent/link/link.ts';
import { isChachaFaster } from '../../../src/agent/link/suites.ts';
import { type Ipv4, ipv4 } from '../../../src/base/addresses.ts';
import { duplexPair } from '../../../src/base/duplex-pair.ts';
import { FarmError, WireError } from '../../../src/base/errors.ts';

const keyA = Buffer.from('a'.repeat(64));
const keyB = Buffer.from('b'.repeat(64));
const addresses = new Map<number, Ipv4>([1, 2, 3].map((id) => [id, ipv4(`127.0.77.${id}`)]));
const map = { addresses, ids: new Map([...addresses].map(([id, address]) => [address, id])) };
const refused: string[] = [];
const running: RunningLink[] = [];
let port = 20_000 + (process.pid % 20_000);

async function start(id: number, more: Partial<LinkOptions> = {}): Promise<RunningLink> {
  const self = { id, address: addresses.get(id)! };
  const link = await startLink({ self, port, map: () => map, keys: () => [keyA], refuse: (reason) => void refused.push(reason), log: () => {}, ...more });
  running.push(link);
  return link;
}

afterEach(async () => {
  for (const link of running.splice(0)) await link.close();
  refused.length = 0;
  port += 1;
});

function echo(link: RunningLink): void {
  link.serve('echo', (from, header, stream) => {
    stream.write(`${from} ${JSON.stringify(header)} `);
    stream.pipe(stream);
  });
}

async function ask(link: RunningLink, node: number, text: string | Buffer = 'text'): Promise<string> {
  const stream = await link.open(node, 'echo', { a: 1 });
  stream.end(text);
  return (await buffer(stream)).toString('latin1');
}

/** Settles when a stream has ended in whatever way. */
function closed(stream: Duplex): Promise<void> {
  return new Promise((resolve) => stream.once('end', resolve).once('close', resolve));
}

describe('a stream', () => {
  test.each([
    [false, false, 'TLS_AES_128_GCM_SHA256'],
    [true, false, 'TLS_CHACHA20_POLY1305_SHA256'],
    [false, true, 'TLS_CHACHA20_POLY1305_SHA256'],
    [true, true, 'TLS_CHACHA20_POLY1305_SHA256'],
  ])('is encrypted as the weaker processor likes it: ChaCha20 is better for the caller %s, for the called %s', async (caller, called, suite) => {
    const one = await start(1, { prefersChacha: caller });
    echo(await start(2, { prefersChacha: called }));
    const stream = await one.open(2, 'echo', {});
    expect((stream as TLSSocket).getCipher().standardName).toBe(suite);
    stream.end();
    stream.resume();
    await closed(stream);
  });

  test.each([
    [3, 1, true],
    [1, 1, false],
    [1, 3, false],
  ])('costs a processor %d ms a record with AES and %d with ChaCha20: ChaCha20 is faster, %s', (aes, chacha, faster) => {
    let time = 0;
    let calls = 0;
    const now = () => {
      calls += 1;
      if (calls % 2 === 0) time += calls <= 16 ? aes : chacha;
      return time;
    };
    expect(isChachaFaster(now)).toBe(faster);
  });

  test('goes to another node, which knows who opened it', async () => {
    const one = await start(1);
    echo(await start(2));
    expect(await ask(one, 2)).toBe('1 {"a":1} text');
  });

  test('goes to this node without a socket', async () => {
    const one = await start(1);
    echo(one);
    expect(await ask(one, 1)).toBe('1 {"a":1} text');
  });

  test('carries megabytes', async () => {
    const one = await start(1);
    echo(await start(2));
    const bytes = randomBytes(3_000_000);
    expect(await ask(one, 2, bytes)).toBe(`1 {"a":1} ${bytes.toString('latin1')}`);
  });

  test('nobody takes', async () => {
    const one = await start(1);
    await start(2);
    await expect(one.open(2, 'nothing', {})).rejects.toMatchObject({ code: 'link.refused' });
    await expect(one.open(1, 'nothing', {})).rejects.toMatchObject({ code: 'link.refused' });
  });

  test('to a node that is down or not in the map', async () => {
    const one = await start(1);
    await expect(one.open(3, 'echo', {})).rejects.toMatchObject({ code: 'link.down' });
    await expect(one.open(9, 'echo', {})).rejects.toMatchObject({ code: 'link.down' });
  });

  test('ends at the other side, too, when one is destroyed', async () => {
    const one = await start(1);
    for (const node of [1, 2]) {
      const other = node === 1 ? one : await start(2);
      const taken = new Promise<Duplex>((resolve) => other.serve('keep', (_from, _header, stream) => resolve(stream)));
      const stream = await one.open(node, 'keep', {});
      const far = await taken;
      const ended = closed(far.resume());
      stream.destroy();
      await ended;
    }
  });
});

describe('a call', () => {
  test('is answered', async () => {
    const one = await start(1);
    const two = await start(2);
    two.answer('sum', async (from, body) => [from, body]);
    expect(await one.call(2, 'sum', { x: [1, 2] })).toEqual([1, { x: [1, 2] }]);
  });

  test('throws here what the other threw there', async () => {
    const one = await start(1);
    const two = await start(2);
    two.answer('fail', async () => {
      throw new FarmError('job.no', 'it does not want to', 'ask again');
    });
    await expect(one.call(2, 'fail', 0)).rejects.toMatchObject({ code: 'job.no', message: 'it does not want to', hint: 'ask again' });
    await expect(one.call(2, 'absent', 0)).rejects.toMatchObject({ code: 'link.refused' });
  });

  test('may fail in the middle, and that is another error than before', async () => {
    const one = await start(1);
    const two = await start(2);
    two.answer('end', async () => {
      await two.close();
    });
    await expect(one.call(2, 'end', 0)).rejects.toMatchObject({ code: 'link.cut' });
  });

  test('shares a connection with the others to that node, in any order, and none waits for another', async () => {
    const one = await start(1, { connectionsMax: 1 });
    const two = await start(2, { connectionsMax: 1 });
    const held: (() => void)[] = [];
    two.answer('slow', (_from, body) => new Promise((resolve) => held.unshift(() => resolve(body))));
    two.answer('quick', async (_from, body) => body);
    const slow = [1, 2, 3].map((body) => one.call(2, 'slow', body));
    for (let i = 0; i < 300; i += 1) expect(await one.call(2, 'quick', i)).toBe(i);
    for (const answer of held) answer();
    expect(await Promise.all(slow)).toEqual([1, 2, 3]);
    expect(refused).toEqual([]);
  });

  test('goes over a new connection when the last one broke', async () => {
    const one = await start(1);
    const before = await start(2);
    before.answer('who', async () => 'before');
    expect(await one.call(2, 'who', 0)).toBe('before');
    await before.close();
    await expect(one.call(2, 'who', 0)).rejects.toMatchObject({ code: expect.stringMatching(/^link\.(down|cut)$/) });
    const after = await start(2);
    after.answer('who', async () => 'after');
    expect(await one.call(2, 'who', 0)).toBe('after');
  });

  test('goes to the node that has the number now', async () => {
    const table = { addresses: new Map(addresses), ids: new Map(map.ids) };
    const one = await start(1, { map: () => table });
    const two = await start(2, { map: () => table });
    two.answer('who', async () => 'two');
    expect(await one.call(2, 'who', 0)).toBe('two');
    table.addresses.set(2, ipv4('127.0.77.9'));
    await expect(one.call(2, 'who', 0)).rejects.toMatchObject({ code: 'link.down' });
    table.addresses.delete(2);
    await expect(one.call(2, 'who', 0)).rejects.toMatchObject({ code: 'link.down' });
  });

  test('of many at once all are answered, though few are worked on', async () => {
    const one = await start(1);
    const two = await start(2);
    let busy = 0;
    let most = 0;
    two.answer('work', async (_from, body) => {
      busy += 1;
      most = Math.max(most, busy);
      await new Promise((resolve) => setImmediate(resolve));
      busy -= 1;
      return body;
    });
    const bodies = Array.from({ length: 1000 }, (_, index) => index);
    expect(await Promise.all(bodies.map((body) => one.call(2, 'work', body)))).toEqual(bodies);
    expect(most).toBeLessThanOrEqual(512);
  });

  test('to a node that has lost its power since the last one was never made', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
    try {
      const [near, far] = duplexPair();
      const powerless = asking(near, 2, () => {});
      far.resume(); // and says nothing
      expect(await powerless.isThere('here', 1000)).toBe(true);
      await vi.advanceTimersByTimeAsync(5000);
      const there = powerless.isThere('here', 1000);
      await vi.advanceTimersByTimeAsync(1000);
      expect(await there).toBe(false);
      await expect(powerless.ask('x', 0)).rejects.toMatchObject({ code: 'link.down' });
    } finally {
      vi.useRealTimers();
    }
  });

  test('asks for no more than a mebibyte', async () => {
    const one = await start(1);
    await expect(one.call(1, 'x', 'x'.repeat(frameBytesMax))).rejects.toMatchObject({ code: 'link.large' });
  });
});

describe('keys', () => {
  test.each([
    ['the old one first at both', [keyA, keyB], [keyA, keyB], true],
    ['the new one first at one', [keyB, keyA], [keyA, keyB], true],
    ['only the new one at one', [keyB], [keyA, keyB], true],
    ['another one', [keyB], [keyA], false],
  ] as const)('%s', async (_name, near, far, works) => {
    const one = await start(1, { keys: () => near });
    const two = await start(2, { keys: () => far });
    echo(two);
    if (works) expect(await ask(one, 2)).toContain('text');
    else {
      await expect(ask(one, 2)).rejects.toMatchObject({ code: 'link.down' });
      expect(refused).toContain('link.identity');
    }
  });

  const name = keyName(keyA);
  test.each([
    ['itself', { from: 1, to: 2, key: name }, 1, true],
    ['another address', { from: 1, to: 2, key: name }, 3, false],
    ['an address of nobody', { from: 1, to: 2, key: name }, undefined, false],
    ['for another node', { from: 1, to: 3, key: name }, 1, false],
    ['this node', { from: 2, to: 2, key: name }, 2, false],
    ['an unknown key', { from: 1, to: 2, key: keyName(keyB) }, 1, false],
  ] as const)('%s', (_name, identity, at, welcome) => {
    expect(admitted(identity, 2, at, [keyA]) !== undefined).toBe(welcome);
    expect(parseIdentity(formatIdentity(identity))).toEqual(identity);
  });
});

describe('hostile peers', () => {
  test('a node that says it is another is not let in', async () => {
    const other = { addresses, ids: new Map([[ipv4('127.0.77.1'), 3]]) };
    const two = await start(2, { map: () => other });
    echo(two);
    const one = await start(1);
    await expect(ask(one, 2)).rejects.toMatchObject({ code: 'link.down' });
    expect(refused).toContain('link.identity');
  });

  test('a stranger is closed at once, and one that says nothing after a while', async () => {
    await start(2, { patience: 100 });
    const stranger = connect({ port, host: '127.0.77.2', localAddress: '127.0.77.9' });
    stranger.on('error', () => {});
    await closed(stranger);
    expect(refused).toEqual(['link.stranger']);
    const silent = connect({ port, host: '127.0.77.2', localAddress: '127.0.77.1' });
    silent.on('error', () => {}).resume();
    await closed(silent);
    expect(refused.at(-1)).toBe('link.handshake');
  });

  test('connections are counted', async () => {
    await start(2, { connectionsMax: 2 });
    const sockets = Array.from({ length: 3 }, () => connect({ port, host: '127.0.77.2', localAddress: '127.0.77.1' }).on('error', () => {}));
    await Promise.race(sockets.map((socket) => closed(socket.resume())));
    expect(refused).toEqual(['link.many']);
    for (const socket of sockets) socket.destroy();
  });

  test('rubbish instead of a handshake ends one connection, and the next is served', async () => {
    const one = await start(1);
    echo(await start(2));
    for (const bytes of [randomBytes(100), Buffer.alloc(70_000, 22), Buffer.from('GET / HTTP/1.0\r\n\r\n')]) {
      const socket = connect({ port, host: '127.0.77.2', localAddress: '127.0.77.1' }).on('error', () => {});
      socket.resume().end(bytes);
      await closed(socket);
    }
    expect(await ask(one, 2)).toContain('text');
  });

  test('any bytes are a frame, more to come, or a WireError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          decodeFrame(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { interruptAfterTimeLimit: 500 },
    );
    fc.assert(
      fc.property(fc.json(), fc.uint8Array({ maxLength: 9 }), (text, rest) => {
        const value: unknown = JSON.parse(text);
        expect(decodeFrame(Buffer.concat([encodeFrame(value), rest]))).toEqual({ value, rest: Buffer.from(rest) });
        const read = frameReader();
        const pieces = [...Buffer.concat([encodeFrame(value), encodeFrame([value])])].map((byte) => read(Buffer.of(byte)));
        expect(pieces.flat()).toEqual([value, [value]]);
      }),
      { interruptAfterTimeLimit: 500 },
    );
  });
});
