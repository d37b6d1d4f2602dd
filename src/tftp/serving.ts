// What one request brings about: a file sent, a file stored, or a refusal.
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Fields, Log } from '../base/log.ts';
import { openUpload, type UploadFile, type UploadName } from '../base/upload.ts';
import type { Endpoint, Peer } from './endpoint.ts';
import type { TftpFile } from './files.ts';
import { netasciiFile, netasciiReader } from './netascii.ts';
import type { Pacer } from './pacer.ts';
import { errorCodes, type TftpPacket } from './packet.ts';
import { servedPath } from './path.ts';
import { startReceiver, storageError } from './receiver.ts';
import { startSender } from './sender.ts';
import { agree, agreeUpload, type CommonTerms, type TermsMax } from './terms.ts';

/** What the server has for its transfers. */
export interface Serving {
  readonly source: (path: string, client: Ipv4) => Promise<TftpFile | undefined>;
  readonly upload: ((path: string, client: Ipv4) => Promise<UploadName | undefined>) | undefined;
  readonly log: Log;
  /** For what any stranger can cause with one datagram. */
  readonly logBriefly: (level: 'info' | 'warn', event: string, fields: Fields) => void;
  readonly clock: Clock;
  readonly pacer: Pacer;
  most(): TermsMax;
  endpoint(peer: Peer): Endpoint | Promise<Endpoint>;
  /** Answers the request with an error. */
  refuse(peer: Peer, code: number, message: string): void;
}

/** A transfer under way, in either direction. */
export interface Ongoing {
  /** When the client was heard last; undefined if it has not answered yet. */
  heardAt(): number | undefined;
  /** `stop` tells the client, `gone` does not. */
  end(event: { readonly kind: 'gone'; readonly reason: string } | { readonly kind: 'stop'; readonly message: string }): void;
}

export type Request = Extract<TftpPacket, { op: 'read' | 'write' }>;

export interface Asked {
  readonly request: Request;
  readonly client: Ipv4;
  readonly peer: Peer;
  /** In the clock's milliseconds. */
  readonly at: number;
}

type Mode = 'octet' | 'netascii';

/** Settles, and never rejects, when it is over. `begun` is told of the transfer, if there is one. */
export async function serve(serving: Serving, asked: Asked, begun: (ongoing: Ongoing) => void): Promise<void> {
  const { request, client, peer } = asked;
  const file = printable(request.file);
  const mode = request.mode.toLowerCase();
  if (mode !== 'octet' && mode !== 'netascii') {
    serving.logBriefly('warn', 'tftp.refused', { client, file, reason: `mode ${printable(mode)}` });
    serving.refuse(peer, errorCodes.illegal, 'Use mode octet or netascii');
    return;
  }
  try {
    await (request.op === 'read' ? read(serving, asked, mode, begun) : write(serving, asked, mode, begun));
  } catch (error) {
    const hint = error instanceof FarmError ? error.hint : undefined;
    serving.log('error', 'tftp.failed', { client, file, reason: sentence(error), hint });
    serving.refuse(peer, errorCodes.undefined, `The server cannot ${request.op} this file; see its log`);
  }
}

async function read(serving: Serving, asked: Asked, mode: Mode, begun: (ongoing: Ongoing) => void): Promise<void> {
  const { request, client, peer } = asked;
  const { log, clock, pacer } = serving;
  const name = printable(request.file);
  const found = await find(serving, request.file, client);
  if (found === undefined) {
    serving.logBriefly('info', 'tftp.missing', { client, file: name }); // loaders probe for optional files
    serving.refuse(peer, errorCodes.notFound, 'File not found');
    return;
  }
  const content = mode === 'netascii' ? await netasciiFile(found) : found;
  const terms = agree(request.options, content.size, serving.most());
  const file = await content.open();
  const endpoint = await endpointOr(serving, peer, () => file.close());
  const sender = startSender({ terms, file, endpoint, pacer, clock });
  begun(sender);
  const { outcome, transfer } = await sender.ended;
  const figures = { ...about(serving, asked, terms), retransmits: transfer.retransmits };
  switch (outcome.kind) {
    case 'done':
      log('info', 'tftp.done', { ...figures, bytes: terms.size, confirmed: outcome.confirmed ? undefined : false });
      break;
    case 'probe':
      log('debug', 'tftp.probe', { client, file: name, bytes: terms.size });
      break;
    case 'failed':
      log('warn', 'tftp.failed', { ...figures, bytes: Math.min(terms.size, transfer.acked * terms.blksize), reason: outcome.reason });
      break;
  }
}

async function find(serving: Serving, name: string, client: Ipv4): Promise<TftpFile | undefined> {
  const path = servedPath(name);
  if (path === undefined) return undefined;
  const found = await serving.source(path, client);
  const small = path.toLowerCase(); // ROMs of the 8.3 age shout
  return found === undefined && small !== path ? serving.source(small, client) : found;
}

async function write(serving: Serving, asked: Asked, mode: Mode, begun: (ongoing: Ongoing) => void): Promise<void> {
  const { request, client, peer } = asked;
  const { log, clock } = serving;
  const path = servedPath(request.file);
  const place = path === undefined ? undefined : await serving.upload?.(path, client);
  if (place === undefined) {
    serving.logBriefly('warn', 'tftp.refused', { client, file: printable(request.file), reason: 'it wants to write' });
    serving.refuse(peer, errorCodes.access, serving.upload === undefined ? 'This server is read-only' : 'You may not write here');
    return;
  }
  const terms = agreeUpload(request.options, serving.most());
  const file = await openedUpload(serving, asked, place, terms.announced);
  if (file === undefined) return;
  const convert = mode === 'netascii' ? netasciiReader() : (piece: Buffer) => piece;
  const endpoint = await endpointOr(serving, peer, () => file.discard());
  const receiver = startReceiver({ terms, file, convert, endpoint, clock });
  begun(receiver);
  const { outcome, reception } = await receiver.outcome;
  const figures = { ...about(serving, asked, terms), retransmits: reception.repeats, bytes: reception.bytes };
  if (outcome.kind === 'done') log('info', 'tftp.stored', { ...figures, into: place.directory });
  else log('warn', 'tftp.failed', { ...figures, reason: outcome.reason });
  await receiver.ended;
}

/** Undefined if the client was told why there will be no upload. */
async function openedUpload(serving: Serving, asked: Asked, place: UploadName, announced: number | undefined): Promise<UploadFile | undefined> {
  const { client, peer, request } = asked;
  try {
    return await openUpload(place, announced);
  } catch (error) {
    const { code, message } = storageError(error);
    if (code === undefined) throw error;
    serving.logBriefly('warn', 'tftp.refused', { client, file: printable(request.file), reason: sentence(error) });
    serving.refuse(peer, code, message);
    return undefined;
  }
}

/** The endpoint for this client; if there is none, what was opened for it is closed. */
async function endpointOr(serving: Serving, peer: Peer, close: () => Promise<void>): Promise<Endpoint> {
  try {
    return await serving.endpoint(peer);
  } catch (error) {
    await close();
    throw error;
  }
}

function about(serving: Serving, { client, request, at }: Asked, terms: CommonTerms): Fields {
  const seconds = (serving.clock.now() - at) / 1000;
  return { client, file: printable(request.file), seconds, blksize: terms.blksize, window: terms.windowsize };
}

/** A name that a remote chose, fit for a terminal. */
function printable(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8').replace(/\p{C}/gu, '?').slice(0, 200);
}
