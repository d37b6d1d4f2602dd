// Whose turn it is to send, and how much: so much in one turn of the event loop that a DHCP request never waits long for it.

/** Bytes started in one turn of the loop: half a millisecond of copying. */
const turnBytes = 1_048_576;

/**
 * Bytes given to the system for all who send, together. What a full socket leaves of them goes out when it drains, and all may drain in one
 * turn of the loop: five milliseconds of copying.
 */
const underWayBytes = 33_554_432;

/** Of one sender at a time. More saves no more processor time, less costs it. */
const mostBytes = 1_048_576;
const leastBytes = 65_536;

/**
 * A socket that drains as fast as it is filled calls back at once and would keep the loop to itself; 64 of them keep it for half a second.
 * So each waits for its turn, first come, first served, and whatever else has come meanwhile is looked at between two turns.
 */
export class Turns {
  private senders = 0;
  private waiting: ((bytes: number) => void)[] = [];
  private isUnderWay = false;

  enter(): void {
    this.senders += 1;
  }

  leave(): void {
    this.senders -= 1;
  }

  /** How much one sender may have under way now: `leastBytes` to `mostBytes`. */
  get share(): number {
    return Math.max(leastBytes, Math.min(mostBytes, Math.floor(underWayBytes / Math.max(1, this.senders))));
  }

  /** Settles when the caller may send at once, with how many bytes. */
  next(): Promise<number> {
    return new Promise((go) => {
      this.waiting.push(go);
      if (this.isUnderWay) return;
      this.isUnderWay = true;
      setImmediate(() => this.turn());
    });
  }

  private turn(): void {
    const { share } = this;
    const now = this.waiting.slice(0, Math.max(1, Math.floor(turnBytes / share)));
    this.waiting = this.waiting.slice(now.length);
    for (const go of now) go(share);
    this.isUnderWay = this.waiting.length > 0;
    if (this.isUnderWay) setImmediate(() => this.turn());
  }
}
