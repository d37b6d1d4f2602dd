// The service on loopback: a client that has its address (127.0.0.7) renews it, among garbage, strangers and faults.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import type { Log } from '../../src/base/log.ts';
import type { DhcpExchange } from '../../src/dhcp/answer.ts';
import { type DhcpPacket, decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import type { BootFile, DhcpQuestions } from '../../src/dhcp/questions.ts';
import { type DhcpService, startDhcpServer } from '../../src/dhcp/server.ts';
import { farmOf, message, node, request } from './packets.ts';

const address = ipv4('127.0.0.7');
const host = { ...node, address, subnet: { address, prefix: 8 } };
const renewal = message('request', [], { ciaddr: address });

let service: DhcpService;
let client: Socket;
let logged: [level: string, event: string, fields: Record<string, unknown>][];
let exchanges: DhcpExchange[];
let questions: DhcpQuestions;

const log: Log = (level, event, fields) => logged.push([level, event, { ...fields }]);

function send(bytes: Buffer): void {
  client.send(bytes, Number(service.sockets[0]?.split(':')[1]), '127.0.0.1');
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
  service = await startDhcpServer({
    address: ipv4('127.0.0.1'),
    port: 0,
    clientPort: client.address().port,
    questions: { host: (asker) => questions.host(asker), bootFile: (asker, asked) => questions.bootFile(asker, asked) },
    log,
    observe: (exchange) => exchanges.push(exchange),
    clock: { now: () => 0 },
  });
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
    expect(await ask(renewal)).toMatchObject({ yiaddr: address });
    expect(service.counters().get('garbage')).toBe(1);
    expect(logged[0]).toEqual(['warn', 'dhcp.garbage', expect.objectContaining({ bytes: garbage.length, code: expect.any(String) })]);
  });

  test('a question that fails costs only its own machine', async () => {
    const { host: sound } = questions;
    questions = {
      ...questions,
      host: () => {
        questions = { ...questions, host: sound };
        throw new Error('registry unreadable');
      },
    };
    send(encodePacket(renewal));
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
    expect(exchanges).toHaveLength(151);
    expect(exchanges[0]).toMatchObject({ event: 'dhcp.ignore', reason: 'unknown-machine', mac: '02:00:00:00:00:00' });
    expect(logged.filter(([, event]) => event === 'dhcp.ignore')).toHaveLength(100);
  });
});

test('it can be closed twice, and its port is free then', async () => {
  const port = Number(service.sockets[0]?.split(':')[1]);
  await expect(
    startDhcpServer({ address, port, questions, log, clock: { now: () => 0 } }), //
  ).rejects.toMatchObject({ code: 'port.taken', hint: expect.stringContaining(`sport = :${port}`) });
  await Promise.all([service.close(), service.close()]);
  const again = await startDhcpServer({ address, port, questions, log, clock: { now: () => 0 } });
  await again.close();
});
