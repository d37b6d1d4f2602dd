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

/** Starts the thread. `program` is the file of this program: its main asks `isFilesThread`. */
export function startFilesThread(program: string | URL, options: FilesOptions, log: Log): LocalFiles {
  const waiting = new Map<number, { readonly settle: (bytes: Buffer) => void; readonly refuse: (error: FarmError) => void }>();
  let number = 0;
  let closing = false;
  let worker: Worker | undefined;
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    const began = new Worker(program, { workerData: { marker, ...options }, resourceLimits: { maxOldGenerationSizeMb: heapMax, maxYoungGenerationSizeMb: 4 } });
    worker = began;
    let why = 'it has ended';
    began.on('message', (answer: Answer) => {
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
    began.on('error', (error) => {
      why = sentence(error);
    });
    began.on('exit', () => {
      worker = undefined;
      for (const { refuse } of waiting.values()) refuse(fault(why));
      waiting.clear();
      if (closing) return;
      log('error', 'mfs.thread', { reason: why });
      timer = setTimeout(start, restartPause);
    });
  };
  const ask = (question: (number: number) => Question): Promise<Buffer> => {
    if (worker === undefined) return Promise.reject(fault('its thread begins anew'));
    number = (number + 1) >>> 0;
    const asked = new Promise<Buffer>((settle, refuse) => waiting.set(number, { settle, refuse }));
    worker.postMessage(question(number));
    return asked;
  };
  start();
  return {
    answer: (from, message) => ask((asked) => ({ number: asked, from, message })),
    root: (away) => ask((asked) => ({ number: asked, away })),
    async close() {
      closing = true;
      clearTimeout(timer);
      const ending = worker;
      if (ending === undefined) return;
      const ended = new Promise<void>((resolve) => ending.once('exit', () => resolve()));
      ending.postMessage('close');
      const impatience = setTimeout(() => void ending.terminate(), closingTime);
      await ended;
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
