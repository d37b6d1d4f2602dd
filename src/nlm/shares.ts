// Share reservations of DOS-like clients: who has a file open for what, and what others may not do meanwhile. C702 11.2.8. No I/O, no clock.
import type { Ipv4 } from '../base/addresses.ts';
import type { FileIdentity } from './lock.ts';

/** Opens by one client of one file, told apart by their owner handle. */
export interface Share {
  readonly file: FileIdentity;
  readonly client: Ipv4;
  readonly ownerHandle: Buffer;
  /** `shareBits` of what others are denied, and of what this one does. */
  readonly mode: number;
  readonly access: number;
}

export interface ShareLimits {
  readonly perClient: number;
  readonly inAll: number;
}

const defaultShareLimits: ShareLimits = { perClient: 1024, inAll: 16_384 };

type Kept = Pick<Share, 'client' | 'mode' | 'access'>;

export class ShareTable {
  private readonly limits: ShareLimits;
  private readonly files = new Map<FileIdentity, Map<string, Kept>>();
  private readonly perClient = new Map<Ipv4, number>();
  private count = 0;

  constructor(limits: ShareLimits = defaultShareLimits) {
    this.limits = limits;
  }

  held(client: Ipv4): number {
    return this.perClient.get(client) ?? 0;
  }

  /** Reserves, or changes what the same owner has reserved. */
  share(share: Share): 'granted' | 'denied' | 'full' {
    const { file, client, mode, access } = share;
    const own = keyOf(share);
    const shares = this.files.get(file) ?? new Map<string, Kept>();
    for (const [key, other] of shares) if (key !== own && ((access & other.mode) !== 0 || (mode & other.access) !== 0)) return 'denied';
    if (!shares.has(own)) {
      if (this.held(client) >= this.limits.perClient || this.count >= this.limits.inAll) return 'full';
      this.add(client, 1);
    }
    shares.set(own, { client, mode, access });
    this.files.set(file, shares);
    return 'granted';
  }

  /** Nothing if there is no such reservation. */
  unshare(share: Pick<Share, 'file' | 'client' | 'ownerHandle'>): void {
    const shares = this.files.get(share.file);
    if (shares?.delete(keyOf(share)) !== true) return;
    this.add(share.client, -1);
    if (shares.size === 0) this.files.delete(share.file);
  }

  /** Frees everything of a client; returns how many that were. */
  free(client: Ipv4): number {
    const freed = this.held(client);
    if (freed === 0) return 0;
    for (const [file, shares] of this.files) {
      for (const [key, other] of shares) if (other.client === client) shares.delete(key);
      if (shares.size === 0) this.files.delete(file);
    }
    this.add(client, -freed);
    return freed;
  }

  private add(client: Ipv4, change: number): void {
    const held = this.held(client) + change;
    if (held === 0) this.perClient.delete(client);
    else this.perClient.set(client, held);
    this.count += change;
  }
}

function keyOf({ client, ownerHandle }: Pick<Share, 'client' | 'ownerHandle'>): string {
  return `${client} ${ownerHandle.toString('latin1')}`;
}
