// TFTP side by side: ours, tftpd-hpa, atftpd, dnsmasq and npm tftp-server, each as a process of its own, asked by curl, atftp and busybox.
// unshare -n node bench/tftp.mjs [--json] [--quick] [--pinned] [--only WORD]: a network namespace of its own, because dnsmasq serves only port 69. Peers
// that are not in PATH are left out. Downloads are compared byte for byte. NPM_TFTP=<directory of the package `tftp`> adds that one.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const project = fileURLToPath(new URL('..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'farm-tftp-bench-'));
const root = join(place, 'root');
const run = promisify(execFile);
const environment = { ...process.env, PATH: [process.env.PATH, '/usr/sbin', '/sbin'].join(delimiter) };

const quick = process.argv.includes('--quick');
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : '';
const files = { large: quick ? 20_000_000 : 100_000_000, small: 5_000_000 };
/** Seconds for one download. */
const limit = 30;

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
  await startTftpServer({ address: ipv4('127.0.0.1'), port: Number(port), source, log: () => {}, clock: systemClock, largestBlock: 65464, limits: { transfersPerClient: 1000 }, singlePort: process.argv[4] === 'single' });
`;
const npm = `
  import { createServer, serveStatic } from 'tftp-server';
  const [port, root] = process.argv.slice(2);
  const server = createServer('udp4');
  server.register(serveStatic(root));
  server.bind({ port: Number(port), address: '127.0.0.1' });
`;

const npmTftp = `
  const tftp = require(process.env.NPM_TFTP);
  const [port, root] = process.argv.slice(2);
  tftp.createServer({ host: '127.0.0.1', port: Number(port), root, denyPUT: true }).listen();
`;

/** Name -> the command that serves `root` on a port. */
const servers = {
  farm: [process.execPath, (port, script) => [script.farm, port, root]],
  'farm, one port': [process.execPath, (port, script) => [script.farm, port, root, 'single']],
  'tftpd-hpa': ['in.tftpd', (port) => ['--foreground', '--user', 'root', '--address', `127.0.0.1:${port}`, '--secure', root]],
  atftpd: ['atftpd', (port) => ['--daemon', '--no-fork', '--maxthread', '100', '--bind-address', '127.0.0.1', '--port', port, root]],
  dnsmasq: [
    'dnsmasq',
    () => [
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--port=0',
      '--enable-tftp',
      `--tftp-root=${root}`,
      '--tftp-max=200',
      '--user=root',
      '--log-facility=/dev/null',
    ],
    69,
  ],
  'npm tftp-server': [process.execPath, (port, script) => [script.npm, port, root]],
  ...(process.env.NPM_TFTP === undefined ? {} : { 'npm tftp': [process.execPath, (port, script) => [script.npmTftp, port, root]] }),
};

const curl = (blksize) => (file, into, port) => ['curl', ['-sS', '--tftp-blksize', blksize, '-o', into, `tftp://127.0.0.1:${port}/${file}`]];
const busybox = (blksize) => (file, into, port) => ['busybox', ['tftp', '-g', '-b', blksize, '-r', file, '-l', into, '127.0.0.1', `${port}`]];
const atftp = (blksize, window) => (file, into, port) => [
  'atftp',
  ['-g', '--option', `blksize ${blksize}`, '--option', `windowsize ${window}`, '-r', file, '-l', into, '127.0.0.1', `${port}`],
];
const shapes = [1, 8, 32].flatMap((window) => [512, 1468, 8192].map((blksize) => ({ blksize, window })));
const tries = [
  ...shapes.map(({ blksize, window }) => ({
    name: `1 x ${window === 1 ? 'curl' : 'atftp'}, ${blksize}, window ${window}`,
    client: window === 1 ? curl(`${blksize}`) : atftp(blksize, window),
    file: 'large',
  })),
  ...shapes.map(({ blksize, window }) => ({
    name: `32 x ${window === 1 ? 'curl' : 'atftp'}, ${blksize}, window ${window}`,
    client: window === 1 ? curl(`${blksize}`) : atftp(blksize, window),
    file: 'small',
    parallel: 32,
  })),
  ...[512, 1468].map((blksize) => ({ name: `1 x curl, ${blksize}, 1 % lost each way, 5 MB`, client: curl(`${blksize}`), file: 'small', loss: 0.01 })),
  { name: '1 x busybox, 1468, 1 % lost each way, 5 MB', client: busybox('1468'), file: 'small', loss: 0.01 },
].filter(({ name }) => name.includes(only));

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

