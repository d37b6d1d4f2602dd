// Changing farm.yaml: under a lock, checked before it is written, replaced whole, and never over somebody's newer edit.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FarmError, systemCode } from '../base/errors.ts';
import { syncDirectory } from '../base/journal.ts';
import { configFile, parseFarm } from './config.ts';
import type { Farm } from './farm.ts';

/** How often a change is tried again when a person saves the file in the same moment. */
const attempts = 5;

export interface EditedConfig {
  readonly farm: Farm;
  /** The text of farm.yaml. */
  readonly before: string;
  readonly after: string;
}

/**
 * Replaces the text of farm.yaml by what `edit` makes of it, or only says what it would be. Throws what `edit` throws, and `config.*` if the farm would
 * be wrong then: nothing is changed in that case.
 */
export function editConfig(directory: string, edit: (text: string) => string, dryRun = false): EditedConfig {
  const path = join(directory, configFile);
  const unlock = dryRun ? () => {} : lock(`${path}.lock`);
  try {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const before = readFileSync(path, 'utf8');
      const after = edit(before);
      const farm = parseFarm(after, directory);
      if (dryRun || after === before) return { farm, before, after };
      if (readFileSync(path, 'utf8') !== before) continue;
      replaceFile(path, after, statSync(path).mode & 0o777);
      return { farm, before, after };
    }
  } finally {
    unlock();
  }
  throw new FarmError('config.busy', `${path} keeps changing`, 'somebody is editing it; try again');
}

/** Writes a file so that a crash leaves the old one or the new one. */
export function replaceFile(path: string, text: string, mode: number): void {
  const beside = `${path}.new`;
  try {
    const fd = openSync(beside, 'w', mode);
    try {
      // Not writeSync, which is content with a part of the text where the disk has no room for more.
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
  syncDirectory(dirname(path));
}

/** Longer than any change of a large farm takes. */
const lockPatience = 10_000;
const lockPoll = 20;

/** Takes the lock file; waits for whoever has it, and in the end says who that is. A lock whose process is gone is taken over. */
function lock(path: string): () => void {
  for (let waited = 0; ; waited += lockPoll) {
    try {
      return taken(path);
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
      const holder = lockHolder(path);
      if (holder !== undefined && holder !== process.pid && !alive(holder)) rmSync(path, { force: true });
      else if (waited >= lockPatience || holder === process.pid) {
        const who = holder === undefined ? 'somebody' : `another farm command (pid ${holder})`;
        throw new FarmError('config.locked', `${who} is changing ${configFile}`, `try again when it has ended; ${path} is its lock`, error);
      } else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lockPoll);
    }
  }
}

/** Throws `EEXIST` if somebody has it. */
function taken(path: string): () => void {
  const fd = openSync(path, 'wx', 0o600);
  const unlock = (): void => rmSync(path, { force: true });
  try {
    writeFileSync(fd, String(process.pid));
  } catch (error) {
    // Without a number nobody could tell that its owner is gone.
    unlock();
    throw error;
  } finally {
    closeSync(fd);
  }
  return unlock;
}

/** undefined if it was given back in this moment, or is just being taken and has no number yet. */
function lockHolder(path: string): number | undefined {
  try {
    const text = readFileSync(path, 'utf8');
    return /^\d+$/.test(text) ? Number(text) : undefined;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}
