// Asking whether anybody uses an address: what the doors arp.ts and ping.ts have in common.
import type { Ipv4, Mac } from './addresses.ts';
import type { FarmError } from './errors.ts';

export type ProbeVerdict =
  | { readonly kind: 'silent' }
  | { readonly kind: 'answered'; readonly by?: Mac }
  /** It could not be asked. */
  | { readonly kind: 'unknown' };

export interface ProbeDoorOptions {
  readonly onOpen: () => void;
  /** It could not be opened, or was lost; it is tried again in `retryMilliseconds`. */
  readonly onLost: (error: FarmError, retryMilliseconds: number) => void;
}

export interface ProbeDoor {
  /** Settles after the first try, with `onOpen` or `onLost` called. */
  readonly tried: Promise<void>;
  readonly isOpen: boolean;
  /** Never rejects. The verdict is there within half a second. */
  probe(address: Ipv4): Promise<ProbeVerdict>;
  /** May be called twice. What is under way ends as `unknown`. */
  close(): Promise<void>;
}

/** Asked twice, because one frame may get lost: a host on a LAN answers in milliseconds, one that sleeps in some hundred. */
const askMilliseconds = 250;

interface Asking {
  readonly verdict: Promise<ProbeVerdict>;
  readonly end: (verdict: ProbeVerdict) => void;
}

/** The questions that are under way. `send` is false if one could not be sent. */
export class Askings {
  private readonly send: (address: Ipv4) => boolean;
  private readonly open = new Map<Ipv4, Asking>();

  constructor(send: (address: Ipv4) => boolean) {
    this.send = send;
  }

  ask(address: Ipv4): Promise<ProbeVerdict> {
    const known = this.open.get(address);
    if (known !== undefined) return known.verdict;
    if (!this.send(address)) return Promise.resolve({ kind: 'unknown' });
    let timer: NodeJS.Timeout | undefined;
    let settle: (verdict: ProbeVerdict) => void = () => {};
    const verdict = new Promise<ProbeVerdict>((resolve) => {
      settle = resolve;
    });
    const end = (value: ProbeVerdict): void => {
      clearTimeout(timer);
      this.open.delete(address);
      settle(value);
    };
    timer = setTimeout(() => {
      if (!this.send(address)) return end({ kind: 'unknown' });
      timer = setTimeout(() => end({ kind: 'silent' }), askMilliseconds);
    }, askMilliseconds);
    this.open.set(address, { verdict, end });
    return verdict;
  }

  /** An answer, or that there can be none, as far as somebody asked. */
  settle(address: Ipv4, verdict: ProbeVerdict): void {
    this.open.get(address)?.end(verdict);
  }

  abandon(): void {
    for (const { end } of [...this.open.values()]) end({ kind: 'unknown' });
  }
}
