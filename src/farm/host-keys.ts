// The nodes' ssh host keys. They follow from the farm's secret, so state/ssh-host-keys only spares work: OpenSSL takes 0.4 ms for each.
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { stateDirectory } from './directory.ts';
import { type HostKey, hostKeySeed, hostKeyText, publicPoint } from './ssh-keys.ts';

export interface HostKeys {
  readonly of: (node: string) => HostKey;
  /** Keeps what was asked for, for the next process. */
  readonly save: () => void;
}

/** Known by a hash of the seed, so that a file of another secret fits nothing. */
const line = /^([0-9a-f]{32}) ([0-9A-Za-z+/]{43}=)$/gm;

export function hostKeys(directory: string, secret: Buffer): HostKeys {
  const path = join(stateDirectory(directory), 'ssh-host-keys');
  const kept = new Map([...readIfThere(path).matchAll(line)].map(([, id = '', point = '']) => [id, point]));
  const asked = new Map<string, string>();
  let isNew = false;
  return {
    of: (node) => {
      const seed = hostKeySeed(secret, node);
      const id = createHash('sha256').update(seed).digest('hex').slice(0, 32);
      const known = kept.get(id);
      const point = known ?? publicPoint(seed).toString('base64');
      isNew ||= known === undefined;
      asked.set(id, point);
      return hostKeyText(seed, Buffer.from(point, 'base64'));
    },
    save: () => {
      if (isNew) replace(path, [...asked].map(([id, point]) => `${id} ${point}\n`).join(''));
    },
  };
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    // Another user's, root's perhaps: it is not needed.
    if (['ENOENT', 'EACCES', 'EPERM'].includes(systemCode(error) ?? '')) return '';
    throw error;
  }
}

/** What may keep a command that only reads from writing: its next run works as long as this one did. */
const harmless: readonly (string | undefined)[] = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'];

function replace(path: string, text: string): void {
  const beside = `${path}.${process.pid}`;
  try {
    writeFileSync(beside, text, { mode: 0o600 });
    renameSync(beside, path);
  } catch (error) {
    if (!harmless.includes(systemCode(error))) throw error;
  }
}
