import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newReception, type Reception, type ReceptionEffect, type ReceptionEvent, receive } from '../../src/tftp/reception.ts';
import { agreeUpload, type UploadTerms } from '../../src/tftp/terms.ts';
import { simulateUpload } from './upload-network.ts';

function terms(options: Readonly<Record<string, number>> = {}): UploadTerms {
  const asked = Object.entries(options).map(([name, value]) => ({ name, value: String(value) }));
  return agreeUpload(asked, { blksize: 65464, windowsize: 64 });
}

const data = (block: number, length = 512): ReceptionEvent => ({ kind: 'packet', packet: { op: 'data', block, bytes: Buffer.alloc(length) } });
const clientError: ReceptionEvent = { kind: 'packet', packet: { op: 'error', code: 0, message: 'I give up' } };
const timer: ReceptionEvent = { kind: 'timer' };
const stored: ReceptionEvent = { kind: 'stored' };

/** What each event brings about, in words. */
function play(agreed: UploadTerms, ...events: ReceptionEvent[]): { readonly steps: string[]; readonly state: Reception } {
  let state = newReception(agreed, 10_000);
  const steps = [{ kind: 'start' } as const, ...events].map((event) => {
    const step = receive(state, event);
    state = step.state;
    return step.effects
      .filter(({ kind }) => kind !== 'timer')
      .map(words)
      .join(', ');
  });
  return { steps, state };
}

function words(effect: ReceptionEffect): string {
  switch (effect.kind) {
    case 'send':
      return effect.packet.op === 'ack' ? `ack ${effect.packet.block}` : effect.packet.op === 'error' ? `error ${effect.packet.code}` : effect.packet.op;
    case 'keep':
      return `keep ${effect.bytes.length}`;
    case 'outcome':
      return effect.outcome.kind;
    default:
      return effect.kind;
  }
}

describe('an upload', () => {
  it('is acknowledged block by block, the last one when it is safe on the disk', () => {
    expect(play(terms(), data(1), data(2, 3), stored, timer).steps).toEqual(['ack 0', 'keep 512, ack 1', 'keep 3', 'ack 2, done', 'close']);
  });

  it('of no bytes is one empty block', () => {
    expect(play(terms(), data(1, 0), stored).steps).toEqual(['ack 0', 'keep 0', 'ack 1, done']);
  });

  it('with options begins with an OACK', () => {
    expect(play(terms({ blksize: 600 }), data(1, 600), data(2, 0)).steps).toEqual(['oack', 'keep 600, ack 1', 'keep 0']);
  });

  it('takes a block once, and repeats the ACK that the client has not got', () => {
    const { steps, state } = play(terms(), data(1), data(1), data(1), data(2, 1), data(2, 1), stored, data(2, 1));
    expect(steps).toEqual(['ack 0', 'keep 512, ack 1', 'ack 1', 'ack 1', 'keep 1', '', 'ack 2, done', 'ack 2']);
    expect(state.repeats).toBe(3);
  });

  it('in windows is acknowledged window by window', () => {
    expect(play(terms({ windowsize: 2 }), data(1), data(2), data(3), data(4, 0), stored).steps).toEqual([
      'oack',
      'keep 512',
      'keep 512, ack 2',
      'keep 512',
      'keep 0',
      'ack 4, done',
    ]);
  });

  it('tells once what is missing in a window (RFC 7440 4)', () => {
    expect(play(terms({ windowsize: 4 }), data(1), data(3), data(4), data(2)).steps).toEqual(['oack', 'keep 512', 'ack 1', '', 'keep 512']);
  });

  it('asks for what does not come, and gives up after a minute', () => {
    let step = receive(newReception(terms(), 100), { kind: 'start' });
    const gaps: number[] = [];
    for (let guard = 0; guard < 100 && step.state.phase !== 'ended'; guard += 1) {
      for (const effect of step.effects) if (effect.kind === 'timer') gaps.push(effect.after);
      step = receive(step.state, timer);
    }
    expect(step.effects.map(words)).toEqual(['error 0', 'failed', 'close']);
    expect(gaps.slice(0, 5)).toEqual([500, 1000, 2000, 4000, 6000]);
    expect(gaps.reduce((sum, gap) => sum + gap)).toBeGreaterThanOrEqual(60_000);
  });

  it.each([
    ['more bytes than may be stored', data(1, 512), data(2, 512), 'error 3, failed, close'],
    ['a block larger than agreed', data(1, 512), data(2, 513), 'error 4, failed, close'],
    ['an error of the client', data(1, 512), clientError, 'failed, close'],
    ['a full disk', data(1, 512), { kind: 'stop', code: 3, message: 'The disk is full' } as const, 'error 3, failed, close'],
    ['a client that is gone', data(1, 512), { kind: 'gone', reason: 'closed' } as const, 'failed, close'],
  ])('ends with %s', (_, first, last, words_) => {
    let state = receive(newReception(terms(), 1000), { kind: 'start' }).state;
    state = receive(state, first).state;
    const step = receive(state, last);
    expect(step.effects.map(words).join(', ')).toBe(words_);
    expect(receive(step.state, data(2)).effects).toEqual([]);
  });

  it('stays whole when the client goes after the last block', () => {
    expect(play(terms(), data(1, 0), stored, { kind: 'gone', reason: 'closed' }).steps).toEqual(['ack 0', 'keep 0', 'ack 1, done', 'close']);
  });

  it.each([
    [0, 0],
    [1, 1],
  ])('goes on from 65535 with %i if the client does', (first, rollover) => {
    let state = receive(newReception(terms({ blksize: 8 }), 1e9), { kind: 'start' }).state;
    for (let block = 1; block <= 65_535; block += 1) state = receive(state, data(block, 8)).state;
    const step = receive(state, data(first, 8));
    expect(step.effects.map(words)).toContain(`ack ${first}`);
    expect([step.state.taken, step.state.rollover]).toEqual([65_536, rollover]);
  });
});

