// The TFTP server: takes requests on one port and starts a transfer for each, on a socket of its own (RFC 1350 4) or all on the one port.
import type { RemoteInfo } from 'node:dgram';
import { type Ipv4, ipv4FromPeer } from '../base/addresses.ts';
import { fullBudget, spend } from '../base/budget.ts';
import type { Clock } from '../base/clock.ts';
import { openUdp } from '../base/datagrams.ts';
import { sentence, WireError } from '../base/errors.ts';
import type { Fields, Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { UploadName } from '../base/upload.ts';
import { ownEndpoint, peerKey, sharedEndpoints } from './endpoint.ts';
import type { TftpFile } from './files.ts';
import { fittingBlock } from './mtu.ts';
import { pacer } from './pacer.ts';
import { decode, encode } from './packet.ts';
import { isRepeat } from './repeat.ts';
import { type Ongoing, type Request, type Serving, serve } from './serving.ts';

export interface TftpLimits {
  /** Transfers at once. 1024 nodes that are switched on together, at two sockets and 200 kB each, are within any server. */
  readonly transfers: number;
  /** Of one client. Loaders fetch one file at a time; a node that restarts leaves a few behind. */
  readonly transfersPerClient: number;
  /** Largest window: 64 blocks are what a ROM's receive ring holds at best. */
  readonly windowsize: number;
  /** Milliseconds that transfers under way get to end when the server closes. */
  readonly closing: number;
}

const defaultLimits: TftpLimits = { transfers: 1024, transfersPerClient: 16, windowsize: 64, closing: 5000 };

/** The least time between two `tftp.busy` events. Milliseconds. */
const busyEvery = 1000;

/** With a single port the ACKs of all transfers wait in one queue: this many bytes of it. The system may allow less (net.core.rmem_max). */
const sharedReceiveBuffer = 2 ** 22;

export interface TftpServerOptions {
  readonly address: Ipv4;
  /** By default 69; 0 lets the system choose. */
  readonly port?: number;
  /** The only network interface that requests are taken from. */
  readonly interface?: string;
  /**
   * The file for a client's request; undefined if there is none. `path` is relative, with single slashes and without `..`; asked again in
   * small letters if there is none. What it throws is logged; the client gets a general error.
   */
  readonly source: (path: string, client: Ipv4) => Promise<TftpFile | undefined>;
  /** Where a client may write a file, undefined: nowhere. Without this function nobody may write. */
  readonly upload?: (path: string, client: Ipv4) => Promise<UploadName | undefined>;
  /** Everything from the one port, for firewalls that know no TFTP. */
  readonly singlePort?: boolean;
  /** Bytes of the largest block. Undefined: what fits into one frame of the interface that has `address`. */
  readonly largestBlock?: number;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: Partial<TftpLimits>;
}

interface Session {
  readonly request: string;
  readonly client: Ipv4;
  /** Absent while the file is looked up. */
  ongoing?: Ongoing;
}

/** Binds and serves. Throws what `openUdp` throws. */
export async function startTftpServer(options: TftpServerOptions): Promise<Service> {
  const { address, log, clock } = options;
  const limits: TftpLimits = { ...defaultLimits, ...options.limits };
  const socket = await openUdp({
    address,
    port: options.port ?? 69,
    ...(options.interface === undefined ? {} : { interface: options.interface }),
    ...(options.singlePort === true ? { receiveBuffer: sharedReceiveBuffer } : {}),
  });
  const bound = socket.address();
  const shared = options.singlePort === true ? sharedEndpoints(socket) : undefined;
  /** By the client's transfer id. */
  const sessions = new Map<string, Session>();
  const underWay = new Set<Promise<void>>();
  let budget = fullBudget(clock.now());
  let turnedAway = 0;
  let busyAt = Number.NEGATIVE_INFINITY;
  let closing: Promise<void> | undefined;
  let cutOff = false;

  /** For what any stranger can cause with one datagram. */
  function logBriefly(level: 'info' | 'warn', event: string, fields: Fields): void {
    const { allowed, suppressed, next } = spend(budget, clock.now());
    budget = next;
    if (allowed) log(level, event, suppressed === 0 ? fields : { ...fields, suppressed });
  }

  const serving: Serving = {
    source: options.source,
    upload: options.upload,
    log,
    logBriefly,
    clock,
    pacer: pacer(),
    most: () => ({ blksize: options.largestBlock ?? fittingBlock(address), windowsize: limits.windowsize }),
    endpoint: (peer) => (shared === undefined ? ownEndpoint(address, peer) : shared.open(peer)),
    refuse: (peer, code, message) => {
      if (closing === undefined) socket.send(encode({ op: 'error', code, message }), peer.port, peer.address);
    },
  };

  function received(datagram: Buffer, peer: RemoteInfo): void {
    const isRequest = datagram.length > 1 && datagram.readUInt16BE(0) <= 2;
    if (!isRequest && shared?.deliver(datagram, peer) === true) return;
    const client = ipv4FromPeer(peer.address);
    if (client === undefined || peer.port === 0 || closing !== undefined) return;
    try {
      const packet = decode(datagram);
      if (packet.op === 'read' || packet.op === 'write') begin(packet, client, peer);
      else log('debug', 'tftp.stray', { client, op: packet.op });
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      log('debug', 'tftp.malformed', { client, code: error.code, reason: error.message });
    }
  }

  function begin(request: Request, client: Ipv4, peer: RemoteInfo): void {
    const key = peerKey(peer);
    const identity = JSON.stringify(request);
    const before = sessions.get(key);
    if (before !== undefined) {
      if (before.ongoing === undefined) return; // still looking up its file
      // That transfer's timer answers; a second transfer would only confuse the client.
      if (isRepeat({ request: before.request, heardAt: before.ongoing.heardAt() }, identity, clock.now())) return;
      before.ongoing.end({ kind: 'gone', reason: 'the client began anew' });
      sessions.delete(key);
    }
    if (isBusy(client)) return;
    const session: Session = { request: identity, client };
    sessions.set(key, session);
    const served = serve(serving, { request, client, peer, at: clock.now() }, (ongoing) => {
      session.ongoing = ongoing;
      if (cutOff) ongoing.end(shutdown);
    }).finally(() => {
      if (sessions.get(key) === session) sessions.delete(key);
      underWay.delete(served);
    });
    underWay.add(served);
  }

  /** A client over the limit gets no answer rather than an error: it asks again, and boots when its turn comes. */
  function isBusy(client: Ipv4): boolean {
    let ofClient = 0;
    for (const session of sessions.values()) if (session.client === client) ofClient += 1;
    if (sessions.size < limits.transfers && ofClient < limits.transfersPerClient) return false;
    turnedAway += 1;
    if (clock.now() - busyAt >= busyEvery) {
      log('warn', 'tftp.busy', { client, transfers: sessions.size, ofClient, turnedAway });
      busyAt = clock.now();
      turnedAway = 0;
    }
    return true;
  }

  /** With a single port the transfers need the socket until they end; requests are not taken any more either way. */
  async function close(): Promise<void> {
    const closed = () => new Promise<void>((resolve) => socket.close(() => resolve()));
    if (shared === undefined) await closed();
    const grace = setTimeout(() => {
      cutOff = true;
      for (const { ongoing } of sessions.values()) ongoing?.end(shutdown);
    }, limits.closing);
    await Promise.all(underWay);
    clearTimeout(grace);
    if (shared !== undefined) await closed();
  }

  socket.on('message', received);
  socket.on('error', (error) => log('warn', 'tftp.socket', { reason: sentence(error) }));
  return {
    name: 'tftp',
    sockets: [`udp ${bound.address}:${bound.port}`],
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

const shutdown = { kind: 'stop', message: 'The server is shutting down' } as const;
