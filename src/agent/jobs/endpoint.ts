// One end of a job's streams, at its home or where it runs. Outlives connections: what one has lost the next one sends again.
import type { Duplex } from 'node:stream';
import { WireError } from '../../base/errors.ts';
import { type Again, Incoming, Outgoing } from './channel.ts';
import { type Channel, encodeStreamFrame, pieceMax, type StreamFrame, streamFrames } from './stream-frames.ts';

/** Takes bytes that have come and settles when they are where they belong; does not reject. */
export type Sink = (bytes: Buffer) => Promise<void>;

export interface EndpointOptions {
  readonly sends: Readonly<Partial<Record<Channel, number>>>;
  /** Of a job that was made again from a checkpoint. */
  readonly again?: Readonly<Partial<Record<Channel, Again>>>;
  /** `piece`: no more bytes are handed to the sink at once. */
  readonly receives: Readonly<Partial<Record<Channel, { readonly from: number; readonly sink: Sink; readonly onEnd: () => void; readonly piece?: number }>>>;
  /** There is room in a channel, and something to be done about it. */
  readonly onRoom: () => void;
  /** The other side reads this channel no more. */
  readonly onGone: (channel: Channel) => void;
  /** The other side knows nothing of the job. */
  readonly onUnknown: () => void;
  /** Something has been acknowledged. */
  readonly onProgress: () => void;
  /** A connection has ended that was not replaced; `why` if the other side broke the protocol. */
  readonly onLost: (why: string | undefined) => void;
}

interface Arriving {
  readonly state: Incoming;
  readonly sink: Sink;
  readonly onEnd: () => void;
  readonly piece: number;
  readonly queue: Buffer[];
  isBusy: boolean;
  isGone: boolean;
  isEnded: boolean;
}

export class Endpoint {
  private readonly out = new Map<Channel, Outgoing>();
  private readonly arriving = new Map<Channel, Arriving>();
  private readonly options: EndpointOptions;
  private stream: Duplex | undefined;
  /** Channels whose receiver has said on this connection how far it is: before that nothing is sent. */
  private readonly ready = new Set<Channel>();
  private readonly told = new Set<Channel>();
  private readonly unsaid = new Set<Channel>();
  private isHeld = false;

  constructor(options: EndpointOptions) {
    this.options = options;
    for (const [channel, from] of Object.entries(options.sends)) this.out.set(channel as Channel, new Outgoing(from, options.again?.[channel as Channel]));
    for (const [channel, { from, sink, onEnd, piece = pieceMax }] of Object.entries(options.receives)) {
      const state = new Incoming(from);
      this.arriving.set(channel as Channel, { state, sink, onEnd, piece, queue: [], isBusy: false, isGone: false, isEnded: false });
    }
  }

  sending(channel: Channel): Outgoing {
    return known(this.out.get(channel), channel);
  }

  receiving(channel: Channel): Incoming {
    return known(this.arriving.get(channel), channel).state;
  }

  get isConnected(): boolean {
    return this.stream !== undefined;
  }

  /** Goes on over this stream, in place of the one before. */
  connect(stream: Duplex): void {
    this.drop();
    this.stream = stream;
    const cut = streamFrames();
    const lost = (why?: string) => {
      if (this.stream !== stream) return;
      this.drop();
      this.options.onLost(why);
    };
    stream.on('error', () => lost());
    stream.on('close', () => lost());
    if (stream.destroyed) {
      lost();
      return;
    }
    stream.on('end', () => lost());
    stream.on('drain', () => this.pump());
    stream.on('data', (chunk: Buffer) => {
      if (this.stream !== stream) return;
      try {
        for (const frame of cut(chunk)) this.heard(frame);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        lost(error.message);
      }
    });
    for (const [channel, { isGone }] of this.arriving) {
      this.tell(channel);
      if (isGone) this.send({ kind: 'gone', channel });
    }
  }

  /** Ends the connection, if there is one. */
  drop(): void {
    const { stream } = this;
    this.stream = undefined;
    this.ready.clear();
    this.told.clear();
    stream?.destroy();
  }

  give(channel: Channel, bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.sending(channel).give(bytes);
    this.pump();
  }

  end(channel: Channel): void {
    this.sending(channel).ended = true;
    this.pump();
  }

