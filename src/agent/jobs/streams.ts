// The streams of a job at the node where it runs: between its pipes and its home, over connections that may break.
import type { Readable } from 'node:stream';
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Endpoint } from './endpoint.ts';
import type { Channel } from './stream-frames.ts';
import { encodeLine, lineReader } from './text-lines.ts';
import type { Attach, Attached, JobId, Link, RunningJob, StreamPositions, Window } from './types.ts';
import { written } from './written.ts';

/** What the node where a job runs tells its home as it connects: how far all streams are. */
export interface StreamsHeader {
  readonly id: JobId;
  /** It has just been started for its home, which waits for it. */
  readonly begins: boolean;
  readonly at: Readonly<Record<Channel, number>>;
  readonly inputEnded: boolean;
  /** Of its specification. */
  readonly life: number;
}

export const streamsPurpose = 'job.streams';

/** What the home has done to a job. */
export type Control = { readonly signal: NodeJS.Signals } | { readonly window: Window };

/** What becomes of a job. */
export type JobEvent = { readonly stopped: true } | { readonly ended: { readonly status: number; readonly cpuTime: number } };

/** Writes to a pipe up to this size are whole or not at all (pipe(7), PIPE_BUF): what a frozen job has got of its input is never in doubt. */
const atomicBytes = 4096;
/** Ms between attempts to reach the home; twice as long each time. */
const retryFirst = 200;
const retryMost = 3000;
/** Ms that a move waits for the home to have all that the frozen job wrote. */
const drainPatience = 15_000;
/** Ctrl-Z. Nothing says that a program has been stopped: after it one looks, twice, because a shell in the job takes its terminal back. */
const suspendByte = 0x1a;
const looks = [100, 250, 600];

export interface AttachOptions {
  readonly link: Pick<Link, 'open' | 'self'>;
  readonly log: Log;
  /** Whether the foreground of the job's terminal is stopped; looked at after Ctrl-Z. */
  readonly isStopped: (job: RunningJob) => Promise<boolean>;
  /** The home has no such job any more, or has it elsewhere. */
  readonly unknown: (job: RunningJob) => void;
}

/** For jobs that run here. */
export function attacher(options: AttachOptions): Attach {
  return (job, from) => attach(job, from, options);
}

type State = 'running' | 'detached' | 'over';

