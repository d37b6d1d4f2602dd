// Who called mosrun, by what the kernel says of its process: nobody can claim to be somebody else. proc_pid_status(5), proc_pid_stat(5), proc_pid_limits(5). Pure.
import { basename } from 'node:path';
import { FarmError } from '../../base/errors.ts';
import { mosrunNames } from './mosrun-options.ts';
import type { Limit } from './types.ts';

/** The texts of files of /proc/PID, and where its links lead. */
export interface ProcessTexts {
  readonly status: string;
  readonly stat: string;
  readonly limits: string;
  readonly cmdline: string;
  readonly environ: string;
  readonly cwd: string;
  /** ns/mnt and ns/user. */
  readonly namespaces: readonly string[];
}

export interface Caller {
  readonly pid: number;
  /** Clock ticks after boot. */
  readonly start: number;
  /** The name it was called by, and its arguments. */
  readonly name: string;
  readonly args: readonly string[];
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly umask: number;
  readonly niceness: number;
  readonly limits: readonly Limit[];
  readonly environment: readonly string[];
  readonly directory: string;
}

const resources: Readonly<Record<string, string>> = {
  'Max cpu time': 'cpu',
  'Max file size': 'fsize',
  'Max data size': 'data',
  'Max stack size': 'stack',
  'Max core file size': 'core',
  'Max resident set': 'rss',
  'Max processes': 'nproc',
  'Max open files': 'nofile',
  'Max locked memory': 'memlock',
  'Max address space': 'as',
  'Max file locks': 'locks',
  'Max pending signals': 'sigpending',
  'Max msgqueue size': 'msgqueue',
  'Max nice priority': 'nice',
  'Max realtime priority': 'rtprio',
  'Max realtime timeout': 'rttime',
};

/** Throws `FarmError` `job.caller` for a process that is not a mosrun, or one that is shut in: a job runs outside of such walls. `own`: the agent's. */
export function readCaller(pid: number, texts: ProcessTexts, own: Pick<ProcessTexts, 'status' | 'namespaces'>): Caller {
  const status = fields(texts.status);
  const stat = statFields(texts.stat);
  const ids = (name: string) =>
    (status.get(name) ?? '')
      .split(/\s+/)
      .filter((word) => word !== '')
      .map(Number);
  const uids = ids('Uid');
  const gids = ids('Gid');
  const [uid] = uids;
  const [gid] = gids;
  const start = Number(stat[19]);
  const niceness = Number(stat[16]);
  if (uid === undefined || gid === undefined || !Number.isSafeInteger(start) || !Number.isInteger(niceness)) throw refused(`process ${pid} cannot be read`);
  if (uids.some((id) => id !== uid) || gids.some((id) => id !== gid)) throw refused('it runs with the rights of two users');
  const [, script = '', ...args] = texts.cmdline.replace(/\0$/, '').split('\0');
  const name = basename(script);
  if (!mosrunNames.includes(name)) throw refused(`process ${pid} is not mosrun`);
  checkWalls(uid, status, texts.namespaces, fields(own.status), own.namespaces);
  return {
    ...{ pid, start, name, args, uid, gid, groups: ids('Groups'), niceness, limits: readLimits(texts.limits), directory: texts.cwd },
    umask: Number.parseInt(status.get('Umask') ?? '0022', 8),
    environment: texts.environ.split('\0').filter((entry) => entry.includes('=')),
  };
}

/** A job is started by the agent, so what shuts its caller in would not shut in the job. */
function checkWalls(
  uid: number,
  status: ReadonlyMap<string, string>,
  namespaces: readonly string[],
  own: ReadonlyMap<string, string>,
  ownNamespaces: readonly string[],
): void {
  if (namespaces.some((name, index) => name !== ownNamespaces[index])) throw refused('it runs in a container, or its files are not those of the node');
  for (const wall of ['NoNewPrivs', 'Seccomp']) {
    if (Number(status.get(wall) ?? 0) > Number(own.get(wall) ?? 0)) throw refused(`it is shut in a sandbox (${wall})`);
  }
  if (uid === 0 && status.get('CapEff') !== own.get('CapEff')) throw refused('it is root without all of root’s rights');
}

function refused(why: string): FarmError {
  return new FarmError('job.caller', `this process cannot start a job: ${why}`, 'start the program without mosrun, or mosrun from a login of its user');
}

function fields(text: string): ReadonlyMap<string, string> {
  return new Map(text.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
}

/** From the third field on, the state; the second may have blanks and brackets in it. */
export function statFields(text: string): readonly string[] {
  return text
    .slice(text.lastIndexOf(')') + 2)
    .trim()
    .split(' ');
}

/** Whether the process is in the foreground of its terminal. */
export function isInFront(stat: string): boolean {
  const found = statFields(stat);
  return found[2] === found[5];
}

/** Whether all of the foreground of a terminal stands still: of its processes, those in the group that has the terminal. */
export function isForegroundStopped(stats: readonly string[]): boolean {
  const front = stats.map(statFields).filter(([state, , group, , , foreground]) => group === foreground && state !== 'Z');
  return front.length > 0 && front.every(([state]) => state === 'T');
}

export function readLimits(text: string): readonly Limit[] {
  return text.split('\n').flatMap((line) => {
    const [, name = '', soft = '', hard = ''] = /^(Max [a-z ]*[a-z])\s{2,}(\d+|unlimited)\s+(\d+|unlimited)/.exec(line) ?? [];
    const resource = resources[name];
    const value = (word: string) => (word === 'unlimited' ? undefined : Number(word));
    return resource === undefined ? [] : [{ resource, soft: value(soft), hard: value(hard) }];
  });
}

/** Kernel file systems that a job has of its own, or none of. */
const kernelKinds = new Set(
  'proc sysfs devtmpfs devpts cgroup cgroup2 mqueue hugetlbfs debugfs tracefs securityfs pstore bpf configfs fusectl autofs binfmt_misc efivarfs nsfs rpc_pipefs'.split(
    ' ',
  ),
);

/** The mounts below the root that a job sees, parents first, from /proc/self/mountinfo. `without`: what is the node's own, /hpc say, with all below. */
export function jobMounts(mountinfo: string, without: readonly string[]): readonly string[] {
  const below = (path: string, top: string) => path === top || path.startsWith(`${top}/`);
  const found = mountinfo.split('\n').flatMap((line) => {
    const [head = '', tail = ''] = line.split(' - ');
    const path = (head.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
    const [kind = ''] = tail.split(' ');
    const isHidden = path === '' || path === '/' || kernelKinds.has(kind) || ['/proc', '/sys', '/dev', ...without].some((top) => below(path, top));
    return isHidden ? [] : [path];
  });
  return [...new Set(found)].sort((one, other) => one.split('/').length - other.split('/').length || (one < other ? -1 : 1));
}
