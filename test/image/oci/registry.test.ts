// Pulling from a registry that is made here, and does what registries, networks and enemies do: tokens, redirects, broken connections, wrong bytes.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { emptyBlobStore, storedBytes } from '../../../src/image/oci/blob-store.ts';
import type { Credential } from '../../../src/image/oci/credentials.ts';
import { digestOf } from '../../../src/image/oci/digest.ts';
import { parseReference } from '../../../src/image/oci/reference.ts';
import { openRegistry } from '../../../src/image/oci/registry.ts';

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void;

let top: string;
const servers: Server[] = [];
const asked: string[] = [];
const waits: number[] = [];
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'farm-registry-'));
  asked.length = 0;
  waits.length = 0;
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
  rmSync(top, { recursive: true });
});

/** Serves on a port of the loopback; every request is noted with what it carries. */
async function serve(answer: Answer): Promise<string> {
  const counts = new Map<string, number>();
  const server = createServer((request, response) => {
    const { url = '', headers } = request;
    const count = (counts.get(url) ?? 0) + 1;
    counts.set(url, count);
    asked.push([url, headers.authorization, headers.range].filter((each) => each !== undefined).join(' '));
    answer(request, response, count);
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const address = server.address();
  return `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
}

function open(host: string, credential?: Credential, plain = true, places: { readonly directory: string; readonly store?: string } = { directory: top }) {
  return openRegistry({
    reference: parseReference(`${host}/lab/x:v1`),
    plain,
    credential,
    ...places,
    wait: async (time) => void waits.push(time),
    onBytes: () => {},
    signal: AbortSignal.timeout(10_000),
  });
}

const bytes = Buffer.alloc(300_000, 'layer');
const blob = { digest: digestOf(bytes), size: bytes.length };
const path = `/v2/lab/x/blobs/${blob.digest}`;
const manifest = Buffer.from('{"schemaVersion":2}');

describe('a registry', () => {
  it('gives manifests by tag and by digest', async () => {
    const host = await serve((_request, response) => response.end(manifest));
    const { manifest: get } = open(host);
    expect(await get()).toEqual({ bytes: manifest, digest: digestOf(manifest) });
    expect((await get(digestOf(manifest))).bytes).toEqual(manifest);
    await expect(get(blob.digest)).rejects.toMatchObject({ code: 'image.digest' });
    expect(asked[1]).toBe(`/v2/lab/x/manifests/${digestOf(manifest)}`);
  });

  it('wants a token, which is asked for once, and again when it has run out', async () => {
    let valid = 'one';
    const host = await serve((request, response) => {
      if (request.url?.startsWith('/token') === true) response.end(JSON.stringify({ token: valid }));
      else if (request.headers.authorization === `Bearer ${valid}`) response.end(manifest);
      else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token",service="lab"` }).end();
    });
    const { manifest: get } = open(host, { kind: 'password', user: 'u', password: 'p' });
    await get();
    await get();
    valid = 'two';
    await get();
    const token = '/token?service=lab&scope=repository%3Alab%2Fx%3Apull Basic dTpw';
    const of = '/v2/lab/x/manifests/v1';
    expect(asked).toEqual([of, token, `${of} Bearer one`, `${of} Bearer one`, `${of} Bearer one`, token, `${of} Bearer two`]);
  });

  it('may want a refresh token for one, by POST', async () => {
    let form = '';
    const host = await serve((request, response) => {
      if (request.url === '/token')
        request
          .setEncoding('utf8')
          .on('data', (text: string) => {
            form += text;
          })
          .on('end', () => response.end('{"access_token":"t"}'));
      else if (request.headers.authorization === 'Bearer t') response.end(manifest);
      else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end();
    });
    await open(host, { kind: 'refresh', token: 'r&r' }).manifest();
    expect(form).toBe('scope=repository%3Alab%2Fx%3Apull&grant_type=refresh_token&client_id=farm&refresh_token=r%26r');
  });

  it.each<[string, Answer, string]>([
    ['nobody may read', (_request, response) => void response.writeHead(401, { 'www-authenticate': 'Basic realm="lab"' }).end(), 'registry.denied'],
    [
      'is not there',
      (_request, response) => void response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}'),
      'registry.unknown',
    ],
    ['the registry does not understand', (_request, response) => void response.writeHead(400).end(), 'registry.answer'],
    ['has no end', (_request, response) => void response.end(Buffer.alloc((4 << 20) + 1)), 'registry.answer'],
    ['is always somewhere else', (request, response) => void response.writeHead(307, { location: `${request.url}x` }).end(), 'registry.answer'],
    ['is in a file', (_request, response) => void response.writeHead(302, { location: 'file:///etc/shadow' }).end(), 'registry.answer'],
    [
      'needs a token from a place in the clear',
      (_request, response) => void response.writeHead(401, { 'www-authenticate': 'Bearer realm="ftp://x/"' }).end(),
      'registry.answer',
    ],
  ])('with a manifest that %s is told so at once', async (_what, answer, code) => {
    await expect(open(await serve(answer)).manifest()).rejects.toMatchObject({ name: 'FarmError', code });
    expect(waits).toEqual([]);
  });

  it('that does not answer, or does not speak TLS, is told so', async () => {
    const host = await serve((_request, response) => response.end());
    await expect(open(host, undefined, false).manifest()).rejects.toMatchObject({ code: 'registry.unreachable', hint: expect.stringMatching('http://') });
    servers.splice(0)[0]?.close();
    await expect(open(host).manifest()).rejects.toMatchObject({ code: 'registry.unreachable' });
  });

  it('that is overloaded is asked again, after the time that it wants', async () => {
    const host = await serve((_request, response, count) =>
      count < 3 ? response.writeHead(503, count === 1 ? { 'retry-after': '7' } : {}).end() : response.end(manifest),
    );
    await open(host).manifest();
    expect(waits).toEqual([7000, 2000]);
    const down = await serve((_request, response) => response.writeHead(503).end());
    await expect(open(down).manifest()).rejects.toThrow('answers with status 503');
    expect(waits.slice(2)).toEqual([1000, 2000, 4000, 8000, 16_000]);
  });
});

