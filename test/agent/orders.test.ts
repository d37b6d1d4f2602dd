// An order from the server to mosctl on a node and its answer back: the real tools in a process of their own, the rest by HTTP on loopback.
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { orderTaker } from '../../src/agent/orders.ts';
import { orderKey } from '../../src/cluster/key.ts';
import { decodeResults, encodeOrders, resultsPath } from '../../src/cluster/orders.ts';
import { Orders } from '../../src/farm/orders.ts';
import { hpcNode } from '../support/hpc-cluster.ts';

const farmKey = Buffer.from('c0ffee00'.repeat(8));
const key = orderKey(farmKey);
const incarnation = 12;

let place: string;
let server: Server;
let orders: Orders;
let posts = 0;

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'farm-orders-'));
  const entry = fileURLToPath(new URL('../../src/agent/tools/main.ts', import.meta.url));
  await build({
    entryPoints: [entry],
    outfile: join(place, 'farm-tools.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
  });
  for (const directory of ['info', 'admin']) mkdirSync(join(place, directory));
  writeFileSync(join(place, 'info/self'), JSON.stringify({ ...hpcNode(3), gateways: 0 }));
  writeFileSync(join(place, 'info/nodes'), `${JSON.stringify(hpcNode(3))}\n`);
  writeFileSync(join(place, 'admin/stay'), '0\n');
  orders = new Orders(key, 1000);
  server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => {
      expect(request.url).toBe(resultsPath);
      posts += 1;
      orders.take(3, decodeResults(body, 3, incarnation, [key]));
      response.end('noted\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  rmSync(place, { recursive: true, force: true });
});

function taker(log = vi.fn()) {
  const { port } = server.address() as AddressInfo;
  const keys = (): readonly [Buffer] => [farmKey];
  return orderTaker({ server: '127.0.0.1', port, node: 3, incarnation: () => incarnation, keys, hpc: place, tools: join(place, 'farm-tools.mjs'), log });
}

describe('an order', () => {
  test('is carried out once, and the answer is what mosctl said', async () => {
    const take = taker();
    const whois = orders.give(3, ['whois']);
    const stay = orders.give(3, ['stay']);
    const bad = orders.give(3, ['dance']);
    const body = orders.body(3, incarnation)!;
    take(body);
    take(body);
    expect(await whois).toMatchObject({ kind: 'done', status: 0, out: 'This is openMosix #3, n3 at 10.11.0.13\n' });
    expect(await stay).toMatchObject({ kind: 'done', status: 0 });
    expect(await bad).toMatchObject({ kind: 'done', status: 2, complaint: expect.stringContaining('"dance" is no command of mosctl') });
    expect(readFileSync(join(place, 'admin/stay'), 'utf8')).toBe('1\n');
    expect(posts).toBe(1);
    expect(orders.body(3, incarnation)).toBeUndefined();
  });

  test('of another farm is refused and logged; an answer without orders is nothing', () => {
    const log = vi.fn();
    const take = taker(log);
    take('noted\n');
    expect(log).not.toHaveBeenCalled();
    take(encodeOrders([{ node: 3, incarnation, number: 1, words: ['stay'] }], Buffer.from('another key')));
    expect(log.mock.calls).toEqual([['warn', 'order.refused', expect.objectContaining({ code: 'order.signature' })]]);
  });
});

describe('the server', () => {
  test('gives an order again under the same number until it is answered, and another number to another start of the agent', () => {
    const own = new Orders(key, 5);
    void own.give(3, ['stay'], 60_000);
    const first = own.body(3, 1);
    expect(own.body(3, 1)).toBe(first);
    expect(own.body(3, 2)).not.toBe(first);
    expect(own.body(4, 1)).toBeUndefined();
    own.take(3, [{ number: 7, status: 0, out: '', complaint: '' }]);
    expect(own.body(3, 2)).toBeUndefined();
  });

  test('says after a time that a node is silent, and takes so many orders for one and no more', async () => {
    vi.useFakeTimers();
    try {
      const own = new Orders(key, 0);
      const waiting = Array.from({ length: 16 }, () => own.give(3, ['stay'], 1000));
      expect(() => own.give(3, ['stay'], 1000)).toThrow(expect.objectContaining({ code: 'orders.many' }));
      await vi.advanceTimersByTimeAsync(1000);
      expect(await Promise.all(waiting)).toEqual(waiting.map(() => ({ kind: 'silent' })));
      expect(own.body(3, 1)).toBeUndefined();
    } finally {
      vi.useRealTimers();
    }
  });
});
