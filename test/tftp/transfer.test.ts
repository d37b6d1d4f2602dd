import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TftpPacket } from '../../src/tftp/packet.ts';
import { agree, blockCount, type Terms } from '../../src/tftp/terms.ts';
import { type Effect, newTransfer, next, type Transfer, type TransferEvent, wireBlock } from '../../src/tftp/transfer.ts';
import { simulate } from './network.ts';

function terms(size: number, options: Readonly<Record<string, number>> = {}): Terms {
  const asked = Object.entries(options).map(([name, value]) => ({ name, value: String(value) }));
  return agree(asked, size, { blksize: 65464, windowsize: 32767 });
}

const ack = (block: number): TransferEvent => ({ kind: 'packet', packet: { op: 'ack', block } });
const clientError = (code: number, message = ''): TransferEvent => ({ kind: 'packet', packet: { op: 'error', code, message } });
const timer: TransferEvent = { kind: 'timer' };

/** Runs the events 1 ms apart and tells in words what each brought about. */
function play(agreed: Terms, ...events: TransferEvent[]): { readonly steps: string[]; readonly state: Transfer } {
  let state = newTransfer(agreed);
  const steps = [{ kind: 'start' } as const, ...events].map((event, now) => {
    const step = next(state, event, now);
    state = step.state;
    return step.effects
      .filter((effect) => effect.kind !== 'timer')
      .map(words)
      .join(', ');
  });
  return { steps, state };
}

function words(effect: Effect): string {
  switch (effect.kind) {
    case 'blocks':
      return effect.from === effect.to ? `${effect.from}` : `${effect.from}-${effect.to}`;
    case 'send':
      return effect.packet.op;
    case 'end':
      return effect.outcome.kind === 'done' && !effect.outcome.confirmed ? 'done unconfirmed' : effect.outcome.kind;
    case 'timer':
      return `timer ${effect.after}`;
  }
}

describe('a transfer in lock step', () => {
  it('sends one block for each ACK and is done with the ACK of the short one', () => {
    expect(play(terms(1000), ack(1), ack(2)).steps).toEqual(['1', '2', 'done']);
  });

  it('of an empty file is one empty block', () => {
    expect(play(terms(0), ack(1)).steps).toEqual(['1', 'done']);
  });

  it('ends an exact multiple of the block size with an empty block', () => {
    expect(play(terms(1024), ack(1), ack(2), ack(3)).steps).toEqual(['1', '2', '3', 'done']);
  });

  it('never answers a repeated ACK with DATA (RFC 1123 4.2.3.1)', () => {
    expect(play(terms(2000), ack(1), ack(1), ack(1), ack(0), ack(2)).steps).toEqual(['1', '2', '', '', '', '3']);
  });

  it('sends again when the timer runs out, and counts it', () => {
    const { steps, state } = play(terms(2000), timer, timer, ack(1));
    expect(steps).toEqual(['1', '1', '1', '2']);
    expect(state.retransmits).toBe(2);
  });

  it('takes no notice of ACKs of blocks that were not sent', () => {
    expect(play(terms(2000), ack(2), ack(9), ack(65535)).steps).toEqual(['1', '', '', '']);
  });

  it('takes no notice of packets that have no place in it', () => {
    const stray: TftpPacket[] = [
      { op: 'data', block: 1, bytes: Buffer.alloc(0) },
      { op: 'oack', options: [] },
      { op: 'read', file: 'a', mode: 'octet', options: [] },
    ];
    expect(play(terms(2000), ...stray.map((packet) => ({ kind: 'packet', packet }) as const)).steps).toEqual(['1', '', '', '']);
  });
});

