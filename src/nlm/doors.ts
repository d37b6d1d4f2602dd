// What the lock service is given: questions about files and clients, time, and a way to call clients.
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Caller } from '../rpc/program.ts';
import type { RemoteAnswer, RemoteCall } from './exchange.ts';
import type { FileIdentity } from './lock.ts';
import type { NlmVersion } from './nlm.ts';

export interface LockQuestions {
  /** Whether the client may mount anything here. Others are told nothing and never called. */
  readonly admits: (client: Ipv4) => boolean;
  /**
   * The file that a handle names, whether or not it still exists: what is locked can be removed, and must be unlocked after that. Undefined for a
   * handle that we never gave to this client. Two clients that see one file must get one identity, or they do not exclude each other.
   */
  readonly identify: (handle: Buffer, client: Ipv4) => FileIdentity | undefined;
  /** Whether this user may lock: to read (shared), or to write. `stale`: there is no such file any more, or it is none that can be locked. */
  readonly permit: (handle: Buffer, caller: Caller, exclusive: boolean) => 'yes' | 'stale' | 'denied' | 'read-only';
}

/** Time and waiting; tests have their own. */
export interface Timers extends Clock {
  /** Runs `run` in so many ms unless the returned function is called before. */
  after(milliseconds: number, run: () => void): () => void;
}

export interface LockDoors {
  readonly questions: LockQuestions;
  readonly timers: Timers;
  readonly call: (call: RemoteCall) => Promise<RemoteAnswer>;
  readonly log: Log;
}

export interface Asker extends Caller {
  /** Our address that was asked. */
  readonly server: Ipv4;
  readonly version: NlmVersion;
}

/** What it takes to tell a waiting client that it has its lock: all as it asked for it, because that is how clients recognise it. */
export interface Callback {
  readonly server: Ipv4;
  readonly version: NlmVersion;
  readonly handle: Buffer;
  readonly offset: bigint;
  readonly length: bigint;
  /** It asked by LOCK_MSG. */
  readonly asynchronous: boolean;
}
