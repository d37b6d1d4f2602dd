// What one RPC server lets its clients use of it.

export interface RpcLimits {
  /** The longest message taken, bytes: a 1 MiB WRITE and its header. */
  readonly recordBytes: number;
  /** Connections in all. */
  readonly connections: number;
  /** Connections of one address: nconnect=16 of a kernel client and some tools beside it. */
  readonly connectionsPerClient: number;
  /** Calls of one connection that wait for a disk; more are not read. */
  readonly inFlight: number;
  /** Calls of all clients over UDP that wait for a disk; more are dropped, and come again. */
  readonly datagramsInFlight: number;
  /** Bytes of answers that a connection may have waiting; then its calls are not read until it takes them. Over UDP, of all clients together. */
  readonly outputBytes: number;
  /** A connection without traffic for so many ms is closed. Kernel clients close theirs after 300 s themselves. */
  readonly idleTime: number;
  /** How long `close` waits for calls under way and for clients to take their answers, ms. */
  readonly closingTime: number;
}

export const defaultLimits: RpcLimits = {
  recordBytes: 1024 * 1024 + 4096,
  connections: 8192,
  connectionsPerClient: 64,
  inFlight: 128,
  datagramsInFlight: 1024,
  outputBytes: 4 * 1024 * 1024,
  idleTime: 360_000,
  closingTime: 1000,
};