describe('a transfer with options', () => {
  it('offers them, and begins with the ACK of block 0', () => {
    expect(play(terms(10, { blksize: 1468 }), ack(0), ack(1)).steps).toEqual(['oack', '1', 'done']);
  });

  it('offers them again when the timer runs out', () => {
    expect(play(terms(10, { tsize: 0 }), timer, ack(0)).steps).toEqual(['oack', 'oack', '1']);
  });

  it('ends as a size probe when the client answers with an error (EDK2: error 8)', () => {
    expect(play(terms(10, { tsize: 0, blksize: 1468, windowsize: 4 }), clientError(8, 'User aborted the transfer')).steps).toEqual(['oack', 'probe']);
  });

  it('ends as a size probe when the client just closes its port', () => {
    expect(play(terms(10, { tsize: 0 }), { kind: 'gone', reason: 'port closed' }).steps).toEqual(['oack', 'probe']);
  });

  it('has failed when the client refuses options and had not asked for the size', () => {
    expect(play(terms(10, { blksize: 1468 }), clientError(8)).steps).toEqual(['oack', 'failed']);
  });
});

describe('a transfer with a window of 4', () => {
  const agreed = terms(512 * 20, { windowsize: 4 });

  it('sends four blocks for each ACK', () => {
    expect(play(agreed, ack(0), ack(4), ack(8)).steps).toEqual(['oack', '1-4', '5-8', '9-12']);
  });

  it('sends only what is left at the end', () => {
    expect(play(terms(512 * 5, { windowsize: 4 }), ack(0), ack(4), ack(6)).steps).toEqual(['oack', '1-4', '5-6', 'done']);
  });

  it('goes back to the first lost block (RFC 7440 4)', () => {
    const { steps, state } = play(agreed, ack(0), ack(2));
    expect(steps).toEqual(['oack', '1-4', '3-6']);
    expect(state.retransmits).toBe(2);
  });

  it('goes back once, not for each of several equal ACKs', () => {
    expect(play(agreed, ack(0), ack(2), ack(2), ack(2)).steps).toEqual(['oack', '1-4', '3-6', '', '']);
  });

  it('sends a flight again when its first block is missing, once', () => {
    expect(play(agreed, ack(0), ack(4), ack(4), ack(4), timer).steps).toEqual(['oack', '1-4', '5-8', '5-8', '', '5-8']);
  });

  it('does not take the echoes of a repair for another loss', () => {
    // 1-4 went out twice, so the client says ACK 4 once for each packet it gets twice.
    expect(play(agreed, ack(0), timer, ack(4), ack(4), ack(4), ack(8), ack(8)).steps).toEqual(['oack', '1-4', '1-4', '5-8', '', '', '9-12', '9-12']);
  });

  it('does not take a second ACK 0 for a loss when it offered twice', () => {
    expect(play(agreed, timer, ack(0), ack(0)).steps).toEqual(['oack', 'oack', '1-4', '']);
  });
});

describe('the end of a transfer', () => {
  it.each([
    ['an error of the client', clientError(3, 'Disk full'), ['1', 'failed']],
    ['a closed port', { kind: 'gone', reason: 'closed' } as const, ['1', 'failed']],
    ['a stop, of which the client is told', { kind: 'stop', message: 'unreadable' } as const, ['1', 'error, failed']],
  ])('comes with %s', (_, event, steps) => {
    expect(play(terms(2000), event).steps).toEqual(steps);
  });

  it('is final', () => {
    expect(play(terms(2000), clientError(0), ack(1), timer, clientError(0)).steps).toEqual(['1', 'failed', '', '', '']);
  });

  it('quotes the client', () => {
    const step = next(next(newTransfer(terms(2000)), { kind: 'start' }, 0).state, clientError(3, 'Disk\x1b full'), 1);
    expect(step.effects).toEqual([{ kind: 'end', outcome: { kind: 'failed', reason: 'client: error 3, Disk? full' } }]);
  });

  it('is not confirmed when the client closes its port after the last block', () => {
    expect(play(terms(600), ack(1), { kind: 'gone', reason: 'closed' }).steps).toEqual(['1', '2', 'done unconfirmed']);
  });

  it('comes after 90 s of silence, in bounded packets with growing gaps', () => {
    let step = next(newTransfer(terms(100_000)), { kind: 'start' }, 0);
    const gaps: number[] = [];
    for (let guard = 0; guard < 1000 && step.state.phase !== 'ended'; guard += 1) {
      for (const effect of step.effects) if (effect.kind === 'timer') gaps.push(effect.after);
      step = next(step.state, timer, 0);
    }
    expect(step.effects.map(words)).toEqual(['error', 'failed']);
    expect(gaps.slice(0, 6)).toEqual([500, 1000, 2000, 4000, 6000, 6000]);
    expect(gaps.length).toBeLessThan(30);
  });

  it('is not put off by repeated ACKs', () => {
    let step = next(newTransfer(terms(100_000)), { kind: 'start' }, 0);
    for (let rounds = 0; rounds < 30; rounds += 1) {
      step = next(step.state, ack(0), 0);
      step = next(step.state, timer, 0);
    }
    expect(step.state.phase).toBe('ended');
  });
});

