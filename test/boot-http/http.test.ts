import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { Fields } from '../../src/base/log.ts';
import type { Service } from '../../src/base/service.ts';
import { type HttpLimits, type HttpRequest, type HttpRoutes, startHttpServer } from '../../src/boot/http.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-http-'));
const root = join(place, 'root');
mkdirSync(root);
const big = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => (at * 31 + (at >> 8)) & 255));
writeFileSync(join(root, 'big.bin'), big);
writeFileSync(join(root, 'empty'), '');
writeFileSync(join(root, 'my kernel 100%'), 'kernel');
writeFileSync(join(root, 'loader.efi'), 'MZ');
writeFileSync(join(place, 'secret'), 'secret');
symlinkSync('../secret', join(root, 'outside'));

const local = ipv4('127.0.0.1');
let service: Service | undefined;
let port = 0;
let events: { readonly event: string; readonly fields: Fields }[] = [];
const waiting: (() => void)[] = [];
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

afterEach(async () => {
  await service?.close();
  service = undefined;
});
afterAll(() => {
  agent.destroy();
  rmSync(place, { recursive: true });
});

const files: HttpRoutes = async ({ path }) => ({ kind: 'file', directory: root, path });

async function serve(routes: HttpRoutes, limits: Partial<HttpLimits> = {}): Promise<void> {
  events = [];
  service = await startHttpServer({
    address: local,
    port: 0,
    routes,
    clock: systemClock,
    limits,
    log: (_, event, fields = {}) => {
      events.push({ event, fields });
      for (const wake of waiting.splice(0)) wake();
    },
  });
  port = Number(service.sockets[0]?.split(':').at(-1));
}

/** The fields of the `count`th such event, when it has come. */
async function logged(event: string, count = 1): Promise<Fields> {
  for (;;) {
    const found = events.filter((entry) => entry.event === event)[count - 1];
    if (found !== undefined) return found.fields;
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
}

interface Reply {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly port: number | undefined;
}

function ask(path: string, options: { method?: string; headers?: Record<string, string>; body?: Buffer | string; socketPath?: string } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { body, socketPath, ...rest } = options;
    const outgoing = request({ ...(socketPath === undefined ? { host: '127.0.0.1', port, agent } : { socketPath }), path, ...rest }, (response) => {
      const localPort = response.socket.localPort;
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces), port: localPort }));
      response.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Sends these bytes and gives all that comes back until the server closes. */
async function raw(text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(text, 'latin1');
  let got = '';
  socket.on('data', (piece) => {
    got += piece.toString('latin1');
  });
  socket.on('error', () => {});
  await once(socket, 'close');
  return got;
}