describe('an upload over a bad network', () => {
  it('arrives whole, each block once and in order, and what is sent for it is bounded', () => {
    const weather = fc.record({
      seed: fc.integer(),
      loss: fc.double({ min: 0, max: 0.3, noNaN: true }),
      duplicates: fc.double({ min: 0, max: 0.3, noNaN: true }),
      delay: fc.integer({ min: 1, max: 300 }),
      jitter: fc.constantFrom(0, 0.1, 0.5),
    });
    fc.assert(
      fc.property(fc.nat(60), fc.integer({ min: 1, max: 16 }), weather, fc.integer({ min: 300, max: 3000 }), (blocks, windowsize, sky, timeout) => {
        const result = simulateUpload(terms(windowsize === 1 ? {} : { windowsize }), blocks, sky, timeout);
        expect(result.outcome).toEqual({ kind: 'done' });
        expect(result.kept).toEqual(Array.from({ length: blocks + 1 }, (_, at) => at + 1));
        expect(result.acks).toBeLessThanOrEqual(result.heard + result.now / 500 + 2);
      }),
      { numRuns: 500 },
    );
  });

  it('any packets in any order end in no exception and in no flood', () => {
    const until = Date.now() + 500 * Number(process.env['FUZZ_SECONDS'] ?? 1);
    const events: fc.Arbitrary<ReceptionEvent> = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.tuple(fc.oneof(fc.nat(20), fc.nat(65535)), fc.constantFrom(0, 8, 511, 512, 513)).map(([block, length]) => data(block, length)),
      },
      { weight: 3, arbitrary: fc.constantFrom(timer, stored, clientError) },
    );
    while (Date.now() < until) {
      fc.assert(
        fc.property(fc.array(events, { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), (list, windowsize) => {
          let state = newReception(terms({ windowsize }), 5000);
          const effects: ReceptionEffect[] = [];
          for (const event of [{ kind: 'start' } as const, ...list]) {
            const step = receive(state, event);
            state = step.state;
            effects.push(...step.effects);
            expect(step.effects.filter(({ kind }) => kind === 'send').length).toBeLessThanOrEqual(1);
          }
          expect(effects.filter(({ kind }) => kind === 'outcome').length).toBeLessThanOrEqual(1);
          const kept = effects.reduce((sum, effect) => sum + (effect.kind === 'keep' ? effect.bytes.length : 0), 0);
          expect(kept).toBeLessThanOrEqual(5000);
        }),
        { numRuns: 200 },
      );
    }
  });
});
