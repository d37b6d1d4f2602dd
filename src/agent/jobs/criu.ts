// criu(8) as jobs need it: dumps of a frozen cgroup, page servers, restore into a frozen cgroup. Arguments, and running it.
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { FarmError } from '../../base/errors.ts';
import { type Body, dumperOf, holders, mountSources, type PipeNames, type Places, systemPath } from './body.ts';
import { criuError } from './criu-words.ts';
import type { JobSpec } from './types.ts';

/** Files that are deleted and open are carried up to this size; more belongs in a file with a name. */
const ghostLimit = '64M';

/** In every dump and restore. The agent freezes the cgroup itself; no job has a TCP connection when it moves, so no firewall is needed. */
const common: readonly string[] = ['-v1', '--manage-cgroups=ignore', '--file-locks', '--link-remap', '--ghost-limit', ghostLimit, '--network-lock', 'skip'];

/** Its mounts that are not its own: what another node has to bind in their place. */
function externalMounts(spec: JobSpec): readonly string[] {
  return ['/dev', ...spec.mounts].flatMap((path, index) => ['--external', `mnt[${path}]:m${index}`]);
}

function boundMounts(places: Places, spec: JobSpec, root: string): readonly string[] {
  return [places.devices, ...mountSources(places, spec, root)].flatMap((path, index) => ['--external', `mnt[m${index}]:${path}`]);
}

export interface DumpOptions {
  /** Of the images, which exists. */
  readonly directory: string;
  /** The one of the round before, beside it. */
  readonly previous: string | undefined;
  /** Of the page server; without, pages are files too. */
  readonly port: number | undefined;
}

/** `pre-dump`: the memory, while it runs on. `dump`: all; it must be frozen, and stays so. Throws FarmError `job.immovable`. */
export async function dump(kind: 'pre-dump' | 'dump', body: Body, { directory, previous, port }: DumpOptions): Promise<void> {
  const args = [
    kind,
    ...common,
    '-t',
    String(body.pid),
    '-D',
    directory,
    '--freeze-cgroup',
    body.cgroup.path,
    ...(kind === 'dump' ? ['--leave-running', ...externalMounts(body.spec)] : []),
    ...(kind === 'pre-dump' || previous !== undefined ? ['--track-mem'] : []),
    ...(previous === undefined ? [] : ['--prev-images-dir', `../${previous}`]),
    ...(port === undefined ? [] : ['--page-server', '--address', '127.0.0.1', '--port', String(port)]),
  ];
  const dumper = dumperOf(body);
  await dumper.make();
  try {
    await runCriu('job.immovable', 'moved', directory, ['-c', dumpScript, 'farm-dump', dumper.path, ...args], 'sh');
  } finally {
    await dumper.kill();
    await dumper.remove();
  }
}

/** $1: the cgroup in which criu outlives the agent. */
const dumpScript = `echo 0 > "$1/cgroup.procs"
shift
exec criu "$@"`;

export interface RestoreOptions {
  readonly places: Places;
  readonly spec: JobSpec;
  /** Of the job. */
  readonly directory: string;
  /** Of the images. */
  readonly images: string;
  readonly cgroup: string;
  /** How the images call its pipes, and the ends that it gets. */
  readonly pipes: PipeNames;
  readonly ends: { readonly input: number; readonly output: number; readonly errors: number | undefined; readonly status: number };
  /** Whether pages leave the images as they are restored. */
  readonly consume: boolean;
}

/** In the job's cgroup, and in a mount namespace of its own, so that the binds leave with it. $1 cgroup, $2 root, $3 where it is bound. */
const restoreScript = `set -e
echo 0 > "$1/cgroup.procs"
mount --bind "$2" "$3"
shift 3
exec "$@"`;

/** The last moment at which criu holds all: it leaves the cgroup with its script, and the job stands when criu lets it go. */
function standing(cgroup: string, others: string): string {
  return `#!/bin/sh
[ "$CRTOOLS_SCRIPT_ACTION" = pre-resume ] || exit 0
echo $PPID > '${others}/cgroup.procs' && echo 0 > '${others}/cgroup.procs' && echo 1 > '${cgroup}/cgroup.freeze'
`;
}