describe('the wait for an ACK', () => {
  it('adapts to the client', () => {
    let step = next(newTransfer(terms(512 * 100)), { kind: 'start' }, 0);
    for (let block = 1; block < 50; block += 1) step = next(step.state, ack(block), block * 3);
    expect(step.effects).toContainEqual({ kind: 'timer', after: 20 });
    for (let block = 50; block < 90; block += 1) step = next(step.state, ack(block), 150 + (block - 49) * 400);
    const waits = step.effects.flatMap((effect) => (effect.kind === 'timer' ? [effect.after] : []));
    expect(waits[0]).toBeGreaterThan(400);
  });

  it('learns nothing from a packet that was sent twice (Karn)', () => {
    let step = next(newTransfer(terms(5000)), { kind: 'start' }, 0);
    step = next(step.state, timer, 500);
    step = next(step.state, ack(1), 501);
    expect(step.effects).toContainEqual({ kind: 'timer', after: 1000 });
  });

  it('is short again when a repeat was answered as quickly as usual, and stays long when it was not', () => {
    let step = next(newTransfer(terms(512 * 100)), { kind: 'start' }, 0);
    for (let block = 1; block < 20; block += 1) step = next(step.state, ack(block), block * 2);
    const lost = next(next(step.state, timer, 100).state, timer, 200).state;
    expect(next(lost, ack(20), 202).effects).toContainEqual({ kind: 'timer', after: 20 });
    expect(next(lost, ack(20), 390).effects).toContainEqual({ kind: 'timer', after: 80 });
  });

  it('survives a clock that steps', () => {
    let step = next(newTransfer(terms(5000)), { kind: 'start' }, 1_000_000);
    step = next(step.state, ack(1), 5);
    step = next(step.state, ack(2), 1e12);
    expect(step.effects).toContainEqual({ kind: 'timer', after: 500 });
  });

  it.each([
    [1, 1200],
    [5, 6000],
    [255, 12_000],
  ])('grows, with a client whose timeout is %i s, until it is longer than that', (timeout, longest) => {
    let step = next(newTransfer(terms(5000, { timeout })), { kind: 'start' }, 0);
    for (let round = 0; round < 6; round += 1) step = next(step.state, timer, 0);
    expect(step.effects).toContainEqual({ kind: 'timer', after: longest });
  });
});

describe('block numbers', () => {
  it('go on from 65535 with 0', () => {
    expect([65534, 65535, 65536, 65537].map((block) => wireBlock(block))).toEqual([65534, 65535, 0, 1]);
  });

  it('go on with 1 for a client that does not take 0', () => {
    let step = next(newTransfer(terms(8 * 70_000, { blksize: 8 })), { kind: 'start' }, 0);
    step = next(step.state, ack(0), 0);
    for (let block = 1; block <= 65_535; block += 1) step = next(step.state, ack(block), block);
    const tried: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      tried.push(wireBlock(step.state.sent, step.state.rollover));
      step = next(next(step.state, ack(65_535), 70_000).state, timer, 70_000);
    }
    expect(tried).toEqual([0, 0, 1, 0]);
    step = next(step.state, ack(1), 70_000);
    expect([step.state.acked, step.state.rollover, wireBlock(step.state.sent, step.state.rollover)]).toEqual([65_536, 1, 2]);
    for (let block = 65_537; block <= 70_001; block += 1) step = next(step.state, ack(block - 65_535), 70_000);
    expect(step.effects).toEqual([{ kind: 'end', outcome: { kind: 'done', confirmed: true } }]);
  });

  it('stay with 0 for a client that has lost block 65536 three times', () => {
    let step = next(newTransfer(terms(8 * 70_000, { blksize: 8 })), { kind: 'start' }, 0);
    step = next(step.state, ack(0), 0);
    for (let block = 1; block <= 65_535; block += 1) step = next(step.state, ack(block), block);
    for (let round = 0; round < 3; round += 1) step = next(step.state, timer, 70_000);
    step = next(step.state, ack(0), 70_000);
    expect([step.state.acked, step.state.rollover, wireBlock(step.state.sent, step.state.rollover)]).toEqual([65_536, 0, 1]);
  });

  it.each([1, 3, 64])('wrap three times with a window of %i, and every block arrives once and in order', (windowsize) => {
    const agreed = terms(8 * 200_000, { blksize: 8, windowsize });
    const result = simulate(agreed, { seed: 7, loss: 0, duplicates: 0, delay: 1, jitter: 0 }, { talkative: false, timeout: 1000 });
    expect(result.outcome).toEqual({ kind: 'done', confirmed: true });
    expect(result.taken.length).toBe(200_001);
    expect(result.transfer.retransmits).toBe(0);
  });
});

