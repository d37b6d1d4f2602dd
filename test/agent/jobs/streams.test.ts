// The streams of a job between its home and where it runs: whatever moves, breaks or stands still, no byte is lost or comes twice.
import { PassThrough, type Readable, Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backlogMax, Incoming, Outgoing } from '../../../src/agent/jobs/channel.ts';
import { homeStreams } from '../../../src/agent/jobs/home-streams.ts';
import { encodeStreamFrame, type StreamFrame, streamFrames } from '../../../src/agent/jobs/stream-frames.ts';
import { attacher, type StreamsHeader, streamsPurpose } from '../../../src/agent/jobs/streams.ts';
import type { Attached, Ended, JobSpec, RunningJob, StreamPositions } from '../../../src/agent/jobs/types.ts';
import { WireError } from '../../../src/base/errors.ts';
import { fakeNetwork } from '../../support/fake-link.ts';

const home = 1;
const spec: JobSpec = {
  ...{ id: '1-100-5000', home, hostname: 'n1', deputy: 100, args: ['cat'], name: undefined, environment: [], directory: '/', umask: 0o22, uid: 0, gid: 0 },
  ...{ groups: [], niceness: 0, limits: [], streams: 'separate', window: undefined, mounts: [], image: '' },
};

/** A program with pipes that hold little, which a test reads and writes as the program would, and which it can carry off. */
class FakeJob implements RunningJob {
  readonly spec = spec;
  readonly pid = 1;
  readonly output = new PassThrough({ highWaterMark: 300 });
  readonly errors = new PassThrough({ highWaterMark: 300 });
  readonly signals: string[] = [];
  readonly stdin: Buffer[];
  stdinEnded = false;
  frozen = false;
  private pending: (() => void) | undefined;
  private end: (ended: Ended) => void = () => {};
  readonly ended = new Promise<Ended>((resolve) => {
    this.end = resolve;
  });
  readonly input: Writable;

  constructor(stdin: Buffer[]) {
    this.stdin = stdin;
    const job = this;
    this.input = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, done) {
        job.pending = () => {
          job.stdin.push(chunk);
          done();
        };
        if (!job.frozen) setImmediate(() => job.read());
      },
      final(done) {
        job.stdinEnded = true;
        done();
      },
    });
  }

  /** The program reads what waits for it. */
  read(): void {
    if (this.frozen) return;
    const { pending } = this;
    this.pending = undefined;
    pending?.();
  }

  thaw(): void {
    this.frozen = false;
    this.read();
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    this.signals.push(name);
  }

  exit(status: number): void {
    this.output.end();
    this.errors.end();
    this.end({ status, cpuTime: 5 });
  }

  readonly resize = async () => {};
  readonly usage = async () => ({ cpuTime: 0, memory: 0, processes: 1 });
  readonly obstacles = async () => [];
  readonly copy = unused;
  readonly freeze = unused;
  readonly checkpoint = unused;
}

