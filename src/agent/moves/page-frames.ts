// What criu's page server is told, in frames, and deflated while that pays:
//
//   frame   u8: 0 plain, 1 deflated (RFC 1951) | length u32 | bytes
//
// Gigabytes go through here while a job stands still. So bytes are copied once at the source, into the frame that they are sent in, and not at all at the target.
import type { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import { FarmError, WireError } from '../../base/errors.ts';
import { isOver, type Weighing, weighed } from '../../cluster/deflating.ts';

const headBytes = 5;
/** What is deflated at once: larger gains nothing at level 1, smaller costs a call each. */
export const frameMax = 256 * 1024;
/** While one is on its way the next one is filled. */
const framesMax = 2;

export interface Carried {
  /** Bytes of criu's, and what went over the network for them. */
  plain: number;
  sent: number;
}

interface Filling {
  /** The head and `frameMax` bytes. */
  readonly room: Buffer;
  used: number;
}

const squeeze = promisify<Buffer, { level: number }, Buffer>(deflateRaw);
const unfold = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw);

/** Ends `to` after the end of `from`; settles when all has been given to it. What has come in one turn of the loop goes together. */
export function framePages(from: Readable, to: Writable, carried: Carried, weighing: { now: Weighing }, clock: () => number): Promise<void> {
  let begun = 0;
  let filling: Filling | undefined;
  let left: Buffer | undefined;
  let isDue = false;
  let isEnded = false;
  let window = { plain: 0, sent: 0, began: clock() };
  return new Promise((resolve, reject) => {
    let turn = Promise.resolve();
    const broken = (error?: Error | null): void => reject(error ?? new FarmError('link.down', 'the connection for the pages broke'));

    const send = async (frame: Filling): Promise<void> => {
      const { room, used } = frame;
      const body = room.subarray(headBytes, headBytes + used);
      const less = weighing.now.way === 'deflated' ? await squeeze(body, { level: 1 }) : body;
      const isLess = less.length < used;
      const length = isLess ? less.length : used;
      room.writeUInt8(isLess ? 1 : 0);
      room.writeUInt32BE(length, 1);
      if (isLess) less.copy(room, headBytes);
      to.write(room.subarray(0, headBytes + length), (error) => {
        if (error) broken(error);
        else release();
      });
      carried.plain += used;
      carried.sent += headBytes + length;
      window.plain += used;
      window.sent += length;
      if (!isOver(weighing.now, window)) return;
      weighing.now = weighed(weighing.now, { ...window, spent: clock() - window.began });
      window = { plain: 0, sent: 0, began: clock() };
    };

    const flush = (): void => {
      const frame = filling;
      if (frame === undefined || frame.used === 0) return;
      filling = undefined;
      turn = turn.then(() => send(frame));
      turn.catch(broken);
    };

    /** Its memory is not used again: a stream may hand it on, and say that it is written before its reader has done with it. */
    const begin = (): Filling => {
      begun += 1;
      return { room: Buffer.allocUnsafeSlow(headBytes + frameMax), used: 0 };
    };

    const take = (chunk: Buffer): void => {
      for (let at = 0; at < chunk.length; ) {
        if (filling === undefined && begun === framesMax) {
          left = chunk.subarray(at);
          from.pause();
          return;
        }
        filling ??= begin();
        const taken = chunk.copy(filling.room, headBytes + filling.used, at, at + frameMax - filling.used);
        filling.used += taken;
        at += taken;
        if (filling.used === frameMax) flush();
      }
      if (isDue) return;
      isDue = true;
      setImmediate(() => {
        isDue = false;
        flush();
      });
    };

    const release = (): void => {
      begun -= 1;
      const waiting = left;
      if (waiting === undefined) return;
      left = undefined;
      take(waiting);
      if (left !== undefined) return;
      if (isEnded) finish();
      else from.resume();
    };

    const finish = (): void => {
      flush();
      turn.then(() => resolve(void to.end()), broken);
    };

    from.on('data', take);
    from.once('error', broken);
    from.once('end', () => {
      // A socket says so even while it is paused.
      isEnded = true;
      if (left === undefined) finish();
    });
    from.once('close', () => {
      if (!isEnded) broken();
    });
  });
}