/** CPU seconds of a process and of its children that have ended (tftpd-hpa forks). */
function cpuSeconds(pid) {
  if (!existsSync(`/proc/${pid}/stat`)) return Number.NaN; // it has ended: the download will fail
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
}

/** On a network server and client do not share a core; left alone, they sometimes do here, and each way is twice as fast for some. */
const pinned = process.argv.includes('--pinned');

async function pin(pid, isApart) {
  if (pinned) await run('taskset', ['-acp', isApart ? '0' : `0-${cpus().length - 1}`, `${pid}`]);
}

/** MB/s and CPU seconds a GB, or undefined if a download failed, was wrong or took too long. */
async function measure(attempt, port, pid) {
  const wanted = readFileSync(join(root, attempt.file));
  const isApart = attempt.parallel === undefined;
  await pin(pid, isApart);
  const cpu = cpuSeconds(pid);
  const started = performance.now();
  const downloads = Array.from({ length: attempt.parallel ?? 1 }, async (_, index) => {
    const into = join(place, `got${index}`);
    const [program, args] = attempt.client(attempt.file, into, port);
    rmSync(into, { force: true });
    const prefix = pinned && isApart ? ['taskset', '-c', '1'] : [];
    const [command, ...rest] = [...prefix, program, ...args];
    await run(command, rest, { timeout: limit * 1000, env: environment });
    return into;
  });
  const got = await Promise.allSettled(downloads);
  const seconds = (performance.now() - started) / 1000;
  const isRight = got.every((download) => download.status === 'fulfilled' && readFileSync(download.value).equals(wanted));
  const bytes = wanted.length * downloads.length;
  return isRight ? { speed: bytes / 1e6 / seconds, cpu: (cpuSeconds(pid) - cpu) / (bytes / 1e9), seconds } : undefined;
}

chmodSync(place, 0o755); // atftpd becomes nobody
mkdirSync(root);
for (const [name, size] of Object.entries(files)) writeFileSync(join(root, name), randomBytes(size));
await run('ip', ['link', 'set', 'lo', 'up']);
// in.tftpd does not resolve even 127.0.0.1 on a machine that has no other address (AI_ADDRCONFIG).
await run('ip', ['link', 'add', 'bench0', 'type', 'veth', 'peer', 'name', 'bench1']);
await run('ip', ['address', 'add', '192.0.2.1/24', 'dev', 'bench0']);
await run('ip', ['link', 'set', 'bench0', 'up']);
const running = [];
try {
  const script = { farm: await bundle('farm', ours), npm: await bundle('npm', npm), npmTftp: await bundle('npm-tftp', npmTftp) };
  const network = await bundle('network', "export { lossyUdp } from './test/support/lossy-udp.ts'; export { random } from './test/tftp/network.ts';");
  const { lossyUdp, random } = await import(pathToFileURL(network).href);
  for (const [name, [program, args, fixedPort]] of Object.entries(servers)) {
    if (program !== process.execPath && !(await isInstalled(program))) continue;
    const port = fixedPort ?? (await freePort());
    const child = spawn(program, args(`${port}`, script), { env: environment, stdio: ['ignore', 'ignore', 'inherit'] });
    running.push({ name, port, child });
    // It is up when it answers: the first downloads are repeated until one succeeds.
    for (let attempt = 0; (await measure({ client: curl('512'), file: 'small' }, port, child.pid)) === undefined; attempt += 1) {
      if (attempt === 20 || child.exitCode !== null) throw new Error(`${name} does not answer`);
    }
  }
  const results = [];
  for (const attempt of tries) {
    const row = { name: attempt.name };
    for (const { name, port, child } of running) {
      const bad = attempt.loss === undefined ? undefined : await lossyUdp(port, attempt.loss, random(1));
      row[name] = await measure(attempt, bad?.port ?? port, child.pid);
      bad?.close();
    }
    results.push(row);
    if (!process.argv.includes('--json')) console.error(attempt.name, ...running.map(({ name }) => `${name}=${row[name]?.speed.toFixed(1) ?? 'failed'}`));
  }
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify(results));
  } else {
    console.log(`TFTP on loopback, one run: MB/s (seconds of CPU a GB; how many times as fast farm is); Node ${process.version}`);
    const show = (row, name) => {
      const value = row[name];
      if (value === undefined) return 'failed';
      const ratio = name.startsWith('farm') || row.farm === undefined ? '' : `; ${(row.farm.speed / value.speed).toFixed(2)}x`;
      return `${value.speed.toFixed(1)} (${value.cpu.toFixed(1)}${ratio})`;
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
