// One TCP connection of an RPC client: records in, answers out, several calls in flight, and no further than its client keeps up.
import type { Socket } from 'node:net';
import { nextTick } from 'node:process';
import { ByteWriter } from '../base/bytes.ts';
import { sentence, WireError } from '../base/errors.ts';
import type { RpcLimits } from './limits.ts';
import type { Reply, Tail } from './message.ts';
import { lastFragment, RecordReader } from './record.ts';

/** Room for the answers to a batch of small calls; a ByteWriter grows. Below half of Buffer.poolSize, so that it comes from the pool. */
const writerCapacity = 2048;

/** A tail up to this size goes into the chunk with its reply: each chunk costs as much as copying some KiB. */
const copiedBytes = 4096;

export interface ConnectionEvents {
  readonly answer: (message: Buffer) => Reply | Promise<Reply>;
  /** Writes all of a reply but its tail, which it returns. */
  readonly encode: (writer: ByteWriter, reply: Reply) => Tail | undefined;
  /** The connection was ended because of what came over it. */
  readonly dropped: (reason: string) => void;
}

export class Connection {
  private readonly socket: Socket;
  private readonly limits: RpcLimits;
  private readonly events: ConnectionEvents;
  private readonly records: RecordReader;
  /** Settles when the connection is closed, however. */
  readonly closed: Promise<void>;
  private inFlight = 0;
  /** Whole chunks that go out with the next flush, and the one being written. */
  private chunks: Buffer[] = [];
  /** Whoever wants to know when these chunks are sent. */
  private tails: (() => void)[] = [];
  private writer: ByteWriter | undefined;
  private queuedBytes = 0;
  private pumping = false;
  private flushing = false;
  private ending = false;

  constructor(socket: Socket, limits: RpcLimits, events: ConnectionEvents) {
    this.socket = socket;
    this.limits = limits;
    this.events = events;
    this.records = new RecordReader(limits.recordBytes);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    socket.setTimeout(limits.idleTime, () => this.idle());
    socket.on('data', (chunk: Buffer) => {
      if (this.ending) return; // the client sends it again when it is connected again
      this.records.push(chunk);
      this.pump();
    });
    socket.on('drain', () => this.pump());
    this.closed = new Promise((resolve) => socket.on('close', () => resolve()));
    socket.resume(); // whoever accepted it may have paused it
    socket.on('error', () => socket.destroy()); // a client that vanished; 'close' follows
  }

  /** Takes no more calls; ends the connection when those under way are answered. */
  end(): void {
    this.ending = true;
    this.socket.resume(); // to hear the client's end, and because a socket closed with unread bytes is reset, answers and all
    this.endIfDone();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private idle(): void {
    if (this.inFlight === 0) this.socket.destroy();
  }

  private full(): boolean {
    return this.ending || this.inFlight >= this.limits.inFlight || this.queuedBytes + this.socket.writableLength >= this.limits.outputBytes;
  }

  /** Answers what is there until nothing is left or the connection is full; a finished call or `drain` goes on. */
  private pump(): void {
    if (this.pumping || this.socket.destroyed) return;
    this.pumping = true;
    try {
      for (let record = this.take(); record !== undefined; record = this.take()) this.handle(record);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.events.dropped(sentence(error));
      this.socket.destroy();
      return;
    } finally {
      this.pumping = false;
    }
    const full = this.full();
    this.flush();
    if (!full) this.socket.resume();
    else {
      this.socket.pause();
      // All of it may have gone straight to the kernel, and then there will be no 'drain'. Others get their turn first.
      if (!this.full()) setImmediate(() => this.pump());
    }
  }

  private take(): Buffer | undefined {
    return this.full() ? undefined : this.records.next();
  }

  private handle(record: Buffer): void {
    const reply = this.events.answer(record);
    if (!(reply instanceof Promise)) {
      this.append(reply);
      return;
    }
    this.inFlight += 1;
    void reply.then(
      (settled) => {
        this.inFlight -= 1;
        this.append(settled);
        this.flushSoon();
      },
      (error: unknown) => {
        this.events.dropped(sentence(error));
        this.socket.destroy();
      },
    );
  }

  /** Adds one record, marked as a single fragment. */
  private append(reply: Reply): void {
    this.writer ??= new ByteWriter(writerCapacity);
    const { writer } = this;
    const start = writer.length;
    writer.u32(0);
    const tail = this.events.encode(writer, reply);
    const length = writer.length - start - 4 + (tail?.bytes.length ?? 0);
    writer.setU32(start, (lastFragment | length) >>> 0);
    this.queuedBytes += length + 4;
    if (tail === undefined) return;
    if (tail.bytes.length <= copiedBytes) {
      writer.put(tail.bytes);
      tail.sent?.();
      return;
    }
    this.chunks.push(writer.bytes(), tail.bytes);
    if (tail.sent !== undefined) this.tails.push(tail.sent);
    this.writer = undefined;
  }

  /** Answers that become ready in one turn of the event loop go out together. */
  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    nextTick(() => {
      this.flushing = false;
      this.flush();
      this.pump();
      this.endIfDone();
    });
  }

  private flush(): void {
    if (this.writer !== undefined) this.chunks.push(this.writer.bytes());
    const { chunks, tails } = this;
    const last = chunks.pop();
    if (last === undefined) return;
    this.chunks = [];
    this.tails = [];
    this.writer = undefined;
    this.queuedBytes = 0;
    if (this.socket.destroyed) return;
    if (chunks.length > 0) this.socket.cork();
    for (const chunk of chunks) this.socket.write(chunk);
    if (tails.length === 0) this.socket.write(last);
    else {
      this.socket.write(last, () => {
        for (const sent of tails) sent();
      });
    }
    if (chunks.length > 0) this.socket.uncork();
  }

  private endIfDone(): void {
    if (this.ending && this.inFlight === 0) this.socket.end();
  }
}