/** Gives what is in the frames that `from` carries to `to`; settles after the end of `from`, and ends `to` not. Throws `WireError` `frame`. */
export function unframePages(from: Readable, to: Writable): Promise<void> {
  const head = Buffer.alloc(headBytes);
  let headHas = 0;
  let frame: Frame | undefined;
  /** What came with the end of a frame that is being inflated. */
  let left: Buffer | undefined;
  let isOpening = false;
  let isCorked = false;
  let isEnded = false;
  return new Promise<void>((resolve, reject) => {
    const broken = (error?: Error): void => reject(error ?? new FarmError('link.down', 'the connection for the pages broke'));

    const give = (bytes: Buffer): void => {
      if (!isCorked) {
        // TLS brings 16 KiB at a time: what has come in one turn of the loop is written at once.
        isCorked = true;
        to.cork();
        setImmediate(() => {
          isCorked = false;
          to.uncork();
        });
      }
      if (!to.write(bytes)) from.pause();
    };

    const open = async (parts: readonly Buffer[]): Promise<void> => {
      isOpening = true;
      from.pause();
      give(await opened(Buffer.concat(parts)));
      isOpening = false;
      goOn();
    };

    /** How many bytes of the chunk belong to the head of the next frame. */
    const begin = (chunk: Buffer, at: number): number => {
      const taken = chunk.copy(head, headHas, at);
      headHas += taken;
      if (headHas < headBytes) return taken;
      frame = frameOf(head);
      headHas = 0;
      return taken;
    };

    /** How many of its bytes belong to this frame. */
    const fill = (into: Frame, chunk: Buffer, at: number): number => {
      const body = chunk.subarray(at, at + into.left);
      into.left -= body.length;
      if (into.parts === undefined) give(body);
      else into.parts.push(body);
      return body.length;
    };

    const take = (chunk: Buffer): void => {
      for (let at = 0; at < chunk.length; ) {
        if (frame === undefined) at += begin(chunk, at);
        if (frame === undefined) return;
        at += fill(frame, chunk, at);
        if (frame.left > 0) return;
        const { parts } = frame;
        frame = undefined;
        if (parts === undefined) continue;
        left = chunk.subarray(at);
        open(parts).catch(reject);
        return;
      }
    };

    const heard = (chunk: Buffer): void => {
      try {
        take(chunk);
      } catch (error) {
        reject(error);
      }
    };

    const goOn = (): void => {
      if (isOpening) return;
      const waiting = left;
      left = undefined;
      if (waiting !== undefined) heard(waiting);
      if (isOpening) return;
      if (isEnded) whole();
      else if (!to.writableNeedDrain) from.resume();
    };

    const whole = (): void => {
      if (headHas === 0 && frame === undefined) resolve();
      else reject(new WireError('frame', 0, 'ends within a frame'));
    };

    from.on('data', heard);
    from.once('error', broken);
    from.once('close', () => {
      if (!isEnded) broken();
    });
    from.once('end', () => {
      // A socket says so even while it is paused.
      isEnded = true;
      if (!isOpening) whole();
    });
    to.on('drain', goOn);
    to.once('close', broken);
  }).finally(() => from.removeAllListeners('data'));
}

interface Frame {
  /** Bytes that are still to come. */
  left: number;
  /** Of a deflated one, so far. */
  readonly parts: Buffer[] | undefined;
}

function frameOf(head: Buffer): Frame {
  const kind = head.readUInt8();
  const length = head.readUInt32BE(1);
  if (kind > 1 || length > frameMax * 2) throw new WireError('frame', 0, `kind ${kind} with ${length} bytes`);
  return { left: length, parts: kind === 0 ? undefined : [] };
}

async function opened(body: Buffer): Promise<Buffer> {
  try {
    return await unfold(body, { maxOutputLength: frameMax });
  } catch (error) {
    throw new WireError('frame', headBytes, `cannot be inflated: ${String(error)}`);
  }
}
