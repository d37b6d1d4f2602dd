// A job's cgroup, outside of the agent's own so that it outlives the agent: Documentation/admin-guide/cgroup-v2.rst.
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FarmError, systemCode } from '../../base/errors.ts';

/** A process that waits for a disk or a dead server cannot be frozen before it is answered. */
const freezePatience = 10_000;

/** The kernel tells the change of cgroup.events by inotify; looking now and then too costs nothing and forgets nothing. */
const lookEvery = 1000;

export interface CgroupEvents {
  readonly populated: boolean;
  readonly frozen: boolean;
}

export function parseCgroupEvents(text: string): CgroupEvents {
  return { populated: /^populated 1$/m.test(text), frozen: /^frozen 1$/m.test(text) };
}

/** Ms of processor time in cpu.stat. */
export function parseCpuTime(text: string): number {
  return Number(/^usage_usec (\d+)$/m.exec(text)?.[1] ?? 0) / 1000;
}

function parsePids(text: string): readonly number[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}

export class Cgroup {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async make(): Promise<void> {
    await mkdir(this.path, { recursive: true });
  }

  /** One that was removed has no processes. */
  async events(): Promise<CgroupEvents> {
    return parseCgroupEvents((await this.existing('cgroup.events')) ?? '');
  }

  /** Of all its processes, as this node numbers them. */
  async pids(): Promise<readonly number[]> {
    return parsePids(await this.read('cgroup.procs'));
  }

  /** Ms. */
  async cpuTime(): Promise<number> {
    return parseCpuTime(await this.read('cpu.stat'));
  }

  /** Both at once, each second for each job: synchronously, a tenth of the cost, and the kernel answers for a cgroup without waiting for anybody. */
  look(): { readonly pids: readonly number[]; readonly cpuTime: number } {
    const text = (name: string): string => readFileSync(join(this.path, name), 'utf8');
    return { pids: parsePids(text('cgroup.procs')), cpuTime: parseCpuTime(text('cpu.stat')) };
  }

  /** Settles when every process stands. Throws FarmError `job.immovable` and lets them run on. */
  async freeze(): Promise<void> {
    await this.write('cgroup.freeze', '1');
    const frozen = await this.until(({ frozen, populated }) => frozen || !populated, AbortSignal.timeout(freezePatience));
    if (frozen?.frozen === true) return;
    await this.write('cgroup.freeze', '0');
    if (frozen?.populated === false) throw new FarmError('job.gone', 'the job has ended');
    throw new FarmError('job.immovable', 'a process of the job waits for a disk or a server and cannot be stopped', 'try again when it has its answer');
  }

  async thaw(): Promise<void> {
    await this.write('cgroup.freeze', '0');
  }

  /** SIGKILL to all, frozen or not; settles when they are gone. */
  async kill(): Promise<void> {
    if (!(await this.events()).populated) return;
    await this.write('cgroup.kill', '1').catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
    });
    await this.empty();
  }

  /** Settles when no process is left. */
  async empty(): Promise<void> {
    await this.until(({ populated }) => !populated);
  }

  async remove(): Promise<void> {
    for (;;) {
      try {
        await rmdir(this.path);
        return;
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return;
        // A zombie whose parent has not looked yet is not counted as populated.
        if (systemCode(error) !== 'EBUSY') throw error;
        await delay(20);
      }
    }
  }

  private async existing(name: string): Promise<string | undefined> {
    try {
      return await this.read(name);
    } catch (error) {
      if (['ENOENT', 'ENODEV'].includes(systemCode(error) ?? '')) return undefined;
      throw error;
    }
  }

  /** The events for which `test` holds; undefined when `signal` ends the wait first. */
  private async until(test: (events: CgroupEvents) => boolean, signal?: AbortSignal): Promise<CgroupEvents | undefined> {
    let changed = (): void => {};
    const first = await this.events();
    if (test(first)) return first;
    const watcher = watchIfThere(join(this.path, 'cgroup.events'), () => changed());
    try {
      while (signal?.aborted !== true) {
        const change = new Promise<void>((resolve) => {
          changed = resolve;
        });
        const events = await this.events();
        if (test(events)) return events;
        const pause = new AbortController();
        await Promise.race([change, delay(lookEvery, undefined, { signal: pause.signal }).catch(() => {})]);
        pause.abort();
      }
      return undefined;
    } finally {
      watcher?.close();
    }
  }

  private async read(name: string): Promise<string> {
    return readFile(join(this.path, name), 'utf8');
  }

  private async write(name: string, value: string): Promise<void> {
    await writeFile(join(this.path, name), value);
  }
}

/** Undefined for a cgroup that is gone. */
function watchIfThere(path: string, changed: () => void): FSWatcher | undefined {
  try {
    return watch(path, changed).on('error', () => {}); // it is only the faster way
  } catch (error) {
    if (['ENOENT', 'ENODEV'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}
