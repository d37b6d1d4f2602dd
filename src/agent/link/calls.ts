// Questions and answers between agents: all from one node to another go over one stream, numbered, because a TLS handshake for each takes seconds on old machines.
import type { Duplex } from 'node:stream';
import { FarmError, sentence, WireError } from '../../base/errors.ts';
import type { Link } from '../jobs/types.ts';
import { type Asking, asking } from './asking.ts';
import { firstFrame } from './first-frame.ts';
import { asAnswer, encodeFrame, frameReader, isRecord } from './frames.ts';

/** So many questions of one node are worked on at once; the next ones wait in the stream. A question and its answer have a mebibyte each at most. */
const questionsMax = 512;
const purpose = 'calls';
/** What shows that a stream is not dead. */
const hereName = 'link.here';

type Answerer = (from: number, body: unknown) => Promise<unknown>;

export interface Calls extends Pick<Link, 'call' | 'answer'> {
  /** Of questions on their way nobody knows what becomes of them. */
  close(): void;
}

export interface CallsOptions extends Pick<Link, 'open' | 'serve'> {
  /** The node's address in the map of now: a stream that was made to or from another is that node's no more. */
  readonly addressOf: (node: number) => string | undefined;
  /** Ms in which a node that is there says so. */
  readonly patience: number;
  readonly fault: (name: string, error: unknown) => void;
}

/** The part of a link that asks and answers. */
export function calls({ open, serve, addressOf, patience, fault }: CallsOptions): Calls {
  const answerers = new Map<string, Answerer>([[hereName, async () => null]]);
  const streams = new Map<number, { readonly address: string | undefined; readonly made: Promise<Asking> }>();
  serve(purpose, (from, _header, stream) => answering(from, stream));

  function answering(from: number, stream: Duplex): void {
    const read = frameReader();
    const questions: unknown[] = [];
    const address = addressOf(from);
    let busy = 0;
    const work = () => {
      while (busy < questionsMax && questions.length > 0) {
        busy += 1;
        void respond(from, questions.shift()).then((bytes) => {
          // Counted until it has left: who does not read answers is not given more of them.
          const left = () => {
            busy -= 1;
            work();
          };
          if (!stream.destroyed && bytes !== undefined) stream.write(bytes, left);
          else left();
        });
      }
      if (questions.length > 0) stream.pause();
      else stream.resume();
    };
    stream.on('error', () => stream.destroy()); // whoever asked has gone
    stream.on('end', () => stream.destroy());
    stream.on('data', (chunk: Buffer) => {
      if (addressOf(from) !== address) {
        stream.destroy();
        return;
      }
      try {
        questions.push(...read(chunk));
      } catch (error) {
        fault(purpose, error);
        stream.destroy();
        return;
      }
      work();
    });
  }

  /** undefined for what is no question. */
  async function respond(from: number, question: unknown): Promise<Buffer | undefined> {
    if (!isRecord(question) || typeof question['number'] !== 'number') return undefined;
    const { number, body } = question;
    const name = typeof question['name'] === 'string' ? question['name'] : '';
    try {
      const answerer = answerers.get(name);
      if (answerer === undefined) throw new FarmError('link.refused', `node ${from} asks for what this node does not know`, 'do both run the same version?');
      return encodeFrame({ number, ok: true, value: await answerer(from, body) });
    } catch (error) {
      if (!(error instanceof FarmError || error instanceof WireError)) fault(name, error);
      return encodeFrame({ number, ...failure(error) });
    }
  }

  /** The stream for questions to `node`, which has answered lately. Throws what `open` throws. */
  async function streamTo(node: number): Promise<Asking> {
    for (const attempt of [1, 2]) {
      const known = streams.get(node);
      // The one to another address ends when its answers have come and it is idle.
      if (known === undefined || known.address !== addressOf(node)) return await begin(node);
      const found = await known.made;
      if (await found.isThere(hereName, patience)) return found;
      if (streams.get(node) === known) streams.delete(node);
      if (attempt === 2) break;
    }
    throw new FarmError('link.down', `node ${node} cannot be reached: its streams break`, 'mosctl status says whether it is up');
  }

  function begin(node: number): Promise<Asking> {
    const forget = () => {
      if (streams.get(node)?.made === made) streams.delete(node);
    };
    const made: Promise<Asking> = open(node, purpose, {}).then((stream) => asking(stream, node, forget));
    made.catch(forget);
    streams.set(node, { address: addressOf(node), made });
    return made;
  }

  return {
    answer: (name, handler) => void answerers.set(name, handler),
    async call(node, name, body) {
      encodeFrame({ number: Number.MAX_SAFE_INTEGER, name, body });
      return (await streamTo(node)).ask(name, body);
    },
    close() {
      for (const { made } of streams.values())
        void made.then(
          (stream) => stream.close(),
          () => {},
        );
    },
  };
}

function failure(error: unknown): object {
  const { code, hint } = error instanceof FarmError ? error : { code: error instanceof WireError ? error.code : 'link.fault', hint: undefined };
  return { code, message: sentence(error).slice(0, 4096), hint };
}

export function encodeFailure(error: unknown): Buffer {
  return encodeFrame(failure(error));
}

/** What the far side says to a stream's being opened. Throws what it threw, or `FarmError` `link.cut`: what it did or did not do is unknown. */
export async function opened(stream: Duplex, node: number, patience: number): Promise<void> {
  let answer: ReturnType<typeof asAnswer>;
  try {
    answer = asAnswer(await firstFrame(stream, patience));
  } catch (error) {
    stream.on('error', () => {}).destroy();
    throw new FarmError('link.cut', `the connection to node ${node} broke before it answered: ${sentence(error)}`, 'is the node up? mosctl status', error);
  }
  if ('value' in answer) return;
  stream.on('error', () => {}).destroy();
  throw new FarmError(answer.code, answer.message, answer.hint);
}
