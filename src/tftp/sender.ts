// One file on its way to a client: feeds the state machine of transfer.ts and does what it says.
import type { Clock } from '../base/clock.ts';
import { sentence, systemCode, WireError } from '../base/errors.ts';
import type { Endpoint } from './endpoint.ts';
import type { OpenTftpFile } from './files.ts';
import type { Pacer } from './pacer.ts';
import { decode, encode, writeDataHeader } from './packet.ts';
import { readAhead } from './readahead.ts';
import type { Terms } from './terms.ts';
import { oneTimer } from './timer.ts';
import { newTransfer, next, type Outcome, type Transfer, type TransferEvent, wireBlock } from './transfer.ts';

export interface SenderOptions {
  readonly terms: Terms;
  readonly file: OpenTftpFile;
  readonly endpoint: Endpoint;
  readonly pacer: Pacer;
  readonly clock: Clock;
}

export interface Sender {
  /** Settles, and never rejects, when the transfer is over and the endpoint and the file are closed. */
  readonly ended: Promise<{ readonly outcome: Outcome; readonly transfer: Transfer }>;
  /** When the client was heard last; undefined if it has not answered yet. */
  heardAt(): number | undefined;
  /** `stop` tells the client, `gone` does not. */
  end(event: Extract<TransferEvent, { kind: 'stop' | 'gone' }>): void;
}

/** Milliseconds between two bursts of a window: a client takes out of its receive ring what came with the first. */
const burstGap = 1;

export function startSender({ terms, file, endpoint, pacer, clock }: SenderOptions): Sender {
  const content = readAhead(file, terms);
  const timer = oneTimer(clock, () => handle({ kind: 'timer' }));
  let transfer = newTransfer(terms);
  let heardAt: number | undefined;
  /** Blocks still to be sent of the last `blocks` effect; empty if `from > to`. */
  let from = 1;
  let to = 0;
  /** Where the burst ends, and what continues after it. */
  let pauseAfter = 0;
  let pause: NodeJS.Timeout | undefined;
  let loading = false;
  /** Quoted if the transfer fails: an unreachable network looks like a silent client. */
  let socketError: string | undefined;
  let settle: (outcome: Outcome) => void = () => {};
  const ended = new Promise<Outcome>((resolve) => {
    settle = resolve;
  });

  function handle(event: TransferEvent): void {
    const step = next(transfer, event, clock.now());
    transfer = step.state;
    for (const effect of step.effects) {
      switch (effect.kind) {
        case 'send':
          endpoint.send(encode(effect.packet));
          break;
        case 'blocks':
          from = effect.from;
          to = effect.to;
          burst();
          break;
        case 'timer':
          timer.start(effect.after);
          break;
        case 'end':
          to = 0;
          pauseAfter = 0;
          clearTimeout(pause);
          settle(effect.outcome);
          break;
      }
    }
  }

  function burst(): void {
    clearTimeout(pause);
    pauseAfter = Math.min(to, from + Math.floor(transfer.burst) - 1);
    pacer.run(sendBlock);
  }

  function sendBlock(): number {
    if (loading || from > pauseAfter) return 0;
    const packet = content.ready(from);
    if (packet === undefined) {
      loading = true;
      content.load(from).then(loaded, unreadable);
      return 0;
    }
    writeDataHeader(packet, wireBlock(from, transfer.rollover));
    endpoint.send(packet);
    from += 1;
    if (from > pauseAfter && from <= to) pause = setTimeout(burst, burstGap);
    return packet.length;
  }

  function loaded(): void {
    loading = false;
    pacer.run(sendBlock);
  }

  function unreadable(error: unknown): void {
    loading = false;
    handle({ kind: 'stop', message: sentence(error) });
  }

  endpoint.listen({
    datagram: (datagram) => {
      heardAt = clock.now();
      try {
        handle({ kind: 'packet', packet: decode(datagram) });
      } catch (error) {
        if (!(error instanceof WireError)) throw error; // bad bytes are as good as lost ones
      }
    },
    error: (error) => {
      if (systemCode(error) === 'ECONNREFUSED') handle({ kind: 'gone', reason: 'the client closed its port' });
      else socketError = sentence(error); // as good as lost: the timer sends again, and patience ends
    },
  });

  async function finish(): Promise<{ outcome: Outcome; transfer: Transfer }> {
    const outcome = await ended;
    timer.stop();
    await endpoint.close();
    await file.close().catch((error: unknown) => {
      socketError ??= sentence(error);
    });
    const told = outcome.kind === 'failed' && socketError !== undefined ? { ...outcome, reason: `${outcome.reason}; ${socketError}` } : outcome;
    return { outcome: told, transfer };
  }

  const finished = finish();
  handle({ kind: 'start' });
  return { ended: finished, heardAt: () => heardAt, end: handle };
}
