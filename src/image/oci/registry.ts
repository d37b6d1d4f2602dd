// Pulls from a registry: OCI distribution-spec 1.1 ("Pulling manifests", "Pulling blobs"), with distribution's token authentication.
import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { FarmError, sentence } from '../../base/errors.ts';
import { type Challenge, readChallenge, readToken, tokenUrl } from './challenge.ts';
import type { Credential } from './credentials.ts';
import { type Blob, Check, digestOf } from './digest.ts';
import { documentMax, indexTypes, manifestTypes } from './documents.ts';
import { Broken, bodyOf, exchange } from './http.ts';
import type { Span } from './layer.ts';
import { formatReference, type ImageReference, registryHost } from './reference.ts';

export interface RegistryOptions {
  readonly reference: ImageReference;
  /** HTTP without TLS. */
  readonly plain: boolean;
  readonly credential: Credential | undefined;
  /** Where blobs go; it is the caller's to remove. */
  readonly directory: string;
  /** Milliseconds. */
  readonly wait: (time: number, signal: AbortSignal) => Promise<void>;
  /** Bytes that came since the last call. */
  readonly onBytes: (count: number) => void;
  readonly signal: AbortSignal;
}

export interface Registry {
  /** By the reference's tag or digest, or by another digest of the same repository; checked against the latter. */
  readonly manifest: (digest?: string) => Promise<{ readonly bytes: Buffer; readonly digest: string }>;
  /** What is small, checked. */
  readonly document: (blob: Blob & { readonly digest: string }) => Promise<Buffer>;
  /** A file with exactly these bytes. */
  readonly blob: (blob: Blob & { readonly digest: string }) => Promise<Span>;
}

/** Attempts without a byte more: together they wait for half a minute. */
const attempts = 6;
const firstWait = 1000;
/** A server may ask for more, and does not get it. */
const longestWait = 60_000;
const errorMax = 1 << 20;

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
      const check = new Check(blob);
      check.add(bytes);
      check.end();
      return bytes;
    },
    blob: (blob) => download(options, blob, (headers) => get('blobs', blob.digest, headers)),
  };
}

/** Goes on where a broken connection left off (RFC 9110 14), as long as each attempt gets further. */
async function download(
  options: RegistryOptions,
  blob: Blob & { readonly digest: string },
  get: (headers: Readonly<Record<string, string>>) => Promise<IncomingMessage>,
): Promise<Span> {
  const path = join(options.directory, blob.digest.replace(':', '-'));
  const fd = openSync(path, 'w', 0o600);
  let check = new Check(blob);
  const attempt = async (): Promise<void> => {
    if (check.size === blob.size) return; // it broke after its last byte
    const answer = await get(check.size === 0 ? {} : { range: `bytes=${check.size}-` });
    if (check.size > 0 && !(answer.statusCode === 206 && answer.headers['content-range']?.startsWith(`bytes ${check.size}-`))) {
      ftruncateSync(fd, 0); // a server without ranges begins anew
      check = new Check(blob);
    }
    try {
      for await (const chunk of answer) {
        const bytes: Buffer = chunk;
        check.add(bytes);
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, check.size - bytes.length + done);
        options.onBytes(bytes.length);
      }
    } catch (error) {
      if (error instanceof FarmError || hasNoRoom(error)) throw error;
      throw new Broken(`the blob ${blob.digest} broke off: ${sentence(error)}`, undefined, error);
    }
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

function hasNoRoom(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'write' && 'code' in error && error.code !== 'EPIPE' && error.code !== 'ECONNRESET';
}

/** Tries again what broke, each time after twice the wait; as many times more whenever `further` has grown. */
async function patiently<T>({ wait, signal, reference }: RegistryOptions, attempt: () => Promise<T>, further: () => number = () => 0): Promise<T> {
  let reached = further();
  for (let failed = 1; ; failed += 1) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Broken)) throw error;
      if (further() > reached) {
        reached = further();
        failed = 1;
      }
      if (failed === attempts) throw new FarmError('registry.unreachable', error.message, `is ${registryHost(reference.domain)} reachable from here?`, error);
      await wait(Math.min(longestWait, error.retryAfter === undefined ? firstWait * 2 ** (failed - 1) : error.retryAfter * 1000), signal);
    }
  }
}

