// The asking end of a stream for questions: each has a number, and answers come as they are ready.
import type { Duplex } from 'node:stream';
import { FarmError, sentence, type WireError } from '../../base/errors.ts';
import { asAnswer, encodeFrame, frameReader, isRecord } from './frames.ts';

/** Ms. criu takes seconds on an old machine, and starting a job waits for it. */
const answerPatience = 120_000;
/** Ms for which what was heard of a node shows that it is there. After that it is asked first: a question to a node without power would be neither sent nor not. */
const freshFor = 2000;
/** A stream on which nothing is asked for so long is closed, ms. */
const idleFor = 60_000;
/** Questions that wait for answers on one stream. */
const waitingMax = 1024;

export interface Asking {
  /** Throws what the other side threw; `FarmError` `link.down`: not asked; `link.cut`: it is not known what became of it. */
  ask(name: string, body: unknown): Promise<unknown>;
  /** Whether the other side answers: known if it has said something lately, else asked, with a question that costs it nothing. Closes the stream if not. */
  isThere(name: string, patience: number): Promise<boolean>;
  close(): void;
}

interface Waiting {
  readonly settle: (answer: () => unknown) => void;
}

/** `stream` is taken by the other side. `onClosed`: no more questions go over it. */
export function asking(stream: Duplex, node: number, onClosed: () => void): Asking {
  const read = frameReader();
  const waiting = new Map<number, Waiting>();
  let last = 0;
  let heardAt = performance.now();
  let proof: Promise<boolean> | undefined;
  let isOver = false;
  let idle = setTimeout(() => close('it was idle'), idleFor).unref();

  stream.on('error', (error) => close(sentence(error)));
  stream.on('end', () => close('the connection was closed'));
  stream.on('close', () => close('the connection was closed'));
  stream.on('data', (chunk: Buffer) => {
    heardAt = performance.now();
    try {
      for (const value of read(chunk)) heard(value);
    } catch (error) {
      close(sentence(error));
    }
  });
  if (stream.destroyed) close('the connection was closed');

  function heard(value: unknown): void {
    const answer = asAnswer(value);
    const number = isRecord(value) ? value['number'] : undefined;
    const asked = typeof number === 'number' ? waiting.get(number) : undefined;
    asked?.settle(() => {
      if ('value' in answer) return answer.value;
      throw new FarmError(answer.code, answer.message, answer.hint);
    });
  }

  function close(why: string): void {
    if (isOver) return;
    isOver = true;
    clearTimeout(idle);
    onClosed();
    stream.destroy();
    for (const { settle } of [...waiting.values()]) settle(() => cut(why));
  }

  function cut(why: string): never {
    throw new FarmError('link.cut', `the connection to node ${node} broke before it answered: ${why}`, 'is the node up? mosctl status');
  }

  function ask(name: string, body: unknown, patience: number): Promise<unknown> {
    if (isOver)
      return Promise.reject(new FarmError('link.down', `node ${node} cannot be reached: the connection was closed`, 'mosctl status says whether it is up'));
    if (waiting.size >= waitingMax)
      return Promise.reject(new FarmError('link.refused', `node ${node} has ${waitingMax} questions to answer`, 'try again later'));
    last += 1;
    const number = last;
    const bytes = encodeFrame({ number, name, body });
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => waiting.get(number)?.settle(() => cut(`no answer in ${patience} ms`)), patience);
      const settle = (answer: () => unknown) => {
        clearTimeout(late);
        waiting.delete(number);
        if (waiting.size === 0 && !isOver) idle = setTimeout(() => close('it was idle'), idleFor).unref();
        try {
          resolve(answer());
        } catch (error) {
          reject(error as FarmError | WireError);
        }
      };
      waiting.set(number, { settle });
      clearTimeout(idle);
      stream.write(bytes);
    });
  }

  async function prove(name: string, patience: number): Promise<boolean> {
    try {
      await ask(name, null, patience);
    } catch (error) {
      // Any word of it will do.
      if (performance.now() - heardAt >= patience) close(sentence(error));
    }
    proof = undefined;
    return !isOver;
  }

  return {
    ask: (name, body) => ask(name, body, answerPatience),
    async isThere(name, patience) {
      if (isOver || performance.now() - heardAt < freshFor) return !isOver;
      proof ??= prove(name, patience);
      return proof;
    },
    close: () => close('the agent of this node is ending'),
  };
}
