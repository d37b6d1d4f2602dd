// Files of single jobs: /hpc/jobs/PID of those whose home this is, by the pid of their deputies, and /hpc/remote/PID of guests. openMosix had the first in
// /proc/PID; facts sheet 4.5 and 4.6.
import type { LiveDirectory, LiveFile, LiveObject } from '../../tree/memory.ts';
import { TreeError } from '../../tree/tree.ts';

/** A job whose home this node is. */
export interface HpcJob {
  /** Of its deputy. */
  readonly pid: number;
  readonly uid: number;
  readonly command: string;
  /** The node on which it runs, its own home's id too. */
  readonly node: number;
  readonly atHome: boolean;
  readonly moves: number;
  readonly locked: boolean;
  readonly goingTo: number | undefined;
  /** Processors that it wants, bytes, ms. */
  readonly cpu: number;
  readonly memory: number;
  readonly used: number;
  readonly obstacles: readonly { readonly code: string; readonly message: string; readonly remedy: string }[];
  readonly holds: readonly string[];
  readonly thinks: string;
  /** What became of the last `goto`: empty, `moving`, `done`, `failed: ...`. */
  readonly asked: string;
  /** Lines about its checkpoints; none for a job that has none and wants none. */
  readonly saved: readonly string[];
}

/** A job of another home that runs here. */
export interface HpcGuest {
  /** Of its first process, here. */
  readonly pid: number;
  readonly home: number;
  /** Its pid at home. */
  readonly deputy: number;
  readonly uid: number;
  readonly gid: number;
  readonly command: string;
  /** Bytes; ms. */
  readonly memory: number;
  readonly used: number;
  readonly moves: number;
}

export interface JobSource {
  readonly jobs: () => readonly HpcJob[];
  readonly guests: () => readonly HpcGuest[];
  /** `goto`: to a node, 0 for home, -1 for the balancer's choice. @throws FarmError */
  readonly send: (pid: number, place: string) => void;
  readonly lock: (pid: number, locked: boolean) => void;
  /** The same for a guest, by its pid here. @throws FarmError */
  readonly sendGuest: (pid: number, place: string) => void;
}

const pageBytes = 4096;
/** USER_HZ, in which proc(5) counts time, in ms. */
const tick = 10;

/** Takes what is written; what it throws is the writer's errno. */
export type Taking = (name: string, text: string, act: (text: string) => void) => void;

export function jobsDirectory(source: JobSource, take: Taking): LiveDirectory {
  const file = (pid: number, read: (job: HpcJob) => string): LiveFile => ({ kind: 'file', read: () => `${read(findJob(source, pid))}\n` });
  return numbered(
    () => source.jobs(),
    ({ pid, uid }) => {
      const goto = (name: string): LiveFile => ({
        ...file(pid, ({ asked }) => asked),
        owner: uid,
        write: (text) => take(`jobs/${pid}/${name}`, text, (place) => source.send(pid, place)),
      });
      return {
        where: file(pid, ({ atHome, node }) => (atHome ? '0' : String(node))),
        nmigs: file(pid, ({ moves }) => String(moves)),
        cantmove: {
          kind: 'file',
          read: () =>
            findJob(source, pid)
              .obstacles.map(({ message }) => `${message}\n`)
              .join(''),
        },
        goto: goto('goto'),
        migrate: goto('migrate'),
        lock: {
          ...file(pid, ({ locked }) => (locked ? '1' : '0')),
          owner: uid,
          write: (text) => take(`jobs/${pid}/lock`, text, (word) => source.lock(pid, word.trim() !== '0')),
        },
      };
    },
  );
}

export function guestsDirectory(source: JobSource, take: Taking): LiveDirectory {
  const file = (pid: number, read: (guest: HpcGuest) => string): LiveFile => ({ kind: 'file', read: () => `${read(findGuest(source, pid))}\n` });
  return numbered(
    () => source.guests(),
    ({ pid }) => {
      const goto = (name: string): LiveFile => ({
        ...file(pid, () => ''),
        write: (text) => take(`remote/${pid}/${name}`, text, (place) => source.sendGuest(pid, place)),
      });
      return {
        from: file(pid, ({ home }) => String(home)),
        identity: file(pid, ({ deputy, uid, gid, command }) => `pid=${deputy} uid=${uid} gid=${gid} comm=${command}`),
        statm: file(pid, ({ memory }) => String(Math.ceil(memory / pageBytes))),
        stats: file(pid, ({ used, moves }) => `utime=${Math.round(used / tick)} nmigs=${moves}`),
        goto: goto('goto'),
        migrate: goto('migrate'),
      };
    },
  );
}

function findJob(source: JobSource, pid: number): HpcJob {
  const job = source.jobs().find((one) => one.pid === pid);
  if (job === undefined) throw new TreeError('STALE', `job ${pid} has ended`);
  return job;
}

function findGuest(source: JobSource, pid: number): HpcGuest {
  const guest = source.guests().find((one) => one.pid === pid);
  if (guest === undefined) throw new TreeError('STALE', `guest ${pid} has gone`);
  return guest;
}

/** A directory for each of `list`, named by its pid. */
function numbered<Item extends { readonly pid: number }>(
  list: () => readonly Item[],
  files: (item: Item) => Readonly<Record<string, LiveObject>>,
): LiveDirectory {
  return {
    kind: 'directory',
    names: () => list().map(({ pid }) => String(pid)),
    child(name) {
      const item = list().find(({ pid }) => String(pid) === name);
      if (item === undefined) return undefined;
      const all = new Map(Object.entries(files(item)));
      return { kind: 'directory', names: () => all.keys(), child: (file) => all.get(file) };
    },
  };
}
