import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { isTooSlow } from '../../src/boot/pace.ts';
import { head, startWorld, type World } from './world.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-pace-'));
writeFileSync(join(place, 'huge'), Buffer.alloc(50_000_000));
let world: World | undefined;
afterEach(() => world?.close());
afterAll(() => rmSync(place, { recursive: true }));

it.each([
  ['has just begun', undefined, 0, false],
  ['moved nothing', 5000, 5000, true],
  ['moved a byte less than it must', 5000, 5999, true],
  ['moved what it must', 5000, 6000, false],
])('a transfer that %s', (_, seen, moved, slow) => {
  expect(isTooSlow({ moved, seen }, 1000)).toBe(slow);
});

it('a client that takes a few bytes now and then is cut off, though it is never idle', async () => {
  world = await startWorld({ routes: async ({ path }) => ({ kind: 'file', directory: place, path }), limits: { paceEvery: 150 } });
  const socket = connect({ port: world.port, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.write(head('GET', '/huge'));
  await once(socket, 'readable');
  const sipping = setInterval(() => socket.read(1), 10);
  const done = await world.logged('http.done');
  clearInterval(sipping);
  expect(done).toMatchObject({ status: 200, aborted: true, reason: 'too slow' });
  socket.destroy();
});

it('an upload that stops coming is cut off and leaves nothing', async () => {
  world = await startWorld({ upload: () => ({ directory: join(place, 'up'), limit: 1_000_000 }), limits: { paceEvery: 100 } });
  const got = await world.raw(`${head('PUT', '/uploads/dump', { 'Content-Length': 1000 })}abc`);
  expect(got).toBe('');
  expect(await world.logged('http.done')).toMatchObject({ method: 'PUT', status: undefined, aborted: true, reason: 'too slow' });
});

it('a report whose body does not come in time is refused', async () => {
  world = await startWorld({ limits: { request: 50 } });
  expect(await world.raw(`${head('POST', '/report', { 'Content-Length': 1000 })}abc`)).toMatch(/^HTTP\/1.1 408 /);
});
