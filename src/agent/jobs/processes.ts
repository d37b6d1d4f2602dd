// The processes of a job as /proc shows them: who is in the foreground, and what they weigh. proc_pid_stat(5), proc_pid_status(5).

export interface ProcessStat {
  readonly pid: number;
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Foreground group of its terminal; 0 or -1 without one. */
  readonly foreground: number;
  /** Clock ticks after boot. */
  readonly start: number;
  /** 0 normal, 1 FIFO, 2 RR, 6 deadline: sched(7). */
  readonly policy: number;
}

export function parseProcessStat(text: string): ProcessStat {
  const pid = Number(text.slice(0, text.indexOf(' ')));
  // The name is in parentheses and may have any in it.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .trim()
    .split(' ');
  const number = (field: number): number => Number(fields[field - 3] ?? 0);
  return {
    pid,
    state: fields[0] ?? '?',
    parent: number(4),
    group: number(5),
    session: number(6),
    foreground: number(8),
    start: number(22),
    policy: number(41),
  };
}

/** Bytes that only this process has: what a move has to carry. */
export function parseMemory(status: string): number {
  let kilobytes = 0;
  for (const [, number] of status.matchAll(/^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB$/gm)) kilobytes += Number(number);
  return kilobytes * 1024;
}

/** Of a terminal, whose driver sends them to the foreground. */
const keys: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT', 'SIGTSTP', 'SIGWINCH']);

/**
 * Whom a signal is for: process numbers as kill(2) takes them, negative for groups. As a shell would: the program's group; in a terminal, which sends its keys to
 * the foreground and hangs up for all, those. `first`: the pid of the job's first process, which gets none. `leads`: the program is the leader of
 * the terminal's session itself.
 */
export function recipients(signal: NodeJS.Signals, processes: readonly ProcessStat[], first: number, terminal: boolean, leads = false): readonly number[] {
  const others = processes.filter(({ pid }) => pid !== first);
  const main = oldest(others.filter(({ parent, pid, group }) => parent === first && pid === group));
  if (main === undefined || (signal === 'SIGHUP' && terminal)) return others.map(({ pid }) => pid);
  if (!terminal) return [-main.group];
  const leader = oldest(others.filter(({ parent, pid, session }) => parent === main.pid && pid === session));
  const program = leads ? leader : oldest(others.filter(({ parent, pid, group }) => parent === leader?.pid && pid === group));
  if (program === undefined) return [-main.group];
  const foreground = keys.has(signal) && program.foreground > 0 ? program.foreground : program.group;
  return [-foreground];
}

function oldest(processes: readonly ProcessStat[]): ProcessStat | undefined {
  return processes.reduce<ProcessStat | undefined>((first, each) => (first === undefined || each.start < first.start ? each : first), undefined);
}
