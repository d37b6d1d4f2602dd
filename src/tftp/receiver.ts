// One file on its way from a client: feeds the state machine of reception.ts and writes what it keeps.
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence, systemCode, WireError } from '../base/errors.ts';
import type { UploadFile } from '../base/upload.ts';
import type { Endpoint } from './endpoint.ts';
import { decode, encode, errorCodes } from './packet.ts';
import { newReception, type Reception, type ReceptionEvent, type ReceptionOutcome, receive } from './reception.ts';
import type { UploadTerms } from './terms.ts';
import { oneTimer } from './timer.ts';

export interface ReceiverOptions {
  readonly terms: UploadTerms;
  readonly file: UploadFile;
  /** The octets of the content as it was sent (netascii). */
  readonly convert: (piece: Buffer, isLast: boolean) => Buffer;
  readonly endpoint: Endpoint;
  readonly clock: Clock;
}

export interface Receiver {
  /** Settles, and never rejects, when the file is in its place or gone. */
  readonly outcome: Promise<{ readonly outcome: ReceptionOutcome; readonly reception: Reception }>;
  /** Settles when the endpoint is closed, some seconds after a file that came whole. */
  readonly ended: Promise<void>;
  heardAt(): number | undefined;
  end(event: Extract<ReceptionEvent, { kind: 'stop' | 'gone' }>): void;
}

/** Blocks are gathered and written together. */
const writeBytes = 65_536;
/** What may wait for the disk; beyond, blocks are taken for lost, and the client sends them again. */
const mostWaiting = 2 ** 22;

export function startReceiver({ terms, file, convert, endpoint, clock }: ReceiverOptions): Receiver {
  const timer = oneTimer(clock, () => handle({ kind: 'timer' }));
  let reception = newReception(terms, file.limit);
  let heardAt: number | undefined;
  let gathered: Buffer[] = [];
  let gatheredBytes = 0;
  let waiting = 0;
  let written: Promise<void> = Promise.resolve();
  let settle: (outcome: ReceptionOutcome) => void = () => {};
  let closed: () => void = () => {};
  const settled = new Promise<ReceptionOutcome>((resolve) => {
    settle = resolve;
  });
  const closing = new Promise<void>((resolve) => {
    closed = resolve;
  });

  function handle(event: ReceptionEvent): void {
    const step = receive(reception, event);
    reception = step.state;
    for (const effect of step.effects) {
      switch (effect.kind) {
        case 'send':
          endpoint.send(encode(effect.packet));
          break;
        case 'keep':
          keep(convert(effect.bytes, effect.isLast), effect.isLast);
          break;
        case 'timer':
          timer.start(effect.after);
          break;
        case 'outcome':
          settle(effect.outcome);
          break;
        case 'close':
          closed();
          break;
      }
    }
  }

  function keep(octets: Buffer, isLast: boolean): void {
    gathered.push(octets);
    gatheredBytes += octets.length;
    if (!isLast && gatheredBytes < writeBytes) return;
    const bytes = Buffer.concat(gathered);
    gathered = [];
    gatheredBytes = 0;
    waiting += bytes.length;
    written = written
      .then(() => file.write(bytes))
      .then(() => {
        waiting -= bytes.length;
      });
    if (isLast) written = written.then(() => file.commit());
    written.then(isLast ? () => handle({ kind: 'stored' }) : () => {}, unwritable);
  }

  function unwritable(error: unknown): void {
    handle(storageError(error));
  }

  endpoint.listen({
    datagram: (datagram) => {
      heardAt = clock.now();
      if (waiting > mostWaiting) return;
      try {
        handle({ kind: 'packet', packet: decode(datagram) });
      } catch (error) {
        if (!(error instanceof WireError)) throw error; // bad bytes are as good as lost ones
      }
    },
    error: (error) => {
      if (systemCode(error) === 'ECONNREFUSED') handle({ kind: 'gone', reason: 'the client closed its port' });
    },
  });

  async function finish(): Promise<{ outcome: ReceptionOutcome; reception: Reception }> {
    const outcome = await settled;
    if (outcome.kind === 'done') return { outcome, reception };
    await written.catch(() => {}); // that failure is the outcome, or the file goes anyway
    try {
      await file.discard();
      return { outcome, reception };
    } catch (error) {
      return { outcome: { ...outcome, reason: `${outcome.reason}; ${sentence(error)}` }, reception };
    }
  }

  async function end(): Promise<void> {
    await closing;
    timer.stop();
    await endpoint.close();
  }

  const outcome = finish();
  const ended = Promise.all([outcome, end()]).then(() => {});
  handle({ kind: 'start' });
  return { outcome, ended, heardAt: () => heardAt, end: handle };
}

/** What the client is told when its file cannot be stored. */
export function storageError(error: unknown): Extract<ReceptionEvent, { kind: 'stop' }> {
  const code = error instanceof FarmError ? error.code : systemCode(error);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
    case 'upload.full':
      return { kind: 'stop', code: errorCodes.full, message: error instanceof FarmError ? error.message : 'The disk is full' };
    case 'upload.exists':
      return { kind: 'stop', code: errorCodes.exists, message: sentence(error) };
    case 'upload.name':
      return { kind: 'stop', code: errorCodes.access, message: sentence(error) };
    default:
      return { kind: 'stop', message: 'The server cannot store this file; see its log' };
  }
}
