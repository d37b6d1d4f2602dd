// The stream of one transfer: lines of JSON and one block of bytes, read in order, each bounded.
import type { Duplex } from 'node:stream';
import { FarmError, WireError } from '../../base/errors.ts';

/** A header's worth: positions, an answer. */
const lineMax = 64 * 1024;

export interface Reader {
  /** The next line's JSON. Throws `WireError` `line`, `FarmError` `link.down` at the end. */
  line(): Promise<unknown>;
  /** So many bytes. */
  block(length: number): Promise<Buffer>;
}

/** Reads from `stream`, which it does not destroy. One question at a time. */
export function readerOf(stream: Duplex): Reader {
  const chunks = stream.iterator({ destroyOnReturn: false });
  let held: Buffer = Buffer.alloc(0);
  const more = async (): Promise<Buffer> => {
    const next: IteratorResult<Buffer> = await chunks.next();
    if (next.done === true) throw new FarmError('link.down', 'the connection of the move ended');
    return next.value;
  };
  return {
    async line() {
      for (;;) {
        const end = held.indexOf(10);
        if (end >= 0) {
          const text = held.toString('utf8', 0, end);
          held = held.subarray(end + 1);
          return parsed(text);
        }
        if (held.length > lineMax) throw new WireError('line', held.length, 'a line without end');
        held = Buffer.concat([held, await more()]);
      }
    },
    async block(length) {
      const parts = [held];
      let got = held.length;
      while (got < length) {
        const chunk = await more();
        parts.push(chunk);
        got += chunk.length;
      }
      const all = Buffer.concat(parts);
      held = all.subarray(length);
      return all.subarray(0, length);
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new WireError('line', 0, 'no JSON');
  }
}

/** Settles when the stream has taken it; rejects when it is gone before. */
export function write(stream: Duplex, bytes: Buffer | string): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new FarmError('link.down', 'the connection of the move broke'));
    if (stream.destroyed) return gone();
    stream.once('close', gone);
    stream.write(bytes, (error) => {
      stream.off('close', gone);
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}
