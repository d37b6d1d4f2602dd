// Objects so young that another one could still get the same inode number and the same time of birth: they are held open until that is over.
import { closeSync } from 'node:fs';

/**
 * Births are stamped with the kernel's clock of ticks, 10 ms at most (CONFIG_HZ=100); twice that, because our clock is read a little later. While an object
 * is held, its inode number is not free.
 */
const settledAfter = 20;

/** More at once than a server creates in that time; then the oldest is let go early only after waiting for it. */
const heldMax = 512;

interface Held {
  readonly fd: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export class YoungObjects {
  private held: Held[] = [];
  private readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  get size(): number {
    return this.held.length;
  }

  /** Whether an object of that birth has to be held. A clock that was set back makes none young: no two times are the same to the nanosecond by chance. */
  isYoung(birth: bigint): boolean {
    const age = this.now() - Number(birth / 1_000_000n);
    return age < settledAfter && age > -settledAfter;
  }

  /** Takes over a descriptor of a young object. */
  hold(fd: number): void {
    if (this.held.length >= heldMax) this.release(this.now());
    if (this.held.length >= heldMax) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, settledAfter);
      this.release(Number.POSITIVE_INFINITY);
    }
    this.held.push({ fd, until: this.now() + settledAfter });
  }

  /** Lets go of all that are old enough at `now`. */
  release(now: number = this.now()): void {
    const [first] = this.held;
    if (first === undefined || first.until > now) return;
    const old = this.held.filter(({ until }) => until <= now);
    this.held = this.held.filter(({ until }) => until > now);
    for (const { fd } of old) closeSync(fd);
  }

  close(): void {
    this.release(Number.POSITIVE_INFINITY);
  }
}
