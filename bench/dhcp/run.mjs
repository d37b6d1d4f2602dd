// DHCP side by side: ours, Kea with its lease file (memfile) and dnsmasq, asked by perfdhcp through a veth pair between two network namespaces.
// node bench/dhcp/run.mjs [--seconds 5] [--nodes 0,1000,50000] [--only farm,dnsmasq] [--json]; needs root. Peers that are not installed are left out.
// perfdhcp keeps more than one processor busy by itself: with two in all, it and the server take turns, and every figure is a lower bound.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { perfdhcp } from './perfdhcp.mjs';
import { client, isInstalled, prefix, server, servers, start } from './servers.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    nodes: { type: 'string', default: '0,1000,50000' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const counts = values.nodes.split(',').map(Number);
const wanted = values.only?.split(',');

/** Offered exchanges a second, until one loses too much; then halves between it and the last that did not. */
const ladder = [250, 500, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000, 12_000, 16_000, 24_000];
const halvings = 2;
const tolerableLoss = 0.01;
/** A rate that a passing hiccup spoiled is tried again. */
const tries = 2;
/** Machines that ask a server which knows none. */
const strangers = 20_000;

const tag = `fbench${process.pid % 100_000}`;
const space = { server: `${tag}s`, client: `${tag}c` };
const folder = mkdtempSync(join(tmpdir(), 'farm-dhcp-bench-'));
const say = (text) => process.stderr.write(`${text}\n`);

function ip(...args) {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
}

function layWires() {
  for (const name of Object.values(space)) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  ip('-n', space.server, 'link', 'add', server.interface, 'type', 'veth', 'peer', 'name', client.interface, 'netns', space.client);
  for (const [name, end] of [
    [space.server, server],
    [space.client, client],
  ]) {
    ip('-n', name, 'addr', 'add', `${end.address}/${prefix}`, 'dev', end.interface);
    ip('-n', name, 'link', 'set', end.interface, 'up');
  }
}

async function bundle() {
  const outfile = join(folder, 'ours.mjs');
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  const entryPoints = [fileURLToPath(new URL('ours.ts', import.meta.url))];
  await build({ entryPoints, outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', banner, logLevel: 'warning' });
  return outfile;
}

/** One offered rate, with what it cost the server. */
async function offer(running, rate, clients) {
  const before = running.usage();
  const result = await perfdhcp({ space: space.client, address: server.address, rate, seconds, clients });
  const after = running.usage();
  const cost = result.exchanges === 0 ? Number.NaN : ((after.processor - before.processor) / result.exchanges) * 1e6;
  return { ...result, cost, memory: after.memory };
}

async function tolerable(running, rate, clients) {
  let best;
  for (let round = 0; round < tries; round++) {
    const result = await offer(running, rate, clients);
    say(`    offered ${rate}: ${result.finished.toFixed(0)}/s, ${(result.lost * 100).toFixed(2)} % lost, p99 ${result.p99.toFixed(1)} ms`);
    if (best === undefined || result.lost < best.lost) best = result;
    if (best.lost < tolerableLoss) break;
  }
  return best;
}

/** The highest rate with a tolerable loss. */
async function limitOf(running, clients) {
  let limit;
  let above;
  for (const rate of ladder) {
    const result = await tolerable(running, rate, clients);
    // What perfdhcp itself cannot offer says nothing of the server.
    if (result.lost >= tolerableLoss || result.begun < rate * 0.8) {
      above = rate;
      break;
    }
    limit = result;
  }
  for (let round = 0; round < halvings && limit !== undefined && above !== undefined; round++) {
    const rate = Math.round((limit.offered + above) / 2);
    const result = await tolerable(running, rate, clients);
    if (result.lost < tolerableLoss && result.begun >= rate * 0.8) limit = result;
    else above = rate;
  }
  return limit;
}

async function measure(name, count, ours) {
  say(`${name}, ${count} known nodes`);
  const running = await start(name, count, folder, space.server, ours);
  try {
    const clients = count === 0 ? strangers : count;
    await offer(running, 200, clients); // warm
    const limit = await limitOf(running, clients);
    const base = limit?.offered ?? ladder[0];
    const twice = await offer(running, 2 * base, clients);
    const fourfold = await offer(running, 4 * base, clients);
    return { server: name, nodes: count, started: running.seconds, limit, twice, fourfold, alive: running.alive() };
  } finally {
    await running.close();
  }
}

const column = (text, width) => String(text).padStart(width);
const fixed = (number, digits) => (number === undefined || Number.isNaN(number) ? '-' : number.toFixed(digits));

function table(results) {
  const heads = ['known nodes', 'server', 'exchanges/s', 'p50 ms', 'p99 ms', 'us CPU each', 'MB', 'start s', 'offered 2x', 'offered 4x', 'ours is'];
  const widths = [11, 14, 11, 7, 7, 11, 6, 7, 14, 14, 8];
  const rows = results.map(({ server: name, nodes, started, limit, twice, fourfold }) => {
    const ours = results.find((other) => other.server === 'farm' && other.nodes === nodes)?.limit?.finished;
    const ratio = name === 'farm' || ours === undefined || limit === undefined ? '' : `${(ours / limit.finished).toFixed(2)} x`;
    const over = (run) => `${fixed(run.finished, 0)} of ${fixed(run.begun, 0)}`;
    const figures = [
      fixed(limit?.finished, 0),
      fixed(limit?.p50, 2),
      fixed(limit?.p99, 2),
      fixed(limit?.cost, 0),
      fixed(fourfold.memory, 0),
      fixed(started, 1),
    ];
    return [nodes, name, ...figures, over(twice), over(fourfold), ratio];
  });
  return [heads, ...rows].map((row) => row.map((cell, index) => column(cell, widths[index])).join('  ')).join('\n');
}

if (process.getuid() !== 0 || !isInstalled('perfdhcp')) {
  say('bench/dhcp needs root, for network namespaces, and perfdhcp: apt-get install kea-admin');
  process.exit(2);
}
try {
  layWires();
  const ours = await bundle();
  const results = [];
  for (const count of counts) {
    for (const [name, { program }] of Object.entries(servers)) {
      if (wanted !== undefined && !wanted.some((word) => name.startsWith(word))) continue;
      if (isInstalled(program)) results.push(await measure(name, count, ours));
      else say(`${name} is left out: ${program} is not installed`);
    }
  }
  const about = `${cpus().length} processors (${cpus()[0]?.model}), Node.js ${process.version}, ${seconds} s a run, less than ${tolerableLoss * 100} % lost`;
  process.stdout.write(values.json ? `${JSON.stringify({ about, results })}\n` : `${about}\n\n${table(results)}\n`);
} finally {
  for (const name of Object.values(space)) spawnSync('ip', ['netns', 'del', name]);
  rmSync(folder, { recursive: true, force: true });
}
