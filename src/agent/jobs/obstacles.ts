// Why a job cannot move: rules over what /proc says of its processes. proc_pid_fd(5), proc_pid_status(5), sched(7), proc_net(5). Pure.
import type { Obstacle } from './types.ts';

/** What was read of one process. */
export interface ProcessFacts {
  readonly pid: number;
  /** As its /proc/PID/stat names it. */
  readonly name: string;
  /** sched(7). */
  readonly policy: number;
  /** Bytes. */
  readonly locked: number;
  /** Soft RLIMIT_MEMLOCK, bytes; undefined: unlimited. */
  readonly lockLimit: number | undefined;
  /** 0: nobody. */
  readonly tracer: number;
  /** What its descriptors link to, with the mount that each is on (fdinfo's mnt_id). */
  readonly files: readonly OpenFile[];
  /** Paths of what it has mapped. */
  readonly maps: readonly string[];
  /** `net:[4026531840]` ... */
  readonly namespaces: readonly string[];
}

export interface OpenFile {
  readonly path: string;
  readonly mount: number | undefined;
}

export interface SocketFacts {
  readonly kind: 'tcp' | 'udp' | 'raw' | 'packet' | 'unix' | 'netlink' | 'other';
  /** For people: `10.11.0.11:22 to 10.11.0.1:4711`. */
  readonly words: string;
  /** The socket at the other end, where that is known: only of unix sockets. */
  readonly peer: string | undefined;
}

export interface JobFacts {
  readonly processes: readonly ProcessFacts[];
  /** By inode. */
  readonly sockets: ReadonlyMap<string, SocketFacts>;
  /** The job's mounts that other nodes do not see, by their mount id. */
  readonly localMounts: ReadonlyMap<number, string>;
  /** The names of the namespaces that its first process has. */
  readonly namespaces: readonly string[];
}

/** In the /dev that a job has on every node. */
const commonDevices = /^\/dev\/(?:null|zero|full|random|urandom|tty|ptmx|pts\/\w+|shm\/.*|mqueue\/.*)$/;

/** What criu 4.1 saves of what has no file: criu/files.c. */
const savedObjects: ReadonlySet<string> = new Set(['eventfd', 'eventpoll', 'signalfd', 'timerfd', 'inotify', 'fanotify', 'pidfd']);

const policies: Readonly<Record<number, string>> = { 1: 'SCHED_FIFO', 2: 'SCHED_RR', 6: 'SCHED_DEADLINE' };

/** All there are, each once. */
export function obstaclesOf(job: JobFacts): readonly Obstacle[] {
  const inside = new Set(job.processes.flatMap(({ files }) => files.flatMap(({ path }) => socketInode(path) ?? [])));
  const found = job.processes.flatMap((process) => [
    ...ofProcess(process, job.namespaces),
    ...process.files.flatMap((file) => ofFile(process, file, job, inside)),
    ...process.maps.flatMap((path) => (isDevice(path) ? [device(process, path, 'has mapped')] : ofRemoved(process, path, 'has mapped'))),
  ]);
  return [...new Map(found.map((each) => [`${each.code} ${each.message}`, each])).values()];
}

export function socketInode(path: string): string | undefined {
  return /^socket:\[(\d+)\]$/.exec(path)?.[1];
}

function ofProcess(process: ProcessFacts, namespaces: readonly string[]): readonly Obstacle[] {
  const { policy, locked, lockLimit, tracer } = process;
  const found: Obstacle[] = [];
  const policyName = policies[policy];
  if (policyName !== undefined)
    found.push({ code: 'realtime', message: `${who(process)} runs in real time (${policyName})`, remedy: `chrt --other --pid 0 ${process.pid}` });
  if (lockLimit !== undefined && locked > lockLimit)
    found.push({
      code: 'mlock',
      message: `${who(process)} has locked ${locked} bytes of memory, more than its limit of ${lockLimit}`,
      remedy: 'unlock memory, or raise the limit: ulimit -l',
    });
  if (tracer !== 0) found.push({ code: 'traced', message: `${who(process)} is being debugged by process ${tracer}`, remedy: 'end the debugger or strace' });
  const other = process.namespaces.filter((name) => !namespaces.includes(name)).map((name) => name.slice(0, name.indexOf(':')));
  if (other.length > 0)
    found.push({
      code: 'namespace',
      message: `${who(process)} made namespaces of its own (${other.join(', ')})`,
      remedy: 'do not start containers or sandboxes inside of the job',
    });
  return found;
}

function ofFile(process: ProcessFacts, { path, mount }: OpenFile, job: JobFacts, inside: ReadonlySet<string>): readonly Obstacle[] {
  const inode = socketInode(path);
  if (inode !== undefined) return ofSocket(process, job.sockets.get(inode), inside);
  const object = /^anon_inode:\[?([^\]]+)\]?$/.exec(path)?.[1];
  if (object !== undefined) {
    if (savedObjects.has(object)) return [];
    const remedy =
      object === 'io_uring' ? 'forbid it: sysctl kernel.io_uring_disabled=2, which programs get along with' : 'run it without that, or with mosrun -h';
    return [{ code: 'kernel-object', message: `${who(process)} has a ${object}, which the kernel does not show to others`, remedy }];
  }
  if (isDevice(path)) return [device(process, path, 'has open')];
  const removed = ofRemoved(process, path, 'has open');
  if (removed.length > 0) return removed;
  const local = mount === undefined ? undefined : job.localMounts.get(mount);
  if (local !== undefined)
    return [
      {
        code: 'local-file',
        message: `${who(process)} has ${path} open, which only this node sees (${local})`,
        remedy: 'keep the file on the shared root or in a shared path, or mount /mfs',
      },
    ];
  return [];
}

/** What Linux makes of a file on NFS that is removed while it is open: fs/nfs/unlink.c. criu gives it back its name only where it does not run on (--leave-running). */
const removedOnNfs = /\/\.nfs[0-9a-f]{16,}$/;

function ofRemoved(process: ProcessFacts, path: string, has: string): readonly Obstacle[] {
  if (!removedOnNfs.test(path)) return [];
  const where = path.slice(0, path.lastIndexOf('/')) || '/';
  return [
    {
      code: 'removed-file',
      message: `${who(process)} ${has} a file in ${where} that was removed`,
      remedy: 'let the program keep the name of its file as long as it is open, or have it in /tmp',
    },
  ];
}

function ofSocket(process: ProcessFacts, socket: SocketFacts | undefined, inside: ReadonlySet<string>): readonly Obstacle[] {
  if (socket === undefined || socket.kind === 'netlink') return [];
  if (socket.kind === 'unix' && (socket.peer === undefined || inside.has(socket.peer))) return [];
  return [
    {
      code: 'socket',
      message: `${who(process)} has a ${socket.kind} socket to the outside${socket.words === '' ? '' : `: ${socket.words}`}`,
      remedy: 'close the connection, or keep programs with connections at home: mosrun -h',
    },
  ];
}

function isDevice(path: string): boolean {
  return path.startsWith('/dev/') && !commonDevices.test(path.replace(/ \(deleted\)$/, ''));
}

function device(process: ProcessFacts, path: string, has: string): Obstacle {
  return {
    code: 'device',
    message: `${who(process)} ${has} ${path}, a device of this node`,
    remedy: 'close it, or run the job where the device is: mosrun -h',
  };
}

function who({ name, pid }: ProcessFacts): string {
  return `${name} (${pid})`;
}
