// A client of the QEMU Machine Protocol (docs/interop/qmp-spec): one JSON object a line, replies told apart by their id.
import type { Readable, Writable } from 'node:stream';
import { FarmError } from '../base/errors.ts';
import { lineSplitter } from './lines.ts';

/** The power commands a lab uses, and the question after what the machine does. */
type QmpCommand = 'quit' | 'system_reset' | 'system_powerdown' | 'query-status' | 'qmp_capabilities';

interface Waiting {
  readonly command: QmpCommand;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: FarmError) => void;
}

interface Message {
  readonly QMP?: unknown;
  readonly event?: unknown;
  readonly id?: unknown;
  readonly return?: unknown;
  readonly error?: unknown;
}

export interface Qmp {
  /** Settles with what the command returns; throws `FarmError` with code `qmp.refused` or `qmp.closed`. */
  execute(command: QmpCommand): Promise<unknown>;
}

function parse(line: string): Message | undefined {
  try {
    const message: unknown = JSON.parse(line);
    return typeof message === 'object' && message !== null && !Array.isArray(message) ? { ...message } : undefined;
  } catch {
    return undefined;
  }
}

/** Waits for QEMU's greeting, leaves negotiation mode, and hands every event's name (`RESET`, `SHUTDOWN`) to `onEvent`. Lines that are no message are passed over. */
export async function openQmp(input: Readable, output: Writable, onEvent: (name: string) => void): Promise<Qmp> {
  const waiting = new Map<number, Waiting>();
  let next = 1;
  let closed = false;
  const gone = (command: string) => new FarmError('qmp.closed', `the machine ended before it answered ${command}`, 'its console log and the lab’s log say why');
  let greeted: () => void = () => {};
  let notGreeted: (error: FarmError) => void = () => {};
  const greeting = new Promise<void>((resolve, reject) => {
    greeted = resolve;
    notGreeted = reject;
  });

  const receive = (line: string) => {
    const message = parse(line);
    if (message === undefined) return;
    if ('QMP' in message) greeted();
    if (typeof message.event === 'string') onEvent(message.event);
    const reply = typeof message.id === 'number' ? waiting.get(message.id) : undefined;
    if (reply === undefined) return;
    waiting.delete(Number(message.id));
    if ('return' in message) reply.resolve(message.return);
    else reply.reject(new FarmError('qmp.refused', `QEMU refused ${reply.command}: ${JSON.stringify(message.error)}`));
  };
  const close = () => {
    closed = true;
    notGreeted(gone('the first question'));
    for (const { command, reject } of waiting.values()) reject(gone(command));
    waiting.clear();
  };
  input.on('data', lineSplitter(receive)).on('close', close).on('error', close);
  output.on('error', close);

  const execute = (command: QmpCommand): Promise<unknown> => {
    if (closed) return Promise.reject(gone(command));
    const id = next;
    next += 1;
    return new Promise((resolve, reject) => {
      waiting.set(id, { command, resolve, reject });
      output.write(`${JSON.stringify({ execute: command, id })}\n`);
    });
  };
  await greeting;
  await execute('qmp_capabilities');
  return { execute };
}
