// Changing farm.yaml: under a lock, checked before it is written, replaced whole, and never over somebody's newer edit.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FarmError, systemCode } from '../base/errors.ts';
import { syncDirectory } from '../base/journal.ts';
import { configFile, parseFarm } from './config.ts';
import type { Farm } from './farm.ts';

/** How often a change is tried again when a person saves the file in the same moment. */
const attempts = 5;

/** Replaces the text of farm.yaml by what `edit` makes of it; returns the farm as it is then. Throws what `edit` or the checks throw. */
export function editConfig(directory: string, edit: (text: string) => string): Farm {
  const path = join(directory, configFile);
  const unlock = lock(`${path}.lock`);
  try {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const before = readFileSync(path, 'utf8');
      const after = edit(before);
      const farm = parseFarm(after, directory);
      if (readFileSync(path, 'utf8') !== before) continue;
      replaceFile(path, after, statSync(path).mode & 0o777);
      return farm;
    }
  } finally {
    unlock();
  }
  throw new FarmError('config.busy', `${path} keeps changing`, 'somebody is editing it; try again');
}

/** Writes a file so that a crash leaves the old one or the new one. */
export function replaceFile(path: string, text: string, mode: number): void {
  const beside = `${path}.new`;
  const fd = openSync(beside, 'w', mode);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(beside, path);
  syncDirectory(dirname(path));
}

/** Takes the lock file, or says who has it. A lock whose process is gone is taken over. */
function lock(path: string): () => void {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const fd = openSync(path, 'wx', 0o600);
      writeSync(fd, String(process.pid));
      closeSync(fd);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
      const holder = Number(readFileSync(path, 'utf8'));
      if (alive(holder))
        throw new FarmError('config.locked', `another farm command (pid ${holder}) is changing ${configFile}`, 'try again when it has ended', error);
      rmSync(path, { force: true });
    }
  }
  throw new FarmError('config.locked', `${path} cannot be taken`, 'remove it if no farm command is running');
}

function alive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}
