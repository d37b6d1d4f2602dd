// What `farm serve` and its NFS processes tell each other. The first is only sent; NFS calls go over sockets of their own.
import type { Ipv4 } from '../base/addresses.ts';
import type { Fields, Level } from '../base/log.ts';
import type { NfsEvent } from '../nfs/exports.ts';
import type { Mapping } from '../rpc/portmap/mappings.ts';
import type { Published } from './live.ts';

/** What of the published farm can be sent; the process makes the rest from it. */
export type Served = Pick<Published, 'farm' | 'overlay' | 'openmosixMap'>;

export type Question =
  /** Forget what this node has written. */
  | { readonly kind: 'wipe'; readonly node: string }
  /** Serve the locks on this address, too. */
  | { readonly kind: 'locks'; readonly address: Ipv4 };

/** Of the lock servers on one address: what they are bound to, and what the port mapper has to tell. */
export interface Answer {
  readonly sockets: readonly string[];
  readonly mappings: readonly Mapping[];
}

export type ToProcess =
  | {
      readonly kind: 'start';
      /** Which of `relays` it listens on; the others lead to the other processes. */
      readonly index: number;
      readonly relays: readonly string[];
      readonly directory: string;
      readonly key: Uint8Array;
      readonly served: Served;
    }
  | { readonly kind: 'published'; readonly served: Served }
  /** With the socket beside it. */
  | { readonly kind: 'connection' }
  /** To be answered with the same number. */
  | { readonly kind: 'ask'; readonly number: number; readonly question: Question }
  /** The locks of this address are free. */
  | { readonly kind: 'release'; readonly address: Ipv4; readonly why: string }
  | { readonly kind: 'close' };

export type FromProcess =
  | { readonly kind: 'ready' }
  /** `error` says why not. */
  | { readonly kind: 'answer'; readonly number: number; readonly answer: Answer | undefined; readonly error: string | undefined }
  | { readonly kind: 'log'; readonly level: Level; readonly event: string; readonly fields: Fields }
  /** `begins`: the mount begins a boot of the client. */
  | { readonly kind: 'observed'; readonly event: NfsEvent; readonly begins: boolean };