describe('a file over HTTP', () => {
  it('comes whole, with its length, type, tag and date, and not chunked', async () => {
    await serve(files);
    const { status, headers, body } = await ask('/big.bin');
    expect(status).toBe(200);
    expect(body.equals(big)).toBe(true);
    expect(headers).toMatchObject({
      'content-length': String(big.length),
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      'last-modified': new Date(statSync(join(root, 'big.bin')).mtimeMs).toUTCString(),
    });
    expect(headers['transfer-encoding']).toBeUndefined();
    expect(await logged('http.done')).toMatchObject({
      client: '127.0.0.1',
      method: 'GET',
      path: '/big.bin',
      status: 200,
      bytes: big.length,
      aborted: undefined,
    });
  });

  it('has the same head for HEAD, and no body', async () => {
    await serve(files);
    const { status, headers, body } = await ask('/big.bin', { method: 'HEAD' });
    expect([status, headers['content-length'], body.length]).toEqual([200, String(big.length), 0]);
    expect(await logged('http.done')).toMatchObject({ method: 'HEAD', bytes: 0, aborted: undefined });
  });

  it('comes in part', async () => {
    await serve(files);
    const { status, headers, body } = await ask('/big.bin', { headers: { Range: 'bytes=1000000-2000000' } });
    expect([status, headers['content-range'], headers['content-length']]).toEqual([206, `bytes 1000000-2000000/${big.length}`, '1000001']);
    expect(body.equals(big.subarray(1_000_000, 2_000_001))).toBe(true);
  });

  it('does not come for a range behind its end', async () => {
    await serve(files);
    const { status, headers } = await ask('/big.bin', { headers: { Range: `bytes=${big.length}-` } });
    expect([status, headers['content-range']]).toEqual([416, `bytes */${big.length}`]);
  });

  it('does not come again to whoever has it', async () => {
    await serve(files);
    const etag = (await ask('/big.bin')).headers.etag!;
    const { status, body } = await ask('/big.bin', { headers: { 'If-None-Match': etag } });
    expect([status, body.length]).toEqual([304, 0]);
  });

  it.each([
    ['/empty', ''],
    ['//empty', ''],
    ['/my%20kernel%20100%25', 'kernel'],
    ['/x/..//my%20kernel%20100%', 'kernel'],
    ['http://farm/loader.efi', 'MZ'],
  ])('is found at %s, without a redirect', async (path, content) => {
    await serve(files);
    const { status, headers, body } = await ask(path);
    expect([status, headers['content-length'], body.toString()]).toEqual([200, String(content.length), content]);
  });

  it('tells UEFI firmware that it is a program', async () => {
    await serve(files);
    expect((await ask('/loader.efi')).headers['content-type']).toBe('application/efi');
  });

  it.each([['/outside'], ['/missing'], ['/'], ['/big.bin/more']])('is not found at %s', async (path) => {
    await serve(files);
    const { status, body } = await ask(path);
    expect([status, body.toString()]).toEqual([404, 'There is no such file\n']);
  });

  it('that becomes shorter while it is sent breaks the connection, and the next request works', async () => {
    const path = join(root, 'shrinking');
    writeFileSync(path, Buffer.alloc(50_000_000));
    await serve(files);
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /shrinking HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'readable'); // sent, but not taken: the rest waits for us
    truncateSync(path, 1000);
    socket.resume();
    await once(socket, 'close');
    expect(await logged('http.failed')).toMatchObject({ reason: 'the file became shorter while it was sent' });
    expect((await ask('/empty')).status).toBe(200);
  });
});

