// The streams of a job that goes back to a checkpoint: what its home has had comes once more and is left out, what it was given comes once more and is used.
import { PassThrough, Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backlogMax, Outgoing, replayMax } from '../../../src/agent/jobs/channel.ts';
import { homeStreams } from '../../../src/agent/jobs/home-streams.ts';
import { attacher, type StreamsHeader, streamsPurpose } from '../../../src/agent/jobs/streams.ts';
import type { Attached, Ended, RunningJob, StreamPositions } from '../../../src/agent/jobs/types.ts';
import { jobSpec } from '../../support/fake-engine.ts';
import { fakeNetwork } from '../../support/fake-link.ts';

const home = 1;

/** A program that doubles each byte that it reads: all that it is can be told from what it has read. */
function doubler(life: number): RunningJob & { readonly exit: () => void; readonly signals: string[] } {
  const output = new PassThrough();
  const signals: string[] = [];
  let end: (ended: Ended) => void = () => {};
  const ended = new Promise<Ended>((resolve) => {
    end = resolve;
  });
  const exit = (): void => {
    output.end();
    end({ status: 0, cpuTime: 1 });
  };
  const input = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output.write(Buffer.concat([...chunk].map((byte) => Buffer.from([byte, byte]))), () => done());
    },
    final(done) {
      exit();
      done();
    },
  });
  const unused = (): Promise<never> => Promise.reject(new Error('not in these tests'));
  return {
    ...{ spec: jobSpec(home, 100, { life }), pid: 1, input, output, errors: undefined, ended, exit, signals },
    signal: (name) => Promise.resolve(void signals.push(name)),
    resize: () => Promise.resolve(),
    usage: () => Promise.resolve({ cpuTime: 0, memory: 0, processes: 1 }),
    obstacles: () => Promise.resolve([]),
    ...{ copy: unused, freeze: unused, checkpoint: unused },
  };
}

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

function world() {
  const network = fakeNetwork();
  const pipes = { input: new PassThrough(), output: new PassThrough(), errors: undefined };
  const faults: string[] = [];
  const ends: Ended[] = [];
  const streams = homeStreams({ pipes, onStopped: () => {}, onEnded: (ended) => void ends.push(ended), onFault: (why) => void faults.push(why) });
  let refused = 0;
  network.link(home).serve(streamsPurpose, (_from, value, stream) => {
    const header = value as StreamsHeader;
    if (streams.canFollow(header)) return streams.connect(stream, header);
    refused += 1;
    stream.destroy();
  });
  let text = '';
  pipes.output.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  const attach = (node: number, job: RunningJob, from?: StreamPositions): Attached =>
    attacher({ link: network.link(node), log: () => {}, isStopped: async () => false, unknown: () => {} })(job, from);
  return { network, pipes, faults, ends, streams, attach, text: () => text, refused: () => refused };
}

const begins: StreamPositions = { input: 0, inputEnded: false, output: 0, errors: 0 };

/** As a checkpoint is made: its home keeps from before on, it stands, and the home has all. */
async function checkpoint(streams: ReturnType<typeof world>['streams'], attached: Attached): Promise<StreamPositions> {
  streams.keep(undefined);
  attached.pause();
  await turns(6);
  const at = attached.standing();
  attached.unpause();
  await attached.delivered(at);
  streams.keep({ input: at.input, control: at.control ?? 0 });
  return at;
}

type Step = { readonly kind: 'input'; readonly size: number } | { readonly kind: 'checkpoint' | 'lost' | 'cut' | 'wait' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('input' as const), size: fc.integer({ min: 1, max: 6000 }) }),
  fc.constantFrom<Step>({ kind: 'checkpoint' }, { kind: 'lost' }, { kind: 'cut' }, { kind: 'wait' }),
);

/** Lives through `steps`, and gives all that was typed. */
async function live(place: ReturnType<typeof world>, steps: readonly Step[]): Promise<string> {
  const { network, pipes, ends, streams, attach } = place;
  let attached = attach(2, doubler(0));
  await turns(10);
  let last = await checkpoint(streams, attached);
  let said = '';
  let life = 0;
  const act = async (step: Step): Promise<void> => {
    if (step.kind === 'input') {
      const letters = String.fromCharCode(97 + (said.length % 26)).repeat(step.size);
      said += letters;
      pipes.input.write(letters);
    } else if (step.kind === 'checkpoint') last = await checkpoint(streams, attached);
    else if (step.kind !== 'wait') network.cut();
    if (step.kind !== 'lost') return;
    attached.release();
    life += 1;
    attached = attach(2 + life, doubler(life), last);
  };
  for (const step of steps) {
    await act(step);
    await turns(step.kind === 'wait' ? 20 : 3);
  }
  pipes.input.end();
  for (let wait = 0; wait < 500 && ends.length === 0; wait += 1) await new Promise((resolve) => setTimeout(resolve, 2));
  return said;
}

