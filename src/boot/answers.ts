// What an HTTP route answers, and how that is written: always with Content-Length, never chunked, since UEFI clients need it (edk2#9920).
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { openBelow } from '../base/below.ts';
import { type Pieces, pieceBytes } from './pieces.ts';
import { type Representation, select } from './ranges.ts';
import type { Turns } from './turns.ts';

export type HttpAnswer =
  /** The regular file `path` below `directory`, which no symlink in it can leave. 404 if there is none. */
  | { readonly kind: 'file'; readonly directory: string; readonly path: string; readonly type?: string }
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly type: string }
  /** `type` is by default plain text. */
  | { readonly kind: 'text'; readonly text: string; readonly type?: string; readonly status?: number }
  | { readonly kind: 'json'; readonly value: unknown; readonly status?: number }
  /** Status 400 to 599 and a sentence for whoever reads the client's screen. */
  | { readonly kind: 'error'; readonly status: number; readonly message: string; readonly hint?: string };

/** What all answers of a server share, and what one tells while it is sent. */
export interface Sending {
  readonly pieces: Pieces;
  readonly turns: Turns;
  /** Called as the client takes the body, with all bytes of it that the system has taken so far. */
  readonly progress: (bytes: number) => void;
}

const plainText = 'text/plain; charset=utf-8';

/** By the name's end. EDK2 takes a file for a program or a disk image by these types when its name does not say (UEFI 2.10, 24.7.3). */
const types: Readonly<Record<string, string>> = {
  cfg: plainText,
  css: 'text/css; charset=utf-8',
  efi: 'application/efi',
  html: 'text/html; charset=utf-8',
  img: 'application/vnd.efi-img',
  ipxe: plainText,
  iso: 'application/vnd.efi-iso',
  js: 'text/javascript; charset=utf-8',
  json: 'application/json',
  svg: 'image/svg+xml',
  txt: plainText,
};

/**
 * Writes the whole answer. How many bytes of body went out; throws when the file cannot be read to its end, with the connection closed so
 * that the client sees it too. A client that goes away is no error.
 */
export async function write(answer: HttpAnswer, request: IncomingMessage, response: ServerResponse, sending: Sending): Promise<number> {
  switch (answer.kind) {
    case 'file': {
      const found = await openBelow(answer.directory, answer.path);
      if (found === undefined) return write({ kind: 'error', status: 404, message: 'There is no such file' }, request, response, sending);
      const { handle, stats } = found;
      try {
        const etag = `"${stats.size.toString(16)}-${stats.mtimeMs.toString(16)}-${stats.ino.toString(16)}"`;
        const type = answer.type ?? types[answer.path.split('.').at(-1)?.toLowerCase() ?? ''] ?? 'application/octet-stream';
        const part = begin(request, response, { size: stats.size, etag, modified: stats.mtimeMs }, type);
        return part === undefined ? finish(response) : await send((index) => sending.pieces.get(found, index), part, response, sending);
      } finally {
        await handle.close();
      }
    }
    case 'bytes': {
      const { bytes, type } = answer;
      const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
      const part = begin(request, response, { size: bytes.length, etag, modified: undefined }, type);
      const piece = (index: number) => bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes);
      return part === undefined ? finish(response) : send(piece, part, response, sending);
    }
    case 'text':
      return whole(request, response, answer.status ?? 200, answer.type ?? plainText, answer.text);
    case 'json':
      return whole(request, response, answer.status ?? 200, 'application/json', `${JSON.stringify(answer.value)}\n`);
    case 'error':
      return whole(request, response, answer.status, plainText, [answer.message, answer.hint, ''].filter((line) => line !== undefined).join('\n'));
  }
}

function whole(request: IncomingMessage, response: ServerResponse, status: number, type: string, text: string): number {
  const body = Buffer.from(text);
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': body.length });
  return finish(response, request.method === 'HEAD' ? undefined : body);
}

function finish(response: ServerResponse, body?: Buffer): number {
  response.end(body);
  return body?.length ?? 0;
}

/** Bytes of a representation, `last` included. */
interface Part {
  readonly first: number;
  readonly last: number;
}

/** Writes the head; gives the bytes that are to follow, or undefined if none are. */
function begin(request: IncomingMessage, response: ServerResponse, of: Representation, type: string): Part | undefined {
  const about = {
    ETag: of.etag,
    'Accept-Ranges': 'bytes',
    ...(of.modified === undefined ? {} : { 'Last-Modified': new Date(of.modified).toUTCString() }),
  };
  const selection = select(request.method, request.headers, of);
  if (selection.status === 304) {
    response.writeHead(304, about);
    return undefined;
  }
  if (selection.status === 416) {
    response.writeHead(416, { ...about, 'Content-Range': `bytes */${of.size}`, 'Content-Length': 0 });
    return undefined;
  }
  const { first, last } = selection.status === 206 ? selection : { first: 0, last: of.size - 1 };
  const range = selection.status === 206 ? { 'Content-Range': `bytes ${first}-${last}/${of.size}` } : {};
  response.writeHead(selection.status, { ...about, ...range, 'Content-Type': type, 'Content-Length': last - first + 1 });
  return request.method === 'HEAD' || of.size === 0 ? undefined : { first, last };
}

/** Sends `part` bit by bit, each when the one before has left this process. How many bytes did. */
async function send(piece: (index: number) => Buffer | Promise<Buffer>, part: Part, response: ServerResponse, sending: Sending): Promise<number> {
  const { turns, progress } = sending;
  let at = part.first;
  progress(0);
  turns.enter();
  try {
    while (at <= part.last) {
      const index = Math.floor(at / pieceBytes);
      const start = at - index * pieceBytes;
      const rest = (await piece(index)).subarray(start, start + part.last + 1 - at);
      const bytes = rest.subarray(0, await turns.next());
      if (!(await hasTaken(response, bytes))) return at - part.first; // the client went away
      at += bytes.length;
      progress(at - part.first);
    }
  } catch (error) {
    response.destroy(); // the next answer on this connection would be taken for the rest of this file
    throw error;
  } finally {
    turns.leave();
  }
  response.end();
  return at - part.first;
}

/** Whether the system took the bytes for this client; false if it went away, however that shows. */
function hasTaken(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const gone = () => resolve(false);
    response.once('close', gone);
    response.write(bytes, (error) => {
      response.off('close', gone);
      resolve(error === undefined || error === null);
    });
    if (response.destroyed || response.socket?.destroyed === true) gone(); // there is no `close` to come
  });
}
