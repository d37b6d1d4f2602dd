// What /etc/openmosix/openmosix.config sets for a node that has not been told otherwise since. Facts sheet 1.7.
import { FarmError } from '../base/errors.ts';
import { noFlags } from '../cluster/entry.ts';
import { nodeIdMax } from '../cluster/map.ts';
import { mfsCacheMax } from './mfs/mount-options.ts';
import type { KeptState } from './state.ts';

export interface NodeConfig {
  /** MYOMID: the id that this machine has in the map. */
  readonly id: number | undefined;
  /** MIGRATE, BLOCK, MFS, NODESPEED and MOSGATES. */
  readonly initial: Partial<KeptState>;
  /** MFSCACHE, which openMosix did not have: seconds. */
  readonly mfsCache: number;
  /** HOMELOST: what this node does for jobs whose home is lost, of which there are checkpoints. */
  readonly homeLost: 'kill' | 'restart';
}

/** Throws `FarmError` `config.invalid`. */
export function readNodeConfig(config: ReadonlyMap<string, string>): NodeConfig {
  const says = (name: string, word: string) => config.get(name)?.toLowerCase() === word;
  const speed = number(config, 'NODESPEED', 0xffffffff);
  const gateways = number(config, 'MOSGATES', 2) ?? 0;
  const flags = { ...noFlags, stay: says('MIGRATE', 'no'), block: says('BLOCK', 'yes'), nomfs: says('MFS', 'no') };
  const initial = { flags, gateways };
  return {
    id: number(config, 'MYOMID', nodeIdMax),
    mfsCache: number(config, 'MFSCACHE', mfsCacheMax) ?? 0,
    homeLost: says('HOMELOST', 'restart') ? 'restart' : 'kill',
    initial: speed === undefined ? initial : { ...initial, speed: { value: speed, hardware: '', set: true } },
  };
}

function number(config: ReadonlyMap<string, string>, name: string, most: number): number | undefined {
  const text = config.get(name);
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,10}$/.test(text) && Number(text) <= most) return Number(text);
  throw new FarmError('config.invalid', `openmosix.config: ${name} is "${text}"`, `give a whole number up to ${most}`);
}