async function unused(): Promise<never> {
  throw new Error('not in these tests');
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const turns = async (count: number) => {
  for (let i = 0; i < count; i += 1) await turn();
};

function world() {
  const network = fakeNetwork();
  const pipes = {
    input: new PassThrough({ highWaterMark: 500 }),
    output: new PassThrough({ highWaterMark: 500 }),
    errors: new PassThrough({ highWaterMark: 500 }),
  };
  const faults: string[] = [];
  const ends: Ended[] = [];
  let stops = 0;
  const streams = homeStreams({
    pipes,
    onStopped: () => {
      stops += 1;
    },
    onEnded: (ended) => void ends.push(ended),
    onFault: (why) => void faults.push(why),
  });
  network.link(home).serve(streamsPurpose, (_from, header, stream) => streams.connect(stream, header as StreamsHeader));
  const stopped = { now: false };
  const attachAt = (node: number, job: RunningJob, from?: StreamPositions): Attached =>
    attacher({ link: network.link(node), log: () => {}, isStopped: async () => stopped.now, unknown: () => {} })(job, from);
  return { network, pipes, faults, ends, streams, attachAt, stopped, stops: () => stops };
}

/** Collects as a user does who stops now and then to think. */
function collect(stream: Readable): { readonly text: () => string; readonly read: () => void } {
  let text = '';
  return {
    text: () => text,
    read() {
      const chunk: Buffer | null = stream.read();
      if (chunk !== null) text += chunk.toString('latin1');
    },
  };
}

type Step = 'input' | 'output' | 'errors' | 'read' | 'cut' | 'move' | 'fail' | 'abort' | 'signal' | 'wait';

describe('a job that moves', () => {
  test('loses and doubles nothing, wherever the network breaks', async () => {
    const step = fc.constantFrom<Step>('input', 'output', 'errors', 'input', 'output', 'read', 'read', 'cut', 'move', 'fail', 'abort', 'signal', 'wait');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 50 }), async (steps) => {
        const { network, pipes, faults, ends, streams, attachAt } = world();
        const stdin: Buffer[] = [];
        const wrote = { input: '', output: '', errors: '' };
        const out = collect(pipes.output);
        const errors = collect(pipes.errors);
        let signals = 0;
        let count = 0;
        let node = 2;
        let job = new FakeJob(stdin);
        const jobs = [job];
        let attached = attachAt(node, job);
        const more = (which: keyof typeof wrote, stream: Writable) => {
          count += 1;
          const text = `${which}-${count};`.repeat(1 + ((count * 37) % 400));
          if (stream.writableNeedDrain) return;
          wrote[which] += text;
          stream.write(text);
        };
        const freezeAndMove = async (arrives: boolean) => {
          job.frozen = true;
          const reading = setInterval(() => {
            out.read();
            errors.read();
          }, 1);
          const at = await attached.detach();
          clearInterval(reading);
          if (!arrives) {
            job.thaw();
            attached.resume();
            return;
          }
          attached.release();
          node = node === 2 ? 3 : 2;
          job = new FakeJob(stdin);
          jobs.push(job);
          attached = attachAt(node, job, JSON.parse(JSON.stringify(at)));
        };
        const acts: Record<Step, () => unknown> = {
          input: () => more('input', pipes.input),
          output: () => more('output', job.output),
          errors: () => more('errors', job.errors),
          read() {
            out.read();
            errors.read();
          },
          cut: network.cut,
          async fail() {
            network.fail(node);
            await turns(3);
            network.heal(node);
          },
          move: () => freezeAndMove(true),
          abort: () => freezeAndMove(false),
          signal() {
            signals += 1;
            streams.control({ signal: 'SIGUSR1' });
          },
          wait: () => turns(4),
        };
        for (const each of steps) {
          await acts[each]();
          await turn();
        }
        pipes.input.end();
        job.exit(3);
        for (let i = 0; i < 5000 && ends.length === 0; i += 1) {
          out.read();
          errors.read();
          await (i % 50 === 49 ? new Promise((resolve) => setTimeout(resolve, 10)) : turn());
        }
        await turns(20);
        out.read();
        errors.read();
        expect(ends).toEqual([{ status: 3, cpuTime: 5 }]);
        expect(out.text()).toBe(wrote.output);
        expect(errors.text()).toBe(wrote.errors);
        expect(faults).toEqual([]);
        // It may have ended before it read all of its input.
        expect(wrote.input.startsWith(Buffer.concat(stdin).toString())).toBe(true);
        expect(jobs.flatMap((each) => each.signals).length).toBeLessThanOrEqual(signals);
      }),
      { interruptAfterTimeLimit: 4000, markInterruptAsFailure: false, numRuns: 60 },
    );
  });

  test('gets all of its input, its end, and each signal once', async () => {
    const { network, pipes, streams, attachAt } = world();
    const stdin: Buffer[] = [];
    const first = new FakeJob(stdin);
    const attached = attachAt(2, first);
    const text = 'abcdefghij'.repeat(30_000);
    pipes.input.end(text);
    streams.control({ signal: 'SIGHUP' });
    while (Buffer.concat(stdin).length < 50_000) await turn();
    network.cut();
    first.frozen = true;
    await expect.poll(() => first.signals).toEqual(['SIGHUP']);
    const at = await attached.detach();
    attached.release();
    streams.control({ signal: 'SIGUSR2' });
    const second = new FakeJob(stdin);
    attachAt(3, second, at);
    await expect.poll(() => second.stdinEnded).toBe(true);
    expect(Buffer.concat(stdin).toString()).toBe(text);
    await expect.poll(() => second.signals).toEqual(['SIGUSR2']);
  });

  test('has the end of its input at the next node, too', async () => {
    const { pipes, attachAt } = world();
    const first = new FakeJob([]);
    const attached = attachAt(2, first);
    pipes.input.end();
    await expect.poll(() => first.stdinEnded).toBe(true);
    const at = await attached.detach();
    expect(at.inputEnded).toBe(true);
    attached.release();
    const second = new FakeJob([]);
    attachAt(3, second, at);
    await expect.poll(() => second.stdinEnded).toBe(true);
  });
});

describe('pressure back', () => {
  test('a job whose output nobody reads has to wait', async () => {
    const { attachAt } = world();
    const job = new FakeJob([]);
    attachAt(2, job);
    let written = 0;
    const piece = Buffer.alloc(10_000, 'x');
    for (let i = 0; i < 2000; i += 1) {
      if (!job.output.writableNeedDrain) {
        job.output.write(piece);
        written += piece.length;
      }
      await turn();
    }
    expect(written).toBeGreaterThan(60_000);
    expect(written).toBeLessThan(200_000);
  });

  test('so has one that writes to a job which does not read', async () => {
    const { pipes, attachAt } = world();
    const job = new FakeJob([]);
    job.frozen = true;
    attachAt(2, job);
    let written = 0;
    const piece = Buffer.alloc(10_000, 'x');
    for (let i = 0; i < 2000; i += 1) {
      if (!pipes.input.writableNeedDrain) {
        pipes.input.write(piece);
        written += piece.length;
      }
      await turn();
    }
    expect(written).toBeLessThan(200_000);
  });
});

