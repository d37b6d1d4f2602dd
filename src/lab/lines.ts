// Lines of text out of a stream, as they come.
import { StringDecoder } from 'node:string_decoder';

/** More than any line that QEMU, the log or the control socket writes; what is longer is handed over in pieces of this many characters. */
const longestLine = 1 << 20;

/** A function to feed chunks to; it calls `onLine` for each whole line, without its end. */
export function lineSplitter(onLine: (line: string) => void): (chunk: Uint8Array) => void {
  const decoder = new StringDecoder('utf8');
  let partial = '';
  return (chunk) => {
    const lines = (partial + decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) onLine(line.endsWith('\r') ? line.slice(0, -1) : line);
    if (partial.length > longestLine) {
      onLine(partial);
      partial = '';
    }
  };
}
