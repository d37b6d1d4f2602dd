// Where checkpoints are kept: a directory that all nodes share, one in it for each job. A checkpoint is written beside, synced, and renamed, so that there is a whole
// one or none. Who makes a job again makes `life.N` first, with what the job will be: rename(2) to a directory that is there and not empty fails, over NFS too.
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError, sentence, systemCode, WireError } from '../../base/errors.ts';
import { isJobId } from '../jobs/body.ts';
import type { JobSpec } from '../jobs/types.ts';
import { fields, perhaps, whole } from '../moves/shape.ts';
import { readSpec } from '../moves/spec.ts';
import { type Checkpoint, checkpointText, readCheckpoint } from './record.ts';

const recordName = 'checkpoint.json';
/** Of a job: if the newest cannot be read, there is the one before. */
const keptOf = 2;
/** What a checkpoint leaves free for everything else on that disk, bytes. */
const reserve = 256 * 2 ** 20;
/** A job's arguments and environment are most of it. */
const recordBytesMax = 4 * 2 ** 20;

export interface Draft {
  readonly number: number;
  readonly directory: string;
  /** It becomes the newest. Those before the last two go. */
  publish(checkpoint: Omit<Checkpoint, 'number' | 'bytes'>): Promise<Checkpoint>;
  drop(): Promise<void>;
}

export interface Kept extends Checkpoint {
  readonly directory: string;
}

export interface Store {
  /** The jobs of which there is something. */
  keys(): Promise<readonly string[]>;
  /** Whole ones, the newest first. */
  checkpoints(key: string): Promise<readonly Kept[]>;
  /** A new one, for a job of so many bytes. What was left half is swept. Throws `FarmError` `checkpoint.full`. */
  begin(key: string, memory: number): Promise<Draft>;
  /** Whether this node may make it again as what `spec` says, a life of it; of each life only one ever may. */
  claim(key: string, spec: JobSpec): Promise<boolean>;
  /** Nothing came of it: another may try. */
  release(key: string, life: number): Promise<void>;
  /** What it is in its last life that a node has claimed, or, if none has, as it was at its newest checkpoint; undefined: there is nothing of it. */
  current(key: string): Promise<JobSpec | undefined>;
  /** Nothing is left of it, unless somebody wants to know how it ended. */
  ended(key: string, status: number): Promise<void>;
  remove(key: string): Promise<void>;
  /** Where its output goes if nobody has its terminal any more. */
  outputOf(key: string): Promise<string>;
  /** Of such a job: its output, what it was, and its status once it has ended. */
  endOf(key: string): Promise<{ readonly output: string; readonly spec: JobSpec | undefined; readonly status: number | undefined } | undefined>;
}

