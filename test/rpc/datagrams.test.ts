// RPC over UDP: what a datagram gets for an answer, and what becomes of too many.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { Log } from '../../src/base/log.ts';
import { Datagrams } from '../../src/rpc/datagrams.ts';
import { defaultLimits, type RpcLimits } from '../../src/rpc/limits.ts';
import { nullProcedure, type Procedure, type Program } from '../../src/rpc/program.ts';
import { ReplyCache } from '../../src/rpc/reply-cache.ts';
import { type RpcService, startRpcServer } from '../../src/rpc/server.ts';
import { loopback } from '../support/nfs-farm.ts';
import { decodeReply, encodeCall, tcpExchange, udpExchange } from '../support/rpc-client.ts';

const programNumber = 400_000;
const closers: (() => unknown)[] = [];
const events: { level: string; event: string; reason: unknown }[] = [];
let waiting: (() => void)[] = [];
let done = 0;

const log: Log = (level, event, fields = {}) => events.push({ level, event, reason: fields['reason'] });
const procedure = (name: string, run: Procedure['run'], once = false): Procedure => ({ name, once, run });
const program: Program = {
  number: programNumber,
  versions: new Map([
    [
      1,
      [
        nullProcedure,
        procedure('ECHO', ({ transport }, args) => {
          const tail = Buffer.from(args.rest());
          return { encode: (to) => to.put(Buffer.from(transport.padEnd(4))), tail: { bytes: tail } };
        }),
        procedure('BYTES', (_caller, args) => ({ encode: () => {}, tail: { bytes: Buffer.alloc(args.u32(), 7) } })),
        procedure('WAIT', () => new Promise((resolve) => waiting.push(() => resolve({ encode: (to) => to.u32(1) })))),
        procedure(
          'ONCE',
          () => {
            done += 1;
            const count = done;
            return { encode: (to) => to.u32(count) };
          },
          true,
        ),
      ],
    ],
  ]),
};

async function start(limits: Partial<RpcLimits> = {}, privileged = false): Promise<RpcService> {
  events.length = 0;
  waiting = [];
  done = 0;
  const replies = new ReplyCache({ now: () => 0 });
  const transports = ['tcp', 'udp'] as const;
  const service = await startRpcServer({ name: 'test', address: loopback, port: 0, transports, programs: [program], limits, privileged, replies, log });
  closers.push(() => service.close());
  return service;
}

async function dial(port: number, localPort = 0) {
  const it = await udpExchange(port, '127.0.0.1', localPort);
  closers.push(() => it.close());
  return it;
}

afterEach(async () => {
  for (const finish of waiting) finish();
  for (const close of closers.splice(0).reverse()) await close();
});

const call = (xid: number, number: number, args = Buffer.alloc(0)) =>
  encodeCall({ xid, program: programNumber, version: 1, procedure: number }, (to) => to.put(args));
const word = (value: number) => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value]);

describe('a datagram', () => {
  test('is answered from where it was sent to, on the same port as TCP', async () => {
    const { port, sockets } = await start();
    expect(sockets).toEqual([`tcp 127.0.0.1:${port}`, `udp 127.0.0.1:${port}`]);
    const { exchange } = await dial(port);
    const reply = decodeReply(await exchange(call(9, 1, Buffer.from('some'))));
    expect([reply.xid, reply.status, reply.results.rest().toString()]).toEqual([9, 0, 'udp some']);
  });

  test.each([4, 1472, 32_768, 65_507 - 24])('carries %i bytes of answer, in as many fragments as it takes', async (bytes) => {
    const { port } = await start();
    const { exchange } = await dial(port);
    expect(decodeReply(await exchange(call(1, 2, word(bytes)))).results.left).toBe(bytes);
  });

  test('whose answer is none that a datagram carries gets SYSTEM_ERR, and not silence', async () => {
    const { port } = await start();
    const { exchange } = await dial(port);
    expect(decodeReply(await exchange(call(1, 2, word(65_507 - 20)))).status).toBe(5);
  });

  test('of 60,000 bytes is one call', async () => {
    const { port } = await start();
    const { exchange } = await dial(port);
    expect(decodeReply(await exchange(call(1, 1, Buffer.alloc(60_000, 3)))).results.left).toBe(60_004);
  });

  test('that is no call is dropped, and the next is answered', async () => {
    const { port } = await start();
    const { exchange, socket } = await dial(port);
    for (const bytes of ['', 'rubbish', '01020304000000010000000000000000']) socket.send(Buffer.from(bytes, 'hex'), port, '127.0.0.1');
    socket.send(Buffer.from('rubbish'), port, '127.0.0.1');
    expect(decodeReply(await exchange(call(2, 0))).status).toBe(0);
    expect(events.map(({ level, event }) => `${level} ${event}`)).toEqual(Array.from({ length: 4 }, () => 'debug rpc.dropped'));
  });

  test('from port 0, to which nothing can be sent, breaks nothing', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    closers.push(() => socket.close());
    const dropped: string[] = [];
    const answer = () => ({ kind: 'program-unavailable', xid: 1 }) as const;
    new Datagrams(socket, defaultLimits, { answer, encode: () => undefined, dropped: (_client, reason) => dropped.push(reason) });
    socket.emit('message', call(1, 0), { address: '127.0.0.1', port: 0 });
    expect(dropped).toEqual([expect.stringMatching(/port/i)]);
  });
});

