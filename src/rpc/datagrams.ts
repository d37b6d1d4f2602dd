// RPC over UDP: one call a datagram, and its answer in one datagram from the address and port that the call went to. RFC 5531 5, RFC 1813 2.2.
import { type Ipv4, ipv4FromPeer } from '../base/addresses.ts';
import { ByteWriter } from '../base/bytes.ts';
import type { openUdp } from '../base/datagrams.ts';
import { sentence, WireError } from '../base/errors.ts';
import type { RpcLimits } from './limits.ts';
import type { Reply, Tail } from './message.ts';
import type { Peer } from './program.ts';

/** What fits into a UDP datagram over IPv4. */
const datagramMax = 65_507;

/** Room for the answer to a small call; a ByteWriter grows. */
const writerCapacity = 256;

type Socket = Awaited<ReturnType<typeof openUdp>>;

interface Sender {
  readonly address: string;
  readonly port: number;
}

export interface DatagramEvents {
  readonly answer: (peer: Peer, message: Buffer) => Reply | Promise<Reply>;
  /** Writes all of a reply but its tail, which it returns. */
  readonly encode: (writer: ByteWriter, reply: Reply) => Tail | undefined;
  /** A call or its answer was given up; the client sends the call again. */
  readonly dropped: (client: Ipv4, reason: string) => void;
}

/** Serves calls that come to `socket`. Nothing holds a sender back, so what is more than the limits is dropped. */
export class Datagrams {
  private readonly socket: Socket;
  private readonly limits: RpcLimits;
  private readonly events: DatagramEvents;
  private inFlight = 0;
  private state: 'open' | 'ending' | 'closed' = 'open';
  private settled: () => void = () => {};

  constructor(socket: Socket, limits: RpcLimits, events: DatagramEvents) {
    this.socket = socket;
    this.limits = limits;
    this.events = events;
    socket.on('message', (message: Buffer, from: Sender) => this.handle(message, from));
  }

  /** Takes no more calls; settles when those under way are answered. */
  end(): Promise<void> {
    this.state = 'ending';
    return new Promise((resolve) => {
      this.settled = resolve;
      if (this.inFlight === 0) resolve();
    });
  }

  /** What is not answered by now never will be. */
  close(): Promise<void> {
    this.state = 'closed';
    return new Promise((resolve) => this.socket.close(() => resolve()));
  }

  private handle(message: Buffer, from: Sender): void {
    const client = ipv4FromPeer(from.address);
    if (client === undefined || this.state !== 'open') return;
    if (this.inFlight >= this.limits.datagramsInFlight) {
      this.events.dropped(client, `more than ${this.limits.datagramsInFlight} calls under way`);
      return;
    }
    try {
      const reply = this.events.answer({ client, port: from.port, transport: 'udp' }, message);
      if (reply instanceof Promise) this.sendLater(client, from, reply);
      else this.send(client, from, reply);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.events.dropped(client, sentence(error));
    }
  }

  private sendLater(client: Ipv4, from: Sender, reply: Promise<Reply>): void {
    this.inFlight += 1;
    const done = () => {
      this.inFlight -= 1;
      if (this.inFlight === 0) this.settled();
    };
    void reply.then(
      (settled) => {
        this.send(client, from, settled);
        done();
      },
      (error: unknown) => {
        this.events.dropped(client, sentence(error));
        done();
      },
    );
  }

  private send(client: Ipv4, to: Sender, reply: Reply): void {
    if (this.state === 'closed') return;
    let writer = new ByteWriter(writerCapacity);
    let tail = this.events.encode(writer, reply);
    if (writer.length + (tail?.bytes.length ?? 0) > datagramMax) {
      // The client would wait for ever; another try over TCP may succeed.
      writer = new ByteWriter(writerCapacity);
      tail = this.events.encode(writer, { kind: 'system-error', xid: reply.xid });
    }
    if (this.socket.getSendQueueSize() >= this.limits.outputBytes) {
      this.events.dropped(client, 'answers wait to be sent');
      return;
    }
    const parts = tail === undefined ? [writer.bytes()] : [writer.bytes(), tail.bytes];
    try {
      this.socket.send(parts, to.port, to.address, (error) => {
        tail?.sent?.();
        if (error) this.events.dropped(client, error.message);
      });
    } catch (error) {
      this.events.dropped(client, sentence(error)); // port 0
    }
  }
}
