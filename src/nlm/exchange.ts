// One call of one port of another machine: what it is given, and what can come of it.
import type { Ipv4 } from '../base/addresses.ts';
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import type { Accepted, RemoteProcedure } from '../rpc/call.ts';
import type { Transport } from '../rpc/program.ts';

export interface RemoteCall extends RemoteProcedure {
  /** The address that the peer knows us by: it is what the call comes from. */
  readonly from: Ipv4;
  readonly to: Ipv4;
  /** In this order, until one works. */
  readonly transports: readonly Transport[];
  /** Whether the next is tried even if the call may have arrived by the one before. */
  readonly repeatable: boolean;
  readonly args: (writer: ByteWriter) => void;
}

/** `repeated`: it was sent more than once and may have been done more than once. `arrived`: it may have been done, though nobody said so. */
export type RemoteAnswer =
  | { readonly kind: 'answered'; readonly results: ByteReader; readonly repeated: boolean }
  | { readonly kind: 'unanswered'; readonly reason: string; readonly arrived: boolean };

export type Exchange =
  | { readonly kind: 'reply'; readonly reply: Accepted; readonly repeated: boolean }
  | { readonly kind: 'none'; readonly reason: string; readonly arrived: boolean };

export interface Exchanger {
  /** Never rejects. */
  readonly exchange: (call: RemoteCall, port: number) => Promise<Exchange>;
  /** Ends calls under way. */
  readonly close: () => void;
}
