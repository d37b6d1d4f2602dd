// The HTTP/1.1 server of boot files, the dashboard and the local control socket: RFC 9110 and 9112 as far as boot firmware goes.
import { createServer as createPlain, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecure } from 'node:https';
import type { Socket, Server as StreamServer } from 'node:net';
import { ipv4FromPeer } from '../base/addresses.ts';
import { sentence, systemCode } from '../base/errors.ts';
import type { Service } from '../base/service.ts';
import { type AdmissionLimits, openAdmission } from './admission.ts';
import { readTls, reportDoubt, type TlsFiles, type TlsMaterial, watchTls } from './certificate.ts';
import { type ExchangeLimits, type ExchangeOptions, Exchanges } from './exchange.ts';
import { type HttpPlace, listen, socketName } from './listen.ts';
import { paceBytes, paceEvery } from './pace.ts';
import { Pieces } from './pieces.ts';
import { Turns } from './turns.ts';

export type { HttpRequest, HttpRoutes } from './exchange.ts';

export interface HttpLimits extends AdmissionLimits, ExchangeLimits {
  /** Milliseconds for a request's head, and for the TLS handshake before the first. */
  readonly head: number;
  /** Milliseconds without a byte in either direction while an answer is under way: longer than a ROM needs to unpack what it has. */
  readonly idle: number;
  /** Milliseconds that a connection is kept for the next request. */
  readonly keepAlive: number;
  /** Milliseconds between two looks at how far each download has come. */
  readonly paceEvery: number;
  /** Requests that a client may send before the first is answered. */
  readonly pipelined: number;
  /** Milliseconds that answers under way get to end when the server closes. */
  readonly closing: number;
}

const defaultLimits: HttpLimits = {
  connections: 2048,
  connectionsPerClient: 64,
  body: 1_048_576,
  head: 10_000,
  request: 30_000,
  idle: 120_000,
  keepAlive: 15_000,
  pace: paceBytes,
  paceEvery,
  pipelined: 32,
  closing: 5000,
};

/** What several servers of one process can share: the files in memory, and the turns at sending. */
export interface HttpShared {
  readonly pieces: Pieces;
  readonly turns: Turns;
}

export interface HttpTls extends TlsFiles {
  readonly port: number;
  /** Milliseconds between two looks at the files. */
  readonly every?: number;
}

export type HttpServerOptions = HttpPlace &
  ExchangeOptions & {
    /** A second listener on the same address, for the same routes. */
    readonly tls?: HttpTls;
    readonly shared?: HttpShared;
    readonly limits?: Partial<HttpLimits>;
  };

/**
 * Binds and serves. Throws `FarmError`: `port.taken`, `port.privilege`, `address.absent`, `port.failed`, and with `tls` also `tls.absent`,
 * `tls.unreadable`, `tls.certificate`, `tls.key`, `tls.mismatch`. An expired certificate is served, and an event of level error.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<Service> {
  const { log, clock } = options;
  const limits: HttpLimits = { ...defaultLimits, ...options.limits };
  const shared = options.shared ?? { pieces: new Pieces(clock), turns: new Turns() };
  const exchanges = new Exchanges(options, limits, shared.pieces, shared.turns);
  const admit = openAdmission(limits, options.proxySecret !== undefined, log, clock);
  const servers: Server[] = [];
  const sockets: string[] = [];
  let stopWatching = () => {};
  let closing: Promise<void> | undefined;

  async function begin(server: Server, place: HttpPlace): Promise<void> {
    server.timeout = limits.idle;
    const queue = openQueue(limits.pipelined, async (request, response) => {
      await exchanges.answer(request, response, 'socketPath' in place);
      if (closing !== undefined) server.closeIdleConnections();
    });
    server.on('request', queue);
    server.on('clientError', (error, socket: Socket) => {
      const logBounded = exchanges.logOf(ipv4FromPeer(socket.remoteAddress ?? ''));
      if (systemCode(error) !== 'ECONNRESET') logBounded('debug', 'http.malformed', { reason: sentence(error) });
      refuse(error, socket);
    });
    await listen(server, place);
    server.on('error', (error) => log('warn', 'http.socket', { reason: sentence(error) }));
    servers.push(server);
    sockets.push(socketName(server, place));
  }

  async function close(): Promise<void> {
    stopWatching();
    clearInterval(looking);
    const ended = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const server of servers) server.closeIdleConnections();
    const grace = setTimeout(() => {
      for (const server of servers) server.closeAllConnections();
    }, limits.closing);
    await Promise.all(ended);
    clearTimeout(grace);
  }

  const looking = setInterval(() => exchanges.endTheSlow(), limits.paceEvery).unref();
  try {
    const plain = createPlain(timing(limits));
    plain.on('connection', admit);
    await begin(plain, options);
    if (options.tls !== undefined && !('socketPath' in options)) {
      const { tls } = options;
      const material = readTls(tls);
      reportDoubt(material, log, clock);
      const secure = createSecure({ ...timing(limits), handshakeTimeout: limits.head, ...pair(material) });
      secure.on('connection', admit);
      await begin(secure, { address: options.address, port: tls.port });
      const renewed = (next: TlsMaterial) => {
        secure.setSecureContext(pair(next));
        reportDoubt(next, log, clock);
      };
      stopWatching = watchTls(tls, material, renewed, log, tls.every);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    name: 'http',
    sockets,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

function timing(limits: HttpLimits) {
  return {
    headersTimeout: limits.head,
    requestTimeout: 0, // of bodies: a POST has its own time, an upload has to keep its pace
    keepAliveTimeout: limits.keepAlive,
    connectionsCheckingInterval: Math.min(limits.head, 5000),
  };
}

function pair({ cert, key }: TlsMaterial) {
  return { cert, key };
}

/** What was no request: told so, and closed. What was no TLS either (ERR_SSL_, ERR_TLS_) could not read it. */
function refuse(error: Error, socket: Socket): void {
  const isHttp = /^(HPE_|ERR_HTTP_)/.test(systemCode(error) ?? '');
  if (isHttp && socket.writable) socket.end(`HTTP/1.1 ${malformedStatus(error)}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  else socket.destroy();
}

function malformedStatus(error: Error): string {
  switch (systemCode(error)) {
    case 'HPE_HEADER_OVERFLOW':
      return '431 Request Header Fields Too Large';
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return '408 Request Timeout';
    default:
      return '400 Bad Request';
  }
}

/**
 * Requests of one connection one after the other (RFC 9112 9.3.2): node:http hands over all that a client has pipelined at once, and each
 * would hold a file open. A client that sends more than `most` ahead is cut off.
 */
function openQueue(most: number, answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>) {
  const queues = new WeakMap<StreamServer | Socket, { tail: Promise<void>; length: number }>();
  return (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    const queue = queues.get(socket) ?? { tail: Promise.resolve(), length: 0 };
    queues.set(socket, queue);
    if (queue.length > most) {
      socket.destroy();
      return;
    }
    queue.length += 1;
    queue.tail = queue.tail.then(async () => {
      if (!socket.destroyed) await answer(request, response);
      queue.length -= 1;
    });
  };
}
