// What has to be the same on two nodes for one to thaw what the other has frozen: the kernel, the processor's instructions, criu. criu.org/Simple_TCP_pair and
// criu's cpuinfo images; criu itself restores across kernels of one series at most.
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { systemCode } from '../../base/errors.ts';
import { type Fields, text, texts } from './shape.ts';

export interface Versions {
  readonly agent: string;
  /** `uname -r`. */
  readonly kernel: string;
  /** Empty: there is none. */
  readonly criu: string;
  /** The farm's image that the node has booted; empty where it is not known. */
  readonly image: string;
  /** `flags` of /proc/cpuinfo. */
  readonly features: readonly string[];
}

/** Flags in a line of /proc/cpuinfo: some 150 today. */
const featuresMax = 1000;
const wordMax = 200;

export function versionsOf(from: Fields): Versions {
  return {
    agent: text(from, 'agent', wordMax),
    kernel: text(from, 'kernel', wordMax),
    criu: text(from, 'criu', wordMax),
    image: text(from, 'image', wordMax),
    features: texts(from, 'features', featuresMax, wordMax),
  };
}

/** Flags that say how the machine is run, not what its programs can use: they differ between equal processors. */
const noInstructions = new Set([
  'hypervisor',
  'constant_tsc',
  'nonstop_tsc',
  'tsc_known_freq',
  'tsc_reliable',
  'cpuid_fault',
  'arat',
  'ht',
  'vmx',
  'svm',
  'ibrs',
  'ibpb',
  'stibp',
]);

/** Why `here` cannot thaw what was frozen at `there`, in words; undefined if it can. */
export function mismatch(here: Versions, there: Versions): string | undefined {
  if (here.kernel !== there.kernel) return `kernel ${here.kernel} here, ${there.kernel} there`;
  if (here.criu !== there.criu) return here.criu === '' ? 'no criu here' : `criu ${here.criu} here, ${there.criu === '' ? 'none' : there.criu} there`;
  const own = new Set(here.features);
  const missing = there.features.filter((feature) => !own.has(feature) && !noInstructions.has(feature));
  if (missing.length > 0) return `the processor here lacks ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ` and ${missing.length - 5} more` : ''}`;
  if (here.agent !== there.agent) return `farm-agent ${here.agent} here, ${there.agent} there`;
  return undefined;
}

/** This machine's. `criu`: as `criu --version` says it. */
export async function ownVersions(agent: string, criu: string, image: string): Promise<Versions> {
  return { agent, kernel: release(), criu, image, features: parseFeatures(await cpuinfo()) };
}

async function cpuinfo(): Promise<string> {
  try {
    return await readFile('/proc/cpuinfo', 'latin1');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  }
}

export function parseFeatures(text: string): readonly string[] {
  return (/^flags\s*: (.*)$/m.exec(text)?.[1] ?? '').split(' ').filter((word) => word !== '');
}
