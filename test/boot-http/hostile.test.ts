// What nobody's boot ROM sends: slow heads, endless pipelines, garbage. The server answers or closes, and goes on.
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { head, startWorld, type World } from './world.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-hostile-'));
writeFileSync(join(place, 'big'), Buffer.alloc(30_000_000));
let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});
afterAll(() => rmSync(place, { recursive: true }));

const files = async ({ path }: { readonly path: string }) => ({ kind: 'file', directory: place, path }) as const;

describe('a client that holds on', () => {
  it('without a word is closed', async () => {
    world = await startWorld({ limits: { head: 100 } });
    expect(await world.raw('')).toContain(' 408 ');
  });

  it('with a head that never ends, a byte at a time, is closed (Slowloris)', async () => {
    world = await startWorld({ limits: { head: 150 } });
    const socket = connect(world.port, '127.0.0.1');
    let got = '';
    socket.on('data', (piece) => {
      got += piece;
    });
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nX-a: ');
    const dripping = setInterval(() => socket.write('b'), 10);
    await once(socket, 'close');
    clearInterval(dripping);
    expect(got).toContain(' 408 ');
  });

  it('between two requests is closed', async () => {
    world = await startWorld({ limits: { keepAlive: 50 } });
    expect(await world.raw('GET / HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(/^HTTP\/1.1 404 /);
  });

  it('half open, with an answer that it does not read, is closed', async () => {
    world = await startWorld({ routes: files });
    const socket = connect({ port: world.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    socket.end(head('GET', '/big'));
    expect(await world.logged('http.done')).toMatchObject({ aborted: true });
    socket.destroy();
  });
});

describe('a pipeline', () => {
  it('of large files opens one of them at a time', async () => {
    world = await startWorld({ routes: files });
    const socket = connect(world.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(head('GET', '/big').replace('close', 'keep-alive').repeat(20));
    await once(socket, 'readable');
    const open = readdirSync('/proc/self/fd').length;
    socket.destroy();
    expect(await world.logged('http.done')).toMatchObject({ aborted: true });
    expect(open).toBeLessThan(60);
    expect(world.events.filter(({ event }) => event === 'http.done').length).toBe(1);
  });

  it('without end is cut off', async () => {
    let asked = 0;
    world = await startWorld({
      routes: async () => {
        asked += 1;
        await new Promise((resolve) => setImmediate(resolve));
        return { kind: 'text', text: '' };
      },
    });
    await world.raw('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3000));
    expect(asked).toBeLessThan(100);
    expect(await world.raw(head('GET', '/'))).toMatch(/^HTTP\/1.1 200 /);
  });

  it('keeps a body apart from the request behind it', async () => {
    world = await startWorld({ routes: async ({ method, path, body }) => ({ kind: 'text', text: `${method} ${path} ${body ?? ''}\n` }) });
    const post = 'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n'.slice(0, -1);
    const got = await world.raw(`${post.slice(0, post.indexOf('GET'))}${'GET /evil HTTP/1.1\r\nHost: x\r\n'.slice(0, 27)}${head('GET', '/b')}`);
    expect(got.match(/^(GET|POST) \/.*$/gm)?.map((line) => line.slice(0, 8).trim())).toEqual(['POST /a', 'GET /b']);
  });
});

describe('strangers', () => {
  it('fill the log no faster than their budget, and nodes are logged whole', async () => {
    let isNode = false;
    const now = Date.now();
    world = await startWorld({ clock: { now: () => now }, isNode: () => isNode });
    const many = async () => {
      for (let round = 0; round < 10; round += 1) await world?.raw(`${'GET /x HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(19)}${head('GET', '/y')}`);
    };
    await many();
    const strange = world.events.length;
    expect(strange).toBeGreaterThan(0);
    expect(strange).toBeLessThanOrEqual(100);
    isNode = true;
    await many();
    expect(world.events.length - strange).toBe(200);
  });
});

it('no request stops the server: each is answered or its connection closed', async () => {
  world = await startWorld({
    routes: async ({ path, query, body }) => (path === '/big' ? files({ path }) : { kind: 'json', value: [path, query.size, body?.length] }),
    limits: { head: 100, request: 100, keepAlive: 20 },
  });
  const { raw } = world;
  const seeds = [
    head('GET', '/a?b=c', { Range: 'bytes=1-2', 'If-None-Match': '"a"' }),
    `${head('POST', '/report', { 'Content-Length': 5 })}hello`,
    `${head('POST', '/report', { 'Transfer-Encoding': 'chunked' })}3\r\nabc\r\n0\r\n\r\n`,
    head('HEAD', 'http://farm/big', { Expect: '100-continue' }),
    head('GET', '/big', { Range: 'bytes=0-99', 'If-Range': '"x"' }),
    head('PUT', '/uploads/x', { 'Content-Length': 3, Upgrade: 'h2c' }),
    head('CONNECT', 'farm:80'),
  ];
  const mutation = fc.record({
    seed: fc.constantFrom(...seeds),
    cuts: fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), drop: fc.nat(8), put: fc.string({ unit: 'binary', maxLength: 6 }) }), {
      maxLength: 4,
    }),
  });
  await fc.assert(
    fc.asyncProperty(mutation, async ({ seed, cuts }) => {
      let text = seed;
      for (const { at, drop, put } of cuts) {
        const place = Math.floor(at * text.length);
        text = text.slice(0, place) + Buffer.from(put).toString('latin1') + text.slice(place + drop);
      }
      const got = await raw(text);
      expect(got === '' || /^HTTP\/1\.1 [1-5]\d\d /.test(got)).toBe(true);
    }),
    { interruptAfterTimeLimit: 800, numRuns: 100_000, markInterruptAsFailure: false },
  );
  expect(world.events.filter(({ event }) => event === 'http.failed')).toEqual([]);
  expect(await raw(head('GET', '/fine'))).toMatch(/^HTTP\/1\.1 200 /);
});
