// What `farm serve` and its NFS processes tell each other. The first is only sent; NFS calls go over sockets of their own.
import type { Fields, Level } from '../base/log.ts';
import type { NfsEvent } from '../nfs/exports.ts';
import type { Published } from './live.ts';

/** What of the published farm can be sent; the process makes the rest from it. */
export type Served = Pick<Published, 'farm' | 'overlay' | 'openmosixMap'>;

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
  /** Forget what this node has written; answered by `wiped` with the same number. */
  | { readonly kind: 'wipe'; readonly number: number; readonly node: string }
  | { readonly kind: 'close' };

export type FromProcess =
  | { readonly kind: 'ready' }
  /** `error` says why not. */
  | { readonly kind: 'wiped'; readonly number: number; readonly error: string | undefined }
  | { readonly kind: 'log'; readonly level: Level; readonly event: string; readonly fields: Fields }
  | { readonly kind: 'observed'; readonly event: NfsEvent };
