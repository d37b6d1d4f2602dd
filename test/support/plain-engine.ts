// An engine without namespaces and without moves: a job is a child of this process, with the identity, place and environment of its deputy. Terminals and signals are the engine's.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { parseProcessStat, recipients } from '../../src/agent/jobs/processes.ts';
import { terminalWords } from '../../src/agent/jobs/terminal.ts';
import type { Ended, JobSpec, RunningJob, Window } from '../../src/agent/jobs/types.ts';

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** Starts plain processes. */
export const plainEngine = {
  async start(spec: JobSpec): Promise<RunningJob> {
    const env = Object.fromEntries(spec.environment.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
    const command = spec.args.map(quoted).join(' ');
    const program = spec.name === undefined ? command : `bash -c ${quoted(`exec -a ${quoted(spec.name)} ${command}`)}`;
    const merge = spec.streams === 'merged' ? 'exec 2>&1; ' : '';
    const whole =
      spec.streams === 'terminal'
        ? `umask ${spec.umask.toString(8)}; exec ${[...terminalWords(['sh', '-c'], spec.window), 'sh', '-c', `exec ${program}`].map(quoted).join(' ')}`
        : `${merge}umask ${spec.umask.toString(8)}; exec ${program}`;
    const child = spawn('/bin/sh', ['-c', whole], { cwd: spec.directory, env, uid: spec.uid, gid: spec.gid, detached: true, stdio: 'pipe' });
    return plainJob(spec, child);
  },
};

function plainJob(spec: JobSpec, child: ChildProcess): RunningJob {
  const { stdin, stdout, stderr, pid } = child;
  if (stdin === null || stdout === null || stderr === null || pid === undefined) throw new Error('no process');
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => resolve({ status: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), cpuTime: 0 }));
  });
  if (spec.streams !== 'separate') stderr.resume();
  return {
    ...{ spec, pid, input: stdin, output: stdout, errors: spec.streams === 'separate' ? stderr : undefined, ended },
    async signal(name) {
      const all = await tree(pid);
      const stats = (await Promise.all(all.map((each) => readFile(`/proc/${each}/stat`, 'utf8').catch(() => '')))).filter((text) => text !== '');
      const some = name === 'SIGKILL' ? all : recipients(name, stats.map(parseProcessStat), process.pid, spec.streams === 'terminal');
      for (const each of some) {
        try {
          process.kill(each, name);
        } catch {
          // gone meanwhile
        }
      }
    },
    async resize({ rows, columns }: Window) {
      const all = await tree(pid);
      const path = `/proc/${all.at(-1)}/fd/0`;
      spawn('stty', ['-F', path, 'rows', String(rows), 'columns', String(columns)]);
    },
    usage: async () => ({ cpuTime: 0, memory: 0, processes: 1 }),
    obstacles: async () => [],
    copy: () => Promise.reject(new Error('a plain process does not move')),
    freeze: () => Promise.reject(new Error('a plain process does not move')),
    checkpoint: () => Promise.reject(new Error('a plain process does not move')),
  };
}

/** A process and all below it. */
async function tree(pid: number): Promise<readonly number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const below = await Promise.all(children.split(' ').flatMap((word) => (word.trim() === '' ? [] : [tree(Number(word))])));
  return [pid, ...below.flat()];
}