describe('a blob', () => {
  const from = (request: IncomingMessage): number => Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const partly = (request: IncomingMessage, response: ServerResponse, end: number): void => {
    const start = from(request);
    response.writeHead(start === 0 ? 200 : 206, {
      'content-length': bytes.length - start,
      'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
    });
    response.write(bytes.subarray(start, end), () => (end < bytes.length ? response.destroy() : response.end()));
  };

  it('comes whole over a connection that breaks, each time from where it broke', async () => {
    const host = await serve((request, response) => partly(request, response, from(request) + 50_000));
    const span = await open(host).blob(blob);
    expect(span).toEqual({ path: join(top, blob.digest.replace(':', '-')), offset: 0, size: bytes.length });
    expect(readFileSync(span.path).equals(bytes)).toBe(true);
    expect(asked.slice(0, 3)).toEqual([path, `${path} bytes=50000-`, `${path} bytes=100000-`]);
    expect(asked.length).toBeLessThanOrEqual(7);
    expect(new Set(waits)).toEqual(new Set([1000]));
  });

  describe('kept in a store', () => {
    const whole: Answer = (request, response) => partly(request, response, bytes.length);
    const pull = async (answer: Answer, work: string): Promise<Buffer> => {
      const host = await serve(answer);
      mkdirSync(join(top, work));
      const span = await open(host, undefined, true, { directory: join(top, work), store: join(top, 'store') }).blob(blob);
      return readFileSync(span.path);
    };

    it('is asked for once', async () => {
      expect((await pull(whole, 'one')).equals(bytes)).toBe(true);
      rmSync(join(top, 'one'), { recursive: true });
      expect((await pull(whole, 'two')).equals(bytes)).toBe(true);
      expect(asked).toHaveLength(1);
      expect(storedBytes(join(top, 'store'))).toBe(bytes.length);
      emptyBlobStore(join(top, 'store'));
      expect(storedBytes(join(top, 'store'))).toBe(0);
      expect(readFileSync(join(top, 'two', blob.digest.replace(':', '-'))).equals(bytes)).toBe(true);
    });

    it('is gone on with where the last import gave up', async () => {
      const once: Answer = (request, response, count) => (count === 1 ? partly(request, response, 100_000) : response.destroy());
      await expect(pull(once, 'one')).rejects.toMatchObject({ code: 'registry.unreachable' });
      asked.length = 0;
      expect((await pull(whole, 'two')).equals(bytes)).toBe(true);
      expect(asked).toEqual([`${path} bytes=100000-`]);
      expect(readdirSync(join(top, 'store'))).toEqual([blob.digest.replace(':', '-')]);
    });

    it.each([
      ['a whole one', ''],
      ['a beginning', '.part'],
    ])('and spoilt there, %s, is pulled anew, at the latest at the next attempt', async (_, ending) => {
      mkdirSync(join(top, 'store'));
      writeFileSync(join(top, 'store', blob.digest.replace(':', '-') + ending), Buffer.alloc(ending === '' ? bytes.length : 1000, 'x'));
      if (ending !== '') await expect(pull(whole, 'one')).rejects.toMatchObject({ code: 'image.digest' });
      expect((await pull(whole, 'two')).equals(bytes)).toBe(true);
      expect(asked.at(-1)).toBe(path);
    });
  });

  it('comes whole from a server without ranges', async () => {
    const host = await serve((_request, response, count) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, count === 1 ? 50_000 : undefined), () => (count === 1 ? response.destroy() : response.end()));
    });
    expect(readFileSync((await open(host).blob(blob)).path).equals(bytes)).toBe(true);
    expect(asked).toEqual([path, `${path} bytes=50000-`]);
  });

  it('comes from the storage that the registry names, which gets no password', async () => {
    const storage = await serve((_request, response) => response.end(bytes));
    const host = await serve((request, response) => {
      if (request.headers.authorization === undefined) response.writeHead(401, { 'www-authenticate': 'Basic realm="lab"' }).end();
      else response.writeHead(307, { location: `http://${storage}/there` }).end();
    });
    await open(host, { kind: 'password', user: 'u', password: 'p' }).blob(blob);
    expect(asked).toEqual([path, `${path} Basic dTpw`, '/there']);
  });

  it.each<[string, Answer, string]>([
    ['has other bytes', (_request, response) => void response.end(Buffer.alloc(bytes.length, 'other')), 'image.digest'],
    ['goes on', (_request, response) => void response.end(Buffer.concat([bytes, bytes])), 'image.digest'],
    ['always ends too soon', (_request, response) => void response.end(bytes.subarray(0, 10)), 'registry.unreachable'],
    ['is not there', (_request, response) => void response.writeHead(404).end(), 'registry.unknown'],
  ])('that %s is refused', async (_what, answer, code) => {
    await expect(open(await serve(answer)).blob(blob)).rejects.toMatchObject({ name: 'FarmError', code });
  });

  it('may have a digest by SHA-512', async () => {
    const host = await serve((_request, response) => response.end(bytes));
    const digest = `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
    expect((await open(host).blob({ digest, size: bytes.length })).size).toBe(bytes.length);
  });
});
