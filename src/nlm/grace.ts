// The grace period after a restart: who held locks takes them back, everybody else waits. C702 11.2.
import type { Ipv4 } from '../base/addresses.ts';
import type { NlmStatus } from './nlm.ts';

/** As lockd's: five times its own time-out. Long enough for a client that reclaims thousands, ms. */
export const graceTime = 50_000;

export class Grace {
  /** Who held locks when the server ended and may have them back; undefined when the grace period is over. */
  private holders: ReadonlySet<Ipv4> | undefined;

  constructor(holders: readonly Ipv4[]) {
    this.holders = holders.length > 0 ? new Set(holders) : undefined;
  }

  get isOver(): boolean {
    return this.holders === undefined;
  }

  /** Whether `client` may still take back what it held. */
  awaits(client: Ipv4): boolean {
    return this.holders?.has(client) ?? false;
  }

  /** Why a request has to wait for the end of the grace period, or comes too late for it. */
  barred(client: Ipv4, reclaim: boolean): NlmStatus | undefined {
    if (this.holders === undefined) return reclaim ? 'DENIED' : undefined;
    if (!reclaim) return 'DENIED_GRACE_PERIOD';
    // Who held nothing at the end can only have lost it before, and others may have had it since (as RFC 7530 9.6.3.4 explains).
    return this.holders.has(client) ? undefined : 'DENIED';
  }

  /** Ends it; who could have taken locks back. */
  end(): readonly Ipv4[] {
    const holders = [...(this.holders ?? [])];
    this.holders = undefined;
    return holders;
  }
}
