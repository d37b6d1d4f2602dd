// One direction of a job's streams: numbered bytes that are kept until the other side has used them, so that a broken connection or a move costs none. Pure state.
import { WireError } from '../../base/errors.ts';

/** Bytes on their way that nobody has used yet: beyond it the writer waits. A pipe of Linux has as much. */
const windowBytes = 64 * 1024;
/** What a job had written into its pipe when it was frozen is sent in any case, and its pipe may have been made larger. */
export const backlogMax = 4 * 1024 * 1024;

/** What is kept for a job that may go back to a checkpoint; what comes after that costs its beginning, and the way back. */
export const replayMax = 4 * 1024 * 1024;

/**
 * What a sender that was made again from a checkpoint does where the other side has more than it had sent then. `exact`: there is no such thing. `repeats`: it
 * writes all of that once more, and it is left out. `follows`: what it says now is new, and comes after that.
 */
export type Again = 'exact' | 'repeats' | 'follows';

/** The side that sends. Offsets count from the job's first byte. */
export class Outgoing {
  private kept: Buffer[] = [];
  private readonly again: Again;
  /** Bytes that the job is still to write once more. */
  private repeated = 0;
  /** All from here on is kept, used or not. */
  private held = Number.POSITIVE_INFINITY;
  /** Offset after the last byte that has reached whom it is for. */
  used: number;
  /** Offset of the first byte that is kept: all before it was used by the other side, and no checkpoint wants it. */
  base: number;
  /** Offset after the last byte that was given. */
  end: number;
  /** Offset of the next byte to be sent on this connection. */
  sent: number;
  /** What the other side has, used or not. */
  received: number;
  ended = false;

  constructor(from: number, again: Again = 'exact') {
    this.again = again;
    this.base = from;
    this.end = from;
    this.sent = from;
    this.received = from;
    this.used = from;
  }

  /** How far the writer is: behind `end` while it repeats what the other side has. */
  get position(): number {
    return this.end - this.repeated;
  }

  /** Whether the other side can have all from there on once more. */
  reaches(offset: number): boolean {
    return offset >= this.base && offset <= this.end;
  }

  /** Keeps what is used, from this offset on: a checkpoint begins there. From what there is, if that is later. */
  hold(offset: number): void {
    this.held = offset;
    this.spare();
  }

  /** Bytes that may be given before the writer has to wait. */
  get room(): number {
    return this.ended ? 0 : Math.max(0, windowBytes - (this.end - this.used));
  }

  give(bytes: Buffer): void {
    const fresh = bytes.subarray(this.repeated);
    this.repeated -= bytes.length - fresh.length;
    if (fresh.length === 0) return;
    this.kept.push(fresh);
    this.end += fresh.length;
  }

  /** At most `most` of the bytes that are to be sent next. */
  next(most: number): { readonly offset: number; readonly bytes: Buffer } | undefined {
    if (this.sent - this.used >= backlogMax - most) return undefined; // only what is replayed can be so much
    let at = this.base;
    for (const piece of this.kept) {
      const after = at + piece.length;
      if (this.sent < after) {
        const bytes = piece.subarray(this.sent - at, this.sent - at + most);
        const offset = this.sent;
        this.sent += bytes.length;
        return { offset, bytes };
      }
      at = after;
    }
    return undefined;
  }

  /** A new connection: the other side says how far it is. Throws `WireError` `job.offset` where bytes between would be lost. */
  restart(received: number, used: number): void {
    if (received > this.end) this.catchUp(received);
    if (received < this.base || received > this.end)
      throw new WireError('job.offset', 0, `the other side is at ${received}, not at ${this.base} to ${this.end}`);
    this.sent = received;
    this.used = Math.min(this.used, used); // it went back to a checkpoint
    this.acknowledge(received, used);
  }

  /** The other side has more than there is here: it had that from this job before it went back. */
  private catchUp(received: number): void {
    if (this.again === 'exact') return;
    if (this.again === 'repeats') {
      this.repeated += received - this.end;
      this.kept = [];
    }
    this.base = received;
    this.sent = received;
    this.used = received;
    this.end = received + this.kept.reduce((sum, { length }) => sum + length, 0);
  }

  /** Throws `WireError` `job.offset`. */
  acknowledge(received: number, used: number): void {
    if (used > received || received > this.sent) {
      throw new WireError('job.offset', 0, `${used} of ${received} bytes are acknowledged, ${this.sent} were sent`);
    }
    this.received = Math.max(this.received, received);
    this.used = Math.max(this.used, used);
    this.spare();
  }

  /** Lets go of what nobody will ask for. */
  private spare(): void {
    const wanted = Math.min(this.used, Math.max(this.held, this.end - replayMax));
    while (this.base < wanted) {
      const [first] = this.kept;
      if (first === undefined) break;
      const spare = Math.min(first.length, wanted - this.base);
      if (spare === first.length) this.kept.shift();
      else this.kept[0] = first.subarray(spare);
      this.base += spare;
    }
  }
}

/** The side that receives. */
export class Incoming {
  received: number;
  /** Offset up to which the bytes have reached whom they are for. */
  used: number;
  /** Offset of the end, once it is known. */
  end: number | undefined;

  constructor(from: number) {
    this.received = from;
    this.used = from;
  }

  get isOver(): boolean {
    return this.end !== undefined && this.used === this.end;
  }

  /** What is new of these bytes. Throws `WireError` `job.offset` where some are missing before them, `job.backlog`. */
  take(offset: number, bytes: Buffer): Buffer {
    if (offset > this.received) throw new WireError('job.offset', 0, `bytes from ${offset} on after the first ${this.received}`);
    const fresh = bytes.subarray(this.received - offset);
    if (this.end !== undefined && this.received + fresh.length > this.end) throw new WireError('job.offset', 0, 'bytes after the end');
    if (this.received + fresh.length - this.used > backlogMax) throw new WireError('job.backlog', 0, 'more bytes than were asked for');
    this.received += fresh.length;
    return fresh;
  }

  /** Throws `WireError` `job.offset`. */
  finish(offset: number): void {
    if (offset !== this.received) throw new WireError('job.offset', 0, `an end at ${offset} after ${this.received} bytes`);
    this.end = offset;
  }
}
