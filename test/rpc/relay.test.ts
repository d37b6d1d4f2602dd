import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { type Call, Unanswered } from '../../src/rpc/message.ts';
import { nullProcedure, type Peer, type Procedure, type Program } from '../../src/rpc/program.ts';
import { Relay, startRelay } from '../../src/rpc/relay.ts';
import { ReplyCache } from '../../src/rpc/reply-cache.ts';
import { openAcceptor, startRpcServer } from '../../src/rpc/server.ts';
import { loopback } from '../support/nfs-farm.ts';
import { decodeReply, encodeCall, tcpExchange } from '../support/rpc-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'relay-'));
const path = join(directory, 'sock');
const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(() => rmSync(directory, { recursive: true }));

const programNumber = 400_000;
let done = 0;
const procedure = (name: string, run: Procedure['run'], once = false): Procedure => ({ name, once, run });
const program: Program = {
  number: programNumber,
  versions: new Map([
    [
      1,
      [
        nullProcedure,
        procedure('WHO', ({ client, port, transport }) => ({ encode: (to) => to.put(Buffer.from(`${client} ${port} ${transport}`.padEnd(32))) })),
        procedure('BIG', () => ({ encode: (to) => to.u32(5), tail: { bytes: Buffer.alloc(1024 * 1024, 7) } })),
        procedure('NEVER', () => new Promise(() => {})),
        procedure(
          'ONCE',
          () => {
            done += 1;
            return { encode: () => {} };
          },
          true,
        ),
      ],
    ],
  ]),
};
const call = (xid: number, number: number) => encodeCall({ xid, program: programNumber, version: 1, procedure: number });
const peer: Peer = { client: loopback, port: 700, transport: 'udp' };
const fault = (name: string, error: unknown) => {
  throw new Error(`${name}: ${String(error)}`);
};

async function other() {
  const acceptor = openAcceptor({ name: 'other', programs: [program], log: silentLog });
  const relay = await startRelay(path, acceptor.answer, fault);
  closers.push(relay.close);
  return relay;
}

function relayTo(): Relay {
  const relay = new Relay(path);
  closers.push(() => relay.close());
  return relay;
}

const text = (message: Buffer) => message.subarray(24).toString().trimEnd();

describe('a call that another process answers', () => {
  test('is answered there as if it had come there', async () => {
    await other();
    const reply = await relayTo().forward(peer, call(7, 1));
    expect(reply).toMatchObject({ kind: 'relayed', xid: 7 });
    expect(reply.kind === 'relayed' && text(reply.message)).toBe('127.0.0.1 700 udp');
  });

  test('has no reply if it is no call', async () => {
    await other();
    await expect(relayTo().forward(peer, Buffer.from('rubbish'))).rejects.toThrow(Unanswered);
  });

  test('has none if that process ends, and the next is asked again', async () => {
    const first = await other();
    const relay = relayTo();
    await relay.forward(peer, call(1, 0));
    const pending = relay.forward(peer, call(2, 3));
    first.close();
    await expect(pending).rejects.toThrow(Unanswered);
    await expect(relay.forward(peer, call(3, 0))).rejects.toThrow(Unanswered);
    await other();
    expect(await relay.forward(peer, call(4, 0))).toMatchObject({ kind: 'relayed', xid: 4 });
  });

  async function front() {
    const relay = relayTo();
    const elsewhere = (from: Peer, { procedure: number }: Call, _args: unknown, message: Buffer) => (number === 0 ? undefined : relay.forward(from, message));
    const acceptor = openAcceptor({ name: 'front', programs: [program], elsewhere, replies: new ReplyCache({ now: () => 0 }), log: silentLog });
    const server = createServer({ pauseOnConnect: true }, acceptor.accept);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(async () => {
      server.close();
      await acceptor.close();
    });
    const bound = server.address();
    const client = await tcpExchange(typeof bound === 'object' && bound !== null ? bound.port : 0);
    closers.push(client.close);
    return client;
  }

  test('goes there from a connection here, and its megabyte of answer comes back', async () => {
    await other();
    const { exchange } = await front();
    expect(decodeReply(await exchange(call(1, 0)))).toMatchObject({ xid: 1, status: 0 });
    const big = await exchange(call(2, 2));
    expect(big.length).toBe(24 + 4 + 1024 * 1024);
    expect(big.subarray(28).equals(Buffer.alloc(1024 * 1024, 7))).toBe(true);
  });

  test('that must be done once is done once there', async () => {
    await other();
    const { exchange } = await front();
    done = 0;
    const first = await exchange(call(9, 4));
    expect((await exchange(call(9, 4))).equals(first)).toBe(true);
    expect(done).toBe(1);
  });
});

test('a server that is asked for UDP and TCP answers on both as before', async () => {
  const service = await startRpcServer({ name: 'test', address: loopback, port: 0, transports: ['tcp', 'udp'], programs: [program], log: silentLog });
  closers.push(() => service.close());
  expect(service.sockets).toEqual([`tcp 127.0.0.1:${service.port}`, `udp 127.0.0.1:${service.port}`]);
});
