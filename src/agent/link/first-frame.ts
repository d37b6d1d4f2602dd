// Reads the first frame of a stream and leaves what follows to its next reader.
import type { Duplex } from 'node:stream';
import { decodeFrame } from './frames.ts';

/** Settles with the frame. Rejects with `WireError`, the stream's own error, or after `patience` ms; the stream is of no use then. */
export function firstFrame(stream: Duplex, patience: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let wanted = 4;
    const timer = setTimeout(() => finish(() => reject(new Error(`nothing was said for ${patience} ms`))), patience);
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      stream.off('readable', look).off('error', failed).off('close', closed).off('end', closed);
      settle();
    };
    const failed = (error: Error) => finish(() => reject(error));
    const closed = () => finish(() => reject(new Error('the connection was closed')));
    const look = () => {
      try {
        for (let chunk: Buffer | null = stream.read(); chunk !== null; chunk = stream.read()) {
          chunks.push(chunk);
          length += chunk.length;
          if (length < wanted) continue; // joined only when it may be whole: a frame in single bytes costs no more
          const bytes = Buffer.concat(chunks);
          const frame = decodeFrame(bytes);
          if (frame === undefined) {
            wanted = 4 + bytes.readUInt32BE();
            chunks.splice(0, chunks.length, bytes);
            continue;
          }
          finish(() => {
            if (frame.rest.length > 0) stream.unshift(frame.rest);
            resolve(frame.value);
          });
          return;
        }
      } catch (error) {
        finish(() => reject(error));
      }
    };
    stream.on('readable', look).on('error', failed).on('close', closed).on('end', closed);
    look();
  });
}
