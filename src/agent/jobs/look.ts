// Reads of a job's processes what obstacles.ts judges. A process that ends meanwhile is none. What the kernel knows by itself is read synchronously, at a
// tenth of the cost; maps, and what the process may wait for a server with, are not.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { systemCode } from '../../base/errors.ts';
import { run } from '../../base/processes.ts';
import type { Body } from './body.ts';
import { type JobFacts, type OpenFile, obstaclesOf, type ProcessFacts, type SocketFacts, socketInode } from './obstacles.ts';
import { parseProcessStat } from './processes.ts';
import { parseInetSockets, parseInodes, parseUnixSockets } from './sockets.ts';
import type { Obstacle } from './types.ts';

/** `net` and `user` it shares with the node. */
const namespaceNames = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'] as const;

/** `everywhere`: whether every node sees the files of this mount of the home node. */
export async function lookAt(body: Body, everywhere: (mount: string) => boolean): Promise<readonly Obstacle[]> {
  const pids = (await body.cgroup.pids()).filter((pid) => pid !== body.pid);
  const local = localMounts(await readFile(`/proc/${body.pid}/mountinfo`, 'utf8'), body.spec.mounts, everywhere);
  const processes = (await Promise.all(pids.map((pid) => existing(processFacts(pid, local.size > 0))))).filter((facts) => facts !== undefined);
  const sockets = processes.some(({ files }) => files.some(({ path }) => socketInode(path) !== undefined));
  const facts: JobFacts = {
    processes,
    sockets: sockets ? await socketsOf(body.pid) : new Map(),
    localMounts: local,
    namespaces: namespacesOf(body.pid),
  };
  return obstaclesOf(facts);
}

/** proc_pid_mountinfo(5): those of the job's mounts that come from its home and are not seen elsewhere, by id. */
export function localMounts(mountinfo: string, mounts: readonly string[], everywhere: (mount: string) => boolean): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (const line of mountinfo.split('\n')) {
    const [id, , , , at] = line.split(' ');
    if (at !== undefined && (at === '/' || mounts.includes(at)) && !everywhere(at)) found.set(Number(id), at);
  }
  return found;
}

/** `withMounts`: whether it matters on which mount a file is. */
async function processFacts(pid: number, withMounts: boolean): Promise<ProcessFacts> {
  const [stat = '', status = '', limits = ''] = ['stat', 'status', 'limits'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'utf8'));
  const lockLimit = /^Max locked memory +(\S+)/m.exec(limits)?.[1];
  return {
    pid,
    name: /\((.*)\)/s.exec(stat)?.[1] ?? '',
    policy: parseProcessStat(stat).policy,
    locked: Number(/^VmLck:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024,
    lockLimit: lockLimit === undefined || lockLimit === 'unlimited' ? undefined : Number(lockLimit),
    tracer: Number(/^TracerPid:\s+(\d+)/m.exec(status)?.[1] ?? 0),
    files: readdirSync(`/proc/${pid}/fd`).flatMap((fd) => openFile(pid, fd, withMounts) ?? []),
    maps: mappedFiles(await readFile(`/proc/${pid}/maps`, 'utf8')),
    namespaces: namespacesOf(pid),
  };
}

/** Paths in proc_pid_maps(5), each once. */
export function mappedFiles(maps: string): readonly string[] {
  return [...new Set([...maps.matchAll(/^\S+ \S+ \S+ \S+ \d+ +(\/.*)$/gm)].map(([, path = '']) => path))];
}

function openFile(pid: number, fd: string, withMounts: boolean): OpenFile | undefined {
  return ifThere(() => {
    const path = readlinkSync(`/proc/${pid}/fd/${fd}`);
    const mount = withMounts ? /^mnt_id:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] : undefined;
    return { path, mount: mount === undefined ? undefined : Number(mount) };
  });
}

function namespacesOf(pid: number): readonly string[] {
  return namespaceNames.flatMap((name) => ifThere(() => readlinkSync(`/proc/${pid}/ns/${name}`)) ?? []);
}

async function socketsOf(pid: number): Promise<ReadonlyMap<string, SocketFacts>> {
  const inet = (['tcp', 'udp', 'raw'] as const).flatMap((kind) => [`${kind}`, `${kind}6`].map(async (file) => parseInetSockets(await table(pid, file), kind)));
  const others = [
    table(pid, 'packet').then((text) => parseInodes(text, 'packet', 8)),
    table(pid, 'netlink').then((text) => parseInodes(text, 'netlink', 9)),
    // The kernel's own table does not say who is at the other end.
    run('ss', ['-xanH']).then((text) => parseUnixSockets(text.toString())),
  ];
  return new Map((await Promise.all([...inet, ...others])).flatMap((each) => [...each]));
}

/** Empty where the kernel has no such protocol. */
async function table(pid: number, name: string): Promise<string> {
  return (await existing(readFile(`/proc/${pid}/net/${name}`, 'utf8'))) ?? '';
}

async function existing<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch(undefinedIfGone);
}

function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    return undefinedIfGone(error);
  }
}

function undefinedIfGone(error: unknown): undefined {
  if (!['ENOENT', 'ESRCH', 'EINVAL'].includes(systemCode(error) ?? '')) throw error;
}