/** Gives the pid of its first process. It stands, frozen. Throws FarmError `job.unrestorable`. */
export async function restore({ places, spec, directory, images, cgroup, pipes, ends, consume }: RestoreOptions): Promise<number> {
  const root = await places.rootOf(spec.home);
  const at = join(directory, 'root');
  const inherited: readonly (readonly [string | undefined, number | undefined])[] = [
    [pipes.input, ends.input],
    [pipes.output, ends.output],
    [pipes.status, ends.status],
    [pipes.errors, ends.errors],
  ];
  const given = inherited.flatMap(([name, fd]) => (name === undefined || fd === undefined ? [] : [{ name, fd }]));
  const firstFd = 3;
  const action = join(directory, 'standing');
  await writeFile(action, standing(cgroup, join(places.cgroups, holders)), { mode: 0o700 });
  const args = [
    'restore',
    ...common,
    '-D',
    images,
    '-d',
    '--pidfile',
    join(directory, 'pid'),
    '--root',
    at,
    ...boundMounts(places, spec, root),
    ...given.flatMap(({ name }, index) => ['--inherit-fd', `fd[${firstFd + index}]:${name}`]),
    '--action-script',
    action,
    ...(consume ? ['--auto-dedup'] : []),
  ];
  const wrapped = ['--mount', '--propagation', 'private', 'sh', '-c', restoreScript, 'farm-restore', cgroup, root, at, 'criu'];
  await runCriu(
    'job.unrestorable',
    'restored',
    images,
    [...wrapped, ...args],
    'unshare',
    given.map(({ fd }) => fd),
  );
  return Number(await readFile(join(directory, 'pid'), 'utf8'));
}

type Trouble = 'job.immovable' | 'job.unrestorable';

/** `directory`: where criu writes its log. */
async function runCriu(
  code: Trouble,
  action: string,
  directory: string,
  args: readonly string[],
  command = 'criu',
  fds: readonly number[] = [],
): Promise<void> {
  const said: Buffer[] = [];
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', ...fds];
  const child = spawn(command, [...args, '-o', 'criu.log'], { stdio, env: { PATH: systemPath } });
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => said.push(chunk));
  const status = await exitOf(child);
  if (status === '0') return;
  const log = await readFile(join(directory, 'criu.log'), 'utf8').catch(() => '');
  throw criuError(code, action, `${log}\n${Buffer.concat(said)}`);
}

/** Its status, or the signal that ended it. */
async function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new FarmError('job.criu', `criu cannot be started: ${error.message}`, 'apt-get install criu', error)));
    // Not `close`: what criu restored may hold its output.
    child.once('exit', (exit, signal) => resolve(signal ?? String(exit)));
  });
}

export interface PageServer {
  readonly port: number;
  /** Settles when a whole round is here; throws FarmError `job.unrestorable` when it was cut. */
  readonly finished: Promise<void>;
  stop(): void;
}

/** Takes one connection's pages into `directory`, which exists. */
export async function startPageServer(directory: string, previous: string | undefined): Promise<PageServer> {
  const port = await freePort();
  const args = ['page-server', '-v1', '-D', directory, '-o', 'criu.log', '--address', '127.0.0.1', '--port', String(port), '--status-fd', '3', '--auto-dedup'];
  const parent = previous === undefined ? [] : ['--prev-images-dir', `../${previous}`];
  const child = spawn('criu', [...args, ...parent], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'], env: { PATH: systemPath } });
  const finished = exitOf(child).then(async (status) => {
    if (status === '0') return;
    throw criuError('job.unrestorable', 'taken over', await readFile(join(directory, 'criu.log'), 'utf8').catch(() => ''));
  });
  finished.catch(() => {}); // told to who waits for it
  const told = child.stdio[3];
  const ready = told instanceof Readable ? once(told, 'data') : Promise.resolve();
  await Promise.race([ready, finished.then(() => Promise.reject(new FarmError('job.unrestorable', 'the page server ended before it began')))]);
  return { port, finished, stop: () => child.kill('SIGKILL') };
}

/** Free a moment ago; if somebody takes it before criu does, criu says so. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new FarmError('port.taken', 'there is no free port on 127.0.0.1');
  return address.port;
}
