// nginx in front of our HTTP server with the configuration that we generate, in a network namespace: server, a node and a stranger.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { nginxConfiguration } from '../../src/boot/nginx.ts';
import { serverCertificate, serverKey } from '../boot-http/certificates.ts';

const isMissing = spawnSync('sh', ['-c', 'command -v nginx && command -v ip && command -v curl && test "$(id -u)" = 0']).status !== 0;
if (isMissing && process.env['CI'] !== undefined) throw new Error('needs nginx, ip, curl and root');

const id = `fn${process.pid}`;
const [serverSide, nodeSide] = [`${id}s`, `${id}n`];
const version = 'images/debian-13/0123456789ab';
const secret = 'a-secret';
const kernel = Buffer.from(Array.from({ length: 2_000_000 }, (_, at) => (at * 31 + (at >> 8)) & 255));
let place = '';
const children: ChildProcess[] = [];

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });

/** What curl prints as the node with address 10.99.0.`host`. */
function curl(host: number, ...args: string[]): string {
  return execFileSync('ip', ['netns', 'exec', nodeSide, 'curl', '-sS', '--max-time', '10', '--interface', `10.99.0.${host}`, ...args], { encoding: 'utf8' });
}

function log(): readonly { readonly [field: string]: unknown }[] {
  return readFileSync(join(place, 'farm.log'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

function start(command: string, args: readonly string[]): ChildProcess {
  const child = spawn('ip', ['netns', 'exec', serverSide, command, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  children.push(child);
  return child;
}

describe.skipIf(isMissing)('nginx in front of farm', () => {
  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'farm-nginx-'));
    chmodSync(place, 0o755); // nginx's workers are another user
    mkdirSync(join(place, version, 'loaders'), { recursive: true });
    writeFileSync(join(place, version, 'kernel'), kernel);
    writeFileSync(join(place, version, 'loaders', 'snponly.efi'), 'MZ');
    writeFileSync(join(place, version, 'root.mtree'), 'not for nginx');
    writeFileSync(join(place, 'secret'), 'not for anybody');
    writeFileSync(join(place, 'farm.log'), '');
    symlinkSync('../../../secret', join(place, version, 'root.squashfs'));
    writeFileSync(join(place, 'server.pem'), serverCertificate);
    writeFileSync(join(place, 'server.key'), serverKey);
    const tls = { certificate: join(place, 'server.pem'), key: join(place, 'server.key'), port: 443 };
    const text = nginxConfiguration({ name: 'lab', addresses: [ipv4('10.99.0.1')], port: 80, backend: 8080, secret, directory: place, tls });
    writeFileSync(join(place, 'farm.conf'), text);
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${place}/tmp-${name};`).join(' ');
    writeFileSync(
      join(place, 'nginx.conf'),
      `daemon off; user www-data; pid ${place}/pid; error_log ${place}/nginx.err; events {}\nhttp { access_log off; ${paths} include ${place}/farm.conf; }\n`,
    );
    for (const name of [serverSide, nodeSide]) ip('netns', 'add', name);
    ip('link', 'add', 'veth0', 'netns', serverSide, 'type', 'veth', 'peer', 'name', 'veth0', 'netns', nodeSide);
    for (const name of [serverSide, nodeSide]) {
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', name, 'link', 'set', 'veth0', 'up');
    }
    ip('-n', serverSide, 'addr', 'add', '10.99.0.1/24', 'dev', 'veth0');
    for (const host of [7, 66]) ip('-n', nodeSide, 'addr', 'add', `10.99.0.${host}/24`, 'dev', 'veth0');
    const program = join(place, 'http-farm.mjs');
    await build({
      entryPoints: [fileURLToPath(new URL('http-farm.ts', import.meta.url))],
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'error',
    });
    const farm = start(process.execPath, [program, place, secret]);
    farm.stderr?.on('data', (text) => process.stderr.write(text));
    if (farm.stdout !== null) await once(farm.stdout, 'data');
    execFileSync('ip', ['netns', 'exec', serverSide, 'nginx', '-t', '-e', `${place}/nginx.err`, '-c', join(place, 'nginx.conf')], { stdio: 'pipe' });
    start('nginx', ['-e', `${place}/nginx.err`, '-c', join(place, 'nginx.conf')]);
    await vi.waitUntil(() => spawnSync('ip', ['netns', 'exec', nodeSide, 'curl', '-s', 'http://10.99.0.1/up']).status === 0, { timeout: 10_000 });
  });

  afterAll(async () => {
    for (const child of children) {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    for (const name of [serverSide, nodeSide]) ip('netns', 'del', name);
    rmSync(place, { recursive: true });
  });

  test('a kernel comes from nginx, with a range and a tag, also at //, and farm hears who fetched it', async () => {
    const before = log().length;
    const reply = curl(7, '-D', '-', '-o', join(place, 'got'), `http://10.99.0.1//${version}/kernel`);
    expect(reply).toMatch(/^HTTP\/1.1 200 OK\r\nServer: nginx\r\n/);
    expect(reply).toContain(`Content-Length: ${kernel.length}\r\n`);
    expect(readFileSync(join(place, 'got')).equals(kernel)).toBe(true);
    await expect
      .poll(() => log().slice(before))
      .toMatchObject([{ event: 'http.done', client: '10.99.0.7', method: 'HEAD', path: `/${version}/kernel`, status: 200, bytes: 0 }]);
    expect(curl(7, '-r', '10-19', `http://10.99.0.1/${version}/kernel`)).toBe(kernel.subarray(10, 20).toString());
    expect(curl(7, '-I', `http://10.99.0.1/${version}/loaders/snponly.efi`)).toMatch(/Content-Type: application\/efi[\s\S]*ETag: "/);
  });

  test('nothing else of an image comes from nginx, and no link leads out', () => {
    expect(curl(7, '-D', '-', '-o', '/dev/null', `http://10.99.0.1/${version}/root.mtree`)).toContain('200'); // farm's own decision, here to serve it
    expect(curl(7, '-o', '/dev/null', '-w', '%{http_code}', `http://10.99.0.1/${version}/root.squashfs`)).toMatch(/40[34]/);
    for (const path of ['/secret', '/images/../secret', `/${version}/loaders/../../../../secret`, '/farm-hears']) {
      expect(curl(7, '--path-as-is', `http://10.99.0.1${path}`)).not.toContain('not for anybody');
    }
    expect(curl(7, '-o', '/dev/null', '-w', '%{http_code}', 'http://10.99.0.1/farm-hears')).toBe('404');
  });

  test('what is passed on carries the address of the node', () => {
    expect(JSON.parse(curl(7, 'http://10.99.0.1//boot//n7.ipxe'))).toEqual({ client: '10.99.0.7', path: '/boot/n7.ipxe' });
    expect(JSON.parse(curl(66, '-d', 'report', 'http://10.99.0.1/agent/report'))).toMatchObject({ client: '10.99.0.66', body: 'report' });
  });

  test('a stranger cannot pass for a node, whatever it says', () => {
    const lies = [
      'X-Forwarded-For: 10.99.0.7',
      'X-Real-IP: 10.99.0.7',
      'Forwarded: for=10.99.0.7',
      `X-Farm-Proxy: ${secret}`,
      'x_farm_proxy: x',
      'Connection: X-Farm-Proxy, X-Forwarded-For',
    ];
    const headers = lies.flatMap((lie) => ['-H', lie]);
    expect(JSON.parse(curl(66, ...headers, 'http://10.99.0.1/x'))).toMatchObject({ client: '10.99.0.66' });
    // A program on the server without the secret is nobody's node.
    const local = execFileSync('ip', ['netns', 'exec', serverSide, 'curl', '-sS', '-H', 'X-Forwarded-For: 10.99.0.7', 'http://127.0.0.1:8080/x'], {
      encoding: 'utf8',
    });
    expect(JSON.parse(local)).toMatchObject({ client: '127.0.0.1' });
  });

  test("TLS is nginx's, with the same answers", () => {
    const tls = ['--cacert', join(place, 'server.pem'), '--resolve', 'farm.lan:443:10.99.0.1'];
    expect(JSON.parse(curl(7, ...tls, 'https://farm.lan/status'))).toMatchObject({ client: '10.99.0.7' });
    curl(7, ...tls, '-o', join(place, 'got'), `https://farm.lan/${version}/kernel`);
    expect(readFileSync(join(place, 'got')).equals(kernel)).toBe(true);
  });

  test('an upload passes through', () => {
    writeFileSync(join(place, 'dump'), Buffer.alloc(5_000_000, 'x'));
    expect(curl(7, '-T', join(place, 'dump'), 'http://10.99.0.1/uploads/dump')).toBe('5000000 bytes are kept\n');
    expect(readFileSync(join(place, 'uploads/10.99.0.7/dump')).length).toBe(5_000_000);
  });

  test('kernels go on coming when farm is down', async () => {
    const [farm] = children;
    farm?.kill('SIGKILL');
    if (farm !== undefined) await once(farm, 'exit');
    expect(curl(7, '-o', join(place, 'got'), '-w', '%{http_code}', `http://10.99.0.1/${version}/kernel`)).toBe('200');
    expect(curl(7, '-o', '/dev/null', '-w', '%{http_code}', 'http://10.99.0.1/status')).toBe('502');
  });
});
