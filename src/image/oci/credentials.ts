// What docker and podman know of a registry: containers-auth.json(5), docker's config.json, and their credential helpers.
import { FarmError } from '../../base/errors.ts';

export type Credential =
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  /** To be exchanged for tokens by OAuth 2 (RFC 6749 6). */
  | { readonly kind: 'refresh'; readonly token: string };

/** Who to ask for the credential, or the credential. */
export type Found = Credential | { readonly kind: 'helper'; readonly program: string; readonly server: string };

/** How Docker Hub is called in these files. */
const hub = 'index.docker.io';

/**
 * What a file says of a registry; undefined if nothing. The entry for the longest part of the repository's path wins, as with podman. Throws
 * `FarmError` `registry.credentials` for a file that is none.
 */
export function credentialFor(text: string, file: string, domain: string, repository: string): Found | undefined {
  const config = objectOf(parse(text, file));
  const helpers = entries(config['credHelpers']);
  const auths = entries(config['auths']);
  const host = domain === 'docker.io' ? hub : domain;
  const parts = repository.split('/');
  const keys = [...parts.map((_, dropped) => [domain, ...parts.slice(0, parts.length - dropped)].join('/')), domain, host];
  for (const key of keys) {
    const [written, helper] = helpers.find(([name]) => bare(name) === key) ?? [];
    if (written !== undefined && typeof helper === 'string') return helped(helper, written, file);
    const [server, entry] = auths.find(([name]) => bare(name) === key) ?? [];
    const found = server === undefined ? undefined : readEntry(objectOf(entry), server, file);
    if (found !== undefined) return found;
  }
  // With a store docker leaves an empty entry, and the secret to the program.
  const store = config['credsStore'];
  const [server] = auths.find(([name]) => bare(name) === domain || bare(name) === host) ?? [];
  return typeof store === 'string' && store !== '' && server !== undefined ? helped(store, server, file) : undefined;
}

/** `https://index.docker.io/v1/` -> `index.docker.io`. */
function bare(name: string): string {
  return name.replace(/^https?:\/\//, '').replace(/\/(v[12]\/?)?$/, '');
}

function readEntry(entry: Readonly<Record<string, unknown>>, server: string, file: string): Credential | undefined {
  const { identitytoken, auth } = entry;
  if (typeof identitytoken === 'string' && identitytoken !== '') return { kind: 'refresh', token: identitytoken };
  if (typeof auth !== 'string' || auth === '') return undefined;
  const plain = Buffer.from(auth, 'base64').toString();
  const colon = plain.indexOf(':');
  if (colon <= 0) throw new FarmError('registry.credentials', `${file} has no user and password for ${server}`, 'log in again: docker login, or podman login');
  // Old dockers filled it up with NULs.
  return { kind: 'password', user: plain.slice(0, colon), password: plain.slice(colon + 1).replace(/\0+$/, '') };
}

function helped(name: string, server: string, file: string): Found {
  if (/^[A-Za-z0-9._-]+$/.test(name)) return { kind: 'helper', program: `docker-credential-${name}`, server };
  throw new FarmError('registry.credentials', `${file} names the credential helper ${JSON.stringify(name)}, which is no program's name`);
}

/** The answer of a helper to `get`; `<token>` stands for no user (docker-credential-helpers). */
export function readHelped(text: string, program: string): Credential {
  const { Username: user, Secret: secret } = objectOf(parse(text, `what ${program} says`));
  if (typeof user !== 'string' || typeof secret !== 'string') throw new FarmError('registry.credentials', `${program} gives no user and password`);
  return user === '<token>' ? { kind: 'refresh', token: secret } : { kind: 'password', user, password: secret };
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Not the parser's sentence: it may quote the secret.
    throw new FarmError(
      'registry.credentials',
      `${file} is no JSON`,
      'log in again: docker login, or podman login',
      error instanceof Error ? error.name : undefined,
    );
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function entries(value: unknown): readonly (readonly [string, unknown])[] {
  return Object.entries(objectOf(value));
}
