// The service on loopback: a client that has its address (127.0.0.7) renews it, among garbage, strangers and faults.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import type { Log } from '../../src/base/log.ts';
import type { DhcpExchange } from '../../src/dhcp/answer.ts';
import { type DhcpPacket, decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import type { BootFile, DhcpQuestions, Leases } from '../../src/dhcp/questions.ts';
import { type DhcpServerOptions, type DhcpService, startDhcpServer } from '../../src/dhcp/server.ts';
import { farmOf, message, node, noLeases, request } from './packets.ts';

const address = ipv4('127.0.0.7');
const host = { ...node, address, subnet: { address, prefix: 8 } };
const renewal = message('request', [], { ciaddr: address });

let service: DhcpService;
let client: Socket;
let logged: [level: string, event: string, fields: Record<string, unknown>][];
let exchanges: DhcpExchange[];
let questions: DhcpQuestions;
let leases: Leases & { stable(): Promise<void> };

const log: Log = (level, event, fields) => logged.push([level, event, { ...fields }]);

function send(bytes: Buffer): void {
  client.send(bytes, Number(service.sockets[0]?.split(':')[1]), '127.0.0.1');
}

/** A service on free ports of loopback; what it asks can be changed while it runs. */
function options(more: Partial<DhcpServerOptions> = {}): DhcpServerOptions {
  return {
    address: ipv4('127.0.0.1'),
    port: 0,
    bootServerPort: 0,
    questions: {
      place: (asker) => questions.place(asker),
      bootFile: (asker, asked) => questions.bootFile(asker, asked),
      mode: (link) => questions.mode(link),
    },
    leases: {
      offer: (claim, now) => leases.offer(claim, now),
      request: (claim, now) => leases.request(claim, now),
      release: (claim, now) => leases.release(claim, now),
      decline: (claim, now) => leases.decline(claim, now),
      overheard: (taken, by, now) => leases.overheard(taken, by, now),
      stable: () => leases.stable(),
    },
    log,
    observe: (exchange) => exchanges.push(exchange),
    clock: { now: () => 0 },
    ...more,
  };
}

/** Settles when it is so; the test's own time limit ends the wait. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

/** Sends a request and waits for the reply to it. */
async function ask(asked: DhcpPacket): Promise<DhcpPacket> {
  const replied = once(client, 'message');
  send(encodePacket(asked));
  const [bytes] = (await replied) as [Buffer];
  return decodePacket(bytes);
}

beforeEach(async () => {
  logged = [];
  exchanges = [];
  questions = farmOf(host).questions;
  client = createSocket('udp4');
  client.bind(0, address);
  await once(client, 'listening');
  leases = { ...noLeases, stable: async () => {} };
  service = await startDhcpServer(options({ clientPort: client.address().port }));
});

afterEach(async () => {
  client.close();
  await service.close();
});

test('a renewal is acknowledged at the address that the client has', async () => {
  const packet = await ask(renewal);
  expect(packet).toMatchObject({ op: 'reply', yiaddr: address, xid: renewal.xid });
  expect(logged).toEqual([
    ['info', 'dhcp.ack', expect.objectContaining({ mac: '52:54:00:12:34:56', node: 'n1', address, asked: 'REQUEST', route: 'unicast' })],
  ]);
  expect(exchanges).toHaveLength(1);
  expect(Object.fromEntries(service.counters())).toEqual({ received: 1, 'dhcp.ack': 1 });
});

test('BOOTP is answered too', async () => {
  expect(await ask(request([], { ciaddr: address }))).toMatchObject({ yiaddr: address });
  expect(logged[0]?.[1]).toBe('bootp.reply');
});

describe('nothing stops it:', () => {
  test.each([
    ['an empty datagram', Buffer.alloc(0)],
    ['ten bytes', Buffer.alloc(10, 1)],
    ['an option that runs over the end', Buffer.concat([encodePacket(renewal).subarray(0, 240), Buffer.from([60, 255, 1])])],
  ])('%s is counted', async (_, garbage) => {
    send(garbage);
    await until(() => service.counters().get('garbage') === 1);
    expect(await ask(renewal)).toMatchObject({ yiaddr: address });
    expect(logged[0]).toEqual(['warn', 'dhcp.garbage', expect.objectContaining({ bytes: garbage.length, code: expect.any(String) })]);
  });

  test('a question that fails costs only its own machine', async () => {
    const { place: sound } = questions;
    questions = {
      ...questions,
      place: () => {
        questions = { ...questions, place: sound };
        throw new Error('registry unreadable');
      },
    };
    send(encodePacket(renewal));
    await until(() => service.counters().get('fault') === 1);
    expect(await ask(renewal)).toMatchObject({ yiaddr: address });
    expect(logged[0]).toEqual(['error', 'dhcp.fault', expect.objectContaining({ detail: 'registry unreadable' })]);
  });

  test('a boot file that no reply can hold costs only its own machine', async () => {
    const impossible: BootFile = { kind: 'tftp', server: address, file: 'a\0b' };
    questions = { ...questions, bootFile: (asker) => (asker.bootp ? undefined : impossible) };
    send(encodePacket(renewal));
    expect(await ask(request([], { ciaddr: address }))).toMatchObject({ yiaddr: address });
    expect(service.counters().get('fault')).toBe(1);
  });

  test('a flood of strangers is seen whole but logged in part', async () => {
    for (let stranger = 0; stranger < 150; stranger++) {
      send(encodePacket(message('discover', [], { chaddr: Buffer.from([2, 0, 0, 0, 0, stranger]) })));
    }
    await ask(renewal);
    await until(() => exchanges.length === 151);
    expect(exchanges.find(({ event }) => event === 'dhcp.ignore')).toMatchObject({ event: 'dhcp.ignore', reason: 'unknown-machine', mac: '02:00:00:00:00:00' });
    expect(logged.filter(([, event]) => event === 'dhcp.ignore')).toHaveLength(100);
  });
});

describe('a dynamic lease', () => {
  const dynamic = ipv4('127.0.0.9');
  const renewing = message('request', [], { ciaddr: dynamic });
  let onDisk: (() => void) | undefined;
  let failed: (error: Error) => void = () => {};
  let pooled: Socket;

  beforeEach(async () => {
    onDisk = undefined;
    const { name: _, address: __, leaseSeconds: ___, ...rest } = host;
    const pool = { name: 'main', first: dynamic, last: dynamic, subnet: host.subnet, leaseSeconds: 600, isReserved: () => false, host: rest };
    questions = { ...questions, place: () => ({ kind: 'pool', pool }) };
    leases = {
      ...noLeases,
      request: ({ address: granted }) => ({ kind: 'granted', address: granted, seconds: 600 }),
      stable: () =>
        new Promise<void>((resolve, reject) => {
          onDisk = resolve;
          failed = reject;
        }),
    };
    pooled = createSocket('udp4');
    pooled.bind(client.address().port, dynamic);
    await once(pooled, 'listening');
  });

  afterEach(() => pooled.close());

  /** The lease was granted, and its sync is under way. */
  async function granted(): Promise<void> {
    send(encodePacket(renewing));
    await until(() => onDisk !== undefined);
  }

  test('is acknowledged, logged and observed only when it is on disk', async () => {
    const replied = once(pooled, 'message');
    await granted();
    expect([exchanges, logged]).toEqual([[], []]);
    onDisk?.();
    const [bytes] = (await replied) as [Buffer];
    expect(decodePacket(bytes)).toMatchObject({ yiaddr: dynamic });
    expect(logged.map(([, event]) => event)).toEqual(['dhcp.ack']);
  });

  test('that cannot be kept is not acknowledged, and that is said', async () => {
    await granted();
    failed(new Error('disk full'));
    await until(() => logged.length > 0);
    expect(logged).toEqual([['error', 'dhcp.unkept', expect.objectContaining({ replies: 1, reason: 'disk full' })]]);
    expect(exchanges).toEqual([]);
    expect(service.counters().get('unkept')).toBe(1);
  });

  test('that is being written is waited for when the service ends', async () => {
    const replied = once(pooled, 'message');
    await granted();
    const closed = service.close();
    onDisk?.();
    await closed;
    await replied;
  });
});

test('a ROM is answered on the boot server port, at the port it asked from', async () => {
  const asking = createSocket('udp4');
  asking.bind(0, address);
  await once(asking, 'listening');
  const rom = [
    [60, Buffer.from('PXEClient:Arch:00007:UNDI:003016')],
    [93, Buffer.from([0, 7])],
    [97, Buffer.from('0000112233445566778899aabbccddeeff', 'hex')],
  ] as const;
  questions = { ...questions, bootFile: () => ({ kind: 'tftp', server: ipv4('127.0.0.1'), file: 'ipxe.efi' }) };
  const replied = once(asking, 'message');
  asking.send(encodePacket(message('request', rom, { ciaddr: address })), Number(service.sockets[1]?.split(':')[1]), '127.0.0.1');
  const [bytes, peer] = (await replied) as [Buffer, { port: number }];
  expect(decodePacket(bytes)).toMatchObject({ op: 'reply', file: 'ipxe.efi' });
  expect(peer.port).toBe(Number(service.sockets[1]?.split(':')[1]));
  expect(logged[0]).toEqual(['info', 'dhcp.boot-server', expect.objectContaining({ route: 'source' })]);
  asking.close();
});

test('it can be closed twice, and its port is free then', async () => {
  const port = Number(service.sockets[0]?.split(':')[1]);
  await expect(startDhcpServer(options({ address, port }))).rejects.toMatchObject({ code: 'port.taken', hint: expect.stringContaining(`sport = :${port}`) });
  await Promise.all([service.close(), service.close()]);
  const again = await startDhcpServer(options({ address, port }));
  await again.close();
});