/** `ready`: gives the directory, mounted. Throws what that throws, and system errors. */
export function openStore(ready: () => Promise<string>): Store {
  const placeOf = async (key: string): Promise<string> => {
    if (!isJobId(key)) throw new FarmError('job.id', `"${key.slice(0, 80)}" is no job's id`);
    return join(await ready(), key);
  };

  async function checkpoints(key: string): Promise<readonly Kept[]> {
    const place = await placeOf(key);
    const found: Kept[] = [];
    for (const number of numbersIn(await namesIn(place)).toReversed()) {
      const directory = join(place, String(number));
      const checkpoint = await readRecord(directory);
      if (checkpoint !== undefined) found.push({ ...checkpoint, number, directory });
    }
    return found;
  }

  async function current(key: string): Promise<JobSpec | undefined> {
    const place = await placeOf(key);
    const lives = (await namesIn(place)).map((name) => Number(/^life\.(\d{1,9})$/.exec(name)?.[1] ?? 0));
    const last = Math.max(0, ...lives);
    if (last > 0) return readSpec(JSON.parse(await readFile(join(place, `${lifeName}${last}`, specName), 'utf8')));
    return (await checkpoints(key))[0]?.spec;
  }

  return {
    keys: async () => (await namesIn(await ready())).filter(isJobId),
    checkpoints,
    async begin(key, memory) {
      const top = await ready();
      const { bavail, bsize } = await statfs(top);
      if (bavail * bsize < memory + reserve) {
        const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
        throw new FarmError(
          'checkpoint.full',
          `the server's disk has ${mebibytes(bavail * bsize)} free, and ${mebibytes(memory)} and a reserve of ${mebibytes(reserve)} are needed`,
          'make room under shared/ of the farm, or end jobs: farm job list',
        );
      }
      const place = await placeOf(key);
      await mkdir(place, { recursive: true, mode: 0o700 });
      const names = await namesIn(place);
      for (const name of names) if (name.endsWith(partial)) await rm(join(place, name), { recursive: true, force: true });
      const number = (numbersIn(names).at(-1) ?? 0) + 1;
      const directory = join(place, `${number}${partial}`);
      await mkdir(directory, { mode: 0o700 });
      return {
        number,
        directory,
        async publish(checkpoint) {
          const bytes = await syncAll(directory);
          const whole: Checkpoint = { ...checkpoint, number, bytes };
          await writeFile(join(directory, recordName), checkpointText(whole), { mode: 0o600 });
          await sync(join(directory, recordName));
          await sync(directory);
          await rename(directory, join(place, String(number)));
          await sync(place);
          const old = numbersIn(await namesIn(place)).slice(0, -keptOf);
          for (const each of old) await rm(join(place, String(each)), { recursive: true, force: true });
          return whole;
        },
        drop: () => rm(directory, { recursive: true, force: true }),
      };
    },
    async claim(key, spec) {
      const place = await placeOf(key);
      const ours = join(place, `claim.${spec.id}.${randomUUID()}${partial}`);
      try {
        await mkdir(ours, { mode: 0o700 });
        await writeFile(join(ours, specName), JSON.stringify(spec), { mode: 0o600 });
        await rename(ours, join(place, `${lifeName}${spec.life ?? 0}`));
        return true;
      } catch (error) {
        await rm(ours, { recursive: true, force: true });
        if (['EEXIST', 'ENOTEMPTY', 'ENOENT'].includes(systemCode(error) ?? '')) return false;
        throw error;
      }
    },
    release: async (key, life) => rm(join(await placeOf(key), `${lifeName}${life}`), { recursive: true, force: true }),
    current,
    async ended(key, status) {
      const place = await placeOf(key);
      const names = await namesIn(place);
      if (!names.includes(outputName)) return await rm(place, { recursive: true, force: true });
      const spec = await current(key);
      await writeFile(join(place, statusName), JSON.stringify({ status, spec }), { mode: 0o600 });
      for (const name of names) if (name !== outputName) await rm(join(place, name), { recursive: true, force: true });
    },
    remove: async (key) => rm(await placeOf(key), { recursive: true, force: true }),
    async outputOf(key) {
      const place = await placeOf(key);
      await mkdir(place, { recursive: true, mode: 0o700 });
      return join(place, outputName);
    },
    async endOf(key) {
      const place = await placeOf(key);
      const names = await namesIn(place);
      if (!names.includes(outputName)) return undefined;
      const output = join(place, outputName);
      if (!names.includes(statusName)) return { output, spec: undefined, status: undefined };
      const end = fields(JSON.parse(await readFile(join(place, statusName), 'utf8')), 'an end');
      return { output, spec: perhaps(end, 'spec', (all, name) => readSpec(all.get(name))), status: whole(end, 'status', 0, 255) };
    },
  };
}

const partial = '.partial';
const lifeName = 'life.';
const specName = 'spec.json';
/** Of a job that nobody has the terminal of: what it wrote since it was made again, and how it ended. */
const outputName = 'output';
const statusName = 'status';

function numbersIn(names: readonly string[]): readonly number[] {
  return names
    .filter((name) => /^[1-9]\d{0,8}$/.test(name))
    .map(Number)
    .sort((one, other) => one - other);
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Undefined for one that is not what it should be: there may be another. */
async function readRecord(directory: string): Promise<Checkpoint | undefined> {
  try {
    const path = join(directory, recordName);
    if ((await stat(path)).size > recordBytesMax) return undefined;
    return readCheckpoint(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (error instanceof WireError || error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined;
    throw new FarmError('checkpoint.unreadable', `${directory} cannot be read: ${sentence(error)}`, undefined, error);
  }
}

/** All files below; gives their bytes. */
async function syncAll(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) bytes += await syncAll(path);
    else if (entry.isFile()) {
      await sync(path);
      bytes += (await stat(path)).size;
    }
  }
  await sync(directory);
  return bytes;
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
