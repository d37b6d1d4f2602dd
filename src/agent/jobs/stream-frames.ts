// The frames between a job and its home: kind, channel, length, offset, bytes.
import { WireError } from '../../base/errors.ts';

/** To the job: its input, and what is done to it. From the job: what it writes, and what becomes of it. */
export const channelNames = ['input', 'control', 'output', 'errors', 'events'] as const;
export type Channel = (typeof channelNames)[number];

export type StreamFrame =
  /** Bytes of a channel from `offset` on. */
  | { readonly kind: 'data'; readonly channel: Channel; readonly offset: number; readonly bytes: Buffer }
  /** How far the receiver is; the first ones on a connection say where the sender goes on. */
  | { readonly kind: 'have'; readonly channel: Channel; readonly received: number; readonly used: number }
  | { readonly kind: 'end'; readonly channel: Channel; readonly offset: number }
  /** Nobody reads this channel any more. */
  | { readonly kind: 'gone'; readonly channel: Channel }
  /** This home knows no such job, or not there. */
  | { readonly kind: 'unknown' };

const kinds = ['data', 'have', 'end', 'gone', 'unknown'] as const;
const headBytes = 14;
/** Of one frame; a pipe's worth is sent in some of them, so that others come in between. */
export const pieceMax = 16 * 1024;

export function encodeStreamFrame(frame: StreamFrame): Buffer {
  const bytes = frame.kind === 'data' ? frame.bytes : Buffer.alloc(frame.kind === 'have' ? 8 : 0);
  const head = Buffer.allocUnsafe(headBytes);
  head.writeUInt8(kinds.indexOf(frame.kind), 0);
  head.writeUInt8(frame.kind === 'unknown' ? 0 : channelNames.indexOf(frame.channel), 1);
  head.writeUInt32BE(bytes.length, 2);
  head.writeDoubleBE(frame.kind === 'data' || frame.kind === 'end' ? frame.offset : frame.kind === 'have' ? frame.received : 0, 6);
  if (frame.kind === 'have') bytes.writeDoubleBE(frame.used);
  return Buffer.concat([head, bytes]);
}

/** Cuts a stream into frames. The function it gives throws `WireError` `job.frame`. */
export function streamFrames(): (chunk: Buffer) => readonly StreamFrame[] {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const found: StreamFrame[] = [];
    for (;;) {
      if (rest.length < headBytes) return found;
      const length = rest.readUInt32BE(2);
      if (length > pieceMax) throw new WireError('job.frame', 2, `a frame of ${length} bytes`);
      if (rest.length < headBytes + length) return found;
      found.push(readFrame(rest, length));
      rest = rest.subarray(headBytes + length);
    }
  };
}

function readFrame(bytes: Buffer, length: number): StreamFrame {
  const kind = kinds[bytes.readUInt8(0)];
  const channel = channelNames[bytes.readUInt8(1)];
  const body = bytes.subarray(headBytes, headBytes + length);
  if (kind === undefined || channel === undefined || (kind === 'have' ? length !== 8 : kind !== 'data' && length !== 0)) {
    throw new WireError('job.frame', 0, 'a frame of no known kind');
  }
  const offset = readOffset(bytes, 6);
  switch (kind) {
    case 'data':
      return { kind, channel, offset, bytes: Buffer.from(body) };
    case 'have':
      return { kind, channel, received: offset, used: readOffset(body, 0) };
    case 'end':
      return { kind, channel, offset };
    case 'gone':
      return { kind, channel };
    case 'unknown':
      return { kind };
  }
}

function readOffset(bytes: Buffer, at: number): number {
  const offset = bytes.readDoubleBE(at);
  if (Number.isSafeInteger(offset) && offset >= 0) return offset;
  throw new WireError('job.frame', at, 'no offset');
}
