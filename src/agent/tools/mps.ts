// mps: ps(1) with the node that each process is on. openMosix mps(1), facts sheet 3.5.
import { execFileSync } from 'node:child_process';
import { FarmError, sentence } from '../../base/errors.ts';
import type { HpcJob } from '../hpc/job-files.ts';
import { type Hpc, homeJobs, selfNode } from './hpc.ts';
import { done, misuse, type Tool } from './tool.ts';

export const usage = 'mps [a] [x] [r] [PID...] [--ominfo|--ominfol]';

const outputBytesMax = 64 * 1024 * 1024;

/** What is known of a process: the node of a job, 0 for what is at home, -1 where this node is not configured. */
export type Place = (pid: string) => { readonly node: number; readonly job: HpcJob | undefined };

/** By the pid of the deputy, which is the job's for its user. */
export function placesOf(hpc: Hpc): Place {
  try {
    selfNode(hpc);
    const jobs = new Map(homeJobs(hpc).map((job) => [String(job.pid), job]));
    return (pid) => {
      const job = jobs.get(pid);
      return { node: job === undefined || job.atHome ? 0 : job.node, job };
    };
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    return () => ({ node: -1, job: undefined });
  }
}

export const mps: Tool = (args, { hpc, out }) => {
  const info = args.find((arg) => arg === '--ominfo' || arg === '--ominfol');
  const selection = args.filter((arg) => arg !== '--ominfo' && arg !== '--ominfol');
  const bad = selection.find((arg) => !/^-?[axr]+$|^[1-9]\d{0,9}$/.test(arg));
  if (bad !== undefined) throw misuse(`"${bad}" is no option of mps`, usage);
  out(table(runPs(selection.map((arg) => arg.replace(/^-/, ''))), placesOf(hpc), info));
  return done;
};

function runPs(selection: readonly string[]): string {
  try {
    return execFileSync('ps', ['o', 'pid,tty,stat,time,args', ...selection], { encoding: 'utf8', maxBuffer: outputBytesMax });
  } catch (error) {
    throw new FarmError('ps.failed', `ps does not list the processes: ${sentence(error).split('\n')[0]}`, 'apt-get install procps', error);
  }
}

/** ps' columns with ours in between. NMIGS, LOCK and CANTMOVE are `-` of what is no job. */
export function table(ps: string, place: Place, info: string | undefined): string {
  const [, ...lines] = ps.trimEnd().split('\n');
  const rows = lines.flatMap((line) => {
    const [, pid = '', tty = '', stat = '', time = '', command = ''] = /^\s*(\d+)\s+(\S+)\s+(\S+)\s+(\S+)\s?(.*)$/.exec(line) ?? [];
    return pid === '' ? [] : [{ pid, tty, stat, time, command }];
  });
  const node = (pid: string): string => String(place(pid).node).padStart(4);
  if (info === undefined) {
    const body = rows.map(
      ({ pid, tty, stat, time, command }) => `${pid.padStart(7)} ${tty.padEnd(8)} ${node(pid)} ${stat.padEnd(4)} ${time.padStart(8)} ${command}`,
    );
    return [`${'PID'.padStart(7)} ${'TTY'.padEnd(8)} NODE STAT ${'TIME'.padStart(8)} COMMAND`, ...body].map((line) => `${line}\n`).join('');
  }
  const long = info === '--ominfol';
  const body = rows.map(({ pid, tty, command }) => {
    const { job } = place(pid);
    const [nmigs, lock, cantmove] = job === undefined ? ['-', '-', '-'] : [String(job.moves), job.locked ? '1' : '0', job.obstacles[0]?.code ?? '-'];
    return `${pid.padStart(7)} ${node(pid)} ${nmigs.padStart(5)} ${lock.padEnd(4)} ${cantmove.padEnd(8)} ${long ? `${tty.padEnd(8)} ` : ''}${command}`;
  });
  return [`${'PID'.padStart(7)} NODE NMIGS LOCK CANTMOVE ${long ? `${'TTY'.padEnd(8)} ` : ''}COMMAND`, ...body].map((line) => `${line}\n`).join('');
}
