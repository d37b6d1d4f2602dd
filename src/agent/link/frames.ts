// The two frames that begin a stream: what is asked, and whether it is taken. Length in 4 bytes, then JSON. After them the stream is its users'.
import { FarmError, WireError } from '../../base/errors.ts';

/** Of one frame: a job's arguments and environment are most of what is ever sent in one. */
export const frameBytesMax = 1024 * 1024;
const lengthBytes = 4;

/** `FarmError` `link.large`. */
export function encodeFrame(value: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(value) ?? 'null');
  if (text.length > frameBytesMax) {
    throw new FarmError(
      'link.large',
      `${text.length} bytes are too much to tell another node at once`,
      `at most ${frameBytesMax} bytes: shorten arguments or environment`,
    );
  }
  const bytes = Buffer.allocUnsafe(lengthBytes + text.length);
  bytes.writeUInt32BE(text.length);
  text.copy(bytes, lengthBytes);
  return bytes;
}

/** The first frame of what has come so far, and what follows it; `undefined`: more has to come. Throws `WireError` `link.large`, `link.json`. */
export function decodeFrame(bytes: Buffer): { readonly value: unknown; readonly rest: Buffer } | undefined {
  if (bytes.length < lengthBytes) return undefined;
  const length = bytes.readUInt32BE();
  if (length > frameBytesMax) throw new WireError('link.large', 0, `a frame of ${length} bytes`);
  if (bytes.length < lengthBytes + length) return undefined;
  try {
    return { value: JSON.parse(bytes.toString('utf8', lengthBytes, lengthBytes + length)), rest: bytes.subarray(lengthBytes + length) };
  } catch {
    throw new WireError('link.json', lengthBytes, 'a frame that is no JSON');
  }
}

/** Cuts a stream into frames. The function it gives throws what `decodeFrame` throws. */
export function frameReader(): (chunk: Buffer) => readonly unknown[] {
  let chunks: Buffer[] = [];
  let length = 0;
  let wanted = lengthBytes;
  return (chunk) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length < wanted) return []; // joined only when one may be whole: a frame in single bytes costs no more
    let bytes: Buffer = Buffer.concat(chunks);
    const found: unknown[] = [];
    for (let frame = decodeFrame(bytes); frame !== undefined; frame = decodeFrame(bytes)) {
      found.push(frame.value);
      bytes = frame.rest;
    }
    chunks = [bytes];
    length = bytes.length;
    wanted = length < lengthBytes ? lengthBytes : lengthBytes + bytes.readUInt32BE();
    return found;
  };
}

export interface Asked {
  readonly purpose: string;
  readonly header: unknown;
}

/** Throws `WireError` `link.asked`. */
export function asAsked(value: unknown): Asked {
  if (isRecord(value) && typeof value['purpose'] === 'string' && value['purpose'].length <= 64) return { purpose: value['purpose'], header: value['header'] };
  throw new WireError('link.asked', 0, 'a stream that does not say what it is for');
}

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** Either it is fine, with a value, or why not. Throws `WireError` `link.answer`. */
export function asAnswer(value: unknown): { readonly value: unknown } | Failure {
  if (isRecord(value)) {
    const { code, message, hint } = value;
    if (value['ok'] === true) return { value: value['value'] };
    if (typeof code === 'string' && typeof message === 'string') return { code, message, hint: typeof hint === 'string' ? hint : undefined };
  }
  throw new WireError('link.answer', 0, 'an answer that is none');
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