function attach(job: RunningJob, from: StreamPositions | undefined, { link, log, isStopped, unknown }: AttachOptions): Attached {
  const { spec, input } = job;
  let state: State = 'running';
  let inputEnded = from?.inputEnded ?? false;
  let connecting = false;
  let hasEnded = false;
  let retry = retryFirst;
  let timer: NodeJS.Timeout | undefined;
  let progress: () => void = () => {};
  const closed = { output: false, errors: job.errors === undefined, events: false };

  const endpoint: Endpoint = new Endpoint({
    sends: { output: from?.output ?? 0, errors: from?.errors ?? 0, events: from?.events ?? 0 },
    ...((spec.life ?? 0) > 0 ? { again: { output: 'repeats', errors: 'repeats', events: 'follows' } as const } : {}),
    receives: {
      input: { from: from?.input ?? 0, sink: intoJob, onEnd: endInput, piece: atomicBytes },
      control: { from: from?.control ?? 0, sink: lineReader(control), onEnd: () => {} },
    },
    onRoom: pull,
    onGone(channel) {
      // The reader at home is gone: the job's next write there is its SIGPIPE.
      if (channel === 'output') job.output.destroy();
      if (channel === 'errors') job.errors?.destroy();
    },
    onUnknown() {
      finish();
      if (!hasEnded) unknown(job);
    },
    onProgress() {
      progress();
      const events = endpoint.sending('events');
      if (events.ended && events.base === events.end) finish();
    },
    onLost(why) {
      if (why !== undefined) log('warn', 'job.streams', { job: spec.id, reason: why });
      later();
    },
  });

  input.on('error', () => endpoint.goneHere('input'));
  input.on('close', () => endpoint.goneHere('input'));
  if (inputEnded) input.end();
  const sources: readonly (readonly ['output' | 'errors', Readable])[] = [
    ['output', job.output],
    ...(job.errors === undefined ? [] : [['errors', job.errors] as const]),
  ];
  for (const [channel, stream] of sources) {
    stream.on('readable', pull);
    stream.on('error', () => stream.destroy());
    for (const event of ['end', 'close']) stream.on(event, () => closeSource(channel));
  }
  if (job.errors === undefined) endpoint.end('errors');
  void job.ended.then((ended) => {
    hasEnded = true;
    if (state === 'over') return;
    endpoint.give('events', encodeLine({ ended }));
    endpoint.end('events');
  });
  void connect();

  function closeSource(channel: 'output' | 'errors'): void {
    if (closed[channel] || state === 'over') return;
    // A frozen job's pipes may close with it; that is no end of what it writes.
    if (state === 'detached') return;
    closed[channel] = true;
    endpoint.end(channel);
  }

  /** As much of what the job wrote as there is room for. */
  function pull(): void {
    if (state !== 'running') return;
    for (const [channel, stream] of sources) {
      while (endpoint.sending(channel).room > 0) {
        const chunk: Buffer | null = stream.read();
        if (chunk === null) break;
        endpoint.give(channel, chunk);
      }
      if (stream.readableEnded || stream.destroyed) closeSource(channel);
    }
  }

  async function intoJob(bytes: Buffer): Promise<void> {
    if (!input.destroyed && !input.writableEnded) await written(input, bytes);
    if (spec.streams === 'terminal' && bytes.includes(suspendByte)) void watchForStop();
  }

  function endInput(): void {
    inputEnded = true;
    input.end();
  }

  async function control(value: unknown): Promise<void> {
    const order = asControl(value);
    try {
      if (order !== undefined && 'signal' in order) await job.signal(order.signal);
      else if (order !== undefined) await job.resize(order.window);
    } catch (error) {
      log('warn', 'job.control', { job: spec.id, reason: sentence(error) });
    }
  }

  async function watchForStop(): Promise<void> {
    let before = false;
    for (const pause of looks) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (state !== 'running' || endpoint.sending('events').ended) return;
      const now = await isStopped(job).catch(() => false);
      if (now && before) {
        endpoint.give('events', encodeLine({ stopped: true }));
        return;
      }
      before = now;
    }
  }

  async function connect(): Promise<void> {
    if (connecting || state !== 'running') return;
    connecting = true;
    try {
      const begins = from === undefined;
      const stream = await link.open(spec.home, streamsPurpose, {
        id: spec.id,
        begins,
        at: positions(),
        inputEnded,
        life: spec.life ?? 0,
      } satisfies StreamsHeader);
      if (isOver() || isDetached()) stream.destroy();
      else {
        retry = retryFirst;
        endpoint.connect(stream);
      }
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      later();
    } finally {
      connecting = false;
    }
  }

  // TypeScript takes `state` for what it was before the await.
  function isOver(): boolean {
    return state === 'over';
  }

  function isDetached(): boolean {
    return state === 'detached';
  }

  function positions(): Readonly<Record<Channel, number>> {
    const sent = (channel: Channel) => endpoint.sending(channel).base;
    const used = (channel: Channel) => endpoint.receiving(channel).used;
    return { input: used('input'), control: used('control'), output: sent('output'), errors: sent('errors'), events: sent('events') };
  }

  function later(): void {
    if (state !== 'running' || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      retry = Math.min(retryMost, 2 * retry);
      void connect();
    }, retry);
    timer.unref();
  }

  function finish(): void {
    state = 'over';
    clearTimeout(timer);
    endpoint.drop();
  }

  /** While it stands, and nothing is handed on. */
  function standing(): StreamPositions {
    for (const [channel, stream] of sources) {
      for (let chunk: Buffer | null = stream.read(); chunk !== null; chunk = stream.read()) endpoint.give(channel, chunk);
    }
    const sent = (channel: Channel) => endpoint.sending(channel).position;
    const { input, control: done } = positions();
    return { input, inputEnded, output: sent('output'), errors: sent('errors'), control: done, events: sent('events') };
  }

  async function drained(to: StreamPositions): Promise<void> {
    const isThere = () => (['output', 'errors', 'events'] as const).every((channel) => endpoint.sending(channel).received >= (to[channel] ?? 0));
    if (isThere()) return;
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => {
        progress = () => {};
        const why = `its home, node ${spec.home}, does not take what it has written`;
        reject(new FarmError('job.streams', `the job ${spec.id} cannot move now: ${why}`, 'is its home reachable? mosctl status'));
      }, drainPatience);
      progress = () => {
        if (!isThere()) return;
        progress = () => {};
        clearTimeout(late);
        resolve();
      };
    });
  }

  return {
    pause: () => endpoint.hold(true),
    standing,
    unpause() {
      endpoint.hold(false);
      pull();
    },
    delivered: drained,
    async detach() {
      endpoint.hold(true);
      try {
        await drained(standing());
      } catch (error) {
        endpoint.hold(false);
        throw error;
      }
      state = 'detached';
      const at = standing();
      endpoint.drop();
      return at;
    },
    resume() {
      if (state === 'over') return;
      state = 'running';
      endpoint.hold(false);
      pull();
      void connect();
    },
    release: finish,
  };
}

function asControl(value: unknown): Control | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if ('signal' in value && typeof value.signal === 'string' && /^SIG[A-Z0-9]{2,8}$/.test(value.signal)) return { signal: value.signal as NodeJS.Signals };
  if (!('window' in value) || typeof value.window !== 'object' || value.window === null) return undefined;
  const { window } = value;
  if (!('columns' in window && 'rows' in window)) return undefined;
  const { columns, rows } = window;
  const isSize = (size: unknown): size is number => typeof size === 'number' && Number.isInteger(size) && size >= 1 && size <= 0xffff;
  return isSize(columns) && isSize(rows) ? { window: { columns, rows } } : undefined;
}