describe('on a bad network', () => {
  const weather = fc.record({
    seed: fc.integer(),
    loss: fc.double({ min: 0, max: 0.3, noNaN: true }),
    duplicates: fc.double({ min: 0, max: 0.3, noNaN: true }),
    delay: fc.integer({ min: 1, max: 300 }),
    jitter: fc.constantFrom(0, 0.1, 0.5),
  });
  const habits = fc.record({ talkative: fc.boolean(), timeout: fc.integer({ min: 300, max: 3000 }) });

  it('every block arrives, once and in order, and what is sent for it is bounded', () => {
    fc.assert(
      fc.property(fc.nat(60), fc.integer({ min: 1, max: 16 }), fc.boolean(), weather, habits, (blocks, windowsize, withOptions, sky, client) => {
        const agreed = terms(blocks * 512 + 100, withOptions ? { windowsize, tsize: 0 } : {});
        const result = simulate(agreed, sky, client);
        expect(result.outcome.kind).toBe('done');
        expect(result.taken).toEqual(Array.from({ length: blockCount(agreed) }, (_, at) => at + 1));
        const timeouts = result.now / 20;
        expect(result.sent).toBeLessThanOrEqual((2 * blockCount(agreed) + timeouts + 2) * agreed.windowsize);
      }),
      { numRuns: 1000 },
    );
  });

  it('doubled packets double nothing else', () => {
    for (const windowsize of [1, 8]) {
      const agreed = terms(512 * 1000, { windowsize });
      const result = simulate(agreed, { seed: 3, loss: 0, duplicates: 1, delay: 2, jitter: 0 }, { talkative: false, timeout: 1000 });
      expect(result.outcome.kind).toBe('done');
      if (windowsize === 1) expect(result.sent).toBe(1002);
    }
  });

  it('any packets in any order end in no exception and in no flood', () => {
    const until = Date.now() + 1000 * Number(process.env['FUZZ_SECONDS'] ?? 1);
    const events: fc.Arbitrary<TransferEvent> = fc.oneof(
      { weight: 8, arbitrary: fc.oneof(fc.nat(20), fc.nat(65535)).map(ack) },
      { weight: 3, arbitrary: fc.constant(timer) },
      { weight: 1, arbitrary: fc.nat(65535).map((code) => clientError(code, 'x')) },
      { weight: 1, arbitrary: fc.constant<TransferEvent>({ kind: 'gone', reason: 'closed' }) },
    );
    while (Date.now() < until) {
      fc.assert(
        fc.property(fc.array(events, { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), fc.nat(5000), (list, windowsize, size) => {
          let state = newTransfer(terms(size, { windowsize }));
          for (const [now, event] of [{ kind: 'start' } as const, ...list].entries()) {
            const step = next(state, event, now);
            state = step.state;
            for (const effect of step.effects) {
              if (effect.kind === 'blocks') expect(effect.to - effect.from).toBeLessThan(windowsize);
            }
            expect(state.acked).toBeLessThanOrEqual(state.sent);
          }
        }),
        { numRuns: 200 },
      );
    }
  });
});
