// The service of this node's files in a thread of its own: a disk or a server that does not answer keeps that thread waiting, and not the agent.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { Ipv4 } from '../../base/addresses.ts';
import { FarmError, sentence } from '../../base/errors.ts';
import type { Fields, Level, Log } from '../../base/log.ts';
import { type FilesOptions, openFiles } from './service.ts';

/** What a thread may have of the heap, MiB: some 100,000 objects with numbers. One that needs more is begun anew; the numbers are on disk. */
const heapMax = 96;
/** A thread that ends is begun anew, but not in a circle that eats the node, ms. */
const restartPause = 1000;
/** Most nodes' files are asked for by nobody: the thread begins with the first call, and ends when there was none for so long, ms. */
const idleTime = 300_000;

type Question = { readonly number: number; readonly from: Ipv4; readonly message: Uint8Array } | { readonly number: number; readonly away: boolean };
type Answer =
  | { readonly number: number; readonly reply: Uint8Array }
  | { readonly number: number; readonly failed: string }
  | { readonly log: readonly [Level, string, Fields | undefined] };

/** This node's files, from another thread. What it cannot answer is FarmError `mfs.fault`. */
export interface LocalFiles {
  answer(from: Ipv4, message: Buffer): Promise<Buffer>;
  root(away: boolean): Promise<Buffer>;
  close(): Promise<void>;
}

const marker = 'farm mfs';

/** Whether this is the thread of `startFilesThread`: the program's main then calls `serveFilesThread` and nothing else. */
export function isFilesThread(): boolean {
  return !isMainThread && typeof workerData === 'object' && workerData !== null && workerData.marker === marker;
}

export function serveFilesThread(): void {
  const port = parentPort;
  if (port === null) throw new Error('not in a thread');
  const { node, top, state, key } = workerData;
  const files = openFiles({ node, top, state, key: Buffer.from(key) }, (level, event, fields) =>
    port.postMessage({ log: [level, event, fields] } satisfies Answer),
  );
  const reply = (number: number, bytes: Buffer) => {
    // A copy of its own, handed over: what comes from Buffer's pool cannot be.
    const copy = Uint8Array.prototype.slice.call(bytes);
    port.postMessage({ number, reply: copy } satisfies Answer, [copy.buffer]);
  };
  port.on('message', (question: Question | 'close') => {
    if (question === 'close') {
      void files.close().then(() => port.close());
      return;
    }
    const { number } = question;
    const failed = (error: unknown) => port.postMessage({ number, failed: sentence(error) } satisfies Answer);
    if ('away' in question) {
      try {
        reply(number, files.root(question.away));
      } catch (error) {
        failed(error);
      }
    } else
      files
        .answer(question.from, Buffer.from(question.message.buffer, question.message.byteOffset, question.message.length))
        .then((bytes) => reply(number, bytes), failed);
  });
}

/** This node's files by a thread that is there while it is needed. `program` is the file of this program: its main asks `isFilesThread`. `idle`: for tests. */
export function startFilesThread(program: string | URL, options: FilesOptions, log: Log, idle = idleTime): LocalFiles {
  let running: FilesThread | undefined;
  /** One that ends has to be gone before the next takes the same numbers. */
  let ending: Promise<void> | undefined;
  let notBefore = Number.NEGATIVE_INFINITY;
  let askedAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const end = (): void => {
    ending = running?.end().then(() => {
      ending = undefined;
    });
    running = undefined;
  };
  const rest = (): void => {
    const left = askedAt + idle - performance.now();
    if (left <= 0 && running?.size === 0) end();
    else timer = setTimeout(rest, Math.max(left, idle / 10)).unref();
  };
  const begin = (): FilesThread => {
    timer = setTimeout(rest, idle).unref();
    return openThread(program, options, log, (why) => {
      running = undefined;
      clearTimeout(timer);
      notBefore = performance.now() + restartPause;
      log('error', 'mfs.thread', { reason: why });
    });
  };
  const askNow = (question: (number: number) => Question): Promise<Buffer> => {
    askedAt = performance.now();
    if (closed) return Promise.reject(fault('the agent is ending'));
    if (askedAt < notBefore) return Promise.reject(fault('its thread begins anew'));
    running ??= begin();
    return running.ask(question);
  };
  const ask = (question: (number: number) => Question): Promise<Buffer> => (ending === undefined ? askNow(question) : ending.then(() => askNow(question)));
  return {
    answer: (from, message) => ask((asked) => ({ number: asked, from, message })),
    root: (away) => ask((asked) => ({ number: asked, away })),
    async close() {
      closed = true;
      clearTimeout(timer);
      end();
      await ending;
    },
  };
}

interface FilesThread {
  /** Questions without an answer yet. */
  readonly size: number;
  ask(question: (number: number) => Question): Promise<Buffer>;
  end(): Promise<void>;
}

/** `onBroken`: it has ended, and nobody told it to. */
function openThread(program: string | URL, options: FilesOptions, log: Log, onBroken: (why: string) => void): FilesThread {
  const waiting = new Map<number, { readonly settle: (bytes: Buffer) => void; readonly refuse: (error: FarmError) => void }>();
  const worker = new Worker(program, { workerData: { marker, ...options }, resourceLimits: { maxOldGenerationSizeMb: heapMax, maxYoungGenerationSizeMb: 4 } });
  let number = 0;
  let why = 'it has ended';
  let isTold = false;
  worker.on('message', (answer: Answer) => {
    if ('log' in answer) {
      const [level, event, fields] = answer.log;
      log(level, event, fields);
      return;
    }
    const asked = waiting.get(answer.number);
    waiting.delete(answer.number);
    if ('failed' in answer) asked?.refuse(fault(answer.failed));
    else asked?.settle(Buffer.from(answer.reply.buffer, answer.reply.byteOffset, answer.reply.length));
  });
  worker.on('error', (error) => {
    why = sentence(error);
  });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  void exited.then(() => {
    for (const { refuse } of waiting.values()) refuse(fault(why));
    waiting.clear();
    if (!isTold) onBroken(why);
  });
  return {
    get size() {
      return waiting.size;
    },
    ask(question) {
      number = (number + 1) >>> 0;
      const asked = new Promise<Buffer>((settle, refuse) => waiting.set(number, { settle, refuse }));
      worker.postMessage(question(number));
      return asked;
    },
    async end() {
      isTold = true;
      worker.postMessage('close');
      const impatience = setTimeout(() => void worker.terminate(), closingTime);
      await exited;
      clearTimeout(impatience);
    },
  };
}

/** What a disk may take to write the last numbers, ms. */
const closingTime = 1000;

/** The same without a thread, for programs that have nothing else to do. */
export function filesHere(options: FilesOptions, log: Log): LocalFiles {
  const files = openFiles(options, log);
  return { answer: (from, message) => files.answer(from, message), root: async (away) => files.root(away), close: () => files.close() };
}

function fault(reason: string): FarmError {
  return new FarmError('mfs.fault', `the files of this node cannot be served: ${reason}`);
}
