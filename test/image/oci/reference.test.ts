// Names of images, digests, platforms, challenges and logins: tables of what people, registries and logins write.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FarmError } from '../../../src/base/errors.ts';
import { readChallenge, readToken, tokenUrl } from '../../../src/image/oci/challenge.ts';
import { credentialFor, readHelped } from '../../../src/image/oci/credentials.ts';
import { formatReference, parseReference, registryHost } from '../../../src/image/oci/reference.ts';
import { parsePlatform } from '../../../src/image/oci/select.ts';

const digest = `sha256:${'0f'.repeat(32)}`;

describe('a reference', () => {
  it.each([
    ['debian', 'docker.io/library/debian:latest'],
    ['debian:13', 'docker.io/library/debian:13'],
    ['lab/render', 'docker.io/lab/render:latest'],
    ['docker.io/debian:13', 'docker.io/library/debian:13'],
    ['index.docker.io/library/debian', 'docker.io/library/debian:latest'],
    ['localhost/x', 'localhost/x:latest'],
    ['localhost:5000/x', 'localhost:5000/x:latest'],
    [`localhost:5000/a/b__c/d:t@${digest}`, `localhost:5000/a/b__c/d@${digest}`],
    ['[::1]:5000/x:1', '[::1]:5000/x:1'],
    ['ghcr.io/Org/x'.toLowerCase(), 'ghcr.io/org/x:latest'],
    ['server.lan:5000/nodes/rocky9:2026-11', 'server.lan:5000/nodes/rocky9:2026-11'],
  ])('%s is %s', (text, whole) => {
    expect(formatReference(parseReference(text))).toBe(whole);
    expect(formatReference(parseReference(whole))).toBe(whole);
  });

  it.each([
    '',
    ':',
    '/',
    'a//b',
    'Debian',
    'a:b:c',
    'x@sha256:12',
    `x@${digest}@${digest}`,
    '../x',
    'host.lan/../x',
    'host.lan:99999999/x',
    'a b',
    'x:',
    `host.lan/${'a/'.repeat(200)}a`,
    'host.lan/x?y=1',
    'user@host.lan/x',
  ])('%j is none', (text) => {
    expect(() => parseReference(text)).toThrow(FarmError);
  });

  it('of any text makes a URL path below its repository, or is refused', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-zA-Z0-9./:@_\-%?#]{0,60}$/), (text) => {
        try {
          const { domain, repository, tag } = parseReference(text);
          const url = new URL(`/v2/${repository}/manifests/${tag}`, `https://${registryHost(domain)}`);
          expect(url.pathname).toBe(`/v2/${repository}/manifests/${tag}`);
        } catch (error) {
          // A port that is none is found out later, by the one who connects.
          expect(error instanceof FarmError || /:\d{5}/.test(text)).toBe(true);
        }
      }),
    );
  });

  it('has Docker Hub where it is', () => {
    expect(registryHost('docker.io')).toBe('registry-1.docker.io');
    expect(registryHost('quay.io')).toBe('quay.io');
  });
});

describe('a platform', () => {
  it.each([
    ['linux/amd64', { os: 'linux', architecture: 'amd64' }],
    ['linux/arm/v7', { os: 'linux', architecture: 'arm', variant: 'v7' }],
  ])('%s', (text, platform) => expect(parsePlatform(text)).toEqual(platform));
  it.each(['', 'amd64', 'linux/', 'linux/arm/v7/x', 'linux/arm/'])('%j is none', (text) => expect(() => parsePlatform(text)).toThrow('no platform'));
});

