// One transfer on its own socket: feeds the state machine of transfer.ts and does what it says.
import type { Socket } from 'node:dgram';
import type { Clock } from '../base/clock.ts';
import { sentence, systemCode, WireError } from '../base/errors.ts';
import type { OpenTftpFile } from './files.ts';
import { decode, encode } from './packet.ts';
import { readAhead } from './readahead.ts';
import type { Terms } from './terms.ts';
import { newTransfer, next, type Outcome, type Transfer, type TransferEvent, wireBlock } from './transfer.ts';

export interface SenderOptions {
  readonly terms: Terms;
  readonly file: OpenTftpFile;
  /** Bound, connected to the client: the kernel then drops what others send to it, and reports when the client's port is closed. */
  readonly socket: Socket;
  readonly clock: Clock;
}

export interface Sender {
  /** Settles, and never rejects, when the transfer is over and the socket and the file are closed. */
  readonly ended: Promise<{ readonly outcome: Outcome; readonly transfer: Transfer }>;
  /** When the client was heard last; undefined if it has not answered yet. */
  heardAt(): number | undefined;
  /** `stop` tells the client, `gone` does not. */
  end(event: Extract<TransferEvent, { kind: 'stop' | 'gone' }>): void;
}

export function startSender({ terms, file, socket, clock }: SenderOptions): Sender {
  const content = readAhead(file, terms);
  let transfer = newTransfer(terms);
  let heardAt: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let overdue: NodeJS.Immediate | undefined;
  /** Blocks still to be sent of the last `blocks` effect; empty if `from > to`. */
  let from = 1;
  let to = 0;
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
          socket.send(encode(effect.packet));
          break;
        case 'blocks':
          from = effect.from;
          to = effect.to;
          sendBlocks();
          break;
        case 'timer':
          disarm();
          timer = setTimeout(expired, effect.after);
          break;
        case 'end':
          settle(effect.outcome);
          break;
      }
    }
  }

  /** Timers come before datagrams in Node's loop: after a hiccup of this process, ACKs that have already arrived are read first. */
  function expired(): void {
    overdue = setImmediate(handle, { kind: 'timer' });
  }

  function disarm(): void {
    clearTimeout(timer);
    clearImmediate(overdue);
  }

  function sendBlocks(): void {
    while (!loading && from <= to) {
      const bytes = content.ready(from);
      if (bytes === undefined) {
        loading = true;
        content.load(from).then(loaded, unreadable);
        return;
      }
      socket.send(encode({ op: 'data', block: wireBlock(from), bytes }));
      from += 1;
    }
  }

  function loaded(): void {
    loading = false;
    if (transfer.phase !== 'ended') sendBlocks();
  }

  function unreadable(error: unknown): void {
    loading = false;
    handle({ kind: 'stop', message: sentence(error) });
  }

  socket.on('message', (datagram) => {
    heardAt = clock.now();
    try {
      handle({ kind: 'packet', packet: decode(datagram) });
    } catch (error) {
      if (!(error instanceof WireError)) throw error; // bad bytes are as good as lost ones
    }
  });
  socket.on('error', (error) => {
    if (systemCode(error) === 'ECONNREFUSED') handle({ kind: 'gone', reason: 'the client closed its port' });
    else socketError = sentence(error); // as good as lost: the timer sends again, and patience ends
  });

  async function finish(): Promise<{ outcome: Outcome; transfer: Transfer }> {
    const outcome = await ended;
    disarm();
    await new Promise<void>((resolve) => socket.close(() => resolve()));
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
