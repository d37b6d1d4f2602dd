// farm, nfs-ganesha and unfs3 under the same load in one run (root; Debian packages nfs-ganesha, nfs-ganesha-vfs, rpcbind, iproute2; unfs3 is built by hand):
//   node bench/nfs/run.mjs --images .farm/images --unfs3 /usr/local/sbin/unfsd
// Everything happens in network and mount namespaces of its own. `npm run build` first.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { address, clientAddress, networkCommands, startFarm, startGanesha, startUnfs3 } from './servers.mjs';

const help = `node run.mjs [options]
  --images DIRECTORY   a farm's images, with debian-13 in it; default .farm/images
  --unfs3 PROGRAM      unfsd; without, unfs3 is left out
  --tags               unfs3 with -c (tags; its build needs --enable-cluster)
  --only A,B           of farm, ganesha, unfs3
  --loads A,B          e.g. boot@1x1,boot@8x8,boot@64x4,getattr@8x8,read:32768@8x4,stream:131072@8x4,boots@64x4
  --rounds N           default 2: the servers in turn, all loads, again; the medians are printed
  --seconds N          of each load, default 3
  --processes N        of farm's NFS service; default its own
  --keep DIRECTORY     where logs and configuration go, and stay`;

const { values: options } = parseArgs({
  options: {
    images: { type: 'string', default: '.farm/images' },
    unfs3: { type: 'string' },
    tags: { type: 'boolean', default: false },
    only: { type: 'string', default: 'farm,ganesha,unfs3' },
    loads: {
      type: 'string',
      default: 'boot@1x1,boot@8x8,boot@64x4,usual@1x1,usual@8x8,usual@64x4,getattr@8x8,lookup@8x8,read:32768@8x4,stream:131072@8x4,boots@64x4',
    },
    rounds: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '3' },
    processes: { type: 'string' },
    keep: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const clientsMax = 64;
const load = fileURLToPath(new URL('load.mjs', import.meta.url));

if (options.help) {
  console.log(help);
} else if (process.env.FARM_BENCH_INSIDE === undefined) {
  const inside = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child', process.execPath, ...process.argv.slice(1)];
  const { status } = spawnSync('unshare', inside, { stdio: 'inherit', env: { ...process.env, FARM_BENCH_INSIDE: '1' } });
  process.exitCode = status ?? 2;
} else {
  await compare();
}

async function compare() {
  const directory = options.keep === undefined ? mkdtempSync(join(tmpdir(), 'farm-nfs-bench-')) : resolve(options.keep);
  mkdirSync(directory, { recursive: true });
  for (const [program, ...args] of [...networkCommands, ['mount', '-t', 'tmpfs', 'tmpfs', '/run'], ['rpcbind']]) execFileSync(program, args);
  const root = resolve(options.images, 'debian-13', readlinkSync(join(options.images, 'debian-13', 'current')), 'root');
  const only = options.only.split(',');
  const servers = [];
  try {
    if (only.includes('farm')) {
      servers.push(await startFarm(directory, options.images, clientsMax, options.processes && `nfs: { processes: ${options.processes} }`));
    }
    if (only.includes('ganesha')) servers.push(await startGanesha(directory, root));
    if (only.includes('unfs3') && options.unfs3 !== undefined) servers.push(await startUnfs3(directory, resolve(options.unfs3), root, options.tags));
    const results = [];
    for (let round = 0; round < Number(options.rounds); round += 1) {
      for (const wanted of options.loads.split(',')) for (const server of servers) results.push(measure(server, wanted));
    }
    table(servers, results);
  } finally {
    for (const server of servers) await server.close();
    if (options.keep === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

function measure(server, wanted) {
  const [, mix, connections, depth] = /^(.+)@(\d+)x(\d+)$/.exec(wanted) ?? [];
  if (mix === undefined) throw new Error(`no load: ${wanted}`);
  const clients = Array.from({ length: Math.min(Number(connections), clientsMax) }, (_, index) => clientAddress(index + 1));
  const args = [load, '--server', address, '--port', server.port, '--path', server.path, '--connections', connections, '--depth', depth];
  args.push(...(server.mountPort === undefined ? [] : ['--mount-port', server.mountPort]), '--clients', clients.join(','), '--privileged');
  args.push(...(mix === 'boots' ? ['--mix', 'boot', '--boots', '1'] : ['--mix', mix, '--seconds', options.seconds]), '--pid', server.pid, '--json');
  const { stdout, stderr } = spawnSync(process.execPath, args.map(String), { encoding: 'utf8' });
  if (stdout === '') throw new Error(`${server.name}, ${wanted}: ${stderr}`);
  const result = { server: server.name, load: wanted, ...JSON.parse(stdout) };
  console.error(`${server.name} ${wanted} ${Math.round(result.operationsPerSecond)} op/s`);
  return result;
}

/** One row for each load and server; the ratio is to the best of the others. */
function table(servers, results) {
  const number = (value, digits = 0) => value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  console.log('| load | server | op/s | MB/s | p50 us | p99 us | us CPU each | MB (PSS) | MB resident | generator | farm is |');
  console.log('|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|');
  for (const wanted of new Set(results.map((result) => result.load))) {
    const rows = servers.map((server) => {
      const mine = results.filter((result) => result.load === wanted && result.server === server.name);
      const median = (pick) => mine.map(pick).sort((a, b) => a - b)[Math.floor(mine.length / 2)];
      return { server: server.name, failed: mine.find(({ failed }) => failed > 0), median };
    });
    const rate = ({ median }) => median((result) => result.operationsPerSecond);
    const best = Math.max(...rows.filter(({ server }) => server !== 'farm').map(rate));
    for (const { server, failed, median } of rows) {
      const cells = [
        number(median((result) => result.operationsPerSecond)),
        number(median((result) => result.megabytesPerSecond)),
        number(median((result) => result.p50)),
        number(median((result) => result.p99)),
        number(
          median((result) => result.microsecondsPerOperation),
          1,
        ),
        number(median((result) => result.memory.proportional / 1e6)),
        number(median((result) => result.memory.resident / 1e6)),
        `${number(median((result) => result.generatorShare * 100))} %`,
        server === 'farm' && rows.length > 1 ? `${number(rate({ median }) / best, 2)} x` : '',
      ];
      console.log(`| ${wanted} | ${server} | ${cells.join(' | ')} |`);
      if (failed !== undefined) console.log(`| | ${server}: ${failed.failed} failed, ${failed.firstFailure} | | | | | | | | |`);
    }
  }
}
