// Downloads a blob into a file, in as many pieces as the connection breaks into (RFC 9110 14), and checks all of it.
import { closeSync, fsyncSync, ftruncateSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { FarmError, sentence } from '../../base/errors.ts';
import { dropBlob, keepBlob, takeBlob } from './blob-store.ts';
import { type Blob, Check } from './digest.ts';
import { Broken } from './http.ts';
import { type Span, spanBytes } from './layer.ts';
import { type Patience, patiently } from './patience.ts';

export interface DownloadOptions extends Patience {
  /** Where blobs go; it is the caller's to remove. */
  readonly directory: string;
  /** Where blobs stay for the next time; undefined: nowhere. */
  readonly store?: string | undefined;
  /** Bytes that came since the last call. */
  readonly onBytes: (count: number) => void;
}

type Get = (headers: Readonly<Record<string, string>>) => Promise<IncomingMessage>;

/** Takes what is kept of the blob, and goes on where a broken connection left off, as long as each attempt gets further. Throws `FarmError` (`image.digest`, `registry.*`), what `get` throws. */
export async function download(options: DownloadOptions, blob: Blob & { readonly digest: string }, get: Get): Promise<Span> {
  const name = blob.digest.replace(':', '-');
  const path = join(options.directory, name);
  const kept = options.store === undefined ? undefined : await keptOf(options.store, name, path, blob, options.signal);
  if (kept !== undefined) options.onBytes(kept.check.size);
  if (kept?.isWhole === true) return { path, offset: 0, size: kept.check.size };
  let check = kept?.check ?? new Check(blob);
  const fd = openSync(path, kept === undefined ? 'w' : 'r+', 0o600);
  const attempt = async (): Promise<void> => {
    if (check.size === blob.size) return; // it broke after its last byte
    const answer = await get(check.size === 0 ? {} : { range: `bytes=${check.size}-` });
    if (check.size > 0 && !goesOn(answer, check.size)) {
      ftruncateSync(fd, 0); // a server without ranges begins anew
      check = new Check(blob);
    }
    await receive(answer, blob.digest, (bytes) => {
      check.add(bytes);
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, check.size - bytes.length + done);
      options.onBytes(bytes.length);
    });
    if (blob.size !== undefined && check.size < blob.size) throw new Broken(`the blob ${blob.digest} ended after ${check.size} of ${blob.size} bytes`);
  };
  try {
    await patiently(options, attempt, () => check.size);
    check.end();
    fsyncSync(fd);
    if (options.store !== undefined) keepBlob(options.store, name, path, 'whole');
  } catch (error) {
    // Of wrong bytes nothing is kept: the next attempt would go on with them.
    if (options.store !== undefined && !(error instanceof FarmError && error.code === 'image.digest')) keepBlob(options.store, name, path, 'beginning');
    throw error;
  } finally {
    closeSync(fd);
  }
  return { path, offset: 0, size: check.size };
}

/** What the store has of the blob, read and checked; undefined if that is nothing, or wrong. */
async function keptOf(
  store: string,
  name: string,
  path: string,
  blob: Blob,
  signal: AbortSignal,
): Promise<{ readonly check: Check; readonly isWhole: boolean } | undefined> {
  if (takeBlob(store, name, path) === 'nothing') return undefined;
  const check = new Check(blob);
  try {
    for await (const bytes of spanBytes({ path, offset: 0, size: statSync(path).size }, signal)) check.add(bytes);
    const isWhole = check.size === blob.size;
    if (isWhole) check.end();
    return { check, isWhole };
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    // The disk's fault, not the registry's: it is pulled anew.
    dropBlob(store, name);
    rmSync(path);
    return undefined;
  }
}

function goesOn({ statusCode, headers }: IncomingMessage, from: number): boolean {
  return statusCode === 206 && headers['content-range']?.startsWith(`bytes ${from}-`) === true;
}

/** What `take` throws is no broken connection: a wrong digest, a full disk. */
async function receive(answer: IncomingMessage, digest: string, take: (bytes: Buffer) => void): Promise<void> {
  const chunks = answer[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await chunks.next().catch((error: unknown) => {
        throw new Broken(`the blob ${digest} broke off: ${sentence(error)}`, undefined, error);
      });
      if (next.done === true) return;
      take(next.value);
    }
  } finally {
    answer.destroy();
  }
}
