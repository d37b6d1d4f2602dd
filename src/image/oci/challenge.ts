// WWW-Authenticate of a registry (RFC 9110 11.6.1), and what the token server is asked then (distribution's token authentication, spec/auth/token).

export type Challenge =
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: string; readonly service: string | undefined; readonly scope: string | undefined };

/** What a header may take before it is not looked at. */
const headerMax = 8192;

/** The first challenge that can be met, Bearer before Basic; undefined if there is none. */
export function readChallenge(header: string): Challenge | undefined {
  const challenges = splitChallenges(header.slice(0, headerMax));
  const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
  const realm = bearer?.parameters.get('realm');
  if (bearer !== undefined && realm !== undefined) {
    return { scheme: 'bearer', realm, service: bearer.parameters.get('service'), scope: bearer.parameters.get('scope') };
  }
  return challenges.some(({ scheme }) => scheme === 'basic') ? { scheme: 'basic' } : undefined;
}

function splitChallenges(header: string): { readonly scheme: string; readonly parameters: ReadonlyMap<string, string> }[] {
  const challenges: { readonly scheme: string; readonly parameters: Map<string, string> }[] = [];
  // A token is a scheme unless `=` follows: then it is a parameter of the scheme before.
  const word = /([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/g;
  for (const [, name = '', quoted, plain] of header.matchAll(word)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    else challenges.at(-1)?.parameters.set(name.toLowerCase(), value);
  }
  return challenges;
}

/** Where a token for pulling from `repository` is asked for. undefined if the realm is no URL. */
export function tokenUrl({ realm, service, scope }: Challenge & { readonly scheme: 'bearer' }, repository: string): URL | undefined {
  if (!URL.canParse(realm)) return undefined;
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  // Whatever it asks for: reading, and nothing else.
  url.searchParams.set('scope', /^repository:[^ ,]+:pull$/.test(scope ?? '') ? (scope ?? '') : `repository:${repository}:pull`);
  return url;
}

/** Of the token server's answer; undefined if there is none that a header can have. */
export function readToken(text: string): string | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer !== 'object' || answer === null) return undefined;
    const token = 'token' in answer && answer.token !== '' ? answer.token : 'access_token' in answer ? answer.access_token : undefined;
    return typeof token === 'string' && /^[\x21-\x7e]+$/.test(token) ? token : undefined;
  } catch {
    return undefined;
  }
}
