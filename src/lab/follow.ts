// What a growing file gets, as it gets it: console logs and the server's log.
import { watch } from 'node:fs';
import { open } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';

const chunkBytes = 65_536;

/** Hands all that is in the file, and then all that is added to it, to `onChunk`, until it returns true or `signal` aborts (then false). */
export async function followFile(path: string, onChunk: (chunk: Buffer) => boolean, signal: AbortSignal): Promise<boolean> {
  const file = await open(path, 'r');
  let changed = () => {};
  const watcher = watch(path, () => changed());
  const abort = () => changed();
  signal.addEventListener('abort', abort);
  try {
    for (;;) {
      const change = new Promise<void>((resolve) => {
        changed = resolve;
      });
      for (;;) {
        if (signal.aborted) return false;
        const { bytesRead, buffer } = await file.read(Buffer.alloc(chunkBytes), 0, chunkBytes);
        if (bytesRead === 0) break;
        if (onChunk(buffer.subarray(0, bytesRead))) return true;
      }
      if (!signal.aborted) await change;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    watcher.close();
    await file.close();
  }
}

/** The first match of `pattern` in a growing file, e.g. a console log; undefined if `signal` aborts first. */
export async function waitForText(path: string, pattern: RegExp, signal: AbortSignal): Promise<RegExpExecArray | undefined> {
  const decoder = new StringDecoder('utf8');
  let text = '';
  let match: RegExpExecArray | undefined;
  const search = (chunk: Buffer) => {
    text += decoder.write(chunk);
    match = pattern.exec(text) ?? undefined;
    return match !== undefined;
  };
  await followFile(path, search, signal);
  return match;
}
