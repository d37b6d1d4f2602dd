// The TFTP server: answers read requests on one port, each by a transfer on a socket of its own (RFC 1350 4).
import type { RemoteInfo, Socket } from 'node:dgram';
import { type Ipv4, ipv4FromPeer } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { openUdp } from '../base/datagrams.ts';
import { FarmError, sentence, WireError } from '../base/errors.ts';
import type { Fields, Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { OpenTftpFile, TftpFile } from './files.ts';
import { netasciiFile } from './netascii.ts';
import { decode, encode, errorCodes, type TftpPacket } from './packet.ts';
import { servedPath } from './path.ts';
import { type Sender, startSender } from './sender.ts';
import { agree } from './terms.ts';

export interface TftpLimits {
  /** Transfers at once. 1024 nodes that are switched on together, at two sockets and 100 kB each, are within any server. */
  readonly transfers: number;
  /** Of one client. Loaders fetch one file at a time; a node that restarts leaves a few behind. */
  readonly transfersPerClient: number;
  /** Largest block: 1468 fills a 1500-byte frame. Boot ROMs cannot put IP fragments together. */
  readonly blksize: number;
  /** Largest window: 64 blocks are what a ROM's receive ring holds at best. */
  readonly windowsize: number;
  /** Milliseconds that transfers under way get to end when the server closes. */
  readonly closing: number;
}

const defaultLimits: TftpLimits = { transfers: 1024, transfersPerClient: 16, blksize: 1468, windowsize: 64, closing: 5000 };

/** A request that is repeated sooner is the same one again; later, the client has started anew with the same port. Milliseconds. */
const repeatWithin = 1000;

/** The least time between two `tftp.busy` events. Milliseconds. */
const busyEvery = 1000;

export interface TftpServerOptions {
  readonly address: Ipv4;
  /** By default 69; 0 lets the system choose. */
  readonly port?: number;
  /** The only network interface that requests are taken from. */
  readonly interface?: string;
  /**
   * The file for a client's request; undefined if there is none. `path` is relative, with single slashes and without `..`. What it throws
   * is logged; the client gets a general error.
   */
  readonly source: (path: string, client: Ipv4) => Promise<TftpFile | undefined>;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: Partial<TftpLimits>;
}

interface Session {
  readonly request: string;
  readonly client: Ipv4;
  /** Absent while the file is looked up. */
  sender?: Sender;
}

type ReadRequest = Extract<TftpPacket, { op: 'read' | 'write' }>;

/** Binds and serves. Throws what `openUdp` throws. */
export async function startTftpServer(options: TftpServerOptions): Promise<Service> {
  const { address, source, log, clock } = options;
  const limits: TftpLimits = { ...defaultLimits, ...options.limits };
  const socket = await openUdp({
    address,
    port: options.port ?? 69,
    ...(options.interface === undefined ? {} : { interface: options.interface }),
  });
  const bound = socket.address();
  /** By the client's address and port, its transfer id (RFC 1350 4). */
  const sessions = new Map<string, Session>();
  const serving = new Set<Promise<void>>();
  let turnedAway = 0;
  let busyAt = Number.NEGATIVE_INFINITY;
  let closing: Promise<void> | undefined;
  let cutOff = false;

  function refuse(peer: RemoteInfo, code: number, message: string): void {
    if (closing === undefined) socket.send(encode({ op: 'error', code, message }), peer.port, peer.address);
  }

  function received(datagram: Buffer, peer: RemoteInfo): void {
    const client = ipv4FromPeer(peer.address);
    if (client === undefined || peer.port === 0 || closing !== undefined) return;
    let packet: TftpPacket;
    try {
      packet = decode(datagram);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      log('debug', 'tftp.malformed', { client, code: error.code, reason: error.message });
      return;
    }
    if (packet.op === 'read') {
      begin(packet, client, peer);
    } else if (packet.op === 'write') {
      log('warn', 'tftp.refused', { client, file: printable(packet.file), reason: 'it wants to write' });
      refuse(peer, errorCodes.access, 'This server is read-only');
    } else {
      log('debug', 'tftp.stray', { client, op: packet.op }); // transfers have their own ports
    }
  }

  function begin(request: ReadRequest, client: Ipv4, peer: RemoteInfo): void {
    const key = `${client}:${peer.port}`;
    const identity = JSON.stringify(request);
    const before = sessions.get(key);
    if (before !== undefined) {
      if (before.sender === undefined) return; // still looking up its file
      const heardAt = before.sender.heardAt();
      const isRepeat = before.request === identity && (heardAt === undefined || clock.now() - heardAt < repeatWithin);
      if (isRepeat) return; // that transfer's timer answers; a second transfer would only confuse the client
      before.sender.end({ kind: 'gone', reason: 'the client began anew' });
      sessions.delete(key);
    }
    if (isBusy(client)) return;
    const session: Session = { request: identity, client };
    sessions.set(key, session);
    const served = serve(request, peer, session).finally(() => {
      if (sessions.get(key) === session) sessions.delete(key);
      serving.delete(served);
    });
    serving.add(served);
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

  async function serve(request: ReadRequest, peer: RemoteInfo, session: Session): Promise<void> {
    const { client } = session;
    const name = printable(request.file);
    const startedAt = clock.now();
    let file: OpenTftpFile | undefined;
    try {
      const mode = request.mode.toLowerCase();
      if (mode !== 'octet' && mode !== 'netascii') {
        log('warn', 'tftp.refused', { client, file: name, reason: `mode ${printable(mode)}` });
        refuse(peer, errorCodes.illegal, 'Use mode octet or netascii');
        return;
      }
      const path = servedPath(request.file);
      const found = path === undefined ? undefined : await source(path, client);
      if (found === undefined) {
        log('info', 'tftp.missing', { client, file: name }); // loaders probe for optional files
        refuse(peer, errorCodes.notFound, 'File not found');
        return;
      }
      const content = mode === 'netascii' ? await netasciiFile(found) : found;
      const terms = agree(request.options, content.size, limits);
      file = await content.open();
      const own = await connectedSocket(address, peer);
      const sender = startSender({ terms, file, socket: own, clock });
      file = undefined;
      session.sender = sender;
      if (cutOff) sender.end(shutdown);
      report(log, await sender.ended, { client, file: name, seconds: (clock.now() - startedAt) / 1000 });
    } catch (error) {
      log('error', 'tftp.failed', { client, file: name, reason: sentence(error), hint: error instanceof FarmError ? error.hint : undefined });
      refuse(peer, errorCodes.undefined, 'The server cannot read this file; see its log');
      await file?.close().catch((closeError: unknown) => log('error', 'tftp.failed', { client, file: name, reason: sentence(closeError) }));
    }
  }

  async function close(): Promise<void> {
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    const grace = setTimeout(() => {
      cutOff = true;
      for (const { sender } of sessions.values()) sender?.end(shutdown);
    }, limits.closing);
    await Promise.all(serving);
    clearTimeout(grace);
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

/** Not tied to an interface: connected, it goes where the route to the client goes. */
async function connectedSocket(address: Ipv4, peer: RemoteInfo): Promise<Socket> {
  const socket = await openUdp({ address, port: 0 });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(peer.port, peer.address, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** One event for each transfer. */
function report(log: Log, { outcome, transfer }: Awaited<Sender['ended']>, about: Fields): void {
  const { size, blksize, windowsize } = transfer.terms;
  const figures = { ...about, blksize, window: windowsize, retransmits: transfer.retransmits };
  switch (outcome.kind) {
    case 'done':
      log('info', 'tftp.done', { ...figures, bytes: size, confirmed: outcome.confirmed ? undefined : false });
      break;
    case 'probe':
      log('debug', 'tftp.probe', { ...about, bytes: size });
      break;
    case 'failed':
      log('warn', 'tftp.failed', { ...figures, bytes: Math.min(size, transfer.acked * blksize), reason: outcome.reason });
      break;
  }
}

/** A name that a remote chose, fit for a terminal. */
function printable(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8').replace(/\p{C}/gu, '?').slice(0, 200);
}
