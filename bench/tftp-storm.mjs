// What a storm of TFTP transfers does to the DHCP server in the same process: a UDP echo beside the TFTP server stands for it.
// node bench/tftp-storm.mjs [clients]: round trips of the echo, asked 200 times a second by a process of its own, idle and under each storm.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const project = fileURLToPath(new URL('..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'farm-tftp-storm-'));
const clients = Number(process.argv[2] ?? 32);
/** Milliseconds between two questions. */
const every = 5;
const seconds = 8;

const source = `
  import { createSocket } from 'node:dgram';
  import { once } from 'node:events';
  import { monitorEventLoopDelay } from 'node:perf_hooks';
  import { startTftpServer } from './src/tftp/server.ts';
  import { tftpFileBelow } from './src/tftp/files.ts';
  import { ipv4 } from './src/base/addresses.ts';
  import { systemClock } from './src/base/clock.ts';
  const [root, mode] = process.argv.slice(2);
  const echo = createSocket('udp4', (datagram, peer) => echo.send(datagram, peer.port, peer.address)).bind(0, '127.0.0.1');
  await once(echo, 'listening');
  const service = await startTftpServer({
    address: ipv4('127.0.0.1'), port: 0, source: (path) => tftpFileBelow(root, path), log: () => {}, clock: systemClock,
    limits: { transfersPerClient: 1000 }, singlePort: mode === 'single',
  });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  process.on('message', (word) => {
    if (word === 'begin') { delay.reset(); delay.enable(); }
    else { delay.disable(); process.send({ p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 }); }
  });
  process.send({ echo: echo.address().port, tftp: Number(service.sockets[0].split(':')[1]) });
`;

async function bundle() {
  const outfile = join(place, 'server.mjs');
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  await build({
    stdin: { contents: source, resolveDir: project, loader: 'ts' },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    banner,
  });
  return outfile;
}

/** Round trips in milliseconds, sorted; a question without an answer counts as Infinity. */
async function ask(port) {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const sentAt = [];
  const took = [];
  socket.on('message', (datagram) => {
    const number = datagram.readUInt32BE(0);
    took[number] = performance.now() - sentAt[number];
  });
  for (let number = 0; number < (seconds * 1000) / every; number += 1) {
    const question = Buffer.alloc(300);
    question.writeUInt32BE(number, 0);
    sentAt[number] = performance.now();
    socket.send(question, port, '127.0.0.1');
    await new Promise((resolve) => setTimeout(resolve, every));
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  socket.close();
  return Array.from(sentAt, (_, number) => took[number] ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
}

const curl = (port, into) => ['curl', ['-sS', '--tftp-blksize', '1468', '-o', into, `tftp://127.0.0.1:${port}/file`]];
const atftp = (port, into) => ['atftp', ['-g', '--option', 'blksize 1468', '--option', 'windowsize 32', '-r', 'file', '-l', into, '127.0.0.1', `${port}`]];
const storms = { idle: undefined, [`${clients} x curl`]: curl, [`${clients} x atftp, window 32`]: atftp };
const results = {};
writeFileSync(join(place, 'file'), randomBytes(20_000_000));
const script = await bundle();
try {
  for (const mode of ['own ports', 'single']) {
    const server = spawn(process.execPath, [script, place, mode], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const [ports] = await once(server, 'message');
    for (const [name, client] of Object.entries(storms)) {
      let stop = false;
      let files = 0;
      const run = async (index) => {
        while (!stop && client !== undefined) {
          const [program, args] = client(ports.tftp, join(place, `got${index}`));
          await promisify(execFile)(program, args, { timeout: 60_000 });
          files += 1;
        }
      };
      const storm = Promise.all(Array.from({ length: clients }, (_, index) => run(index)));
      server.send('begin');
      const took = await ask(ports.echo);
      server.send('end');
      const [loop] = await once(server, 'message');
      stop = true;
      await storm;
      const at = (share) => took[Math.floor(took.length * share)].toFixed(2);
      const column = {
        'p50 ms': at(0.5),
        'p99 ms': at(0.99),
        'max ms': at(0.9999),
        unanswered: took.filter((time) => time === Number.POSITIVE_INFINITY).length,
      };
      results[`${mode}: ${name}`] = { ...column, 'loop p99 ms': loop.p99.toFixed(2), 'loop max ms': loop.max.toFixed(2), files };
    }
    server.kill();
    await once(server, 'exit');
  }
  console.table(results);
} finally {
  rmSync(place, { recursive: true });
}
