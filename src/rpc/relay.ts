// Calls passed on from the process that received them to the one that answers them, over a local socket, and their replies back. Both sides are ours.
import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { ipv4FromNumber, ipv4Number } from '../base/addresses.ts';
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { sentence, WireError } from '../base/errors.ts';
import { defaultLimits } from './limits.ts';
import { type Reply, Unanswered } from './message.ts';
import { type Answering, encodeAnswer, type Peer } from './program.ts';
import { lastFragment, RecordReader } from './record.ts';
import type { RpcAcceptor } from './server.ts';

// Records as RPC has them (RFC 5531 11). A call: number, client, port, transport, and the message; a reply: number and the message, which is
// empty when the call cannot be answered.
const callHeaderBytes = 16;
const transports = ['tcp', 'udp'] as const;
/** A READ of 1 MiB with its header is the largest reply. */
const recordBytes = defaultLimits.recordBytes + callHeaderBytes;

function send(socket: Socket, fill: (writer: ByteWriter) => Buffer | undefined): void {
  const writer = new ByteWriter();
  writer.u32(0);
  const tail = fill(writer);
  writer.setU32(0, (lastFragment | (writer.length - 4 + (tail?.length ?? 0))) >>> 0);
  socket.cork();
  socket.write(writer.bytes());
  if (tail !== undefined) socket.write(tail);
  socket.uncork();
}

function onRecords(socket: Socket, take: (record: Buffer) => void): void {
  const records = new RecordReader(recordBytes);
  socket.on('data', (chunk: Buffer) => {
    records.push(chunk);
    for (let record = records.next(); record !== undefined; record = records.next()) take(record);
  });
}

/** Listens on a local socket, which only this user can open, and has the calls that come over it answered. */
export async function startRelay(path: string, answer: RpcAcceptor['answer'], fault: Answering['fault']): Promise<{ readonly close: () => void }> {
  rmSync(path, { force: true });
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => socket.destroy()); // the other process ended; its 'close' follows
    socket.on('close', () => open.delete(socket));
    onRecords(socket, (record) => void relayed(socket, record, answer, fault));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve());
  });
  chmodSync(path, 0o600);
  return {
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

async function relayed(socket: Socket, record: Buffer, answer: RpcAcceptor['answer'], fault: Answering['fault']): Promise<void> {
  const reader = new ByteReader(record);
  const number = reader.u32();
  const peer: Peer = { client: ipv4FromNumber(reader.u32()), port: reader.u32(), transport: transports[reader.u32()] ?? 'tcp' };
  let reply: Reply | undefined;
  try {
    reply = await answer(peer, reader.rest());
  } catch (error) {
    if (!(error instanceof WireError || error instanceof Unanswered)) throw error;
  }
  if (socket.destroyed) return;
  send(socket, (writer) => {
    writer.u32(number);
    return reply === undefined ? undefined : encodeAnswer({ fault }, writer, reply)?.bytes;
  });
}

/** The other end: passes calls on to the process that listens on `path`. Connects when the first one comes, and again when that process has ended. */
export class Relay {
  private readonly path: string;
  private socket: Socket | undefined;
  private readonly waiting = new Map<number, { readonly settle: (reply: Reply) => void; readonly refuse: (error: Unanswered) => void }>();
  private number = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** The reply of the other process. Throws `Unanswered` if it has none, or ends before it replies. */
  forward(peer: Peer, message: Buffer): Promise<Reply> {
    const socket = this.connected();
    this.number = (this.number + 1) >>> 0;
    const { number } = this;
    send(socket, (writer) => {
      for (const word of [number, ipv4Number(peer.client), peer.port, transports.indexOf(peer.transport)]) writer.u32(word);
      return message;
    });
    return new Promise((settle, refuse) => this.waiting.set(number, { settle, refuse }));
  }

  close(): void {
    this.socket?.destroy();
  }

  private connected(): Socket {
    if (this.socket !== undefined) return this.socket;
    const socket = connect(this.path);
    this.socket = socket;
    let why = 'the process that would answer has ended';
    socket.on('error', (error) => {
      why = sentence(error);
    });
    socket.on('close', () => {
      this.socket = undefined;
      for (const { refuse } of this.waiting.values()) refuse(new Unanswered(why));
      this.waiting.clear();
    });
    onRecords(socket, (record) => this.take(record));
    return socket;
  }

  private take(record: Buffer): void {
    const number = record.readUInt32BE(0);
    const asked = this.waiting.get(number);
    this.waiting.delete(number);
    const message = record.subarray(4);
    if (message.length === 0) asked?.refuse(new Unanswered('it was no call, or the process that would answer is ending'));
    else asked?.settle({ kind: 'relayed', xid: message.readUInt32BE(0), message });
  }
}
