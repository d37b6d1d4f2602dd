// The jobs whose home this node is: what each is, where it runs, and what its user has said of it. Also kept in files, for the next agent.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError } from '../../base/errors.ts';
import type { JobOptions } from './mosrun-options.ts';
import type { JobId, JobSpec } from './types.ts';

/** `starting`: nobody has it yet. `stopped`: by its user, Ctrl-Z. */
export type JobState = 'starting' | 'running' | 'stopped';

export interface HomeJob {
  readonly spec: JobSpec;
  readonly options: JobOptions;
  /** Where it runs, or is being started. */
  readonly node: number;
  /** How often it has changed nodes. */
  readonly moves: number;
  readonly state: JobState;
  /** When it began and when it came to its node, ms since the epoch. */
  readonly began: number;
  readonly since: number;
  /** The last one that was made; `kept`: there are, or may be, some. Absent: there is none. */
  readonly checkpoint?: { readonly number: number; readonly at: number; readonly bytes: number; readonly node: number } | 'kept';
}

export interface HomeTable {
  readonly jobs: ReadonlyMap<JobId, HomeJob>;
  put(job: HomeJob): void;
  /** Changes what is said; `FarmError` `job.unknown`. */
  change(id: JobId, change: Partial<Omit<HomeJob, 'spec'>>): HomeJob;
  remove(id: JobId): void;
  onChange(listener: () => void): void;
}

/** The table of the agent before, and this one's. `directory`: on a tmpfs, root's. */
export function openHomeTable(directory: string): HomeTable {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const jobs = new Map<JobId, HomeJob>();
  const listeners: (() => void)[] = [];
  for (const name of readdirSync(directory)) {
    if (!/^\d+-\d+-\d+$/.test(name)) rmSync(join(directory, name), { force: true });
    else jobs.set(name, JSON.parse(readFileSync(join(directory, name), 'utf8')));
  }
  const keep = (job: HomeJob): HomeJob => {
    jobs.set(job.spec.id, job);
    const path = join(directory, job.spec.id);
    writeFileSync(`${path}.new`, JSON.stringify(job), { mode: 0o600 });
    renameSync(`${path}.new`, path);
    for (const listener of listeners) listener();
    return job;
  };
  return {
    jobs,
    put: (job) => void keep(job),
    change(id, change) {
      const job = jobs.get(id);
      if (job === undefined) throw new FarmError('job.unknown', `no job ${id} has its home here`, 'mps shows those there are');
      return keep({ ...job, ...change });
    },
    remove(id) {
      if (!jobs.delete(id)) return;
      rmSync(join(directory, id), { force: true });
      for (const listener of listeners) listener();
    },
    onChange: (listener) => void listeners.push(listener),
  };
}
