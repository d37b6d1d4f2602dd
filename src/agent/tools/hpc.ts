// What the tools know of the cluster: the files below $FARM_HPC, /hpc, and nothing else.
import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError, sentence, systemCode } from '../../base/errors.ts';
import type { HpcJob } from '../hpc/job-files.ts';
import type { HpcNode } from '../hpc/source.ts';

/** As `echo >` opens, but nothing is made where /hpc is not mounted. */
const emptied = constants.O_WRONLY | constants.O_TRUNC;

/** /hpc, or a directory with the same files. */
export interface Hpc {
  readonly at: string;
  /** The text of a file, without blanks around it. Throws `FarmError` `hpc.absent` or `hpc.unreadable`. */
  read(path: string): string;
  /** Throws `FarmError` `hpc.refused` with the agent's own sentence, `hpc.root`, or what `read` throws. */
  write(path: string, text: string): void;
}

export interface SelfNode extends HpcNode {
  readonly gateways: number;
  /** Own jobs that run elsewhere. */
  readonly abroad: number;
}

/** The door to the files: both throw system errors. */
export interface TextFiles {
  readonly read: (path: string) => string;
  readonly write: (path: string, text: string) => void;
}

const realFiles: TextFiles = {
  read: (path) => readFileSync(path, 'utf8'),
  write(path, text) {
    const file = openSync(path, emptied);
    try {
      writeFileSync(file, text);
    } finally {
      closeSync(file);
    }
  },
};

export function openHpc(at: string, files: TextFiles = realFiles): Hpc {
  const read = (path: string): string => {
    try {
      return files.read(join(at, path)).trim();
    } catch (error) {
      throw unusable(at, path, error);
    }
  };
  return {
    at,
    read,
    write(path, text) {
      try {
        files.write(join(at, path), text);
      } catch (error) {
        const code = systemCode(error);
        if (code === 'EINVAL') throw refusal(path, read('info/refused'));
        if (code === 'EACCES' || code === 'EPERM')
          throw new FarmError(
            'hpc.root',
            `only ${path.startsWith('jobs/') ? 'its owner and root' : 'root'} may write ${join(at, path)}`,
            'say it again with sudo',
          );
        throw unusable(at, path, error);
      }
    },
  };
}

/** `info/refused` has the last refused write: ours, unless somebody else's came between. */
function refusal(path: string, text: string): FarmError {
  const [reason = '', hint] = text.split('\n');
  const own = reason.startsWith(`${path}: `) ? reason.slice(path.length + 2) : `the agent refused what was written to ${path}`;
  return new FarmError('hpc.refused', own, hint?.trim() ?? 'see why with: journalctl -u farm-agent');
}

function unusable(at: string, path: string, error: unknown): FarmError {
  if (systemCode(error) === 'ENOENT') {
    return new FarmError(
      'hpc.absent',
      `this is NOT an openMosix system: there is no ${join(at, path)}`,
      'the agent of a node mounts /hpc: systemctl status farm-agent',
      error,
    );
  }
  return new FarmError('hpc.unreadable', `${join(at, path)} cannot be used: ${sentence(error)}`, 'does the agent run? systemctl status farm-agent', error);
}

/** This node. Throws `FarmError` `hpc.unconfigured` if it has no map. */
export function selfNode(hpc: Hpc): SelfNode {
  const self = whole(hpc, 'info/self', (text): SelfNode => JSON.parse(text));
  if (self.id !== 0) return self;
  throw new FarmError('hpc.unconfigured', 'this node is not configured', 'give it a map: setpe -w -f /etc/openmosix.map');
}

/** Every node of the map, ascending id. */
export function allNodes(hpc: Hpc): readonly HpcNode[] {
  return whole(hpc, 'info/nodes', (text) => (text === '' ? [] : text.split('\n').map((line): HpcNode => JSON.parse(line))));
}

/** The jobs whose home this node is. */
export function homeJobs(hpc: Hpc): readonly HpcJob[] {
  return whole(hpc, 'info/jobs', (text) => (text === '' ? [] : text.split('\n').map((line): HpcJob => JSON.parse(line))));
}

/** A client asks for the size and then for the bytes; on a machine that is busy for a second in between they may be of two moments. */
const readTries = 5;

function whole<Value>(hpc: Hpc, path: string, parse: (text: string) => Value): Value {
  for (let tries = 1; ; tries += 1) {
    try {
      return parse(hpc.read(path));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      if (tries === readTries) throw new FarmError('hpc.unreadable', `${join(hpc.at, path)} is not what the agent writes`, 'is FARM_HPC right?', error);
    }
  }
}

/** The node of an id, an address or a name. Throws `FarmError` `node.unknown`. */
export function findNode(nodes: readonly HpcNode[], which: string): HpcNode {
  const found = nodes.find(({ id, address, name }) => which === String(id) || which === address || which.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  throw new FarmError('node.unknown', `no node of the map is ${which.replace(/[^\x20-\x7e]/g, '?').slice(0, 60)}`, 'setpe -r lists the map');
}
