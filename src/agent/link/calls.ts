// Questions and answers between agents, and what the far side of a stream says to being opened: both are one frame each way.
import type { Duplex } from 'node:stream';
import { FarmError, sentence, WireError } from '../../base/errors.ts';
import type { Link } from '../jobs/types.ts';
import { firstFrame } from './first-frame.ts';
import { asAnswer, encodeFrame, isRecord } from './frames.ts';

/** criu takes seconds on an old machine, and starting a job waits for it. */
const answerPatience = 120_000;

type Answerer = (from: number, body: unknown) => Promise<unknown>;

/** The part of a link that asks and answers, on its streams for the purpose `call`. */
export function calls(open: Link['open'], serve: Link['serve'], fault: (name: string, error: unknown) => void): Pick<Link, 'call' | 'answer'> {
  const answerers = new Map<string, Answerer>();
  serve('call', (from, header, stream) => {
    stream.on('error', () => stream.destroy()); // whoever asked has gone
    const name = isRecord(header) && typeof header['name'] === 'string' ? header['name'] : '';
    const body = isRecord(header) ? header['body'] : undefined;
    void respond(answerers.get(name), name, from, body).then((bytes) => stream.end(bytes));
  });

  async function respond(answerer: Answerer | undefined, name: string, from: number, body: unknown): Promise<Buffer> {
    try {
      if (answerer === undefined) throw new FarmError('link.refused', `node ${from} asks for what this node does not know`, 'do both run the same version?');
      return encodeFrame({ ok: true, value: await answerer(from, body) });
    } catch (error) {
      if (!(error instanceof FarmError || error instanceof WireError)) fault(name, error);
      return encodeFailure(error);
    }
  }

  return {
    answer: (name, handler) => void answerers.set(name, handler),
    async call(node, name, body) {
      const stream = await open(node, 'call', { name, body });
      return await opened(stream, node, answerPatience);
    },
  };
}

export function encodeFailure(error: unknown): Buffer {
  const { code, hint } = error instanceof FarmError ? error : { code: error instanceof WireError ? error.code : 'link.fault', hint: undefined };
  return encodeFrame({ code, message: sentence(error).slice(0, 4096), hint });
}

/** The far side's answer. Throws what it threw, or `FarmError` `link.cut`: what it did or did not do is unknown. */
export async function opened(stream: Duplex, node: number, patience: number): Promise<unknown> {
  let answer: ReturnType<typeof asAnswer>;
  try {
    answer = asAnswer(await firstFrame(stream, patience));
  } catch (error) {
    stream.on('error', () => {}).destroy();
    throw new FarmError('link.cut', `the connection to node ${node} broke before it answered: ${sentence(error)}`, 'is the node up? mosctl status', error);
  }
  if ('value' in answer) return answer.value;
  stream.on('error', () => {}).destroy();
  throw new FarmError(answer.code, answer.message, answer.hint);
}