describe('a job that goes back', () => {
  test('writes each byte once and reads each byte once, wherever it is lost', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
        const place = world();
        const said = await live(place, steps);
        expect(place.faults).toEqual([]);
        expect(place.ends).toEqual([{ status: 0, cpuTime: 1 }]);
        expect(place.text()).toBe([...said].map((letter) => letter + letter).join(''));
      }),
      { numRuns: 12, interruptAfterTimeLimit: 4000 },
    );
  }, 15_000);

  test('is given once more the signals that it was given since', async () => {
    const { streams, attach } = world();
    const first = doubler(0);
    const attached = attach(2, first);
    await turns(10);
    const at = await checkpoint(streams, attached);
    streams.control({ signal: 'SIGUSR1' });
    await turns(10);
    attached.release();
    const second = doubler(1);
    attach(3, second, at);
    await turns(20);
    expect([first.signals, second.signals]).toEqual([['SIGUSR1'], ['SIGUSR1']]);
  });

  test('cannot where its home has let go of what it was given', async () => {
    const { pipes, attach, refused } = world();
    const attached = attach(2, doubler(0));
    pipes.input.write('spent');
    await turns(30);
    attached.release();
    attach(3, doubler(1), begins);
    await turns(20);
    expect(refused()).toBe(1);
  });
});

describe('a job whose agent was started again', () => {
  for (const life of [0, 1]) {
    test(`goes on where its home is, in life ${life}`, async () => {
      const { pipes, ends, faults, streams, attach, text } = world();
      const job = doubler(life);
      const before = attach(2, job);
      pipes.input.write('abc');
      await turns(30);
      before.release();
      expect(streams.positions()).toMatchObject({ input: 3, output: 6, errors: 0 });
      job.output.removeAllListeners('readable');
      attach(2, job, streams.positions());
      pipes.input.write('de');
      pipes.input.end();
      for (let wait = 0; wait < 500 && ends.length === 0; wait += 1) await new Promise((resolve) => setTimeout(resolve, 2));
      expect([faults, text(), ends.length]).toEqual([[], 'aabbccddee', 1]);
    });
  }
});

describe('the sending side', () => {
  test('lets go of what is kept for a checkpoint when that is more than its share', () => {
    const out = new Outgoing(0);
    out.hold(0);
    const piece = Buffer.alloc(64 * 1024);
    for (let sent = 0; sent <= replayMax; sent += piece.length) {
      out.give(piece);
      while (out.next(piece.length) !== undefined);
      out.acknowledge(out.end, out.end);
    }
    expect(out.reaches(out.end - replayMax)).toBe(true);
    expect(out.reaches(0)).toBe(false);
  });

  test('sends no more of it at once than the other side takes', () => {
    const out = new Outgoing(0);
    out.hold(0);
    const piece = Buffer.alloc(1024 * 1024);
    for (let count = 0; count < 4; count += 1) {
      out.give(piece);
      while (out.next(piece.length) !== undefined);
      out.acknowledge(out.end, out.end);
    }
    out.restart(0, 0);
    while (out.next(16 * 1024) !== undefined);
    expect(out.sent).toBeLessThan(backlogMax);
    out.acknowledge(out.sent, out.sent);
    while (out.next(16 * 1024) !== undefined);
    expect(out.sent).toBe(out.end);
  });

  test('knows where its job is while it repeats, and goes on behind what is there', () => {
    const out = new Outgoing(100, 'repeats');
    out.restart(110, 110);
    expect(out.position).toBe(100);
    out.give(Buffer.from('repeated--new'));
    expect([out.position, out.next(50)]).toEqual([113, { offset: 110, bytes: Buffer.from('new') }]);
  });

  test('of events puts what is new behind what was said in the life before', () => {
    const out = new Outgoing(5, 'follows');
    out.give(Buffer.from('ended'));
    out.restart(25, 25);
    expect(out.next(50)).toEqual({ offset: 25, bytes: Buffer.from('ended') });
  });

  test('of a job that was never lost is not told that more was had than was sent', () => {
    expect(() => new Outgoing(0).restart(1, 1)).toThrow('not at 0 to 0');
  });
});
