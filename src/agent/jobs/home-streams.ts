// The streams of a job at its home: between the deputy's FIFOs and the job, wherever it runs.
import type { Duplex, Readable, Writable } from 'node:stream';
import { FarmError } from '../../base/errors.ts';
import { Endpoint } from './endpoint.ts';
import { encodeStreamFrame } from './stream-frames.ts';
import type { Control, JobEvent, StreamsHeader } from './streams.ts';
import { encodeLine, lineReader } from './text-lines.ts';
import type { Ended, StreamPositions } from './types.ts';
import { written } from './written.ts';

/** What the deputy's process reads and writes. */
export interface DeputyPipes {
  /** Its standard input. */
  readonly input: Readable;
  readonly output: Writable;
  /** undefined: goes with the output. */
  readonly errors: Writable | undefined;
}

export interface HomeStreams {
  /** The job's node has connected. */
  connect(stream: Duplex, header: StreamsHeader): void;
  control(order: Control): void;
  readonly isConnected: boolean;
  /** Keeps what goes to the job from there on, for a job that goes back to a checkpoint; `undefined`: from now on. */
  keep(from: { readonly input: number; readonly control: number } | undefined): void;
  /** Where a job goes on that does not know it. */
  positions(): StreamPositions;
  /** Whether the job can go on where this says that it is. */
  canFollow(header: StreamsHeader): boolean;
  /** Nothing more comes or goes. The pipes stay open. */
  close(): void;
}

export interface HomeStreamsOptions {
  readonly pipes: DeputyPipes;
  readonly onStopped: () => void;
  /** It has ended, and all that it wrote has been written. */
  readonly onEnded: (ended: Ended) => void;
  /** The other side sent what no agent sends. */
  readonly onFault: (why: string) => void;
}

export function homeStreams({ pipes, onStopped, onEnded, onFault }: HomeStreamsOptions): HomeStreams {
  let endpoint: Endpoint | undefined;
  let ended: Ended | undefined;
  let inputOver = false;
  let inputGone = false;
  const orders: Control[] = [];
  const open = new Set(['output', 'errors', 'events']);

  const outputs = { output: pipes.output, errors: pipes.errors ?? pipes.output } as const;
  for (const channel of ['output', 'errors'] as const) {
    for (const event of ['error', 'close']) outputs[channel].on(event, () => endpoint?.goneHere(channel));
  }
  pipes.input.on('readable', pull);
  pipes.input.on('error', () => pipes.input.destroy());
  for (const event of ['end', 'close']) pipes.input.on(event, endInput);

  function started(header: StreamsHeader): Endpoint {
    const { at } = header;
    const made: Endpoint = new Endpoint({
      sends: { input: at.input, control: at.control },
      receives: {
        output: { from: at.output, sink: (bytes) => written(outputs.output, bytes), onEnd: () => over('output') },
        errors: { from: at.errors, sink: (bytes) => written(outputs.errors, bytes), onEnd: () => over('errors') },
        events: { from: at.events, sink: lineReader(happened), onEnd: () => over('events') },
      },
      onRoom: pull,
      onGone(channel) {
        if (channel !== 'input' || inputGone) return;
        inputGone = true; // who writes into the deputy's input shall notice
        pipes.input.destroy();
      },
      onUnknown: () => {},
      onProgress: () => {},
      onLost(why) {
        if (why !== undefined) onFault(why);
      },
    });
    for (const channel of ['output', 'errors'] as const) if (outputs[channel].destroyed) made.goneHere(channel);
    return made;
  }

  /** As much of the input as there is room for. */
  function pull(): void {
    if (endpoint === undefined || inputGone) return;
    while (endpoint.sending('input').room > 0) {
      const chunk: Buffer | null = pipes.input.read();
      if (chunk === null) break;
      endpoint.give('input', chunk);
    }
    if (pipes.input.readableEnded) endInput();
  }

  function endInput(): void {
    if (!inputGone && !pipes.input.readableEnded && !pipes.input.destroyed) return;
    if (inputOver || endpoint === undefined) return;
    inputOver = true;
    endpoint.end('input');
  }

  async function happened(value: unknown): Promise<void> {
    const event = asEvent(value);
    if (event === undefined) return;
    if ('stopped' in event) onStopped();
    else ended = event.ended;
  }

  function over(channel: string): void {
    open.delete(channel);
    if (open.size === 0 && ended !== undefined) onEnded(ended);
  }

  return {
    connect(stream, header) {
      endpoint ??= started(header);
      endpoint.connect(stream);
      pull();
      endInput();
      for (const order of orders.splice(0)) endpoint.give('control', encodeLine(order));
    },
    control(order) {
      if (endpoint === undefined) orders.push(order);
      else endpoint.give('control', encodeLine(order));
    },
    keep(from) {
      if (endpoint === undefined) throw new FarmError('job.starting', 'the job is not connected with its home yet', 'say it again in a second');
      for (const channel of ['input', 'control'] as const) endpoint.sending(channel).hold(from?.[channel] ?? 0);
    },
    positions() {
      const given = (channel: 'input' | 'control') => endpoint?.sending(channel).used ?? 0;
      const had = (channel: 'output' | 'errors' | 'events') => endpoint?.receiving(channel).received ?? 0;
      const [input, control] = [given('input'), given('control')];
      return { input, control, inputEnded: false, output: had('output'), errors: had('errors'), events: had('events') };
    },
    canFollow: ({ at }) => endpoint === undefined || (['input', 'control'] as const).every((channel) => endpoint?.sending(channel).reaches(at[channel])),
    get isConnected() {
      return endpoint?.isConnected === true;
    },
    close() {
      endpoint?.drop();
    },
  };
}

/** Says that there is no such job here, or not at that node. */
export function sayUnknown(stream: Duplex): void {
  stream.on('error', () => stream.destroy());
  stream.resume();
  stream.end(encodeStreamFrame({ kind: 'unknown' }));
}

function asEvent(value: unknown): JobEvent | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if ('stopped' in value) return { stopped: true };
  if (!('ended' in value) || typeof value.ended !== 'object' || value.ended === null) return undefined;
  const { ended } = value;
  if (!('status' in ended && 'cpuTime' in ended)) return undefined;
  const { status, cpuTime } = ended;
  const isByte = typeof status === 'number' && Number.isInteger(status) && status >= 0 && status <= 255;
  return isByte && typeof cpuTime === 'number' && cpuTime >= 0 ? { ended: { status, cpuTime } } : undefined;
}
