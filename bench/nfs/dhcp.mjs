// How long a DHCP client waits for its ACK while nodes read from the NFS server beside it, and while nobody does (root):
//   node bench/nfs/dhcp.mjs --images .farm/images
// A node renews its address 50 times a second (RFC 2131 4.3.2, RENEWING); the reading is a stream over 8 connections, 4 reads of 128 KiB at once on each.
// `--farm` names another farm's bin/farm to compare with.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { address, clientAddress, networkCommands, startFarm } from './servers.mjs';

const { values: options } = parseArgs({
  options: { images: { type: 'string', default: '.farm/images' }, farm: { type: 'string' }, seconds: { type: 'string', default: '6' } },
});
const nodes = 16;
const renewing = nodes;
const betweenMilliseconds = 20;
const lostAfterMilliseconds = 1000;

if (process.env.FARM_BENCH_INSIDE === undefined) {
  const inside = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child', process.execPath, ...process.argv.slice(1)];
  process.exitCode = spawnSync('unshare', inside, { stdio: 'inherit', env: { ...process.env, FARM_BENCH_INSIDE: '1' } }).status ?? 2;
} else await measure();

async function measure() {
  const directory = mkdtempSync(join(tmpdir(), 'farm-dhcp-bench-'));
  for (const [program, ...args] of [...networkCommands, ['mount', '-t', 'tmpfs', 'tmpfs', '/run']]) execFileSync(program, args);
  const server = await startFarm(directory, options.images, nodes, '', { command: options.farm, only: 'dhcp,nfs' });
  try {
    console.log('| reading | ACKs | lost | p50 ms | p99 ms | longest ms | MB/s |');
    console.log('|---|---:|---:|---:|---:|---:|---:|');
    await renew(1);
    print('nobody', await renew(Number(options.seconds)));
    const load = fileURLToPath(new URL('load.mjs', import.meta.url));
    const clients = Array.from({ length: 8 }, (_, index) => clientAddress(index + 1)).join(',');
    const how = ['--mix', 'stream:131072', '--connections', '8', '--depth', '4', '--seconds', String(Number(options.seconds) + 2), '--json'];
    const reading = spawn(process.execPath, [load, '--server', address, '--path', server.path, '--clients', clients, '--privileged', ...how]);
    let said = '';
    reading.stdout.on('data', (chunk) => {
      said += chunk;
    });
    await delay(3000); // it has mounted and warmed up
    const result = await renew(Number(options.seconds) - 2);
    await new Promise((resolve) => reading.on('close', resolve));
    print('8 x 4', { ...result, megabytes: JSON.parse(said).megabytesPerSecond });
  } finally {
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function print(reading, { latencies, asked, megabytes = 0 }) {
  const sorted = latencies.sort((a, b) => a - b);
  const at = (share) => (sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN).toFixed(2);
  console.log(`| ${reading} | ${sorted.length} | ${asked - sorted.length} | ${at(0.5)} | ${at(0.99)} | ${at(1)} | ${Math.round(megabytes)} |`);
}

/** The node's DHCPREQUEST as it renews; its answer goes to port 68 of its address. */
function request(xid) {
  const packet = Buffer.alloc(300);
  packet.set([1, 1, 6, 0]);
  packet.writeUInt32BE(xid, 4);
  packet.set(clientAddress(renewing).split('.').map(Number), 12);
  packet.set([0x52, 0x54, 0, 0, 1, renewing], 28);
  packet.set([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 255], 236);
  return packet;
}

async function renew(seconds) {
  const socket = createSocket('udp4');
  await new Promise((resolve) => socket.bind(68, clientAddress(renewing), resolve));
  const sent = new Map();
  const latencies = [];
  socket.on('message', (message) => {
    const xid = message.readUInt32BE(4);
    const at = sent.get(xid);
    if (at !== undefined) latencies.push(performance.now() - at);
    sent.delete(xid);
  });
  let asked = 0;
  for (const end = performance.now() + seconds * 1000; performance.now() < end; await delay(betweenMilliseconds)) {
    asked += 1;
    sent.set(asked, performance.now());
    socket.send(request(asked), 67, address);
  }
  await delay(lostAfterMilliseconds);
  socket.close();
  return { latencies, asked };
}
