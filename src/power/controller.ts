// What is needed to speak to a management controller, from farm.yaml and a password file that only its owner may read.
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { FarmError, systemCode } from '../base/errors.ts';
import type { IpmiPower, RedfishPower } from './setting.ts';

export interface Controller {
  readonly address: string;
  readonly user: string;
  /** Absolute. Its first line is the password. */
  readonly passwordFile: string;
  readonly password: string;
}

const keys = ['address', 'user', 'password_file'] as const;

/** Throws `power.incomplete`, or `power.password` for a file that is missing, empty, or open to others. `directory` is the farm's. */
export function controllerOf(power: IpmiPower | RedfishPower, directory: string): Controller {
  const { address, user, password_file: file } = power;
  if (address === undefined || user === undefined || file === undefined) {
    const missing = keys.filter((key) => power[key] === undefined);
    throw new FarmError('power.incomplete', `\`power.${power.kind}\` has no ${missing.join(', no ')}`, 'write it to the node or its profile in farm.yaml');
  }
  const passwordFile = resolve(directory, file);
  return { address, user, passwordFile, password: passwordIn(passwordFile) };
}

function passwordIn(path: string): string {
  let text: string;
  try {
    if ((statSync(path).mode & 0o077) !== 0) throw new FarmError('power.password', `others may read the password in ${path}`, `chmod 600 ${path}`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new FarmError('power.password', `there is no password file ${path}`, 'write the password of the management controller to it, and chmod 600', error);
  }
  const [password = ''] = text.split(/\r?\n/, 1);
  if (password === '') throw new FarmError('power.password', `the first line of ${path} is empty`, 'it is to be the password of the management controller');
  return password;
}