/** The answer if it has what was asked for. */
async function judged(answer: IncomingMessage, reference: ImageReference, credential: Credential | undefined): Promise<IncomingMessage> {
  const status = answer.statusCode ?? 0;
  if (status === 200 || status === 206) return answer;
  const says = messageIn(await bodyOf(answer, errorMax, 'an error message'));
  if (status === 429 || status >= 500) {
    const after = /^\d{1,6}$/.test(answer.headers['retry-after'] ?? '') ? Number(answer.headers['retry-after']) : undefined;
    throw new Broken(`${reference.domain} answers with status ${status}${says}`, after);
  }
  if (status === 401 || status === 403) throw denied(reference, credential, says);
  if (status === 404)
    throw new FarmError(
      'registry.unknown',
      `${reference.domain} has no ${formatReference(reference)}${says}`,
      'compare name and tag; some registries say so too if it is not for everybody',
    );
  throw new FarmError('registry.answer', `${reference.domain} answers with status ${status}${says}`);
}

function denied({ domain, repository }: ImageReference, credential: Credential | undefined, says: string): FarmError {
  const hint =
    credential === undefined
      ? `log in: docker login ${domain}, or podman login ${domain}; or there is no such image`
      : 'compare user and password, and what this user may read; or there is no such image';
  return new FarmError('registry.denied', `${domain} does not let ${credential === undefined ? 'everybody' : 'this user'} read ${repository}${says}`, hint);
}

/** The first of the errors of the distribution spec ("Error Codes"), one line of it. */
function messageIn(body: Buffer): string {
  const [, message] = /"message"\s*:\s*"((?:[^"\\\p{Cc}]|\\["\\/]){1,200})/u.exec(body.toString()) ?? [];
  return message === undefined ? '' : `: ${message}`;
}

/** The Authorization header that answers a challenge; undefined if there is none. */
async function authorised(challenge: Challenge | undefined, options: RegistryOptions): Promise<string | undefined> {
  const { credential } = options;
  const basic = credential?.kind === 'password' ? `Basic ${Buffer.from(`${credential.user}:${credential.password}`).toString('base64')}` : undefined;
  if (challenge === undefined) return undefined;
  if (challenge.scheme === 'basic') return basic;
  const token = await patiently(options, () => askToken(challenge, basic, options));
  return token === undefined ? undefined : `Bearer ${token}`;
}

async function askToken(
  challenge: Challenge & { readonly scheme: 'bearer' },
  basic: string | undefined,
  options: RegistryOptions,
): Promise<string | undefined> {
  const { reference, credential, plain, signal } = options;
  const url = tokenUrl(challenge, reference.repository);
  if (url === undefined || (url.protocol !== 'https:' && !(plain && url.protocol === 'http:'))) {
    throw new FarmError('registry.answer', `${reference.domain} sends for a token to ${challenge.realm.slice(0, 200)}, which is no https address`);
  }
  const authorization: Readonly<Record<string, string>> = basic === undefined ? {} : { authorization: basic };
  const answer =
    credential?.kind === 'refresh'
      ? await exchange({
          url: new URL(url.origin + url.pathname),
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: refreshForm(url, credential.token),
          signal,
        })
      : await exchange({ url, method: 'GET', headers: authorization, signal });
  return readToken((await bodyOf(await judged(answer, reference, credential), errorMax, 'a token')).toString());
}

function refreshForm(url: URL, token: string): string {
  const form = new URLSearchParams(url.searchParams);
  form.set('grant_type', 'refresh_token');
  form.set('client_id', 'farm');
  form.set('refresh_token', token);
  return form.toString();
}
