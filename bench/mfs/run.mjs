// npm run bench:mfs: /mfs of two agents (kernel's side -> agent -> link -> agent -> files) next to nfs-ganesha on the same files, in one run (root; Debian
// packages nfs-ganesha, nfs-ganesha-vfs, rpcbind, iproute2). The best of the rounds, ms. In network and mount namespaces of its own. [--rounds 5] [--profile DIRECTORY] [--only mfs] [--flags ""]
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { networkCommands, startGanesha } from '../nfs/servers.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    profile: { type: 'string' },
    flags: { type: 'string', default: '--max-semi-space-size=1 --single-threaded' },
    only: { type: 'string', default: 'own,mfs,ganesha' },
  },
});
if (process.env.FARM_BENCH_INSIDE === undefined) {
  const inside = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child', process.execPath, ...process.argv.slice(1)];
  const { status } = spawnSync('unshare', inside, { stdio: 'inherit', env: { ...process.env, FARM_BENCH_INSIDE: '1' } });
  process.exitCode = status ?? 2;
} else await compare();

async function compare() {
  const folder = mkdtempSync(join(tmpdir(), 'farm-mfs-bench-'));
  const file = (name) => join(folder, name);
  const closers = [];
  try {
    for (const [program, ...args] of [...networkCommands, ['mount', '-t', 'tmpfs', 'tmpfs', '/run'], ['mount', '-t', 'tmpfs', 'tmpfs', folder], ['rpcbind']])
      execFileSync(program, args);
    const bundles = [
      ['../../test/support/mfs-node.ts', 'node.mjs'],
      ['load.ts', 'load.mjs'],
    ];
    for (const [source, outfile] of bundles) {
      const entry = fileURLToPath(new URL(source, import.meta.url));
      const common = { bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' };
      await build({ ...common, entryPoints: [entry], outfile: file(outfile) });
    }
    for (const node of [1, 2]) fill(file(`top${node}/home/u`));
    const only = options.only.split(',');
    for (const self of [1, 2]) closers.push(await startNode(self, folder));
    const servers = [];
    const mfs = { port: 4681, mountPort: 4681, path: '/mfs' };
    if (only.includes('own')) servers.push({ name: 'own', ...mfs, below: '1/home/u' });
    if (only.includes('mfs')) servers.push({ name: 'mfs', ...mfs, below: '2/home/u' });
    if (only.includes('ganesha')) {
      const ganesha = await startGanesha(folder, file('top2'));
      closers.push(ganesha.close);
      servers.push({ ...ganesha, name: 'ganesha', below: 'home/u' });
    }
    const all = Object.fromEntries(servers.map(({ name }) => [name, []]));
    for (let round = 0; round < Number(options.rounds); round += 1) {
      for (const { name, port, mountPort, path, below } of servers) {
        const args = [file('load.mjs'), port, mountPort ?? port, path, below].map(String);
        all[name].push(JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })));
      }
    }
    for (const [name, rounds] of Object.entries(all)) console.log(name.padEnd(8), JSON.stringify(best(rounds)));
  } finally {
    for (const close of closers.reverse()) await close();
    execFileSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** 1000 small files, 500 of 100 KiB, one of 50 MiB. */
function fill(directory) {
  mkdirSync(join(directory, 'many'), { recursive: true });
  mkdirSync(join(directory, 'tree'));
  for (let count = 0; count < 1000; count += 1) writeFileSync(join(directory, 'many', `file${count}`), 'x');
  for (let count = 0; count < 500; count += 1) writeFileSync(join(directory, 'tree', `file${count}`), Buffer.alloc(102_400, count));
  writeFileSync(join(directory, 'large'), Buffer.alloc(50 * 1024 * 1024, 7));
}

/** Resolves once it says `ready`. */
async function startNode(self, folder) {
  const other = 3 - self;
  const settings = {
    ...{ self, host: addressOf(self), peers: { [other]: addressOf(other) }, top: join(folder, `top${self}`), scratch: join(folder, `state${self}`) },
    ...{ linkPort: 4690, mfsPort: 4680 + self, privileged: false },
  };
  const flags = options.flags.split(' ').filter((flag) => flag !== '');
  if (options.profile !== undefined) flags.push('--cpu-prof', `--cpu-prof-dir=${join(options.profile, `node${self}`)}`);
  const child = spawn(process.execPath, [...flags, join(folder, 'node.mjs'), JSON.stringify(settings)], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((settle, reject) => {
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
      if (said.includes('"ready"')) settle();
    });
    child.on('exit', (code) => reject(new Error(`node ${self} ended with ${code}: ${said}`)));
  });
  return async () => {
    const spent = readFileSync(`/proc/${child.pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    const resident = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))?.[1];
    console.log(`node ${self}: ${(Number(spent[11]) + Number(spent[12])) / 100} s of processor time, ${Math.round(resident / 1024)} MiB resident`);
    const ended = new Promise((settle) => child.on('exit', settle));
    child.stdin.write('end\n');
    await ended;
  };
}

/** What else the machine has to do only makes it slower. */
function best(rounds) {
  return Object.fromEntries(Object.keys(rounds[0]).map((name) => [name, Math.min(...rounds.map((round) => round[name]))]));
}

function addressOf(node) {
  return `127.0.2.${node}`;
}
