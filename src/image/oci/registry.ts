// Pulls from a registry: OCI distribution-spec 1.1 ("Pulling manifests", "Pulling blobs"), with distribution's token authentication.
import type { IncomingMessage } from 'node:http';
import { FarmError } from '../../base/errors.ts';
import { readChallenge } from './challenge.ts';
import { type Blob, checkBytes, digestOf } from './digest.ts';
import { documentMax, indexTypes, manifestTypes } from './documents.ts';
import { type DownloadOptions, download } from './download.ts';
import { bodyOf, exchange } from './http.ts';
import type { Span } from './layer.ts';
import { patiently } from './patience.ts';
import { registryHost } from './reference.ts';
import { type AccessOptions, authorised, denied, judged } from './token.ts';

export interface Registry {
  /** By the reference's tag or digest, or by another digest of the same repository; checked against the latter. */
  readonly manifest: (digest?: string) => Promise<{ readonly bytes: Buffer; readonly digest: string }>;
  /** What is small, checked. */
  readonly document: (blob: Blob & { readonly digest: string }) => Promise<Buffer>;
  /** A file with exactly these bytes. */
  readonly blob: (blob: Blob & { readonly digest: string }) => Promise<Span>;
}

export interface RegistryOptions extends AccessOptions, DownloadOptions {}

/** Throws (all of its functions) `FarmError` (`registry.*`, `image.digest`), and the signal's reason. */
export function openRegistry(options: RegistryOptions): Registry {
  const { reference, plain, credential, signal } = options;
  const top = `${plain ? 'http' : 'https'}://${registryHost(reference.domain)}`;
  const url = (kind: 'manifests' | 'blobs', name: string): URL => new URL(`/v2/${reference.repository}/${kind}/${name}`, top);
  const authority = { header: undefined as string | undefined };

  const get = async (kind: 'manifests' | 'blobs', name: string, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> => {
    for (let again = false; ; again = true) {
      const { header } = authority;
      const answer = await exchange({
        url: url(kind, name),
        method: 'GET',
        headers: { ...headers, ...(header === undefined ? {} : { authorization: header }) },
        signal,
      });
      if (answer.statusCode !== 401 || again) return judged(answer, reference, credential);
      answer.destroy();
      authority.header = await authorised(readChallenge(answer.headers['www-authenticate'] ?? ''), options);
      if (authority.header === undefined) throw denied(reference, credential, '');
    }
  };
  const small = (kind: 'manifests' | 'blobs', name: string, headers: Readonly<Record<string, string>>): Promise<Buffer> =>
    patiently(options, async () => bodyOf(await get(kind, name, headers), documentMax, `the ${kind === 'blobs' ? 'blob' : 'manifest'} ${name}`));

  return {
    manifest: async (digest = reference.digest) => {
      const bytes = await small('manifests', digest ?? reference.tag, { accept: [...indexTypes, ...manifestTypes].join(', ') });
      const found = digestOf(bytes, digest);
      if (digest === undefined || digest === found) return { bytes, digest: found };
      throw new FarmError(
        'image.digest',
        `${reference.domain} gives for ${digest} what has the digest ${found}`,
        'it was damaged or changed on its way: try again',
      );
    },
    document: async (blob) => {
      const bytes = await small('blobs', blob.digest, {});
      checkBytes(bytes, blob);
      return bytes;
    },
    blob: (blob) => download(options, blob, (headers) => get('blobs', blob.digest, headers)),
  };
}
