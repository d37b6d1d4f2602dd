// One HTTP exchange with a registry, with its redirects followed (RFC 9110 15.4): nothing secret goes to another origin, nothing from TLS to plain.
import { type IncomingMessage, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { FarmError, sentence, systemCode } from '../../base/errors.ts';

export interface Ask {
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** Of a connection on which nothing comes. */
const patience = 60_000;
/** Registries send a client to their storage, and that perhaps to another: one or two. */
const redirectsMax = 5;

/** A failure that may be over soon: the connection broke, or the server is overloaded. */
export class Broken extends Error {
  /** Seconds that the server asks for. */
  readonly retryAfter: number | undefined;

  constructor(message: string, retryAfter?: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'Broken';
    this.retryAfter = retryAfter;
  }
}

/** The answer, whose body must be read or destroyed. Throws `Broken`, `FarmError` (`registry.*`), the signal's reason. */
export async function exchange(ask: Ask): Promise<IncomingMessage> {
  let { url, headers } = ask;
  for (let redirects = 0; ; redirects += 1) {
    const answer = await once({ ...ask, url, headers });
    const status = answer.statusCode ?? 0;
    const { location } = answer.headers;
    if (![301, 302, 303, 307, 308].includes(status) || location === undefined) return answer;
    answer.destroy();
    const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
    if (next === undefined || redirects === redirectsMax || ask.method !== 'GET')
      throw new FarmError('registry.answer', `${url.host} sends in circles, or nowhere: ${location.slice(0, 200)}`);
    if (next.protocol !== url.protocol && next.protocol !== 'https:')
      throw new FarmError('registry.answer', `${url.host} sends to ${next.protocol}//${next.host}, which is not encrypted`);
    if (next.origin !== url.origin) headers = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'authorization'));
    url = next;
  }
}

function once({ url, method, headers, body, signal }: Ask): Promise<IncomingMessage> {
  const request = url.protocol === 'https:' ? tlsRequest : plainRequest;
  return new Promise((settle, reject) => {
    const asked = request(
      url,
      { method, headers: { ...headers, 'user-agent': 'farm', 'accept-encoding': 'identity' }, agent: false, timeout: patience, signal },
      settle,
    );
    asked.on('timeout', () => asked.destroy(new Broken(`${url.host} has been silent for ${patience / 1000} s`)));
    asked.on('error', (error) => reject(signal.aborted ? signal.reason : failure(error, url)));
    asked.end(body);
  });
}

function failure(error: Error, url: URL): Error {
  if (error instanceof Broken) return error;
  const code = systemCode(error) ?? '';
  if (/CERT|SELF_SIGNED|ALTNAME/.test(code)) {
    const hint = 'name the certificate that it is signed with in NODE_EXTRA_CA_CERTS, or write http:// for a registry without TLS in a network that you trust';
    return new FarmError('registry.certificate', `the certificate of ${url.host} is not trusted: ${sentence(error)}`, hint, error);
  }
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || /wrong version number/i.test(error.message)) {
    return new FarmError(
      'registry.unreachable',
      `${url.host} does not speak TLS`,
      'write http:// before its name, or --insecure, in a network that you trust',
      error,
    );
  }
  if (code === 'ENOTFOUND')
    return new FarmError('registry.unreachable', `there is no host ${url.hostname}`, 'compare the name; is it the name of a file that is not there?', error);
  if (code === 'ECONNREFUSED')
    return new FarmError('registry.unreachable', `nothing answers at ${url.host}`, 'compare name and port; does the registry run?', error);
  return new Broken(`${url.host} cannot be reached: ${sentence(error)}`, undefined, error);
}

/** The whole body. Throws `FarmError` `registry.answer` for more than `max` bytes, `Broken` if it ends too soon. */
export async function bodyOf(answer: IncomingMessage, max: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer) {
      const bytes: Buffer = chunk;
      size += bytes.length;
      if (size > max) throw new FarmError('registry.answer', `${what} has more than ${max} bytes`);
      chunks.push(bytes);
    }
  } catch (error) {
    if (error instanceof FarmError) throw error;
    throw new Broken(`the answer broke off: ${sentence(error)}`, undefined, error);
  }
  return Buffer.concat(chunks);
}
