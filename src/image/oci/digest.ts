// Digests: OCI image-spec 1.1, descriptor.md, "Digests". Those that are registered, and no others.
import { createHash, type Hash } from 'node:crypto';
import { FarmError } from '../../base/errors.ts';

export const digestShape: RegExp = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** A blob by its content. */
export interface Blob {
  /** undefined: the archive that has it does not say. */
  readonly digest: string | undefined;
  /** Bytes; undefined: the archive does not say. */
  readonly size: number | undefined;
}

/** `sha256`, `sha512` */
function algorithm(digest: string): string {
  return digest.slice(0, digest.indexOf(':'));
}

export function digestOf(bytes: Uint8Array, like = 'sha256:'): string {
  const name = algorithm(like);
  return `${name}:${createHash(name).update(bytes).digest('hex')}`;
}

/** Follows bytes as they pass, and says at the end whether they are the ones. */
export class Check {
  readonly blob: Blob;
  size = 0;
  private readonly hash: Hash | undefined;

  constructor(blob: Blob) {
    this.blob = blob;
    this.hash = blob.digest === undefined ? undefined : createHash(algorithm(blob.digest));
  }

  /** Throws `FarmError` `image.digest` at the first byte too much. */
  add(chunk: Uint8Array): void {
    this.size += chunk.length;
    if (this.blob.size !== undefined && this.size > this.blob.size) throw this.wrong(`more than the ${this.blob.size} bytes it should have`);
    this.hash?.update(chunk);
  }

  /** Throws `FarmError` `image.digest`. */
  end(): void {
    if (this.blob.size !== undefined && this.size !== this.blob.size) throw this.wrong(`${this.size} bytes, not ${this.blob.size}`);
    if (this.hash === undefined || this.blob.digest === undefined) return;
    const found = `${algorithm(this.blob.digest)}:${this.hash.digest('hex')}`;
    if (found !== this.blob.digest) throw this.wrong(`the digest ${found}`);
  }

  private wrong(what: string): FarmError {
    return new FarmError('image.digest', `the blob ${this.blob.digest ?? 'of the archive'} has ${what}`, 'it was damaged or changed on its way: get it again');
  }
}

/** Throws `FarmError` `image.digest`. */
export function checkBytes(bytes: Uint8Array, blob: Blob): void {
  const check = new Check(blob);
  check.add(bytes);
  check.end();
}

/** Passes on what it checks. */
export async function* checked(chunks: AsyncIterable<Uint8Array>, blob: Blob): AsyncGenerator<Uint8Array> {
  const check = new Check(blob);
  for await (const chunk of chunks) {
    check.add(chunk);
    yield chunk;
  }
  check.end();
}
