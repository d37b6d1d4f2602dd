// One of the two nodes of the benchmark: the product's link, job engine and driver of moves, without balancer, deputies and /mfs. Orders are lines of JSON on
// stdin; each has one line of JSON for an answer.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { startJobEngine } from '../../src/agent/jobs/engine.ts';
import type { Hosted } from '../../src/agent/jobs/hosted.ts';
import type { Attached, JobSpec } from '../../src/agent/jobs/types.ts';
import { startLink } from '../../src/agent/link/link.ts';
import type { MoveFigures } from '../../src/agent/moves/departure.ts';
import { openDriver } from '../../src/agent/moves/driver.ts';
import { noWishes } from '../../src/agent/moves/wire.ts';
import { ipv4 } from '../../src/base/addresses.ts';

/** Its number, the network's part of the addresses, and a cgroup. */
const [id = '1', network = '', cgroups = ''] = process.argv.slice(2);
const self = Number(id);
const addresses = new Map([1, 2].map((node) => [node, ipv4(`${network}${node}`)]));
const peerPort = 7000;
/** Beside the node's agent, if it has one. */
const linkPort = 7001;
const peerImages = '/run/peer-images';
/** MB/s of TCP payload. */
const gigabit = 118;
const now = () => performance.now();
const log = (_level: string, event: string, fields: object = {}): void => void process.stderr.write(`${self} ${event} ${JSON.stringify(fields)}\n`);

const link = await startLink({
  self: { id: self, address: ipv4(`${network}${self}`) },
  map: () => ({ addresses, ids: new Map([...addresses].map(([node, address]) => [address, node])) }),
  keys: () => [Buffer.from('k'.repeat(64))],
  port: linkPort,
  refuse: (reason, from, why) => log('warn', 'refused', { reason, from, why }),
  log,
});
const engine = await startJobEngine({ log, rootOf: async () => '/', directory: `/run/jobs-${self}`, cgroups: `${cgroups}/node-${self}` });
const jobs = new Map<string, Hosted>();
let moved: (figures: MoveFigures | undefined) => void = () => {};
let precopy = true;
const nowhere = { input: 0, inputEnded: false, output: 0, errors: 0 };
const silent: Attached = {
  ...{ pause() {}, standing: () => nowhere, unpause() {}, delivered: async () => {} },
  ...{ detach: async () => nowhere, resume() {}, release() {} },
};
const driver = openDriver({
  ...{ self, incarnation: Date.now(), link, engine, jobs, now, log, policy: 'run', verdict: () => undefined },
  attach(job) {
    job.output.resume();
    job.errors?.resume();
    return silent;
  },
  versions: { agent: '0', kernel: '0', criu: '0', image: '', features: [] },
  get precopy() {
    return precopy;
  },
  fault() {},
  onChange: (job) => (jobs.get(job)?.failure === undefined ? undefined : moved(undefined)),
  onMoved: (_job, _to, figures) => moved(figures),
});
setInterval(() => driver.tick(), 1000).unref();

/** Whether this kernel tells which pages a program has written: without, there is no pre-copy. */
const tracks = await run('criu', ['check', '--feature', 'mem_dirty_track']).then(
  () => true,
  () => false,
);

let count = 0;

function specOf(args: readonly string[]): JobSpec {
  count += 1;
  const nobody = { uid: 0, gid: 0, groups: [], umask: 0o22, niceness: 0, limits: [] };
  const place = { directory: '/tmp', mounts: ['/tmp'], image: '', environment: ['PATH=/usr/bin:/bin'] };
  const rest = { home: 1, hostname: 'bench', deputy: count, name: undefined, streams: 'merged', window: undefined } as const;
  return { id: `${self}-${count}-${Math.round(Date.now() / 1000)}`, args, ...nobody, ...place, ...rest };
}

async function progress(file: string): Promise<string> {
  for (;;) {
    try {
      const text = readFileSync(file, 'utf8');
      if (text.startsWith('rate')) return text.trim();
    } catch {
      // not yet
    }
    await delay(100);
  }
}

type Order = { readonly what: string; readonly words: readonly string[] };

