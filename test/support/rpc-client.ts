// An RPC client for tests and benchmarks: builds calls, reads replies, over TCP, over UDP or straight into the server's `answer`.
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import type { Ipv4 } from '../../src/base/addresses.ts';
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts';
import { type Answering, answer, encodeAnswer, type Transport } from '../../src/rpc/program.ts';
import { RecordReader } from '../../src/rpc/record.ts';
import { writeOpaque, writeString } from '../../src/rpc/xdr.ts';

export interface UnixUser {
  readonly uid: number;
  readonly gid: number;
  readonly gids?: readonly number[];
}

export const rootUser: UnixUser = { uid: 0, gid: 0 };

export interface CallOptions {
  readonly xid: number;
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  /** undefined is AUTH_NONE. */
  readonly user?: UnixUser | undefined;
  readonly rpcVersion?: number;
}

export function encodeCall(options: CallOptions, args: (writer: ByteWriter) => void = () => {}): Buffer {
  const writer = new ByteWriter();
  writer.u32(options.xid);
  writer.u32(0);
  writer.u32(options.rpcVersion ?? 2);
  writer.u32(options.program);
  writer.u32(options.version);
  writer.u32(options.procedure);
  const { user } = options;
  writer.u32(user === undefined ? 0 : 1);
  const body = new ByteWriter();
  if (user !== undefined) {
    body.u32(0);
    writeString(body, 'tester');
    body.u32(user.uid);
    body.u32(user.gid);
    body.u32(user.gids?.length ?? 0);
    for (const gid of user.gids ?? []) body.u32(gid);
  }
  writeOpaque(writer, body.bytes());
  writer.u32(0);
  writer.u32(0);
  args(writer);
  return writer.bytes();
}

/** One record of one fragment. */
export function marked(message: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE((0x8000_0000 | message.length) >>> 0);
  return Buffer.concat([header, message]);
}

export interface DecodedReply {
  readonly xid: number;
  readonly denied: boolean;
  /** accept_stat or reject_stat. */
  readonly status: number;
  readonly results: ByteReader;
}

export function decodeReply(message: Buffer): DecodedReply {
  const results = new ByteReader(message);
  const xid = results.u32();
  if (results.u32() !== 1) throw new Error('not a reply');
  const denied = results.u32() === 1;
  if (!denied) {
    results.u32();
    results.skip(results.u32());
  }
  return { xid, denied, status: results.u32(), results };
}

/** The reply that a server gives to one message. */
export type Exchange = (message: Buffer) => Promise<Buffer>;

/** Without a network: what the server would send. */
export function directExchange(answering: Answering, client: Ipv4, transport: Transport = 'tcp', port = 700): Exchange {
  return async (message) => {
    const reply = await answer(answering, { client, port, transport }, message);
    const writer = new ByteWriter();
    const tail = encodeAnswer(answering, writer, reply);
    return Buffer.concat([writer.bytes(), tail?.bytes ?? Buffer.alloc(0)]);
  };
}

export interface TcpExchange {
  readonly exchange: Exchange;
  readonly socket: Socket;
  close(): void;
}

/** Many calls in flight on one connection; replies are matched by xid. */
export async function tcpExchange(port: number, host = '127.0.0.1'): Promise<TcpExchange> {
  const socket = connect({ port, host });
  const waiting = new Map<number, { resolve: (reply: Buffer) => void; reject: (error: Error) => void }>();
  const records = new RecordReader(2 ** 30);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    records.push(chunk);
    for (let record = records.next(); record !== undefined; record = records.next()) {
      const xid = record.readUInt32BE(0);
      waiting.get(xid)?.resolve(record);
      waiting.delete(xid);
    }
  });
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('connection closed'));
    waiting.clear();
  });
  const exchange: Exchange = (message) =>
    new Promise((resolve, reject) => {
      waiting.set(message.readUInt32BE(0), { resolve, reject });
      socket.write(marked(message));
    });
  return { exchange, socket, close: () => socket.destroy() };
}

export interface UdpExchange {
  readonly exchange: Exchange;
  readonly socket: DatagramSocket;
  close(): void;
}

/** One socket, each call one datagram; nothing is sent twice. Replies from any other address than the server's fail their call. */
export async function udpExchange(port: number, host = '127.0.0.1', localPort = 0): Promise<UdpExchange> {
  const socket = createSocket('udp4');
  const waiting = new Map<number, (reply: Buffer | Error) => void>();
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(localPort, host, resolve);
  });
  socket.on('message', (message, from) => {
    const xid = message.readUInt32BE(0);
    waiting.get(xid)?.(from.address === host && from.port === port ? message : new Error(`answered from ${from.address}:${from.port}`));
    waiting.delete(xid);
  });
  const exchange: Exchange = (message) =>
    new Promise((resolve, reject) => {
      waiting.set(message.readUInt32BE(0), (reply) => (reply instanceof Error ? reject(reply) : resolve(reply)));
      socket.send(message, port, host);
    });
  return { exchange, socket, close: () => socket.close() };
}
