// Downloads a blob into a file, in as many pieces as the connection breaks into (RFC 9110 14), and checks all of it.
import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { sentence } from '../../base/errors.ts';
import { type Blob, Check } from './digest.ts';
import { Broken } from './http.ts';
import type { Span } from './layer.ts';
import { type Patience, patiently } from './patience.ts';

export interface DownloadOptions extends Patience {
  /** Where blobs go; it is the caller's to remove. */
  readonly directory: string;
  /** Bytes that came since the last call. */
  readonly onBytes: (count: number) => void;
}

type Get = (headers: Readonly<Record<string, string>>) => Promise<IncomingMessage>;

/** Goes on where a broken connection left off, as long as each attempt gets further. Throws `FarmError` (`image.digest`, `registry.*`), what `get` throws. */
export async function download(options: DownloadOptions, blob: Blob & { readonly digest: string }, get: Get): Promise<Span> {
  const path = join(options.directory, blob.digest.replace(':', '-'));
  const fd = openSync(path, 'w', 0o600);
  let check = new Check(blob);
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
  } finally {
    closeSync(fd);
  }
  return { path, offset: 0, size: check.size };
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