describe('a call that comes again', () => {
  test('over the other transport is not done again', async () => {
    const { port } = await start();
    const udp = await dial(port);
    const tcp = await tcpExchange(port);
    closers.push(() => tcp.close());
    expect(decodeReply(await udp.exchange(call(5, 4))).results.u32()).toBe(1);
    expect(decodeReply(await tcp.exchange(call(5, 4))).results.u32()).toBe(1);
    expect(decodeReply(await udp.exchange(call(5, 4))).results.u32()).toBe(1);
    expect(decodeReply(await tcp.exchange(call(6, 4))).results.u32()).toBe(2);
    expect(decodeReply(await udp.exchange(call(6, 4))).results.u32()).toBe(2);
  });
});

describe('the limits', () => {
  test('calls above those that may wait for a disk are dropped, others go on', async () => {
    const { port } = await start({ datagramsInFlight: 2 });
    const { exchange, socket } = await dial(port);
    const first = exchange(call(1, 3));
    const second = exchange(call(2, 3));
    while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
    socket.send(call(3, 3), port, '127.0.0.1');
    while (events.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([{ level: 'debug', event: 'rpc.dropped', reason: 'more than 2 calls under way' }]);
    for (const finish of waiting) finish();
    expect(decodeReply(await first).status).toBe(0);
    expect(decodeReply(await second).status).toBe(0);
    expect(decodeReply(await exchange(call(4, 0))).status).toBe(0);
  });

  test('calls under way are answered before the socket closes, if they end in time', async () => {
    const service = await start();
    const { exchange } = await dial(service.port);
    const reply = exchange(call(1, 3));
    while (waiting.length < 1) await new Promise((resolve) => setImmediate(resolve));
    const closed = service.close();
    for (const finish of waiting) finish();
    expect(decodeReply(await reply).status).toBe(0);
    await closed;
  });

  test('a call that never ends does not keep the socket open', async () => {
    const service = await start({ closingTime: 20 });
    const { socket } = await dial(service.port);
    socket.send(call(1, 3), service.port, '127.0.0.1');
    while (waiting.length < 1) await new Promise((resolve) => setImmediate(resolve));
    await service.close();
  });

  test('from a port that anybody may use only NULL is answered; else AUTH_TOOWEAK', async () => {
    const { port } = await start({}, true);
    const { exchange, socket } = await dial(port);
    expect(socket.address().port).toBeGreaterThan(1023);
    expect(decodeReply(await exchange(call(1, 0)))).toMatchObject({ denied: false, status: 0 });
    const reply = await exchange(call(2, 1));
    expect(reply.toString('hex')).toBe('0000000200000001000000010000000100000005');
  });
});

test('a server that is closed twice has given its port back', async () => {
  const service = await start();
  await service.close();
  await service.close();
  const socket = createSocket('udp4').bind(service.port, '127.0.0.1');
  await once(socket, 'listening');
  socket.close();
});
