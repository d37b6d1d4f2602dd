// HTTP side by side: 100 MB to one client and to 32 at once, ours and nginx in one run, plain and TLS, and what a download storm does to a datagram.
// node bench/http/run.mjs [--json]; needs nginx (nginx-light), curl and openssl. On loopback, so both share the processors with their clients.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { peakMemory, processorSeconds, startFarm, startNginx } from './servers.mjs';

const run = promisify(execFile);
const megabytes = 100;
const rounds = 5;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** `clients` downloads at once, `times` one after the other: seconds and processor seconds. */
async function measure(server, url, clients, times) {
  const before = processorSeconds(server);
  const startedAt = performance.now();
  // Nice, so that the server is not measured by how well it fights with its clients for two processors.
  const one = async () => {
    for (let count = 0; count < times; count += 1) await run('nice', ['-n', '10', 'curl', '-sSfk', '-o', '/dev/null', url]);
  };
  await Promise.all(Array.from({ length: clients }, one));
  const seconds = (performance.now() - startedAt) / 1000;
  const total = clients * times * megabytes;
  return { rate: total / seconds, cost: (processorSeconds(server) - before) / (total / 1000) };
}

const middle = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Milliseconds that a datagram waits for its answer while `clients` download all the time; measured by a process of its own. */
async function echoDelay(port, url, clients) {
  const script = `
    const socket = require('node:dgram').createSocket('udp4');
    const delays = [];
    socket.on('message', (datagram) => delays.push(Number(process.hrtime.bigint() - datagram.readBigUInt64LE()) / 1e6));
    setInterval(() => { const datagram = Buffer.alloc(300); datagram.writeBigUInt64LE(process.hrtime.bigint()); socket.send(datagram, ${port}, '127.0.0.1'); }, 5);
    process.stdin.resume().once('end', () => { console.log(JSON.stringify(delays)); process.exit(); });`;
  // First among the processes: what is asked is how long the server takes, not how long the one who asks sleeps.
  const urgent = process.getuid() === 0 ? ['chrt', ['-f', '1', process.execPath, '-e', script]] : [process.execPath, ['-e', script]];
  const asking = spawn(...urgent, { stdio: ['pipe', 'pipe', 'inherit'] });
  const downloads = Array.from({ length: clients }, async () => {
    for (let count = 0; count < 2; count += 1) await run('nice', ['-n', '10', 'curl', '-sSfk', '-o', '/dev/null', url]);
  });
  await Promise.all(downloads);
  asking.stdin.end();
  let text = '';
  asking.stdout.on('data', (piece) => {
    text += piece;
  });
  await once(asking.stdout, 'end');
  const delays = JSON.parse(text).sort((a, b) => a - b);
  const at = (share) => delays[Math.min(delays.length - 1, Math.floor(share * delays.length))];
  return { clients, datagrams: delays.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** A directory with the file, its digest, and a certificate. */
function prepare(place) {
  const directory = join(place, 'root');
  mkdirSync(directory);
  const file = randomBytes(megabytes * 1_000_000);
  writeFileSync(join(directory, 'file'), file);
  const tls = { certificate: join(place, 'pem'), key: join(place, 'key') };
  const subject = ['-subj', '/CN=localhost', '-days', '2', '-out', tls.certificate, '-keyout', tls.key];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...subject], { stdio: 'ignore' });
  return { directory, digest: createHash('sha256').update(file).digest('hex'), tls };
}

/** Both servers in turn, so that whatever else the machine does meets both; the middle of all rounds. */
async function compare(servers, scheme, clients) {
  const got = servers.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { child, urls }] of servers.entries()) got[index].push(await measure(child, urls[scheme], clients, clients === 1 ? 20 : 1));
  }
  return servers.map(({ name }, index) => {
    const [rates, costs] = [got[index].map(({ rate }) => rate), got[index].map(({ cost }) => cost)];
    return { server: name, scheme, clients, rate: middle(rates), cost: middle(costs) };
  });
}

async function checkBytes({ name, urls }, digest) {
  for (const url of Object.values(urls)) {
    const { stdout } = await run('sh', ['-c', `curl -sSfk ${url} | sha256sum`]);
    if (stdout.slice(0, 64) !== digest) throw new Error(`${name} sent something else`);
  }
}

async function bench(place) {
  const { directory, digest, tls } = prepare(place);
  const [http, https, nginxHttp, nginxHttps, echo] = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()];
  const urls = (plain, secure) => ({ http: `http://127.0.0.1:${plain}/file`, https: `https://127.0.0.1:${secure}/file` });
  const servers = [
    { name: 'farm', urls: urls(http, https), child: await startFarm(place, directory, http, https, echo, tls) },
    { name: 'nginx', urls: urls(nginxHttp, nginxHttps), child: await startNginx(place, directory, nginxHttp, nginxHttps, tls) },
  ];
  try {
    for (const server of servers) await checkBytes(server, digest);
    const rows = [];
    for (const scheme of ['http', 'https']) for (const clients of [1, 32]) rows.push(...(await compare(servers, scheme, clients)));
    const storm = await echoDelay(echo, servers[0].urls.http, 64);
    const memory = servers.map(({ name, child }) => ({ name, megabytes: peakMemory(child) }));
    return { processors: cpus().length, rows, storm, memory };
  } finally {
    for (const { child } of servers) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }
}

function table({ processors, rows, storm, memory }) {
  const lines = [`100 MB over loopback, ${processors} processors, median of ${rounds}`, 'scheme  clients  server    MB/s  CPU s/GB  per CPU second'];
  for (const { server, scheme, clients, rate, cost } of rows) {
    const nginx = rows.find((row) => row.server === 'nginx' && row.scheme === scheme && row.clients === clients);
    const ratio = server === 'farm' && nginx !== undefined ? `${(nginx.cost / cost).toFixed(2)} of nginx` : '';
    lines.push(`${scheme.padEnd(8)}${String(clients).padEnd(9)}${server.padEnd(8)}${rate.toFixed(0).padStart(6)}${cost.toFixed(3).padStart(10)}  ${ratio}`);
  }
  lines.push(`peak memory: ${memory.map(({ name, megabytes: size }) => `${name} ${size.toFixed(0)} MB`).join(', ')}`);
  const { clients, datagrams, p50, p99, max } = storm;
  lines.push(
    `a datagram answered by the same process during ${clients} downloads: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, max ${max.toFixed(1)} ms (${datagrams} asked)`,
  );
  return lines.join('\n');
}

const place = mkdtempSync(join(tmpdir(), 'farm-http-bench-'));
try {
  const result = await bench(place);
  process.stdout.write(process.argv.includes('--json') ? `${JSON.stringify(result)}\n` : `${table(result)}\n`);
} finally {
  rmSync(place, { recursive: true });
}
