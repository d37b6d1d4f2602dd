// Other people's HTTP clients against our server, on loopback and over a unix socket: curl and busybox wget.
import { execFile, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { Fields } from '../../src/base/log.ts';
import type { Service } from '../../src/base/service.ts';
import { type HttpRoutes, startHttpServer } from '../../src/boot/http.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-http-interop-'));
const root = join(place, 'root');
const into = join(place, 'got');
const control = join(place, 'control');
const services: Service[] = [];
let base = '';
const waiting: (() => void)[] = [];
let events: { readonly event: string; readonly fields: Fields }[] = [];

const routes: HttpRoutes = async ({ method, path, body }) => {
  if (method === 'POST') return { kind: 'json', value: { path, length: body?.length } };
  return { kind: 'file', directory: root, path };
};

beforeAll(async () => {
  mkdirSync(join(root, 'a b'), { recursive: true });
  writeFileSync(join(root, 'vmlinuz'), randomBytes(20_000_000));
  writeFileSync(join(root, 'empty'), '');
  writeFileSync(join(root, 'a b', '100% größe'), 'found\n');
  const log = (_: unknown, event: string, fields: Fields = {}) => {
    events.push({ event, fields });
    for (const wake of waiting.splice(0)) wake();
  };
  services.push(await startHttpServer({ address: ipv4('127.0.0.1'), port: 0, routes, log, clock: systemClock }));
  services.push(await startHttpServer({ socketPath: control, routes, log, clock: systemClock }));
  base = `http://${services[0]?.sockets[0]?.slice(4)}`;
});

beforeEach(() => {
  rmSync(into, { force: true });
  events = [];
});

afterAll(async () => {
  for (const service of services) await service.close();
  rmSync(place, { recursive: true });
});

/** Skips with a reason where a program is missing, and fails there if this is CI, where nothing may be missing. */
function tryWith(program: string, name: string, body: () => Promise<void>): void {
  const isMissing = spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0;
  if (isMissing && process.env['CI'] !== undefined) throw new Error(`${name}: needs ${program}`);
  test.skipIf(isMissing)(isMissing ? `${name} (needs ${program})` : name, body);
}