/** What each order does; its value is the answer. */
const orders: Readonly<Record<string, (...words: string[]) => Promise<object>>> = {
  /** MiB, kind, MB/s: a job that may move. */
  async start(...words) {
    const file = `/tmp/progress-${self}`;
    rmSync(file, { force: true });
    const spec = specOf(['perl', '/tmp/job.pl', ...words, file]);
    const job = await engine.start(spec);
    driver.take(job, silent, { moves: 0, used: 0, cpu: 0, dirtyRate: 0, left: [], wishes: noWishes, recalled: false });
    job.output.resume();
    const rate = await progress(file);
    const mine = jobs.get(spec.id);
    if (mine !== undefined) mine.memory = (await job.usage()).memory;
    return { job: spec.id, rate };
  },
  async move(withPrecopy = 'yes') {
    const [job = ''] = jobs.keys();
    precopy = withPrecopy === 'yes';
    const done = new Promise<MoveFigures | undefined>((resolve) => {
      moved = resolve;
    });
    const machine = { id: self, cpus: 1, speed: 1, wanted: 0, memory: { total: 2 ** 31, usable: 2 ** 30 } };
    const bytes = jobs.get(job)?.memory ?? 0;
    const offered = { job: { id: job, home: 1, cpu: 1, memory: bytes, traffic: { node: 1, ratio: 0 } }, source: machine, reason: 'cost', nodes: 2 } as const;
    if (!driver.offer(3 - self, offered)) throw new Error('the offer was not made');
    const figures = await done;
    await driver.idle();
    if (figures === undefined) throw new Error(jobs.get(job)?.failure ?? 'it stayed');
    return figures;
  },
  async end(everywhere = 'yes') {
    if (everywhere === 'yes') await (await askPeer('end')).hear('done');
    for (const { job } of jobs.values()) {
      await job.signal('SIGKILL');
      await job.ended;
    }
    return {};
  },
  /** MB: what plain TCP carries. */
  async link(megabytes) {
    const { socket, hear } = await askPeer('link');
    const piece = Buffer.alloc(256 * 1024, 'x');
    const began = now();
    for (let left = Number(megabytes) * 1e6; left > 0; left -= piece.length) if (!socket.write(piece)) await once(socket, 'drain');
    socket.end();
    await hear('done');
    return { ms: now() - began };
  },
  /** MiB, kind, MB/s or `part`: one size every way, with the link before and after it. `part`: as much of what the link carries as 10 MB/s are of Gigabit Ethernet. */
  async compare(size = '', kind = '', rate = '') {
    const megabytes = Math.min(256, Math.max(32, Number(size)));
    const before = megabytes / (await timed('link', megabytes));
    const writes = rate === 'part' ? (before * 1000 * 10) / gigabit : Number(rate);
    const words = [size, kind, writes.toFixed(2)];
    const ways: Record<string, object | undefined> = {};
    for (const way of ['yes', 'no'] as const) {
      if (way === 'yes' && !tracks) continue;
      const begun = await asked('start', ...words);
      ways[way === 'yes' ? 'precopy' : 'plain'] = { ...begun, ...(await asked('move', way)) };
      await asked('end');
    }
    const byHand = await asked('peer', ...words);
    const after = megabytes / (await timed('link', megabytes));
    return { size: Number(size), kind, writes, link: [before * 1000, after * 1000], ...ways, byHand };
  },
  /** MiB, kind, MB/s: the same job without farm, moved by criu dump, tar over plain TCP, criu restore. */
  async peer(...words) {
    const file = `/tmp/peer-${self}`;
    rmSync(file, { force: true });
    rmSync(peerImages, { recursive: true, force: true });
    mkdirSync(peerImages);
    const job = spawn('setsid', ['perl', '/tmp/job.pl', ...words, file], { stdio: 'ignore', cwd: '/' });
    await progress(file);
    const { socket, hear } = await askPeer('move');
    const began = now();
    await run('criu', ['dump', '-t', String(job.pid), '-D', peerImages, '--manage-cgroups=ignore', '--network-lock', 'skip', '-v1', '-o', 'dump.log']);
    const dumped = now() - began;
    const tar = spawn('tar', ['-c', '-C', peerImages, '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
    tar.stdout.pipe(socket);
    await hear('received');
    const received = now() - began;
    await hear('done');
    const total = now() - began;
    rmSync(peerImages, { recursive: true, force: true });
    return { total, dumped, received };
  },
};

function asked(what: string, ...words: string[]): Promise<object> {
  const order = orders[what];
  if (order === undefined) throw new Error(`no order ${what}`);
  return order(...words);
}

async function timed(what: string, megabytes: number): Promise<number> {
  const began = now();
  await asked(what, String(megabytes));
  return now() - began;
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [status] = await once(child, 'exit');
  if (status !== 0) throw new Error(`${program} ${args[0]} ended with ${status}`);
}

async function askPeer(kind: string): Promise<{ readonly socket: Socket; hear(word: string): Promise<void> }> {
  const socket = connect({ host: `${network}${3 - self}`, port: peerPort, allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const hear = async (word: string): Promise<void> => {
    const { value } = await lines.next();
    if (value !== word) throw new Error(`${word} was awaited, but: ${value}`);
  };
  socket.write(kind);
  await hear('ready');
  return { socket, hear };
}

async function servePeer(socket: Socket): Promise<void> {
  const [kind] = await once(socket, 'data');
  socket.write('ready\n');
  if (String(kind) === 'end') {
    await asked('end', 'no');
    socket.end('done\n');
    return;
  }
  if (String(kind) === 'link') {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) void chunk;
    socket.end('done\n');
    return;
  }
  rmSync(peerImages, { recursive: true, force: true });
  mkdirSync(peerImages);
  const tar = spawn('tar', ['-x', '-C', peerImages], { stdio: ['pipe', 'ignore', 'inherit'] });
  socket.pipe(tar.stdin);
  await once(tar, 'exit');
  socket.write('received\n');
  await run('criu', ['restore', '-d', '-D', peerImages, '--manage-cgroups=ignore', '--pidfile', '/run/peer.pid', '-v1', '-o', 'restore.log']);
  socket.end('done\n');
  process.kill(Number(readFileSync('/run/peer.pid', 'utf8')), 'SIGKILL');
  rmSync(peerImages, { recursive: true, force: true });
  rmSync('/run/peer.pid', { force: true });
}

createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  socket.on('error', () => {});
  servePeer(socket).catch((error: unknown) => socket.end(`failed ${String(error)}\n`));
}).listen(peerPort, `${network}${self}`);

const answer = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
answer({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { what, words } = JSON.parse(line) as Order;
  try {
    answer(await asked(what, ...words));
  } catch (error) {
    answer({ error: String(error) });
  }
}
process.exit(0);
