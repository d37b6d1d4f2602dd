import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import type { Log } from '../../src/base/log.ts';
import type { RpcLimits } from '../../src/rpc/limits.ts';
import { nullProcedure, type Procedure, type Program } from '../../src/rpc/program.ts';
import { type RpcService, startRpcServer } from '../../src/rpc/server.ts';
import { loopback } from '../support/nfs-farm.ts';
import { decodeReply, encodeCall, marked, tcpExchange } from '../support/rpc-client.ts';

const programNumber = 400_000;
const bigTail = 1024 * 1024;

let service: RpcService | undefined;
let events: { event: string; fields: Readonly<Record<string, unknown>> }[] = [];
let waiting: (() => void)[] = [];
let started = 0;

const log: Log = (_level, event, fields = {}) => events.push({ event, fields });
const procedure = (name: string, run: Procedure['run']): Procedure => ({ name, once: false, run });
const program: Program = {
  number: programNumber,
  versions: new Map([
    [
      1,
      [
        nullProcedure,
        procedure('WAIT', () => {
          started += 1;
          return new Promise((resolve) => waiting.push(() => resolve({ encode: (writer) => writer.u32(1) })));
        }),
        procedure('BIG', () => {
          started += 1;
          return { encode: () => {}, tail: { bytes: Buffer.alloc(bigTail, 7) } };
        }),
      ],
    ],
  ]),
};

async function start(limits: Partial<RpcLimits> = {}): Promise<RpcService> {
  events = [];
  waiting = [];
  started = 0;
  service = await startRpcServer({ name: 'test', address: loopback, port: 0, transports: ['tcp'], programs: [program], limits, log });
  return service;
}

afterEach(async () => {
  for (const finish of waiting) finish();
  await service?.close();
  service = undefined;
});

const call = (xid: number, number: number) => encodeCall({ xid, program: programNumber, version: 1, procedure: number });

describe('one connection', () => {
  test('answers that are ready overtake those that are not', async () => {
    const { port } = await start();
    const { exchange, close } = await tcpExchange(port);
    const slow = exchange(call(1, 1));
    expect(decodeReply(await exchange(call(2, 0)))).toMatchObject({ xid: 2, status: 0 });
    waiting[0]?.();
    expect(decodeReply(await slow)).toMatchObject({ xid: 1, status: 0 });
    close();
  });

  test('no more calls are read than may be in flight', async () => {
    const { port } = await start({ inFlight: 3 });
    const { exchange, close } = await tcpExchange(port);
    const replies = Array.from({ length: 8 }, (_, index) => exchange(call(index, 1)));
    const other = await tcpExchange(port);
    await other.exchange(call(1, 0)); // the first connection's calls have been read by now
    await other.exchange(call(2, 0));
    expect(started).toBe(3);
    for (let done = 0; done < 8; done += 1) {
      expect(started - done).toBeLessThanOrEqual(3);
      waiting[done]?.();
      await replies[done];
    }
    expect(started).toBe(8);
    close();
    other.close();
  });

  test('a client that does not take its answers is not read, and gets all of them later', async () => {
    const { port } = await start({ outputBytes: 2 * bigTail });
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.pause();
    const calls = 64;
    socket.write(Buffer.concat(Array.from({ length: calls }, (_, index) => marked(call(index, 2)))));
    const other = await tcpExchange(port);
    for (let turn = 0; turn < 50; turn += 1) await other.exchange(call(turn, 0));
    expect(started).toBeLessThan(calls);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes === calls * (4 + 24 + bigTail)) socket.emit('all');
    });
    socket.resume();
    await once(socket, 'all');
    expect(started).toBe(calls);
    socket.destroy();
    other.close();
  });

  test.each([
    ['a record above the limit', Buffer.from('fffffff0', 'hex')],
    ['what is no call', marked(Buffer.from('0102030400000001', 'hex'))],
    ['an empty record', Buffer.from('80000000', 'hex')],
  ])('%s ends it and nothing else', async (_, bytes) => {
    const { port } = await start();
    const other = await tcpExchange(port);
    const socket = connect(port, '127.0.0.1');
    socket.end(bytes);
    await once(socket.resume(), 'close');
    expect(events.map(({ event }) => event)).toContain('rpc.dropped');
    expect(decodeReply(await other.exchange(call(1, 0))).status).toBe(0);
    other.close();
  });

  test('is closed when nothing comes over it', async () => {
    const { port } = await start({ idleTime: 20 });
    const socket = connect(port, '127.0.0.1').resume();
    await once(socket, 'close');
  });

  test('that is one too many is refused', async () => {
    const { port } = await start({ connectionsPerClient: 1 });
    const first = await tcpExchange(port);
    await first.exchange(call(1, 0));
    const second = connect(port, '127.0.0.1').resume();
    second.on('error', () => {});
    await once(second, 'close');
    expect(events).toContainEqual({ event: 'rpc.refused', fields: expect.objectContaining({ client: '127.0.0.1' }) });
    expect(decodeReply(await first.exchange(call(2, 0))).status).toBe(0);
    first.close();
  });
});

describe('the server', () => {
  test('ends calls under way before it closes', async () => {
    const { port } = await start();
    const { exchange, close } = await tcpExchange(port);
    const reply = exchange(call(1, 1));
    await exchange(call(2, 0));
    const closed = service?.close();
    waiting[0]?.();
    expect(decodeReply(await reply).status).toBe(0);
    await closed;
    close();
  });

  test('closes although a call never ends', async () => {
    const { port } = await start({ closingTime: 20 });
    const { exchange } = await tcpExchange(port);
    const reply = exchange(call(1, 1)).catch((error: Error) => error.message);
    await exchange(call(2, 0));
    await service?.close();
    expect(await reply).toBe('connection closed');
  });

  test('says which port is taken and how to find out by whom', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const failed = startRpcServer({ name: 'nfs', address: loopback, port, transports: ['tcp'], programs: [], log });
    await expect(failed).rejects.toMatchObject({ code: 'port.taken', hint: expect.stringContaining(`${port}`) });
    other.close();
  });

  test("says when the address is not this machine's", async () => {
    const failed = startRpcServer({ name: 'nfs', address: ipv4('192.0.2.1'), port: 0, transports: ['tcp'], programs: [], log });
    await expect(failed).rejects.toMatchObject({ code: 'address.absent' });
  });
});
