// A virtual clock, a bad network and a client by the book that writes a file (RFC 1350, 7440), for the rules of uploads.
import type { TftpPacket } from '../../src/tftp/packet.ts';
import { newReception, type ReceptionEvent, type ReceptionOutcome, receive } from '../../src/tftp/reception.ts';
import type { UploadTerms } from '../../src/tftp/terms.ts';
import { random, takeEarliest, type Weather } from './network.ts';

/** What the disk takes to make a file safe. Milliseconds. */
const storing = 20;

export interface UploadResult {
  readonly outcome: ReceptionOutcome;
  /** Numbers of the blocks that were kept, in order. */
  readonly kept: readonly number[];
  /** ACKs and OACKs that the server sent, and packets that reached it. */
  readonly acks: number;
  readonly heard: number;
  readonly now: number;
}

/** `blocks` full blocks and a short one; each begins with its own number. */
export function simulateUpload(terms: UploadTerms, blocks: number, weather: Weather, timeout: number): UploadResult {
  const dice = random(weather.seed);
  const queue: { at: number; run: () => void }[] = [];
  let now = 0;
  let reception = newReception(terms, Number.MAX_SAFE_INTEGER);
  let outcome: ReceptionOutcome | undefined;
  let round = 0;
  let acks = 0;
  let heard = 0;
  const kept: number[] = [];
  // The client
  let acked = -1;
  let isDone = false;

  const later = (after: number, run: () => void) => queue.push({ at: now + after, run });
  const carry = (run: () => void) => {
    const travel = () => weather.delay * (1 - weather.jitter * dice());
    if (dice() < weather.loss) return;
    later(travel(), run);
    if (dice() < weather.duplicates) later(travel(), run);
  };

  function server(event: ReceptionEvent): void {
    const step = receive(reception, event);
    reception = step.state;
    for (const effect of step.effects) {
      if (effect.kind === 'send') {
        acks += 1;
        carry(() => client(effect.packet));
      } else if (effect.kind === 'keep') {
        kept.push(effect.bytes.readUInt32BE(0));
        if (effect.isLast) later(storing, () => server({ kind: 'stored' }));
      } else if (effect.kind === 'timer') {
        round += 1;
        const own = round;
        later(effect.after, () => {
          if (own === round) server({ kind: 'timer' });
        });
      } else if (effect.kind === 'outcome') {
        outcome = effect.outcome;
      }
    }
  }

  function sendWindow(): void {
    for (let block = acked + 1; block <= Math.min(acked + terms.windowsize, blocks + 1); block += 1) {
      const bytes = Buffer.alloc(block > blocks ? 4 : terms.blksize);
      bytes.writeUInt32BE(block, 0);
      carry(() => {
        heard += 1;
        server({ kind: 'packet', packet: { op: 'data', block: block & 0xffff, bytes } });
      });
    }
  }

  function client(packet: TftpPacket): void {
    if (isDone) return;
    const block = packet.op === 'oack' ? 0 : packet.op === 'ack' ? packet.block : -1;
    const isGap = block === acked && terms.windowsize > 1 && packet.op === 'ack';
    if (block < acked || (block === acked && !isGap)) return; // RFC 1123 4.2.3.1
    acked = block;
    if (acked === blocks + 1) isDone = true;
    else sendWindow();
  }

  function nag(): void {
    if (isDone) return;
    if (acked >= 0) sendWindow();
    later(timeout, nag);
  }

  server({ kind: 'start' });
  later(timeout, nag);
  for (let steps = 0; steps < 500_000 && !(isDone && outcome !== undefined) && reception.phase !== 'ended'; steps += 1) {
    const event = takeEarliest(queue);
    if (event === undefined) break;
    now = event.at;
    event.run();
  }
  if (outcome === undefined) throw new Error('the upload neither ended nor gave up');
  return { outcome, kept, acks, heard, now };
}
