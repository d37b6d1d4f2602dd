// Which datagrams wait to be answered and which are dropped when more come than can be answered. It looks at bytes: what is dropped is never decoded.

/** How long the oldest may wait before the newest is turned away: under the shortest time after which a client asks again (iPXE: 1 s). */
export const patienceMilliseconds = 300;

/** So few are answered in time whatever the oldest has waited: the process stood still for a moment, which is no overload. */
export const fewWaiting = 256;

/** How many of a kind may wait: a bound on memory (1.5 kB each at most), which patience alone is not when the event loop stands still. */
export const mostWaiting = 4_096;

/** Of so many answers one goes to a client that begins, so that a flood of renewals shuts no new machine out. */
const oneInSo = 8;

export interface Arrived<From> {
  readonly datagram: Buffer;
  readonly from: From;
  /** Milliseconds on a clock that nobody sets. */
  readonly at: number;
}

/** `repeated`: the same client's same message waits already, and one answer does for both. */
export type Admission = 'waiting' | 'repeated' | 'overload';

/**
 * Two queues. DISCOVER and BOOTP begin an exchange: whoever is turned away here asks again later. REQUEST and the rest belong to exchanges on
 * which work was spent, and go first. So under overload as many exchanges as possible are finished, not as many as possible begun.
 */
export class Intake<From> {
  private readonly begun = new Queue<From>();
  private readonly beginning = new Queue<From>();
  private served = 0;

  get size(): number {
    return this.begun.size + this.beginning.size;
  }

  /** `now` in milliseconds, never less than before. */
  admit(datagram: Buffer, from: From, now: number): Admission {
    const type = messageType(datagram);
    const queue = type <= discover ? this.beginning : this.begun;
    const { size, oldest } = queue;
    const isLate = oldest !== undefined && now - oldest.at >= patienceMilliseconds;
    if (size >= mostWaiting || (isLate && size >= fewWaiting)) return 'overload';
    return queue.push(keyOf(datagram, type), { datagram, from, at: now }) ? 'waiting' : 'repeated';
  }

  next(): Arrived<From> | undefined {
    this.served = (this.served + 1) % oneInSo;
    const [first, second] = this.served === 0 ? [this.beginning, this.begun] : [this.begun, this.beginning];
    return first.shift() ?? second.shift();
  }
}

const optionsAt = 240;
const pad = 0;
const end = 255;
const messageTypeOption = 53;
const discover = 1;

/** Option 53, which clients send first; 0 for BOOTP and for what is no message at all. The decoder reads it again, and strictly. */
function messageType(datagram: Buffer): number {
  for (let at = optionsAt; at + 2 < datagram.length; ) {
    const code = datagram[at];
    if (code === messageTypeOption) return datagram[at + 2] ?? 0;
    if (code === end) return 0;
    at += code === pad ? 1 : 2 + (datagram[at + 1] ?? 0);
  }
  return 0;
}

/** Relay (giaddr), client (chaddr), transaction and type; the seconds field counts on from one repetition to the next. */
function keyOf(datagram: Buffer, type: number): string {
  return `${datagram.toString('latin1', 24, 44)}${datagram.toString('latin1', 4, 8)}${type}`;
}

/** First in, first out, each key once. */
class Queue<From> {
  private readonly keys = new Set<string>();
  private entries: (readonly [key: string, arrived: Arrived<From>])[] = [];
  private head = 0;

  get size(): number {
    return this.keys.size;
  }

  get oldest(): Arrived<From> | undefined {
    return this.entries[this.head]?.[1];
  }

  /** false: it is in it already. */
  push(key: string, arrived: Arrived<From>): boolean {
    if (this.keys.has(key)) return false;
    this.keys.add(key);
    this.entries.push([key, arrived]);
    return true;
  }

  shift(): Arrived<From> | undefined {
    const entry = this.entries[this.head];
    if (entry === undefined) return undefined;
    this.keys.delete(entry[0]);
    this.head++;
    if (this.head === this.entries.length || this.head === mostWaiting) {
      this.entries = this.entries.slice(this.head);
      this.head = 0;
    }
    return entry[1];
  }
}