describe('an answer over HTTP', () => {
  it.each([
    ['text', { kind: 'text', text: '#!ipxe\n' }, 200, 'text/plain; charset=utf-8', '#!ipxe\n'],
    ['text with a type and a status', { kind: 'text', text: '<p>', type: 'text/html', status: 503 }, 503, 'text/html', '<p>'],
    ['JSON', { kind: 'json', value: { a: [1] } }, 200, 'application/json', '{"a":[1]}\n'],
    ['bytes', { kind: 'bytes', bytes: Buffer.from('PK'), type: 'application/x-cpio' }, 200, 'application/x-cpio', 'PK'],
    ['no bytes', { kind: 'bytes', bytes: Buffer.alloc(0), type: 'a/b' }, 200, 'a/b', ''],
    [
      'an error',
      { kind: 'error', status: 409, message: 'n1 is there', hint: 'choose another' },
      409,
      'text/plain; charset=utf-8',
      'n1 is there\nchoose another\n',
    ],
  ] as const)('can be %s', async (_, answer, status, type, content) => {
    await serve(async () => answer);
    const reply = await ask('/');
    expect([reply.status, reply.headers['content-type'], reply.headers['content-length'], reply.body.toString()]).toEqual([
      status,
      type,
      String(Buffer.byteLength(content)),
      content,
    ]);
    const head = await ask('/', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([status, String(Buffer.byteLength(content)), 0]);
  });

  it('in bytes has ranges and a tag too', async () => {
    await serve(async () => ({ kind: 'bytes', bytes: Buffer.from('0123456789'), type: 'a/b' }));
    const part = await ask('/', { headers: { Range: 'bytes=-3' } });
    expect([part.status, part.body.toString()]).toEqual([206, '789']);
    expect((await ask('/', { headers: { 'If-None-Match': part.headers.etag! } })).status).toBe(304);
  });

  it('is 404 when no route has one', async () => {
    await serve(async () => undefined);
    expect(await ask('/a%1bb')).toMatchObject({ status: 404, body: Buffer.from('There is nothing at /a?b\n') });
  });

  it('is 500 when a route throws, which is logged and stops nothing', async () => {
    await serve(async ({ path }) => {
      if (path === '/bad') throw new Error('a bug');
      return { kind: 'text', text: 'fine' };
    });
    const { status, body } = await ask('/bad');
    expect([status, body.toString()]).toEqual([500, 'The server could not answer this; see its log\n']);
    expect(await logged('http.failed')).toMatchObject({ reason: 'a bug', stack: expect.stringContaining('Error: a bug') });
    expect((await ask('/')).body.toString()).toBe('fine');
  });
});

describe('a request over HTTP', () => {
  it('reaches the route decoded, with query, client and body', async () => {
    const seen: HttpRequest[] = [];
    await serve(async (asked) => {
      seen.push(asked);
      return { kind: 'text', text: '' };
    });
    await ask('/a%20b//c?x=1&y=%2F', { method: 'POST', body: 'hello' });
    expect(seen).toEqual([{ method: 'POST', path: '/a b/c', query: new URLSearchParams('x=1&y=/'), client: '127.0.0.1', body: Buffer.from('hello') }]);
  });

  it('may come one byte at a time', async () => {
    await serve(async ({ body }) => ({ kind: 'bytes', bytes: body ?? Buffer.alloc(0), type: 'a/b' }));
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let got = '';
    socket.on('data', (piece) => {
      got += piece.toString();
    });
    for (const char of 'POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc') {
      await new Promise<void>((resolve) => socket.write(char, () => resolve()));
    }
    await once(socket, 'close');
    expect(got).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\nabc$/);
  });

  it('shares its connection with the next', async () => {
    await serve(files);
    const ports = new Set<number | undefined>();
    for (const path of ['/empty', '/big.bin', '/missing', '/loader.efi']) ports.add((await ask(path)).port);
    ports.add((await ask('/big.bin', { method: 'HEAD' })).port);
    expect(ports.size).toBe(1);
  });

  it('may be followed by others before it is answered (pipelining)', async () => {
    await serve(async ({ path }) => ({ kind: 'text', text: path }));
    const got = await raw('GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(got.match(/^\/\d/gm)).toEqual(['/1', '/2', '/3']);
  });

  it('of HTTP/1.0 gets a length and a closed connection', async () => {
    await serve(files);
    expect(await raw('GET /loader.efi HTTP/1.0\r\n\r\n')).toMatch(/Content-Length: 2\r\n[\s\S]*\r\n\r\nMZ$/);
  });

  it.each([
    ['a path above the root', 'GET /../x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', '400'],
    ['another method', 'DELETE /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', '405'],
    ['no HTTP', 'hello\r\n\r\n', '400'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', '400'],
    ['a head without end', `GET / HTTP/1.1\r\nX: ${'x'.repeat(40_000)}`, '431'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', '400'],
  ])('with %s is refused', async (_, text, status) => {
    await serve(files);
    expect((await raw(text)).slice(9, 12)).toBe(status);
    expect((await ask('/empty')).status).toBe(200);
  });

  it.each([
    ['told before', { 'Content-Length': '1001' }],
    ['not told', { 'Transfer-Encoding': 'chunked' }],
  ])('with a body over the limit, %s, is refused', async (_, headers) => {
    await serve(files, { body: 1000 });
    expect((await ask('/', { method: 'POST', headers, body: Buffer.alloc(1001) })).status).toBe(413);
    expect((await ask('/', { method: 'POST', body: Buffer.alloc(1000) })).status).toBe(404);
  });
});

describe('clients that misbehave', () => {
  it('and go away in the middle are no error', async () => {
    await serve(files);
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    socket.resetAndDestroy();
    expect(await logged('http.done')).toMatchObject({ status: 200, aborted: true });
    expect(events.map(({ event }) => event)).toEqual(['http.done']);
  });

  it('and go away within their body are no error', async () => {
    await serve(files);
    const socket = connect(port, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc');
    await once(socket, 'connect');
    socket.end();
    socket.resume();
    expect(await logged('http.done')).toMatchObject({ status: undefined, aborted: true });
    expect(events.map(({ event }) => event)).not.toContain('http.failed');
  });

  it('and send no head are closed', async () => {
    await serve(files, { head: 200, request: 200 });
    expect(await raw('GET / HTTP/1.1\r\n')).toContain('408');
  });

  it('and read nothing are closed', async () => {
    writeFileSync(join(root, 'huge'), Buffer.alloc(50_000_000));
    await serve(files, { idle: 200 });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET /huge HTTP/1.1\r\nHost: x\r\n\r\n');
    const done = await logged('http.done');
    expect(done['aborted']).toBe(true);
    expect(done['bytes']).toBeLessThan(50_000_000); // it was not all read into memory
    socket.destroy();
  });

  it('and open too many connections are turned away', async () => {
    await serve(files, { connectionsPerClient: 3 });
    const held: Socket[] = [];
    for (let count = 0; count < 3; count += 1) {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write('GET /empty HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(socket, 'data');
      held.push(socket);
    }
    expect(await raw('GET /empty HTTP/1.1\r\nHost: x\r\n\r\n')).toBe('');
    expect(await logged('http.busy')).toMatchObject({ client: '127.0.0.1', connections: 3, turnedAway: 1 });
    held[0]?.end();
    await once(held[0]!, 'close');
    expect((await ask('/empty')).status).toBe(200);
    for (const socket of held) socket.destroy();
  });
});

describe('the HTTP server', () => {
  it('lets an answer under way end before it closes', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let start = () => {};
    const entered = new Promise<void>((resolve) => {
      start = resolve;
    });
    await serve(async () => {
      start();
      await held;
      return { kind: 'text', text: 'late' };
    });
    const reply = ask('/');
    await entered;
    const closed = service!.close();
    release();
    expect((await reply).body.toString()).toBe('late');
    await closed;
    await service!.close();
  });

  it('says who is in the way when its port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const taken = typeof address === 'object' && address !== null ? address.port : 0;
    const options = { address: local, port: taken, routes: files, log: () => {}, clock: systemClock };
    await expect(startHttpServer(options)).rejects.toMatchObject({ code: 'port.taken', hint: expect.stringContaining('ss -ltnp') });
    other.close();
  });

  it('says so when it has not the address', async () => {
    const options = { address: ipv4('192.0.2.1'), port: 0, routes: files, log: () => {}, clock: systemClock };
    await expect(startHttpServer(options)).rejects.toMatchObject({ code: 'address.absent' });
  });

  it('serves a unix socket that only this user may use', async () => {
    const socketPath = join(place, 'control');
    const options = {
      socketPath,
      routes: async ({ client }: HttpRequest) => ({ kind: 'json', value: { client: client ?? 'local' } }) as const,
      log: () => {},
      clock: systemClock,
    };
    service = await startHttpServer(options);
    expect(service.sockets).toEqual([`unix ${socketPath}`]);
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect((await ask('/status', { socketPath })).body.toString()).toBe('{"client":"local"}\n');
    await expect(startHttpServer(options)).rejects.toMatchObject({ code: 'port.taken' });
  });

  it('replaces a unix socket that a killed server left, but nothing else', async () => {
    const socketPath = join(place, 'stale');
    const script = `require('node:net').createServer().listen(${JSON.stringify(socketPath)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' })).toThrow();
    expect(statSync(socketPath).isSocket()).toBe(true);
    service = await startHttpServer({ socketPath, routes: async () => ({ kind: 'text', text: 'up' }), log: () => {}, clock: systemClock });
    expect((await ask('/', { socketPath })).body.toString()).toBe('up');
    const inTheWay = { socketPath: join(place, 'secret'), routes: files, log: () => {}, clock: systemClock };
    await expect(startHttpServer(inTheWay)).rejects.toMatchObject({ code: 'port.taken' });
    expect(statSync(join(place, 'secret')).size).toBe(6);
  });
});
