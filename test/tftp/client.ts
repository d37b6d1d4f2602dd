// A TFTP client by the book on a real socket, for the server's tests.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { decode, encode, type TftpPacket } from '../../src/tftp/packet.ts';

export interface Received {
  readonly packet: TftpPacket;
  /** Of the server: its transfer id. */
  readonly port: number;
}

export class Client {
  readonly socket: Socket;
  private readonly serverPort: number;
  private readonly queue: Received[] = [];
  private wake: (() => void) | undefined;
  received = 0;

  private constructor(socket: Socket, serverPort: number) {
    this.socket = socket;
    this.serverPort = serverPort;
    socket.on('message', (datagram, peer) => {
      this.received += 1;
      this.queue.push({ packet: decode(datagram), port: peer.port });
      this.wake?.();
    });
  }

  static async open(serverPort: number): Promise<Client> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new Client(socket, serverPort);
  }

  send(packet: TftpPacket | Buffer, port = this.serverPort): void {
    this.socket.send(Buffer.isBuffer(packet) ? packet : encode(packet), port, '127.0.0.1');
  }

  read(file: string, options: Readonly<Record<string, number>> = {}, mode = 'octet'): void {
    this.send({ op: 'read', file, mode, options: Object.entries(options).map(([name, value]) => ({ name, value: String(value) })) });
  }

  async next(): Promise<Received> {
    for (;;) {
      const first = this.queue.shift();
      if (first !== undefined) return first;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  /** The whole file and what was agreed. Throws the server's error. */
  async fetch(file: string, options: Readonly<Record<string, number>> = {}, mode = 'octet'): Promise<{ bytes: Buffer; agreed: Record<string, string> }> {
    this.read(file, options, mode);
    const pieces: Buffer[] = [];
    const agreed: Record<string, string> = {};
    let expected = 1;
    for (;;) {
      const { packet, port } = await this.next();
      if (packet.op === 'error') throw new Error(`error ${packet.code}: ${packet.message}`);
      if (packet.op === 'oack') {
        for (const { name, value } of packet.options) agreed[name] = value;
        this.send({ op: 'ack', block: 0 }, port);
      }
      if (packet.op !== 'data' || packet.block !== (expected & 0xffff)) continue;
      pieces.push(packet.bytes);
      const isLast = packet.bytes.length < Number(agreed['blksize'] ?? 512);
      if (isLast) {
        const ack = encode({ op: 'ack', block: packet.block });
        await new Promise<void>((resolve) => this.socket.send(ack, port, '127.0.0.1', () => resolve())); // the socket may be closed next
        return { bytes: Buffer.concat(pieces), agreed };
      }
      if (expected % Number(agreed['windowsize'] ?? 1) === 0) this.send({ op: 'ack', block: packet.block }, port);
      expected += 1;
    }
  }

  /** Writes the file and tells how it ended: the number of the last ACK. Throws the server's error. */
  async store(file: string, bytes: Buffer, options: Readonly<Record<string, number>> = {}, mode = 'octet'): Promise<number> {
    this.send({ op: 'write', file, mode, options: Object.entries(options).map(([name, value]) => ({ name, value: String(value) })) });
    let agreed: ReadonlyMap<string, string> = new Map();
    for (;;) {
      const { packet, port } = await this.next();
      if (packet.op === 'error') throw new Error(`error ${packet.code}: ${packet.message}`);
      if (packet.op === 'oack') agreed = new Map(packet.options.map(({ name, value }) => [name, value]));
      const blksize = Number(agreed.get('blksize') ?? 512);
      const acked = packet.op === 'ack' ? packet.block : 0;
      const last = Math.floor(bytes.length / blksize) + 1;
      if (acked === last) return acked;
      for (let block = acked + 1; block <= Math.min(last, acked + Number(agreed.get('windowsize') ?? 1)); block += 1) {
        this.send({ op: 'data', block, bytes: bytes.subarray((block - 1) * blksize, block * blksize) }, port);
      }
    }
  }

  close(): void {
    this.socket.close();
  }
}
