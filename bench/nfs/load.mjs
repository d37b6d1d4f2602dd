// A load of NFSv3 operations on any server, over TCP: a recorded boot, or a mix, over so many connections with so many calls under way on each.
//   node bench/nfs/load.mjs --server 10.0.0.1 --path /srv/root --mix boot --connections 8 --depth 8
// `--help` says the rest. Prints operations and bytes per second, latencies, and, given the server's process, what it cost.

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { args, mountPath, nfs, openClient, procedures, resolvePaths } from './calls.mjs';
import { callsOf, mixNames } from './mixes.mjs';
import { newTally, openPipeline, percentile, script } from './pipeline.mjs';
import { readRecording } from './recording.mjs';
import { memory, processorSeconds } from './usage.mjs';

const help = `node load.mjs [options]
  --server ADDRESS      default 127.0.0.1
  --port N              of NFS, default 2049
  --mount-port N        of MOUNT, default that of NFS
  --path PATH           what is mounted, default /
  --recording FILE      default boot.txt beside this program; see record.mjs
  --mix MIX             ${mixNames.join(', ')}; default boot: the recorded operations
  --connections N       default 8
  --depth N             calls under way on each, default 8
  --seconds N           default 5, after --warmup seconds (1) that are not counted
  --boots N             instead of a time: each connection plays the recording so often, all from its start
  --clients A,B,...     addresses of this machine to call from, in turn; each is a client of its own that mounts for itself
  --privileged          from ports below 1024 (root)
  --pid N               the server's process: with it, processor time and memory of it and its children
  --json                one line for programs`;

const { values: options } = parseArgs({
  options: {
    server: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '2049' },
    'mount-port': { type: 'string' },
    path: { type: 'string', default: '/' },
    recording: { type: 'string', default: fileURLToPath(new URL('boot.txt', import.meta.url)) },
    mix: { type: 'string', default: 'boot' },
    connections: { type: 'string', default: '8' },
    depth: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '5' },
    warmup: { type: 'string', default: '1' },
    boots: { type: 'string' },
    clients: { type: 'string' },
    privileged: { type: 'boolean', default: false },
    pid: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** What a client sees: asked for once, whatever number of connections it has. */
async function mountFrom(from, operations) {
  const common = { host: options.server, from, privileged: options.privileged };
  const mounter = await openClient({ ...common, port: Number(options['mount-port'] ?? options.port) });
  const root = await mountPath(mounter, options.path);
  mounter.close();
  const client = await openClient({ ...common, port: Number(options.port) });
  const paths = new Set(operations.map(({ path }) => path));
  const objects = await resolvePaths(client, root, paths);
  const plus = await client.ask(nfs, procedures.readdirplus, args.readdirplus({ handle: root })).then(
    (reply) => reply.readUInt32BE(0) === 0,
    () => false,
  );
  client.close();
  return { from, objects, plus, absent: [...paths].filter((path) => !objects.has(path)).length };
}

async function run() {
  const operations = readRecording(options.recording);
  const [connections, depth, seconds, warmup] = [options.connections, options.depth, options.seconds, options.warmup].map(Number);
  const froms = options.clients?.split(',') ?? [undefined];
  const clients = [];
  for (const from of froms.slice(0, connections)) clients.push(await mountFrom(from, operations));
  const boots = options.boots === undefined ? undefined : Number(options.boots);
  const pipelines = [];
  let length = 0;
  for (let index = 0; index < connections; index += 1) {
    const { from, objects, plus } = clients[index % clients.length];
    const calls = callsOf(options.mix, operations, objects, { plus, client: index, fromStart: boots !== undefined });
    length = calls.length;
    const where = { host: options.server, port: Number(options.port), from, privileged: options.privileged };
    pipelines.push(await openPipeline(where, script(calls), depth));
  }
  const playAll = (tally, to) => Promise.all(pipelines.map(({ play }) => play({ tally, ...to })));
  const forSeconds = (length) => {
    let over = false;
    setTimeout(() => {
      over = true;
    }, length * 1000);
    return { until: () => over };
  };
  if (warmup > 0) await playAll(newTally(), forSeconds(warmup));

  const pid = options.pid === undefined ? undefined : Number(options.pid);
  const tally = newTally();
  const own = process.cpuUsage();
  const server = pid === undefined ? 0 : processorSeconds(pid);
  const start = performance.now();
  await playAll(tally, boots === undefined ? forSeconds(seconds) : { until: () => false, calls: length * boots });
  const elapsed = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(own);
  const used = pid === undefined ? undefined : processorSeconds(pid) - server;
  for (const { close } of pipelines) close();
  return {
    mix: options.mix,
    connections,
    depth,
    clients: clients.length,
    seconds: elapsed,
    operations: tally.operations,
    operationsPerSecond: tally.operations / elapsed,
    megabytesPerSecond: tally.bytes / elapsed / 1e6,
    p50: percentile(tally, 0.5),
    p99: percentile(tally, 0.99),
    longest: tally.longest,
    failed: tally.failed,
    firstFailure: tally.firstFailure,
    absent: clients[0].absent,
    generatorShare: (user + system) / 1e6 / elapsed,
    ...(pid === undefined ? {} : { serverShare: used / elapsed, microsecondsPerOperation: (used * 1e6) / tally.operations, memory: memory(pid) }),
  };
}

function print(result) {
  const rounded = (value, digits = 0) => value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  console.log(
    `${result.mix} ${result.connections}x${result.depth}, ${result.clients} clients, ${rounded(result.operations)} operations in ${rounded(result.seconds, 2)} s`,
  );
  console.log(
    `  ${rounded(result.operationsPerSecond)} op/s, ${rounded(result.megabytesPerSecond)} MB/s, p50 ${result.p50} us, p99 ${result.p99} us, longest ${result.longest} us`,
  );
  console.log(
    `  failed: ${result.failed}${result.firstFailure === undefined ? '' : ` (${result.firstFailure})`}; paths of the recording that are not there: ${result.absent}`,
  );
  console.log(`  this generator used ${rounded(result.generatorShare * 100)} % of a processor`);
  if (result.memory === undefined) return;
  const { resident, proportional } = result.memory;
  console.log(
    `  the server ${rounded(result.serverShare * 100)} %, ${rounded(result.microsecondsPerOperation, 1)} us an operation, ${rounded(resident / 1e6)} MB resident, ${rounded(proportional / 1e6)} MB in proportion`,
  );
}

if (options.help) console.log(help);
else {
  const result = await run();
  if (options.json) console.log(JSON.stringify(result));
  else print(result);
  if (result.failed > 0) process.exitCode = 1;
}
