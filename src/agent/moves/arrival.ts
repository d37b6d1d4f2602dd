// A job on its way in: pages into criu's page server, then the images; it stands here, restored and frozen, until the handshake says whose it is.
import type { Duplex } from 'node:stream';
import { FarmError, sentence, systemCode, WireError } from '../../base/errors.ts';
import type { MoveId } from '../../cluster/handshake.ts';
import type { ArrivingJob, JobEngine, JobSpec, RunningJob, StreamPositions } from '../jobs/types.ts';
import type { Fault } from './departure.ts';
import { readerOf, write } from './lines.ts';
import { fields, whole } from './shape.ts';
import { receivePages } from './tunnel.ts';
import { type Luggage, readPositions, wordLine } from './wire.ts';

/** Images without pages: some 100 kB for most jobs, more for one with thousands of mappings or files. */
const imagesMax = 64 * 2 ** 20;
/** A pipe holds 64 KiB, 1 MiB at most (pipe(7)). */
const unreadMax = 2 * 2 ** 20;

export interface Arrival {
  readonly move: MoveId;
  readonly spec: JobSpec;
  readonly luggage: Luggage;
  /** A stream of pages of it has come. */
  pages(stream: Duplex): void;
  /** It runs here. Rejects if it could not be run; nothing is left then. */
  run(): Promise<{ readonly job: RunningJob; readonly positions: StreamPositions }>;
  /** It does not come: settles when nothing is left of it. */
  drop(): Promise<void>;
}

export interface ArrivalOptions {
  readonly engine: JobEngine;
  readonly move: MoveId;
  readonly spec: JobSpec;
  readonly luggage: Luggage;
  readonly stream: Duplex;
  readonly fault: Fault;
  /** An older copy of it that is still being cleared away here. */
  readonly after: Promise<unknown> | undefined;
  /** It is here, and stands. */
  readonly onComplete: () => void;
  /** It cannot be had, and why. */
  readonly onBroken: (why: string) => void;
}

export function arrive({ engine, move, spec, luggage, stream, fault, after, onComplete, onBroken }: ArrivalOptions): Arrival {
  let arriving: ArrivingJob | undefined;
  let positions: StreamPositions | undefined;
  let ended: Promise<unknown> | undefined;

  const receive = async (): Promise<void> => {
    stream.on('error', () => {}); // the reader says so
    await after;
    await fault('receive', spec.id);
    arriving = await engine.receive(spec);
    await write(stream, wordLine({ ok: true }));
    const reader = readerOf(stream);
    const head = fields(await reader.line(), 'the image');
    const where = readPositions(head.get('positions'));
    const images = await reader.block(whole(head, 'images', 0, imagesMax));
    const unread = await reader.block(whole(head, 'unread', 0, unreadMax));
    await fault('restore', spec.id);
    const standing = arriving;
    arriving = undefined; // if it cannot be restored nothing is left to be dropped
    await standing.restore(images, unread);
    arriving = standing;
    positions = where;
  };
  const over = receive().then(
    async () => {
      onComplete();
      // Only then: a source that hears this first must not find us without it.
      await write(stream, wordLine({ ok: true })).catch(() => {}); // the handshake says it, too
    },
    async (error: unknown) => {
      const code = error instanceof FarmError || error instanceof WireError ? error.code : (systemCode(error) ?? 'move.broken');
      await write(stream, wordLine({ ok: false, code, why: sentence(error) })).catch(() => {}); // the source has gone
      stream.end();
      onBroken(sentence(error));
    },
  );

  return {
    move,
    spec,
    luggage,
    pages(pages) {
      carry(pages).catch(() => pages.destroy()); // criu at the source sees that nobody listens
    },
    run() {
      const work = async () => {
        await over;
        if (arriving === undefined || positions === undefined) throw new FarmError('move.broken', 'it is not here');
        try {
          await fault('run', spec.id);
          return { job: await arriving.run(), positions };
        } catch (error) {
          await arriving.drop();
          throw error;
        }
      };
      const running = work();
      ended = running.catch(() => {});
      return running;
    },
    drop() {
      ended ??= (async () => {
        stream.destroy();
        await over;
        await arriving?.drop();
      })();
      return ended.then(() => {});
    },
  };

  async function carry(pages: Duplex): Promise<void> {
    if (arriving === undefined || ended !== undefined) throw new FarmError('move.broken', 'no job is awaited');
    await receivePages(pages, await arriving.listen());
  }
}
