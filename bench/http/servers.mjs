// The servers that are compared: ours and nginx with one worker, plain and with TLS, each a process of its own that serves one directory.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const project = fileURLToPath(new URL('../..', import.meta.url));

const ours = `
  import { createSocket } from 'node:dgram';
  import { ipv4 } from './src/base/addresses.ts';
  import { systemClock } from './src/base/clock.ts';
  import { startHttpServer } from './src/boot/http.ts';
  const [directory, port, tlsPort, echoPort, certificate, key] = process.argv.slice(2);
  await startHttpServer({
    address: ipv4('127.0.0.1'), port: Number(port), tls: { certificate, key, port: Number(tlsPort) },
    routes: async ({ path }) => ({ kind: 'file', directory, path }), log: () => {}, clock: systemClock, limits: { connectionsPerClient: 1000 },
  });
  // Stands for DHCP: a datagram is answered in the same event loop.
  const echo = createSocket('udp4');
  echo.on('message', (datagram, { port, address }) => echo.send(datagram, port, address));
  echo.bind(Number(echoPort), '127.0.0.1', () => console.log('ready'));
`;

/** Starts ours. `place`: a directory for what it needs. */
export async function startFarm(place, directory, port, tlsPort, echoPort, tls) {
  const outfile = join(place, 'farm.mjs');
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  const stdin = { contents: ours, resolveDir: project, loader: 'ts' };
  await build({ stdin, outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', banner, logLevel: 'warning' });
  const child = spawn(process.execPath, [outfile, directory, port, tlsPort, echoPort, tls.certificate, tls.key], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

/** Starts nginx as its manual says files are served best. */
export async function startNginx(place, directory, port, tlsPort, tls) {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${place}/${name};`).join(' ');
  const listen = `listen 127.0.0.1:${port}; listen 127.0.0.1:${tlsPort} ssl; ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key};`;
  const http = `access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream; ${paths}`;
  const text = `daemon off; worker_processes 1; user root; pid ${place}/pid; events { worker_connections 2048; }\nhttp { ${http} server { ${listen} root ${directory}; } }\n`;
  writeFileSync(join(place, 'nginx.conf'), text);
  const child = spawn('nginx', ['-e', join(place, 'nginx.err'), '-c', join(place, 'nginx.conf')], { stdio: ['ignore', 'inherit', 'inherit'] });
  for (let tries = 0; tries < 100; tries += 1) {
    const up = await fetch(`http://127.0.0.1:${port}/none`).catch(() => undefined);
    if (up !== undefined) return child;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('nginx did not start');
}

/** The process and those it has started. */
function family(pid) {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parent(name) === pid);
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

function fields(pid) {
  return readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
}

function parent(pid) {
  try {
    return Number(fields(pid)[1]);
  } catch {
    return undefined; // it has ended meanwhile
  }
}

/** Seconds of processor time so far, user and system, of all threads of all its processes: to the nanosecond, where proc_pid_stat(5) has ticks. */
export function processorSeconds({ pid }) {
  const ofThread = (member, thread) => Number(readFileSync(`/proc/${member}/task/${thread}/schedstat`, 'latin1').split(' ')[0]) / 1e9;
  const ofProcess = (member) => readdirSync(`/proc/${member}/task`).reduce((sum, thread) => sum + ofThread(member, thread), 0);
  return family(pid).reduce((sum, member) => sum + ofProcess(member), 0);
}

/** Largest resident memory so far, in MB, of all its processes. */
export function peakMemory({ pid }) {
  const peak = (member) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${member}/status`, 'latin1'))?.[1] ?? 0) / 1024;
  return family(pid).reduce((sum, member) => sum + peak(member), 0);
}
