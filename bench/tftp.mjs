// TFTP side by side: ours, npm tftp-server, tftpd-hpa and atftpd, each as a process of its own, asked by curl and atftp on loopback.
// node bench/tftp.mjs [--json]; peers that are not installed are left out. Downloads are compared byte for byte.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const project = fileURLToPath(new URL('..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'farm-tftp-bench-'));
const root = join(place, 'root');
const run = promisify(execFile);
const environment = { ...process.env, PATH: [process.env.PATH, '/usr/sbin', '/sbin'].join(delimiter) };

/** npm tftp-server ends at 65535 blocks of 512 bytes, so no file is larger. */
const files = { large: 32_000_000, small: 4_000_000 };
const rounds = 3;
/** Seconds for one download. */
const limit = 60;

async function bundle(name, source) {
  const outfile = join(place, `${name}.mjs`);
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  const stdin = { contents: source, resolveDir: project, loader: 'ts' };
  await build({ stdin, outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', banner, logLevel: 'warning' });
  return outfile;
}

const ours = `
  import { startTftpServer } from './src/tftp/server.ts';
  import { tftpFileBelow } from './src/tftp/files.ts';
  import { ipv4 } from './src/base/addresses.ts';
  import { systemClock } from './src/base/clock.ts';
  const [port, root] = process.argv.slice(2);
  const source = (path) => tftpFileBelow(root, path);
  await startTftpServer({ address: ipv4('127.0.0.1'), port: Number(port), source, log: () => {}, clock: systemClock, limits: { transfersPerClient: 1000 } });
`;
const npm = `
  import { createServer, serveStatic } from 'tftp-server';
  const [port, root] = process.argv.slice(2);
  const server = createServer('udp4');
  server.register(serveStatic(root));
  server.bind({ port: Number(port), address: '127.0.0.1' });
`;

/** Name -> the command that serves `root` on a port. */
const servers = {
  farm: [process.execPath, (port, script) => [script.farm, port, root]],
  'npm tftp-server': [process.execPath, (port, script) => [script.npm, port, root]],
  'tftpd-hpa': ['in.tftpd', (port) => ['--foreground', '--user', 'root', '--address', `127.0.0.1:${port}`, '--secure', root]],
  atftpd: ['atftpd', (port) => ['--daemon', '--no-fork', '--maxthread', '100', '--bind-address', '127.0.0.1', '--port', port, root]],
};

const curl = (blksize) => (file, into, port) => ['curl', ['-sS', '--tftp-blksize', blksize, '-o', into, `tftp://127.0.0.1:${port}/${file}`]];
const atftp = (blksize, window) => (file, into, port) => [
  'atftp',
  ['-g', '--option', `blksize ${blksize}`, '--option', `windowsize ${window}`, '-r', file, '-l', into, '127.0.0.1', `${port}`],
];
const tries = [
  { name: 'curl, 512', client: curl(512), file: 'large' },
  { name: 'curl, 1468', client: curl(1468), file: 'large' },
  { name: 'atftp, 1468, window 16', client: atftp(1468, 16), file: 'large' },
  { name: '16 x curl, 1468', client: curl(1468), file: 'small', parallel: 16 },
  { name: 'curl, 1468, 1 % lost each way', client: curl(1468), file: 'small', loss: 0.01, rounds: 1 },
];

async function freePort() {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
}

async function isInstalled(program) {
  return run('sh', ['-c', `command -v "${program}"`], { env: environment }).then(
    () => true,
    () => false,
  );
}

/** MB/s, or undefined if a download failed, was wrong or took too long. */
async function measure(attempt, port) {
  const wanted = readFileSync(join(root, attempt.file));
  const started = performance.now();
  const downloads = Array.from({ length: attempt.parallel ?? 1 }, async (_, index) => {
    const into = join(place, `got${index}`);
    const [program, args] = attempt.client(attempt.file, into, port);
    rmSync(into, { force: true });
    await run(program, args, { timeout: limit * 1000 });
    return into;
  });
  const got = await Promise.allSettled(downloads);
  const seconds = (performance.now() - started) / 1000;
  const isRight = got.every((download) => download.status === 'fulfilled' && readFileSync(download.value).equals(wanted));
  return isRight ? (wanted.length * downloads.length) / 1e6 / seconds : undefined;
}

const median = (values) => (values.includes(undefined) ? undefined : values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]);

chmodSync(place, 0o755); // atftpd becomes nobody
mkdirSync(root);
for (const [name, size] of Object.entries(files)) writeFileSync(join(root, name), randomBytes(size));
const running = [];
try {
  const script = { farm: await bundle('farm', ours), npm: await bundle('npm', npm) };
  const network = await bundle('network', "export { lossyUdp } from './test/support/lossy-udp.ts'; export { random } from './test/tftp/network.ts';");
  const { lossyUdp, random } = await import(pathToFileURL(network).href);
  for (const [name, [program, args]] of Object.entries(servers)) {
    if (program !== process.execPath && !(await isInstalled(program))) continue;
    const port = await freePort();
    const child = spawn(program, args(`${port}`, script), { env: environment, stdio: ['ignore', 'ignore', 'inherit'] });
    running.push({ name, port, child });
    // It is up when it answers: the first downloads are repeated until one succeeds.
    for (let attempt = 0; (await measure({ ...tries[0], file: 'small' }, port)) === undefined; attempt += 1) {
      if (attempt === 20) throw new Error(`${name} does not answer`);
    }
  }
  const results = [];
  for (const attempt of tries) {
    const figures = Object.fromEntries(running.map(({ name }) => [name, []]));
    for (let round = 0; round < (attempt.rounds ?? rounds); round += 1) {
      for (const { name, port } of running) {
        const bad = attempt.loss === undefined ? undefined : await lossyUdp(port, attempt.loss, random(1));
        figures[name].push(await measure(attempt, bad?.port ?? port));
        bad?.close();
      }
    }
    results.push({ name: attempt.name, ...Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, median(values)])) });
  }
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify(results));
  } else {
    console.log(`TFTP on loopback, MB/s, median of ${rounds}; (x) is how many times as fast farm is; Node ${process.version}`);
    const show = (row, name) => {
      const value = row[name];
      if (value === undefined) return 'failed';
      return name === 'farm' || row.farm === undefined ? value.toFixed(1) : `${value.toFixed(1)} (${(row.farm / value).toFixed(2)}x)`;
    };
    console.table(Object.fromEntries(results.map((row) => [row.name, Object.fromEntries(running.map(({ name }) => [name, show(row, name)]))])));
  }
} finally {
  for (const { child } of running) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill();
    await once(child, 'exit');
  }
  rmSync(place, { recursive: true });
}
