// The HTTP/1.1 server of boot files, the dashboard and the local control socket: RFC 9110 and 9112 as far as boot firmware goes.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Ipv4, ipv4FromPeer } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import { type HttpAnswer, write } from './answers.ts';
import { type HttpPlace, listen, socketName } from './listen.ts';
import { requestTarget } from './target.ts';

export interface HttpLimits {
  /** Connections at once: a thousand nodes that boot together, with some to spare. */
  readonly connections: number;
  /** Of one client: a browser opens six, a downloader sixteen. */
  readonly connectionsPerClient: number;
  /** Bytes of a request's body: what nodes and the command line post is small. */
  readonly body: number;
  /** Milliseconds for a request's head, and for the whole request. */
  readonly head: number;
  readonly request: number;
  /** Milliseconds without a byte in either direction while an answer is under way: longer than a ROM needs to unpack what it has. */
  readonly idle: number;
  /** Milliseconds that a connection is kept for the next request. */
  readonly keepAlive: number;
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
  closing: 5000,
};

/** The least time between two `http.busy` events. Milliseconds. */
const busyEvery = 1000;

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** See `RequestTarget`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Undefined: a process of this machine, over the unix socket. */
  readonly client: Ipv4 | undefined;
  /** Of a POST. */
  readonly body: Buffer | undefined;
}

/** Undefined is 404. A HEAD gets the head of what a GET would, so routes need not tell them apart. */
export type HttpRoutes = (request: HttpRequest) => Promise<HttpAnswer | undefined>;

export type HttpServerOptions = HttpPlace & {
  readonly routes: HttpRoutes;
  /** Paths of which a finished request is no news: logged as a detail. */
  readonly isRoutine?: (path: string) => boolean;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: Partial<HttpLimits>;
};

/** Binds and serves. Throws `FarmError`: `port.taken`, `port.privilege`, `address.absent`, `port.failed`. */
export async function startHttpServer(options: HttpServerOptions): Promise<Service> {
  const { log, clock } = options;
  const limits: HttpLimits = { ...defaultLimits, ...options.limits };
  const server = createServer({
    headersTimeout: limits.head,
    requestTimeout: limits.request,
    keepAliveTimeout: limits.keepAlive,
    connectionsCheckingInterval: Math.min(limits.head, 5000),
  });
  server.timeout = limits.idle;
  let closing: Promise<void> | undefined;
  server.on('request', (request, response) => {
    void answer(options, limits, request, response).then(() => {
      if (closing !== undefined) server.closeIdleConnections();
    });
  });
  server.on('clientError', (error, socket) => {
    if (!socket.writable || systemCode(error) === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    log('debug', 'http.malformed', { reason: sentence(error) });
    socket.end(`HTTP/1.1 ${malformedStatus(error)}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  });
  admit(server, limits, log, clock);
  await listen(server, options);
  server.on('error', (error) => log('warn', 'http.socket', { reason: sentence(error) }));

  async function close(): Promise<void> {
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const grace = setTimeout(() => server.closeAllConnections(), limits.closing);
    await ended;
    clearTimeout(grace);
  }
  return {
    name: 'http',
    sockets: [socketName(server, options)],
    close: () => {
      closing ??= close();
      return closing;
    },
  };
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

/** Closes connections over the limits at once. */
function admit(server: Server, limits: HttpLimits, log: Log, clock: Clock): void {
  const ofClient = new Map<string, number>();
  let connections = 0;
  let turnedAway = 0;
  let busyAt = Number.NEGATIVE_INFINITY;
  server.on('connection', (socket: Socket) => {
    const client = socket.remoteAddress ?? 'local';
    const before = ofClient.get(client) ?? 0;
    if (connections >= limits.connections || before >= limits.connectionsPerClient) {
      socket.destroy();
      turnedAway += 1;
      if (clock.now() - busyAt < busyEvery) return;
      log('warn', 'http.busy', { client, connections, ofClient: before, turnedAway });
      busyAt = clock.now();
      turnedAway = 0;
      return;
    }
    connections += 1;
    ofClient.set(client, before + 1);
    socket.once('close', () => {
      connections -= 1;
      const left = (ofClient.get(client) ?? 1) - 1;
      if (left === 0) ofClient.delete(client);
      else ofClient.set(client, left);
    });
  });
}

/** One request, from its head to the event in the log. Never rejects. */
async function answer(options: HttpServerOptions, limits: HttpLimits, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { log, clock, routes } = options;
  const startedAt = clock.now();
  const client = ipv4FromPeer(request.socket.remoteAddress ?? '');
  const path = requestTarget(request.url ?? '')?.path;
  const about = { client, method: request.method, path: printable(path ?? request.url ?? '') };
  const closed = new Promise<void>((resolve) => response.once('close', resolve));
  response.on('error', () => {}); // told as aborted
  let bytes = 0;
  try {
    const chosen = await choose(routes, client, limits, request, response);
    if (chosen !== undefined) bytes = await write(chosen, request, response);
  } catch (error) {
    const stack = error instanceof FarmError || systemCode(error) !== undefined || !(error instanceof Error) ? undefined : error.stack;
    log('error', 'http.failed', { ...about, reason: sentence(error), hint: error instanceof FarmError ? error.hint : undefined, stack });
    if (response.headersSent) response.destroy();
    else bytes = await write({ kind: 'error', status: 500, message: 'The server could not answer this; see its log' }, request, response);
  }
  await closed;
  // The control socket is asked by our own commands; that is nothing to report.
  const routine = 'socketPath' in options || (path !== undefined && options.isRoutine?.(path) === true);
  log(routine ? 'debug' : 'info', 'http.done', {
    ...about,
    status: response.headersSent ? response.statusCode : undefined,
    bytes,
    seconds: (clock.now() - startedAt) / 1000,
    aborted: response.writableFinished ? undefined : true,
  });
}

/** Undefined if the client went away before it had asked. */
async function choose(
  routes: HttpRoutes,
  client: Ipv4 | undefined,
  limits: HttpLimits,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<HttpAnswer | undefined> {
  const { method } = request;
  const target = requestTarget(request.url ?? '');
  if (target === undefined) return { kind: 'error', status: 400, message: 'This is no path' };
  if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') {
    response.setHeader('Allow', 'GET, HEAD, POST');
    return { kind: 'error', status: 405, message: `${method} is not served here` };
  }
  const body = method === 'POST' ? await bodyOf(request, limits.body) : undefined;
  if (body === 'gone') return undefined;
  if (body === 'too large') {
    response.setHeader('Connection', 'close'); // what is left of the body is not worth reading
    return { kind: 'error', status: 413, message: `A body may have ${limits.body} bytes` };
  }
  const found = await routes({ method, path: target.path, query: target.query, client, body });
  return found ?? { kind: 'error', status: 404, message: `There is nothing at ${printable(target.path)}` };
}

/** By events: leaving a `for await` early would close the connection, and the client would not learn why. */
function bodyOf(request: IncomingMessage, limit: number): Promise<Buffer | 'too large' | 'gone'> {
  return new Promise((resolve) => {
    let pieces: Buffer[] = [];
    let length = 0;
    request.on('data', (piece: Buffer) => {
      length += piece.length;
      if (length <= limit) {
        pieces.push(piece);
      } else {
        pieces = []; // the rest is read and dropped, as long as `limits.request` allows
        resolve('too large');
      }
    });
    request.once('end', () => resolve(Buffer.concat(pieces)));
    request.once('error', () => resolve('gone'));
    request.once('close', () => resolve('gone'));
  });
}

/** A text that a remote chose, fit for a terminal. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?').slice(0, 400);
}