  /** What comes on this channel is thrown away from now on, and the other side is told. */
  goneHere(channel: Channel): void {
    const here = known(this.arriving.get(channel), channel);
    if (here.isGone) return;
    here.isGone = true;
    this.send({ kind: 'gone', channel });
    this.work(channel, here);
  }

  /** Nothing more is handed on, until `hold(false)`. */
  hold(isHeld: boolean): void {
    this.isHeld = isHeld;
    for (const [channel, here] of this.arriving) this.work(channel, here);
  }

  private send(frame: StreamFrame): boolean {
    return this.stream?.write(encodeStreamFrame(frame)) ?? false;
  }

  private heard(frame: StreamFrame): void {
    switch (frame.kind) {
      case 'data':
        this.arrived(frame.channel, frame.offset, frame.bytes);
        return;
      case 'have': {
        const out = this.sending(frame.channel);
        if (this.ready.has(frame.channel)) out.acknowledge(frame.received, frame.used);
        else out.restart(frame.received, frame.used);
        this.ready.add(frame.channel);
        this.options.onProgress();
        this.pump();
        this.options.onRoom();
        return;
      }
      case 'end': {
        const here = this.receiver(frame.channel);
        here.state.finish(frame.offset);
        this.work(frame.channel, here);
        return;
      }
      case 'gone':
        this.sender(frame.channel);
        this.options.onGone(frame.channel);
        return;
      case 'unknown':
        this.options.onUnknown();
        return;
    }
  }

  private arrived(channel: Channel, offset: number, bytes: Buffer): void {
    const here = this.receiver(channel);
    // It was ended because nobody reads it. At the next node the job may write before it hears of that.
    if (here.isGone) here.state.end = undefined;
    const fresh = here.state.take(offset, bytes);
    for (let at = 0; at < fresh.length; at += here.piece) here.queue.push(fresh.subarray(at, at + here.piece));
    this.say(channel);
    this.work(channel, here);
  }

  /** Hands on what has come, a piece after the other. */
  private work(channel: Channel, here: Arriving): void {
    if (here.isBusy || (this.isHeld && !here.isGone)) return;
    const bytes = here.queue.shift();
    if (bytes === undefined) {
      if (!here.state.isOver || here.isEnded) return;
      here.isEnded = true;
      here.onEnd();
      return;
    }
    here.isBusy = true;
    const used = here.isGone ? Promise.resolve() : here.sink(bytes);
    void used.then(() => {
      here.isBusy = false;
      here.state.used += bytes.length;
      this.say(channel);
      this.work(channel, here);
    });
  }

  /** Soon, and once for all that happens until then. */
  private say(channel: Channel): void {
    if (this.unsaid.size === 0) {
      setImmediate(() => {
        const channels = [...this.unsaid];
        this.unsaid.clear();
        if (this.stream !== undefined) for (const each of channels) this.tell(each);
      });
    }
    this.unsaid.add(channel);
  }

  private tell(channel: Channel): void {
    const { received, used } = this.receiving(channel);
    this.send({ kind: 'have', channel, received, used });
  }

  private pump(): void {
    for (const [channel, out] of this.out) {
      if (!this.ready.has(channel)) continue;
      while (this.stream !== undefined && !this.stream.writableNeedDrain) {
        const piece = out.next(pieceMax);
        if (piece === undefined) break;
        this.send({ kind: 'data', channel, ...piece });
      }
      if (!out.ended || out.sent < out.end || this.told.has(channel) || this.stream === undefined) continue;
      this.told.add(channel);
      this.send({ kind: 'end', channel, offset: out.end });
    }
  }

  /** A channel that the other side named. */
  private receiver(channel: Channel): Arriving {
    const here = this.arriving.get(channel);
    if (here === undefined) throw new WireError('job.frame', 1, `nothing comes on ${channel}`);
    return here;
  }

  private sender(channel: Channel): Outgoing {
    const out = this.out.get(channel);
    if (out === undefined) throw new WireError('job.frame', 1, `nothing goes out on ${channel}`);
    return out;
  }
}

function known<Value>(value: Value | undefined, channel: Channel): Value {
  if (value === undefined) throw new WireError('job.frame', 1, `no channel ${channel} here`);
  return value;
}
