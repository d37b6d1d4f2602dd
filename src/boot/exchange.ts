// One HTTP request, from its head to the event in the log.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Ipv4 } from '../base/addresses.ts';
import { fullBudget, spend } from '../base/budget.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { type HttpAnswer, type Sending, write } from './answers.ts';
import { askerOf } from './forwarded.ts';
import { isTooSlow } from './pace.ts';
import type { Pieces } from './pieces.ts';
import { requestTarget } from './target.ts';
import type { Turns } from './turns.ts';
import { takeUpload, type UploadTo } from './upload.ts';

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

export interface ExchangeOptions {
  readonly routes: HttpRoutes;
  /** Paths of which a finished request is no news: logged as a detail. */
  readonly isRoutine?: (path: string) => boolean;
  /** Whether this address is one of the farm's own: what others ask is logged within a budget. By default all are. */
  readonly isNode?: (client: Ipv4) => boolean;
  /** Where a PUT goes. By default nowhere: 403. */
  readonly upload?: UploadTo;
  /** What the proxy of this machine says to be believed: see `askerOf`. */
  readonly proxySecret?: string;
  readonly log: Log;
  readonly clock: Clock;
}

export interface ExchangeLimits {
  /** Bytes of the body of a POST: what nodes and the command line post is small. */
  readonly body: number;
  /** Milliseconds for the body of a POST. */
  readonly request: number;
  /** Bytes that a download or upload must move from one look at it to the next: see `paceBytes`. */
  readonly pace: number;
}

/** A request under way. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly client: Ipv4 | undefined;
  /** Of the body that moves, if one does. */
  moved: number | undefined;
  seen: number | undefined;
  /** Why we ended it, if we did. */
  cut: string | undefined;
}

export class Exchanges {
  private readonly options: ExchangeOptions;
  private readonly limits: ExchangeLimits;
  private readonly pieces: Pieces;
  private readonly turns: Turns;
  private readonly underWay = new Set<Exchange>();
  private strangers: ReturnType<typeof fullBudget>;

  constructor(options: ExchangeOptions, limits: ExchangeLimits, pieces: Pieces, turns: Turns) {
    this.options = options;
    this.limits = limits;
    this.pieces = pieces;
    this.turns = turns;
    this.strangers = fullBudget(options.clock.now());
  }

  /** Ends the downloads and uploads that have moved too little since the last call. */
  endTheSlow(): void {
    for (const exchange of this.underWay) {
      const { moved, seen } = exchange;
      if (moved === undefined) continue;
      if (isTooSlow({ moved, seen }, this.limits.pace)) {
        exchange.cut = 'too slow';
        exchange.request.socket.destroy();
      }
      exchange.seen = moved;
    }
  }

  /** The log for what a client causes: a stranger's lines within the budget. */
  logOf(client: Ipv4 | undefined): Log {
    const { log, clock, isNode } = this.options;
    if (client === undefined || isNode === undefined || isNode(client)) return log;
    return (level, event, fields) => {
      const { allowed, suppressed, next } = spend(this.strangers, clock.now());
      this.strangers = next;
      if (allowed) log(level, event, suppressed === 0 ? fields : { ...fields, suppressed });
    };
  }

