import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { silentLog } from '../../src/base/log.ts';
import type { Service } from '../../src/base/service.ts';
import { openCaller, type RemoteCaller } from '../../src/nlm/caller.ts';
import type { RemoteCall } from '../../src/nlm/exchange.ts';
import { Turns } from '../../src/nlm/turns.ts';
import { nullProcedure, type Procedure, type Program, type Transport } from '../../src/rpc/program.ts';
import { startRpcServer } from '../../src/rpc/server.ts';
import { serveWithMapper } from '../support/lock-node.ts';

const program = 400_001;
const from = ipv4('127.0.0.1');
const to = ipv4('127.0.0.2');
/** Seven seconds of patience become 70 ms. */
const pace = 0.01;

let open: (Service | RemoteCaller)[] = [];
afterEach(async () => {
  await Promise.all(open.map((each) => each.close()));
  open = [];
});

const called: { client: string; transport: Transport }[] = [];
const echo: Procedure = {
  name: 'ECHO',
  once: false,
  run: ({ client, transport }, args) => {
    called.push({ client, transport });
    const value = args.u32();
    return { encode: (writer) => writer.u32(value) };
  },
};
const served: Program = { number: program, versions: new Map([[1, [nullProcedure, echo]]]) };

async function serve(transports: readonly Transport[], port = 0): Promise<Service & { port: number }> {
  called.length = 0;
  const service = await serveWithMapper(to, port, [served], transports);
  open.push(service);
  return service;
}

function caller(portmapPort: number): RemoteCaller {
  const made = openCaller({ portmapPort, pace });
  open.push(made);
  return made;
}

function echoCall(rest: Partial<RemoteCall> = {}): RemoteCall {
  return { from, to, transports: ['tcp', 'udp'], repeatable: false, program, version: 1, procedure: 1, args: (writer) => writer.u32(42), ...rest };
}

describe('a call', () => {
  test.each<readonly [string, readonly Transport[], readonly Transport[], Transport]>([
    ['goes over the transport that is preferred', ['tcp', 'udp'], ['udp', 'tcp'], 'tcp'],
    ['goes over the one that is there', ['tcp', 'udp'], ['udp'], 'udp'],
    ['goes over the one that is there, the other way round', ['udp', 'tcp'], ['tcp'], 'tcp'],
  ])('%s', async (_, transports, there, used) => {
    const { port } = await serve(there);
    const answer = await caller(port).call(echoCall({ transports }));
    expect(answer.kind === 'answered' && answer.results.u32()).toBe(42);
    expect(called).toEqual([{ client: from, transport: used }]);
  });

  test.each([
    ['no such program', { program: program + 1 }],
    ['no such version', { version: 2 }],
    ['no such address of ours', { from: ipv4('203.0.113.9') }],
  ])('%s: it is not done, and said so', async (_, rest) => {
    const { port } = await serve(['tcp', 'udp']);
    expect(await caller(port).call(echoCall(rest))).toMatchObject({ kind: 'unanswered', arrived: false });
    expect(called).toEqual([]);
  });

  test('to a machine that is off is given up', async () => {
    const { port } = await serve(['tcp']);
    expect(await caller(port).call(echoCall({ to: ipv4('127.0.0.77') }))).toMatchObject({ kind: 'unanswered', arrived: false });
  });

  test('a program that has moved is found again', async () => {
    const first = await serve(['tcp']);
    const calls = caller(first.port);
    await calls.call(echoCall());
    await first.close();
    await serve(['tcp'], first.port);
    expect((await calls.call(echoCall())).kind).toBe('answered');
  });

  test('that is taken and not answered may have been done', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, to);
    await once(silent, 'listening');
    const address = silent.address();
    const answer = await callSomething(typeof address === 'object' && address !== null ? address.port : 0, 'tcp');
    expect(answer).toMatchObject({ kind: 'unanswered', arrived: true });
    silent.close();
  });

  test('over UDP is sent again, and its answer counts only from where it went', async () => {
    const deaf = createSocket('udp4').bind(0, to);
    await once(deaf, 'listening');
    const liar = createSocket('udp4').bind(0, to);
    await once(liar, 'listening');
    let heard = 0;
    deaf.on('message', (message, { port: back }) => {
      heard += 1;
      const reply = Buffer.alloc(28);
      message.copy(reply, 0, 0, 4);
      reply.writeUInt32BE(1, 4);
      liar.send(reply, back, from);
      if (heard === 3) deaf.send(reply, back, from);
    });
    const answer = await callSomething(deaf.address().port, 'udp');
    expect(answer).toMatchObject({ kind: 'answered', repeated: true });
    expect(heard).toBe(3);
    deaf.close();
    liar.close();
  });

  test('under way ends when the caller is closed, and none begins after that', async () => {
    const deaf = createSocket('udp4').bind(0, to);
    await once(deaf, 'listening');
    const calls = openCaller({ portmapPort: deaf.address().port });
    const pending = calls.call(echoCall());
    await once(deaf, 'message');
    calls.close();
    expect(await pending).toMatchObject({ kind: 'unanswered', arrived: false });
    expect(await calls.call(echoCall())).toMatchObject({ kind: 'unanswered', reason: 'the server ends' });
    deaf.close();
  });
});

/** A call of something that is no RPC server, on a port that a mapper of the test's own tells. */
async function callSomething(target: number, transport: Transport) {
  const getPort: Procedure = { name: 'GETPORT', once: false, run: () => ({ encode: (writer) => writer.u32(target) }) };
  const programs = [{ number: 100_000, versions: new Map([[2, [nullProcedure, undefined, undefined, getPort]]]) }];
  const mapper = await startRpcServer({ name: 'mapper', address: to, port: 0, transports: ['udp'], programs, log: silentLog });
  open.push(mapper);
  return caller(mapper.port).call(echoCall({ transports: [transport] }));
}

describe('turns', () => {
  const limits = { underWay: 3, underWayPerPeer: 2, waitingPerPeer: 3 };
  const never = new Promise<number>(() => {});

  test('one peer has so many at once, and all together so many', async () => {
    const turns = new Turns(limits);
    const begun: string[] = [];
    const finish: (() => void)[] = [];
    const work = (name: string) => () => {
      begun.push(name);
      return new Promise<number>((resolve) => finish.push(() => resolve(1)));
    };
    const all = ['a', 'a', 'a', 'b', 'b'].map((name) => turns.take(name, work(name)));
    expect(begun).toEqual(['a', 'a', 'b']);
    finish[0]?.();
    await all[0];
    expect(begun).toEqual(['a', 'a', 'b', 'a']);
    for (let done = 1; done < 5; done += 1) {
      finish[done]?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await Promise.all(all)).toEqual([1, 1, 1, 1, 1]);
  });

  test('who has too many waiting is turned away, and the others are not', () => {
    const turns = new Turns(limits);
    const taken = Array.from({ length: 8 }, () => turns.take('a', () => never) !== undefined);
    expect(taken).toEqual([true, true, true, true, true, false, false, false]);
    expect(turns.take('b', () => never)).toBeDefined();
  });
});