describe('a challenge', () => {
  it.each([
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull"',
      'https://auth.docker.io/token?service=registry.docker.io&scope=repository%3Alibrary%2Fdebian%3Apull',
    ],
    ['Bearer realm="https://a/t?x=1"', 'https://a/t?x=1&scope=repository%3Alab%2Fx%3Apull'],
    ['bearer Realm = "https://a/t" , scope="registry:catalog:*"', 'https://a/t?scope=repository%3Alab%2Fx%3Apull'],
    ['Basic realm="x", Bearer realm="https://a/\\"t"', 'https://a/%22t?scope=repository%3Alab%2Fx%3Apull'],
    ['Bearer realm=https://a/t', 'https://a/t?scope=repository%3Alab%2Fx%3Apull'],
  ])('%s asks for a token', (header, url) => {
    const challenge = readChallenge(header);
    expect(challenge?.scheme).toBe('bearer');
    if (challenge?.scheme === 'bearer') expect(tokenUrl(challenge, 'lab/x')?.href).toBe(url);
  });

  it('asks for a password, or for what is not known', () => {
    expect(readChallenge('Basic realm="lab"')).toEqual({ scheme: 'basic' });
    expect(readChallenge('Digest realm="lab", nonce="Bearer"')).toBeUndefined();
    expect(readChallenge('')).toBeUndefined();
    expect(tokenUrl({ scheme: 'bearer', realm: 'nowhere', service: undefined, scope: undefined }, 'x')).toBeUndefined();
  });

  it('of any text is read, soon', () => {
    fc.assert(fc.property(fc.string({ maxLength: 300 }), (text) => void readChallenge(text)));
    expect(readChallenge(`Bearer realm="${'\\'.repeat(100_000)}`)).toMatchObject({ realm: '' });
  });

  it.each([
    ['{"token":"abc"}', 'abc'],
    ['{"access_token":"abc"}', 'abc'],
    ['{"token":"","access_token":"abc"}', 'abc'],
    ['{"token":"a\\r\\nX: y"}', undefined],
    ['{"token":5}', undefined],
    ['null', undefined],
    ['nothing', undefined],
  ])('is answered by %s', (text, token) => expect(readToken(text)).toBe(token));
});

describe('a login', () => {
  const auth = Buffer.from('u:p:q').toString('base64');
  const found = { kind: 'password', user: 'u', password: 'p:q' };
  it.each<[string, unknown, string, string, unknown]>([
    ['of a host', { auths: { 'r.lan:5000': { auth } } }, 'r.lan:5000', 'a/b', found],
    ['of a host with a scheme', { auths: { 'https://r.lan/v2/': { auth } } }, 'r.lan', 'a/b', found],
    ['of Docker Hub', { auths: { 'https://index.docker.io/v1/': { auth } } }, 'docker.io', 'library/debian', found],
    ['of the longest path', { auths: { 'r.lan': { auth: 'eDp5' }, 'r.lan/a': { auth }, 'r.lan/a/c': { auth: 'eDp5' } } }, 'r.lan', 'a/b', found],
    ['of another host', { auths: { 'r.lan.evil.org': { auth } } }, 'r.lan', 'a/b', undefined],
    ['by a token', { auths: { 'r.lan': { auth, identitytoken: 't' } } }, 'r.lan', 'a', { kind: 'refresh', token: 't' }],
    ['by a helper', { credHelpers: { 'r.lan': 'pass' } }, 'r.lan', 'a', { kind: 'helper', program: 'docker-credential-pass', server: 'r.lan' }],
    ['in a store', { auths: { 'r.lan': {} }, credsStore: 'pass' }, 'r.lan', 'a', { kind: 'helper', program: 'docker-credential-pass', server: 'r.lan' }],
    ['in a store that has not this one', { auths: {}, credsStore: 'pass' }, 'r.lan', 'a', undefined],
    ['in an empty file', {}, 'r.lan', 'a', undefined],
    ['in a list', [], 'r.lan', 'a', undefined],
  ])('%s', (_what, config, domain, repository, wanted) => {
    expect(credentialFor(JSON.stringify(config), 'f', domain, repository)).toEqual(wanted);
  });

  it('that is damaged is an error, which does not quote it', () => {
    const sentenceOf = (text: string): string => {
      try {
        return `no error: ${JSON.stringify(credentialFor(text, 'config.json', 'r.lan', 'a'))}`;
      } catch (error) {
        return error instanceof FarmError ? `${error.code} ${error.message}` : String(error);
      }
    };
    expect(sentenceOf('{"auths": secret')).toBe('registry.credentials config.json is no JSON');
    expect(sentenceOf(JSON.stringify({ auths: { 'r.lan': { auth: 'bm9jb2xvbg==' } } }))).toBe(
      'registry.credentials config.json has no user and password for r.lan',
    );
    expect(sentenceOf(JSON.stringify({ credHelpers: { 'r.lan': '../sh' } }))).toMatch(/no program's name/);
  });

  it('of a helper is a password, or a token', () => {
    expect(readHelped('{"Username":"u","Secret":"s"}', 'x')).toEqual({ kind: 'password', user: 'u', password: 's' });
    expect(readHelped('{"Username":"<token>","Secret":"s"}', 'x')).toEqual({ kind: 'refresh', token: 's' });
    expect(() => readHelped('{}', 'x')).toThrow('no user and password');
  });
});