  /** Answers one request; settles when the connection is free for the next. Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse, isControl: boolean): Promise<void> {
    const { clock, isRoutine, proxySecret } = this.options;
    const startedAt = clock.now();
    const asker = isControl ? ({ kind: 'peer', client: undefined } as const) : askerOf(request.socket.remoteAddress, request.headers, proxySecret);
    const client = asker.kind === 'unnamed' ? undefined : asker.client;
    const path = requestTarget(request.url ?? '')?.path;
    const about = { client, method: request.method, path: printable(path ?? request.url ?? '') };
    const closed = new Promise<void>((resolve) => response.once('close', resolve));
    response.on('error', () => {}); // told as aborted
    const exchange: Exchange = { request, response, client, moved: undefined, seen: undefined, cut: undefined };
    const sending: Sending = {
      pieces: this.pieces,
      turns: this.turns,
      progress: (bytes) => {
        exchange.moved = bytes;
      },
    };
    this.underWay.add(exchange);
    let bytes = 0;
    try {
      const chosen =
        asker.kind === 'unnamed'
          ? ({ kind: 'error', status: 400, message: 'The proxy did not say who asks' } as const)
          : await this.choose(exchange, isControl);
      if (chosen !== undefined) bytes = await write(chosen, request, response, sending);
    } catch (error) {
      const stack = error instanceof FarmError || systemCode(error) !== undefined || !(error instanceof Error) ? undefined : error.stack;
      const hint = error instanceof FarmError ? error.hint : undefined;
      this.options.log('error', 'http.failed', { ...about, reason: sentence(error), hint, stack });
      if (response.headersSent) response.destroy();
      else bytes = await write({ kind: 'error', status: 500, message: 'The server could not answer this; see its log' }, request, response, sending);
    }
    await closed;
    this.underWay.delete(exchange);
    // The control socket is asked by our own commands; that is nothing to report.
    const routine = isControl || (path !== undefined && isRoutine?.(path) === true);
    const logBounded = this.logOf(client);
    logBounded(routine ? 'debug' : 'info', 'http.done', {
      ...about,
      status: response.headersSent ? response.statusCode : undefined,
      bytes,
      seconds: (clock.now() - startedAt) / 1000,
      aborted: response.writableFinished ? undefined : true,
      reason: exchange.cut,
    });
  }

  /** Undefined if the client went away before it had asked. */
  private async choose(exchange: Exchange, isControl: boolean): Promise<HttpAnswer | undefined> {
    const { request, response, client } = exchange;
    const { method } = request;
    const target = requestTarget(request.url ?? '');
    if (target === undefined) return { kind: 'error', status: 400, message: 'This is no path' };
    if (method === 'PUT') return this.take(exchange, target.path);
    if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') {
      response.setHeader('Allow', 'GET, HEAD, POST, PUT');
      return { kind: 'error', status: 405, message: `${method} is not served here` };
    }
    if (!isControl && client === undefined) return { kind: 'error', status: 400, message: 'Only IPv4 is served here' };
    const body = method === 'POST' ? await bodyOf(request, this.limits) : undefined;
    if (body === 'gone') return undefined;
    if (body === 'too large' || body === 'too slow') {
      response.setHeader('Connection', 'close'); // what is left of the body is not worth reading
      return body === 'too large'
        ? { kind: 'error', status: 413, message: `A body may have ${this.limits.body} bytes` }
        : { kind: 'error', status: 408, message: 'The body did not come in time' };
    }
    const found = await this.options.routes({ method, path: target.path, query: target.query, client, body });
    return found ?? { kind: 'error', status: 404, message: `There is nothing at ${printable(target.path)}` };
  }

  private async take(exchange: Exchange, path: string): Promise<HttpAnswer | undefined> {
    const { request, response, client } = exchange;
    const place = client === undefined ? undefined : this.options.upload?.(client);
    exchange.moved = 0;
    const taken = await takeUpload(place, path, request, (bytes) => {
      exchange.moved = bytes;
    });
    exchange.moved = undefined;
    if (taken.kind === 'gone') return undefined;
    if (taken.kind === 'refused') {
      response.setHeader('Connection', 'close');
      return { kind: 'error', status: taken.status, message: taken.message };
    }
    this.options.log('info', 'http.upload', { client, file: printable(taken.name), bytes: taken.bytes });
    return { kind: 'text', status: 201, text: `${taken.bytes} bytes are kept\n` };
  }
}

/** By events: leaving a `for await` early would close the connection, and the client would not learn why. */
function bodyOf(request: IncomingMessage, limits: ExchangeLimits): Promise<Buffer | 'too large' | 'too slow' | 'gone'> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve('too slow'), limits.request);
    request.once('close', () => clearTimeout(late));
    let pieces: Buffer[] = [];
    let length = 0;
    request.on('data', (piece: Buffer) => {
      length += piece.length;
      if (length <= limits.body) {
        pieces.push(piece);
      } else {
        pieces = []; // the rest is read and dropped until the answer is out
        resolve('too large');
      }
    });
    request.once('end', () => {
      clearTimeout(late);
      resolve(Buffer.concat(pieces));
    });
    request.once('error', () => resolve('gone'));
    request.once('close', () => resolve('gone'));
  });
}

/** A text that a remote chose, fit for a terminal. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?').slice(0, 400);
}