/** What it prints; throws if it fails. */
function runs(program: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: 30_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${program}: ${error.message}\n${stderr}`));
    });
  });
}

const curl = (...args: string[]) => runs('curl', '-sS', ...args);
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const kernel = () => readFileSync(join(root, 'vmlinuz'));

tryWith('curl', 'curl gets a kernel', async () => {
  await curl('-f', '-o', into, `${base}/vmlinuz`);
  expect(digest(readFileSync(into))).toBe(digest(kernel()));
});

tryWith('curl', 'curl gets an empty file', async () => {
  expect(await curl('-w', '%{http_code} %{size_download}', `${base}/empty`)).toBe('200 0');
});

tryWith('curl', 'curl gets what lies between two bytes, and the last ones', async () => {
  await curl('-f', '-r', '1000-1999999', '-o', into, `${base}/vmlinuz`);
  expect(readFileSync(into).equals(kernel().subarray(1000, 2_000_000))).toBe(true);
  await curl('-f', '-r', '-77', '-o', into, `${base}/vmlinuz`);
  expect(readFileSync(into).equals(kernel().subarray(-77))).toBe(true);
});

tryWith('curl', 'curl goes on with half a download', async () => {
  writeFileSync(into, kernel().subarray(0, 12_345_678));
  await curl('-f', '-C', '-', '-o', into, `${base}/vmlinuz`);
  expect(digest(readFileSync(into))).toBe(digest(kernel()));
});

tryWith('curl', 'curl does not get again what it has', async () => {
  const tag = join(place, 'tag');
  await curl('-f', '--etag-save', tag, '-o', into, `${base}/vmlinuz`);
  expect(await curl('-f', '--etag-compare', tag, '-w', '%{http_code} %{size_download}', `${base}/vmlinuz`)).toBe('304 0');
  expect(await curl('-f', '-o', into, '-z', join(root, 'vmlinuz'), '-w', '%{http_code}', `${base}/vmlinuz`)).toBe('304');
});

tryWith('curl', 'curl asks for the head, and keeps the connection', async () => {
  const text = await curl('-I', `${base}/vmlinuz`, '--next', '-sS', '-o', into, '-w', '%{num_connects}', `${base}/vmlinuz`);
  expect(text).toContain(`Content-Length: ${statSync(join(root, 'vmlinuz')).size}\r\n`);
  expect(text).toMatch(/\r\n\r\n0$/);
});

tryWith('curl', 'curl finds names with blanks, percent signs and doubled slashes, without a redirect', async () => {
  for (const path of ['/a%20b/100%25%20gr%C3%B6%C3%9Fe', '//a%20b///100%25%20größe', '/x/..//a%20b/100%%20gr%c3%b6%c3%9fe']) {
    expect(await curl('--path-as-is', '-w', '%{http_code}', `${base}${path}`)).toBe('found\n200');
  }
});

tryWith('curl', 'curl cannot leave the directory', async () => {
  for (const path of ['/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/..%2f..%2fetc/passwd', '/a b/../../../etc/passwd'.replace(' ', '%20')]) {
    expect(await curl('--path-as-is', '-o', into, '-w', '%{http_code}', `${base}${path}`)).toBe('400');
  }
});

tryWith('curl', 'curl posts, with and without waiting to be told to continue', async () => {
  writeFileSync(join(place, 'report'), Buffer.alloc(1_048_576));
  expect(await curl('--data-binary', `@${join(place, 'report')}`, `${base}/report`)).toBe('{"path":"/report","length":1048576}\n');
  expect(await curl('-H', 'Expect:', '-H', 'Transfer-Encoding: chunked', '-d', 'abc', `${base}/report`)).toBe('{"path":"/report","length":3}\n');
  writeFileSync(join(place, 'report'), Buffer.alloc(1_048_577));
  expect(await curl('-o', into, '-w', '%{http_code}', '--data-binary', `@${join(place, 'report')}`, `${base}/report`)).toBe('413');
});

tryWith('curl', 'curl of HTTP/1.0 gets a kernel', async () => {
  await curl('-f', '-0', '-o', into, `${base}/vmlinuz`);
  expect(digest(readFileSync(into))).toBe(digest(kernel()));
});

tryWith('curl', 'curl asks over the control socket', async () => {
  expect(await curl('--unix-socket', control, '-d', 'x', 'http://farm/status')).toBe('{"path":"/status","length":1}\n');
});

tryWith('curl', 'curl that stops in the middle is no failure', async () => {
  await expect(curl('--limit-rate', '100k', '--max-time', '1', '-o', into, `${base}/vmlinuz`)).rejects.toThrow('timed out');
  if (events.length === 0) await new Promise<void>((resolve) => waiting.push(resolve));
  expect(events).toMatchObject([{ event: 'http.done', fields: { status: 200, aborted: true } }]);
});

tryWith('curl', 'twenty clients at once get a kernel', async () => {
  const all = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      await curl('-f', '-o', `${into}${index}`, `${base}/vmlinuz`);
      return digest(readFileSync(`${into}${index}`));
    }),
  );
  expect(new Set(all)).toEqual(new Set([digest(kernel())]));
});

tryWith('busybox', 'busybox wget gets a kernel, and goes on with half of one', async () => {
  await runs('busybox', 'wget', '-q', '-O', into, `${base}//vmlinuz`);
  expect(digest(readFileSync(into))).toBe(digest(kernel()));
  writeFileSync(into, kernel().subarray(0, 5_000_000));
  await runs('busybox', 'wget', '-q', '-c', '-O', into, `${base}/vmlinuz`);
  expect(digest(readFileSync(into))).toBe(digest(kernel()));
});
