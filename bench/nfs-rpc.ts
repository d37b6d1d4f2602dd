// How many NFS calls a second one core answers: a server in its own process on loopback, a memory tree, pipelined calls over some connections.
// npx esbuild bench/nfs-rpc.ts --bundle --platform=node --format=esm --outfile=dist/bench/nfs-rpc.mjs --external:pino && node dist/bench/nfs-rpc.mjs
// Arguments: seconds per run (default 3), connections (8), calls in flight on each (8). SERVER_FLAGS go to the server's node (--cpu-prof).
import { fork } from 'node:child_process';
import { connect } from 'node:net';
import { cpuUsage } from 'node:process';
import { fileURLToPath } from 'node:url';
import type { ByteWriter } from '../src/base/bytes.ts';
import { silentLog } from '../src/base/log.ts';
import { startNfsServer } from '../src/nfs/server.ts';
import { RecordReader } from '../src/rpc/record.ts';
import { writeHyper, writeOpaque, writeString } from '../src/rpc/xdr.ts';
import { MemoryTree } from '../test/support/memory-tree.ts';
import { loopback, singleExport, testKey } from '../test/support/nfs-farm.ts';
import { mountProgram, Nfs3Client, nfsProgram } from '../test/support/nfs3-client.ts';
import { encodeCall, marked, rootUser, tcpExchange } from '../test/support/rpc-client.ts';

const files = 256;
const fileBytes = 1024 * 1024;

interface Load {
  readonly name: string;
  readonly procedure: number;
  readonly args: (writer: ByteWriter, file: Buffer, root: Buffer, index: number) => void;
}

const readOf = (bytes: number): Load => ({
  name: `READ ${bytes / 1024}K`,
  procedure: 6,
  args: (writer, file, _root, index) => {
    writeOpaque(writer, file);
    writeHyper(writer, ((index * 7) % (fileBytes / bytes)) * bytes);
    writer.u32(bytes);
  },
});

const loads: readonly Load[] = [
  { name: 'NULL', procedure: 0, args: () => {} },
  { name: 'GETATTR', procedure: 1, args: (writer, file) => writeOpaque(writer, file) },
  {
    name: 'LOOKUP',
    procedure: 3,
    args: (writer, _file, root, index) => {
      writeOpaque(writer, root);
      writeString(writer, `file-${index % files}`);
    },
  },
  {
    name: 'ACCESS',
    procedure: 4,
    args: (writer, file) => {
      writeOpaque(writer, file);
      writer.u32(0x3f);
    },
  },
  readOf(4096),
  readOf(32_768),
  readOf(131_072),
  readOf(1_048_576),
  {
    name: 'WRITE 32K',
    procedure: 7,
    args: (writer, file, _root, index) => {
      writeOpaque(writer, file);
      writeHyper(writer, ((index * 7) % 32) * 32_768);
      writer.u32(32_768);
      writer.u32(0);
      writeOpaque(writer, Buffer.alloc(32_768, index));
    },
  },
  {
    name: 'READDIRPLUS',
    procedure: 17,
    args: (writer, _file, root) => {
      writeOpaque(writer, root);
      writer.zeros(16);
      writer.u32(8192);
      writer.u32(32_768);
    },
  },
];

/** The server's process: says where it listens, and how much CPU it has used when asked. */
async function serve(): Promise<void> {
  const tree = new MemoryTree({ totalBytes: 2 ** 31 });
  for (let index = 0; index < files; index += 1) {
    const id = tree.create(tree.root, `file-${index}`, { kind: 'file' }, { mode: 0o644 });
    if (index < 32) tree.write(id, 0, Buffer.alloc(fileBytes, index));
  }
  const service = await startNfsServer({
    address: loopback,
    port: 0,
    portmap: false,
    privileged: false,
    exports: singleExport(tree),
    key: testKey,
    log: silentLog,
    clock: { now: () => Date.now() },
  });
  process.on('message', () => process.send?.({ cpu: cpuUsage() }));
  process.on('disconnect', () => void service.close().then(() => process.exit(0)));
  process.send?.({ port: service.port });
}

async function run(): Promise<void> {
  const [seconds = 3, connections = 8, depth = 8] = process.argv.slice(2).map(Number);
  const child = fork(fileURLToPath(import.meta.url), ['serve'], { execArgv: process.env['SERVER_FLAGS']?.split(' ') ?? [] });
  const ask = <Answer>(question?: string) =>
    new Promise<Answer>((resolve) => {
      child.once('message', (message) => resolve(message as Answer));
      if (question !== undefined) child.send(question);
    });
  const { port } = await ask<{ port: number }>();
  const first = await tcpExchange(port);
  const client = new Nfs3Client(first.exchange);
  const { handle: root } = await client.mount('/');
  if (root === undefined) throw new Error(`program ${mountProgram} gave no handle`);
  const handles: Buffer[] = [];
  for (let index = 0; index < 32; index += 1) handles.push((await client.lookup(root, `file-${index}`)).handle ?? root);
  first.close();
  console.log(`${connections} connections x ${depth} calls, ${seconds} s each; "per core" is calls per second of the server's own CPU time`);
  for (const load of loads) {
    const before = await ask<{ cpu: NodeJS.CpuUsage }>('cpu');
    const runs = Array.from({ length: connections }, () => drive(port, load, root, handles, depth, seconds));
    const results = await Promise.all(runs);
    const after = await ask<{ cpu: NodeJS.CpuUsage }>('cpu');
    const calls = results.reduce((sum, { calls: count }) => sum + count, 0);
    const bytes = results.reduce((sum, { bytes: count }) => sum + count, 0);
    const cpu = (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1e6;
    const rate = (value: number) => Math.round(value).toLocaleString('en').padStart(9);
    console.log(`${load.name.padEnd(12)} ${rate(calls / seconds)} calls/s ${rate(calls / cpu)} per core ${rate(bytes / seconds / 1e6)} MB/s`);
  }
  child.disconnect();
}

/** Keeps `depth` calls in flight on one connection; messages are made beforehand, so that the client costs little. */
async function drive(port: number, load: Load, root: Buffer, handles: readonly Buffer[], depth: number, seconds: number) {
  const messages = Array.from({ length: 64 }, (_, index) => {
    const call = { xid: index, program: nfsProgram, version: 3, procedure: load.procedure, user: rootUser };
    return marked(encodeCall(call, (writer) => load.args(writer, handles[index % handles.length] ?? root, root, index)));
  });
  const socket = connect({ port, host: '127.0.0.1' });
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.setNoDelay(true);
  const records = new RecordReader(2 ** 30);
  let calls = 0;
  let bytes = 0;
  let xid = 1;
  const next = (): Buffer => {
    const message = Buffer.from(messages[xid % messages.length] ?? Buffer.alloc(0));
    message.writeUInt32BE(xid, 4);
    xid += 1;
    return message;
  };
  const end = Date.now() + seconds * 1000;
  socket.write(Buffer.concat(Array.from({ length: depth }, next)));
  await new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      records.push(chunk);
      const more: Buffer[] = [];
      for (let reply = records.next(); reply !== undefined; reply = records.next()) {
        if (reply.length > 24 && load.procedure !== 0 && reply.readUInt32BE(24) !== 0) throw new Error(`${load.name}: status ${reply.readUInt32BE(24)}`);
        calls += 1;
        more.push(next());
      }
      if (Date.now() >= end) socket.destroy();
      else if (more.length > 0) socket.write(more.length === 1 ? (more[0] ?? chunk) : Buffer.concat(more));
    });
  });
  return { calls, bytes };
}

await (process.argv[2] === 'serve' ? serve() : run());
