// Calls to another node's files over a link, several at once, and their answers: records as RPC has them (RFC 5531 11), each a number and the message.
import type { Duplex } from 'node:stream';
import { ByteWriter } from '../../base/bytes.ts';
import { FarmError, sentence, WireError } from '../../base/errors.ts';
import { lastFragment, RecordReader } from '../../rpc/record.ts';

/** A WRITE of the size that our mounts use (mount-options.ts), or a READ's reply, or the longest listing, each with its header. */
const recordBytes = 1024 * 1024 + 4096 + 4;

/** Calls of one stream that are being answered; more are not read. Each may have a whole record in memory, twice. */
const inFlightMax = 16;

/** Between two tries to reach a node, ms. */
const pause = 200;

/** A message up to this size goes out with its header: each write is a record of TLS, which costs more than copying some KiB. */
const copiedBytes = 16 * 1024;

function send(stream: Duplex, number: number, message: Buffer): boolean {
  const header = new ByteWriter(message.length <= copiedBytes ? message.length + 8 : 8);
  header.u32((lastFragment | (message.length + 4)) >>> 0);
  header.u32(number);
  if (message.length <= copiedBytes) {
    header.put(message);
    return stream.write(header.bytes());
  }
  stream.cork();
  stream.write(header.bytes());
  const goesOn = stream.write(message);
  stream.uncork();
  return goesOn;
}

/** Takes a stream's records apart until it is told to wait. */
function onMessages(stream: Duplex, take: (number: number, message: Buffer) => void, full: () => boolean): { readonly pump: () => void } {
  const records = new RecordReader(recordBytes);
  const pump = () => {
    try {
      while (!full() && !stream.destroyed) {
        const record = records.next();
        if (record === undefined) {
          stream.resume();
          return;
        }
        if (record.length < 4) throw new WireError('mfs.record', 0, 'a record without a number');
        take(record.readUInt32BE(0), record.subarray(4));
      }
      stream.pause();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      stream.destroy();
    }
  };
  stream.on('data', (chunk: Buffer) => {
    records.push(chunk);
    pump();
  });
  stream.resume(); // whoever opened it may have paused it
  return { pump };
}

/** Answers the calls that come over a stream. An empty message asks for the root. */
export function serveCalls(stream: Duplex, answer: (message: Buffer) => Promise<Buffer>): void {
  let inFlight = 0;
  stream.on('error', () => stream.destroy()); // the other node went away; its 'close' follows
  stream.on('end', () => stream.end());
  const full = () => inFlight >= inFlightMax || stream.writableNeedDrain;
  const { pump } = onMessages(
    stream,
    (number, message) => {
      inFlight += 1;
      answer(message).then(
        (reply) => {
          inFlight -= 1;
          if (!stream.destroyed) send(stream, number, reply);
          pump();
        },
        () => stream.destroy(), // what cannot be answered is asked again on the next stream
      );
    },
    full,
  );
  stream.on('drain', pump);
}

interface Waiting {
  readonly message: Buffer;
  readonly settle: (reply: Buffer) => void;
  readonly refuse: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/** The other end. Connects when the first call comes; a call that has no answer when its stream ends is sent again on the next one: byte for byte, so that it is done once. */
export class Calls {
  private readonly open: () => Promise<Duplex>;
  private readonly patience: number;
  private readonly waiting = new Map<number, Waiting>();
  private stream: Duplex | undefined;
  private connecting = false;
  private number = 0;
  private closed = false;
  private retry: NodeJS.Timeout | undefined;
  private why = 'it does not answer';

  /** `patience`: ms that a call waits for its answer. */
  constructor(open: () => Promise<Duplex>, patience: number) {
    this.open = open;
    this.patience = patience;
  }

  /** Calls without an answer yet. */
  get size(): number {
    return this.waiting.size;
  }

  /** Throws FarmError `mfs.unreachable`. */
  ask(message: Buffer): Promise<Buffer> {
    if (this.closed) return Promise.reject(new FarmError('mfs.unreachable', 'the agent is ending'));
    this.number = (this.number + 1) >>> 0;
    const { number } = this;
    return new Promise<Buffer>((settle, refuse) => {
      const timer = setTimeout(() => {
        this.refuse(number);
        this.stream?.destroy(); // a cut that nobody has told us of; what else waits goes by a new one
      }, this.patience);
      this.waiting.set(number, { message, settle, refuse, timer });
      if (this.stream === undefined) void this.connect();
      else send(this.stream, number, message);
    });
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.retry);
    this.why = 'the agent is ending';
    for (const number of [...this.waiting.keys()]) this.refuse(number);
    this.stream?.destroy();
  }

  private refuse(number: number): void {
    const asked = this.waiting.get(number);
    if (asked === undefined) return;
    this.waiting.delete(number);
    clearTimeout(asked.timer);
    asked.refuse(new FarmError('mfs.unreachable', `the node's files cannot be reached: ${this.why}`));
  }

  private async connect(): Promise<void> {
    if (this.connecting || this.closed) return;
    this.connecting = true;
    try {
      const stream = await this.open();
      this.connecting = false;
      if (this.closed) stream.destroy();
      else this.connected(stream);
    } catch (error) {
      this.connecting = false;
      this.why = sentence(error);
      this.again();
    }
  }

  private connected(stream: Duplex): void {
    this.stream = stream;
    this.why = 'it does not answer';
    stream.on('error', (error) => {
      this.why = sentence(error);
      stream.destroy();
    });
    stream.on('end', () => stream.destroy());
    stream.on('close', () => {
      if (this.stream === stream) this.stream = undefined;
      this.again();
    });
    onMessages(
      stream,
      (number, reply) => {
        const asked = this.waiting.get(number);
        if (asked === undefined) return; // too late
        this.waiting.delete(number);
        clearTimeout(asked.timer);
        asked.settle(reply);
      },
      () => false,
    );
    for (const [number, { message }] of this.waiting) send(stream, number, message);
  }

  private again(): void {
    if (this.waiting.size === 0 || this.closed || this.retry !== undefined) return;
    this.retry = setTimeout(() => {
      this.retry = undefined;
      if (this.waiting.size > 0 && this.stream === undefined) void this.connect();
    }, pause);
  }
}
