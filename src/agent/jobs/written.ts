// One write to a stream, to its end.
import type { Writable } from 'node:stream';

/** Settles when the kernel has it all, or nobody wants it any more. */
export function written(stream: Writable, bytes: Buffer): Promise<void> {
  if (stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      stream.off('close', settle);
      resolve();
    };
    stream.once('close', settle);
    stream.write(bytes, settle);
  });
}
