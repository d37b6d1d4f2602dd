// A job on its way out: its memory is copied while it runs, then it is frozen and the rest goes, and it stands until the handshake says whose it is.
import type { Duplex } from 'node:stream';
import { FarmError, sentence } from '../../base/errors.ts';
import { notWeighed } from '../../cluster/deflating.ts';
import type { MoveId } from '../../cluster/handshake.ts';
import { anotherRound } from '../../cluster/precopy.ts';
import { type Hosted, luggageOf } from '../jobs/hosted.ts';
import type { FrozenJob, Link } from '../jobs/types.ts';
import { type Reader, readerOf, write } from './lines.ts';
import type { Carried } from './page-frames.ts';
import { type Sending, sendPages } from './tunnel.ts';
import { readWord } from './wire.ts';

/** The points at which a test can make a move fail. */
export const steps = ['open', 'ready', 'copy', 'freeze', 'detach', 'send', 'receive', 'restore', 'run', 'discard'] as const;
export type Step = (typeof steps)[number];

/** Called at each point; what it throws is the failure. Only tests have one. */
export type Fault = (step: Step, job: string) => void | Promise<void>;

/** What a move took, for the log and the bench. */
export interface MoveFigures extends Carried {
  /** Ms. */
  readonly total: number;
  readonly frozen: number;
  readonly rounds: number;
  /** Ms from the beginning to the end of each part: where the time goes. */
  readonly parts: Readonly<Partial<Record<Part, number>>>;
}

/** `open`: the target is ready. `copy`: rounds of pre-copy. `dump`: it stands, and all its memory is there. `restore`: it stands at the target. */
type Part = 'open' | 'copy' | 'dump' | 'detach' | 'send' | 'restore' | 'begin' | 'discard';

export interface Departure {
  /** Settles once it is written down that the target may run it; to be called before that is said. */
  give(): Promise<void>;
  /** The job runs on here: settles when it does. */
  keep(): Promise<void>;
  /** It runs elsewhere: settles when its copy here is gone. */
  discard(): Promise<void>;
  /** Settles when all that could be sent is sent, or was not; never rejects. */
  readonly over: Promise<void>;
  figures(): MoveFigures;
}

export interface DepartureOptions {
  readonly link: Link;
  readonly to: number;
  readonly move: MoveId;
  readonly hosted: Hosted;
  readonly now: () => number;
  readonly precopy: boolean;
  readonly fault: Fault;
  /** It could not be dumped or sent. */
  readonly onFailed: (why: string) => void;
}

export function depart(options: DepartureOptions): Departure {
  const { link, to, move, hosted, now, fault } = options;
  const { job, attached } = hosted;
  const { id } = job.spec;
  const began = now();
  const carried: Carried = { plain: 0, sent: 0 };
  const weighing = { now: notWeighed };
  let control: Duplex | undefined;
  let pages: Duplex | undefined;
  let sending: Sending | undefined;
  let frozen: FrozenJob | undefined;
  let frozenAt = 0;
  let detached = false;
  let cancelled = false;
  let rounds = 0;
  let figures: MoveFigures = { ...carried, total: 0, frozen: 0, rounds: 0, parts: {} };
  const parts: Partial<Record<Part, number>> = {};
  let ended: Promise<void> | undefined;
  let given: Promise<void> | undefined;

  const goOn = (): void => {
    if (cancelled) throw new FarmError('move.withdrawn', 'the move was withdrawn');
  };

  const passed = (part: Part): void => {
    parts[part] = Math.round(now() - began);
  };

  /** One run of criu with the pages going to the target. */
  const carry = async <Value>(dump: (port: number) => Promise<Value>): Promise<Value> => {
    goOn();
    pages = await link.open(to, 'pages', { move });
    if (cancelled) pages.destroy();
    sending = await sendPages(pages, carried, weighing, now);
    try {
      goOn();
      return await dump(sending.port);
    } finally {
      sending.close();
      sending = undefined;
    }
  };

  const copyRounds = async (): Promise<void> => {
    const sizes: number[] = [];
    while (options.precopy && anotherRound(hosted.memory, sizes)) {
      await fault('copy', id);
      const before = now();
      const bytes = await carry((port) => job.copy(port));
      const last = sizes.at(-1);
      sizes.push(bytes);
      rounds += 1;
      // What a round carries was written during the one before.
      if (last !== undefined && roundTook > 0) hosted.dirtyRate = (1000 * bytes) / roundTook;
      roundTook = now() - before;
    }
  };
  let roundTook = 0;

  const send = async (): Promise<void> => {
    await fault('open', id);
    control = await link.open(to, 'move', { move, spec: job.spec, luggage: luggageOf(hosted, link.self, now()) });
    control.on('error', () => {}); // the reader says so
    goOn();
    const answers = readerOf(control);
    await heard(answers);
    passed('open');
    await fault('ready', id);
    await copyRounds();
    passed('copy');
    await fault('freeze', id);
    goOn();
    frozen = await carry((port) => {
      frozenAt = now();
      return job.freeze(port);
    });
    passed('dump');
    await fault('detach', id);
    goOn();
    detached = true;
    const positions = await attached.detach();
    passed('detach');
    await fault('send', id);
    goOn();
    const { images, unread } = frozen;
    await write(control, `${JSON.stringify({ positions, images: images.length, unread: unread.length })}\n`);
    await write(control, images);
    await write(control, unread);
    passed('send');
    await heard(answers);
    passed('restore');
  };

  const over = send().catch((error: unknown) => {
    control?.destroy();
    options.onFailed(sentence(error));
  });

  const finish = async (end: (frozen: FrozenJob) => Promise<void>, streams: () => void): Promise<void> => {
    await over;
    control?.destroy();
    const standing = frozen;
    passed('begin');
    if (standing !== undefined) await end(standing);
    passed('discard');
    streams();
    figures = { ...carried, total: now() - began, frozen: frozenAt === 0 ? 0 : now() - frozenAt, rounds, parts };
  };

  return {
    over,
    figures: () => figures,
    give() {
      given ??= (frozen?.give(to) ?? Promise.reject(new FarmError('move.broken', 'it does not stand yet'))).catch((error: unknown) => {
        given = undefined; // it is said again, and so written again
        throw error;
      });
      return given;
    },
    keep() {
      cancelled = true;
      control?.destroy();
      pages?.destroy();
      sending?.close();
      ended ??= finish(
        (standing) => standing.thaw(),
        () => (detached ? attached.resume() : undefined),
      );
      return ended;
    },
    discard() {
      control?.destroy(); // all of it is there
      ended ??= finish(
        async (standing) => {
          await fault('discard', id);
          await standing.discard();
        },
        () => attached.release(),
      );
      return ended;
    },
  };
}

/** The target's next word; throws what it could not do. */
async function heard(answers: Reader): Promise<void> {
  const word = readWord(await answers.line());
  if (!word.ok) throw new FarmError(word.code, word.why);
}
