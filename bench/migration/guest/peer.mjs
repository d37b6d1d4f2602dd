// On both nodes of the benchmark: what plain TCP carries between them, and a move by hand: criu dump, tar over TCP, criu restore. Times are those of the node that asks.
//   peer.mjs serve PORT | link ADDRESS PORT MB | move ADDRESS PORT PID
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

const directory = '/tmp/peer-images';
const piece = Buffer.alloc(256 * 1024, 'x');
const [what, ...words] = process.argv.slice(2);

function fresh() {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
}

/** Throws with what the program said. */
async function run(program, args, stdio = ['ignore', 'ignore', 'inherit']) {
  const child = spawn(program, args, { stdio });
  const [status] = await once(child, 'exit');
  if (status !== 0) throw new Error(`${program} ${args[0]} ended with ${status}`);
}

async function restore(socket) {
  fresh();
  const tar = spawn('tar', ['-x', '-C', directory], { stdio: ['pipe', 'ignore', 'inherit'] });
  socket.pipe(tar.stdin);
  const [status] = await once(tar, 'exit');
  if (status !== 0) throw new Error(`tar ended with ${status}`);
  socket.write('received\n');
  await run('criu', ['restore', '-d', '-D', directory, '--manage-cgroups=ignore', '-v1', '-o', 'restore.log']);
  socket.end('done\n');
  rmSync(directory, { recursive: true, force: true });
}

function serve(port) {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, async (socket) => {
    socket.on('error', () => {});
    try {
      const [kind] = await once(socket, 'data');
      if (String(kind) === 'move') {
        socket.write('ready\n');
        await restore(socket);
        return;
      }
      socket.write('ready\n');
      for await (const chunk of socket.iterator({ destroyOnReturn: false })) void chunk;
      socket.end('done\n');
    } catch (error) {
      socket.end(`failed ${error.message}\n`);
    }
  });
  server.listen(Number(port));
}

/** A connection on which the other side has said that it is ready, and what it says then. */
async function asked(address, port, kind) {
  const socket = connect({ host: address, port: Number(port), allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const hear = async (word) => {
    const { value } = await lines.next();
    if (value !== word) throw new Error(`${word} was awaited, but: ${value}`);
  };
  socket.write(kind);
  await hear('ready');
  return { socket, hear };
}

async function link(address, port, megabytes) {
  const { socket, hear } = await asked(address, port, 'link');
  const began = performance.now();
  for (let left = megabytes * 1e6; left > 0; left -= piece.length) if (!socket.write(piece)) await once(socket, 'drain');
  socket.end();
  await hear('done');
  return { ms: Math.round(performance.now() - began) };
}

async function move(address, port, pid) {
  fresh();
  const { socket, hear } = await asked(address, port, 'move');
  const began = performance.now();
  const since = () => Math.round(performance.now() - began);
  await run('criu', ['dump', '-t', pid, '-D', directory, '--manage-cgroups=ignore', '-v1', '-o', 'dump.log']);
  const dumped = since();
  const tar = spawn('tar', ['-c', '-C', directory, '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  tar.stdout.pipe(socket);
  await hear('received');
  const received = since();
  await hear('done');
  rmSync(directory, { recursive: true, force: true });
  return { dumped, received, ms: since() };
}

if (what === 'serve') serve(...words);
else console.log(JSON.stringify(await (what === 'link' ? link : move)(...words)));
