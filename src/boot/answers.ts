// What an HTTP route answers, and how that is written: always with Content-Length, never chunked, since UEFI clients need it (edk2#9920).
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { openBelow } from '../base/below.ts';
import { systemCode } from '../base/errors.ts';
import { type Representation, select } from './ranges.ts';

export type HttpAnswer =
  /** The regular file `path` below `directory`, which no symlink in it can leave. 404 if there is none. */
  | { readonly kind: 'file'; readonly directory: string; readonly path: string; readonly type?: string }
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly type: string }
  /** `type` is by default plain text. */
  | { readonly kind: 'text'; readonly text: string; readonly type?: string; readonly status?: number }
  | { readonly kind: 'json'; readonly value: unknown; readonly status?: number }
  /** Status 400 to 599 and a sentence for whoever reads the client's screen. */
  | { readonly kind: 'error'; readonly status: number; readonly message: string; readonly hint?: string };

/** Bytes read from a file at a time; two such pieces are in memory for each client. */
const pieceBytes = 262_144;

/** How writing to a client that went away fails. */
const clientGone: readonly (string | undefined)[] = ['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'];

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
export async function write(answer: HttpAnswer, request: IncomingMessage, response: ServerResponse): Promise<number> {
  switch (answer.kind) {
    case 'file': {
      const found = await openBelow(answer.directory, answer.path);
      if (found === undefined) return write({ kind: 'error', status: 404, message: 'There is no such file' }, request, response);
      const { handle, stats } = found;
      try {
        const etag = `"${stats.size.toString(16)}-${stats.mtimeMs.toString(16)}-${stats.ino.toString(16)}"`;
        const type = answer.type ?? types[answer.path.split('.').at(-1)?.toLowerCase() ?? ''] ?? 'application/octet-stream';
        const part = begin(request, response, { size: stats.size, etag, modified: stats.mtimeMs }, type);
        return part === undefined ? finish(response) : await stream(handle, part.first, part.last, response);
      } finally {
        await handle.close();
      }
    }
    case 'bytes': {
      const { bytes, type } = answer;
      const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
      const part = begin(request, response, { size: bytes.length, etag, modified: undefined }, type);
      return finish(response, part === undefined ? undefined : bytes.subarray(part.first, part.last + 1));
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

/** Writes the head; gives the bytes that are to follow, `last` included, or undefined if none are. */
function begin(
  request: IncomingMessage,
  response: ServerResponse,
  of: Representation,
  type: string,
): { readonly first: number; readonly last: number } | undefined {
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

async function stream(handle: FileHandle, first: number, last: number, response: ServerResponse): Promise<number> {
  const source = handle.createReadStream({ start: first, end: last, highWaterMark: pieceBytes, autoClose: false });
  try {
    await pipeline(source, response, { end: false });
  } catch (error) {
    if (!clientGone.includes(systemCode(error))) throw error;
    return source.bytesRead;
  }
  if (source.bytesRead < last - first + 1) {
    response.destroy(); // the next answer on this connection would be taken for the rest of this file
    throw new Error('the file became shorter while it was sent');
  }
  response.end();
  return source.bytesRead;
}