describe('ends', () => {
  test('when the reader at home is gone the job cannot write any more', async () => {
    const { pipes, attachAt } = world();
    const job = new FakeJob([]);
    attachAt(2, job);
    pipes.output.destroy();
    job.output.write('x');
    await expect.poll(() => job.output.destroyed).toBe(true);
    expect(job.errors.destroyed).toBe(false);
  });

  test('and what it writes at the next node, before it hears of that, harms nothing', async () => {
    const { pipes, attachAt, ends, faults } = world();
    const job = new FakeJob([]);
    const attached = attachAt(2, job);
    pipes.output.destroy();
    job.output.write('x');
    await expect.poll(() => job.output.destroyed).toBe(true);
    await turns(10);
    const from = await attached.detach();
    attached.release();
    const next = new FakeJob([]);
    next.output.write('more');
    attachAt(3, next, from);
    await expect.poll(() => next.output.destroyed).toBe(true);
    next.exit(4);
    await expect.poll(() => ends.map(({ status }) => status)).toEqual([4]);
    expect(faults).toEqual([]);
  });

  test('when the job closes its input who writes to it notices', async () => {
    const { pipes, attachAt } = world();
    const job = new FakeJob([]);
    attachAt(2, job);
    pipes.input.write('x');
    await turns(10);
    job.input.destroy();
    await expect.poll(() => pipes.input.destroyed).toBe(true);
  });

  test('a job that its home does not know is told so', async () => {
    const network = fakeNetwork();
    const { sayUnknown } = await import('../../../src/agent/jobs/home-streams.ts');
    network.link(home).serve(streamsPurpose, (_from, _header, stream) => sayUnknown(stream));
    const lost = new Promise<RunningJob>((resolve) => {
      attacher({ link: network.link(2), log: () => {}, isStopped: async () => false, unknown: resolve })(new FakeJob([]), undefined);
    });
    expect((await lost).spec.id).toBe(spec.id);
  });
});

describe('Ctrl-Z', () => {
  test.each([
    ['stops the deputy when the foreground stays stopped', true, 1],
    ['does nothing else when a program takes it for itself', false, 0],
  ])('%s', async (_name, stops, count) => {
    const { pipes, attachAt, stopped, stops: told } = world();
    stopped.now = stops;
    const job = Object.assign(new FakeJob([]), { spec: { ...spec, streams: 'terminal' } });
    attachAt(2, job);
    pipes.input.write('\x1a');
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect(told()).toBe(count);
  });
});

describe('frames', () => {
  const offset = fc.nat();
  const channel = fc.constantFrom('input', 'control', 'output', 'errors', 'events');
  const frame: fc.Arbitrary<StreamFrame> = fc.oneof(
    fc.record({ kind: fc.constant('data'), channel, offset, bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)) }),
    fc.record({ kind: fc.constant('have'), channel, received: offset, used: offset }),
    fc.record({ kind: fc.constant('end'), channel, offset }),
    fc.record({ kind: fc.constant('gone'), channel }),
    fc.constant({ kind: 'unknown' }),
  ) as fc.Arbitrary<StreamFrame>;

  test('are the same after the way, however they are cut', () => {
    fc.assert(
      fc.property(fc.array(frame), fc.integer({ min: 1, max: 50 }), (frames, size) => {
        const bytes = Buffer.concat(frames.map(encodeStreamFrame));
        const cut = streamFrames();
        const found: StreamFrame[] = [];
        for (let at = 0; at < bytes.length; at += size) found.push(...cut(bytes.subarray(at, at + size)));
        expect(found).toEqual(frames);
      }),
      { interruptAfterTimeLimit: 800 },
    );
  });

  test('any bytes are frames or a WireError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          streamFrames()(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { interruptAfterTimeLimit: 500 },
    );
  });

  test('a channel takes no gap, no flood and no word of what was never sent', () => {
    const into = new Incoming(10);
    expect(() => into.take(11, Buffer.from('a'))).toThrow(WireError);
    expect(into.take(8, Buffer.from('abc')).toString()).toBe('c');
    expect(() => into.take(11, Buffer.alloc(backlogMax + 1))).toThrow(WireError);
    const out = new Outgoing(10);
    expect(() => out.acknowledge(11, 11)).toThrow(WireError);
    expect(() => out.restart(9, 9)).toThrow(WireError);
  });
});
