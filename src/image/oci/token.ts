// Gets what a registry's challenge asks for: a token of its token server, or user and password; and says what an answer's status means.
import type { IncomingMessage } from 'node:http';
import { FarmError } from '../../base/errors.ts';
import { type Challenge, readToken, tokenUrl } from './challenge.ts';
import type { Credential } from './credentials.ts';
import { Broken, bodyOf, exchange } from './http.ts';
import { type Patience, patiently } from './patience.ts';
import { formatReference, type ImageReference } from './reference.ts';

export interface AccessOptions extends Patience {
  readonly reference: ImageReference;
  /** HTTP without TLS. */
  readonly plain: boolean;
  readonly credential: Credential | undefined;
}

/** Of an error page. */
const errorMax = 1 << 20;

/** The answer if it has what was asked for. */
export async function judged(answer: IncomingMessage, reference: ImageReference, credential: Credential | undefined): Promise<IncomingMessage> {
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

export function denied({ domain, repository }: ImageReference, credential: Credential | undefined, says: string): FarmError {
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
export async function authorised(challenge: Challenge | undefined, options: AccessOptions): Promise<string | undefined> {
  const { credential } = options;
  const basic = credential?.kind === 'password' ? `Basic ${Buffer.from(`${credential.user}:${credential.password}`).toString('base64')}` : undefined;
  if (challenge === undefined) return undefined;
  if (challenge.scheme === 'basic') return basic;
  const token = await patiently(options, () => askToken(challenge, basic, options));
  return token === undefined ? undefined : `Bearer ${token}`;
}

async function askToken(challenge: Challenge & { readonly scheme: 'bearer' }, basic: string | undefined, options: AccessOptions): Promise<string | undefined> {
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
