// The directory of checkpoints on this node: the farm's server has it and every node mounts it here, when it is first wanted. docs/decisions/checkpoints.md.
import { lookup } from 'node:dns/promises';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { FarmError, sentence } from '../../base/errors.ts';
import { run } from '../../base/processes.ts';
import { checkpointsPath } from '../../cluster/job-listed.ts';
import { isNfsMount } from '../hpc/mount.ts';

const defaultPlace = '/run/farm-agent/checkpoints';
const nfsPort = 2049;
const patience = 30_000;

/**
 * Soft: without its server a checkpoint fails after some minutes, and the job runs on. Names are looked up anew each time: whether another node has claimed a
 * job must not be known from yesterday.
 */
const options = 'vers=3,proto=tcp,mountproto=tcp,nolock,lookupcache=none,acdirmax=1,soft,timeo=600,retrans=2,nosuid,nodev,noexec';

/** Gives the directory, mounted; tries again each time until it is. Throws `FarmError` `checkpoint.place`. */
export function mountedStore(server: string, at: string = defaultPlace): () => Promise<string> {
  let done: Promise<string> | undefined;
  const mount = async (): Promise<string> => {
    try {
      if (!isNfsMount(await readFile('/proc/self/mountinfo', 'utf8'), at)) {
        const { address } = await lookup(server, 4);
        await mkdir(at, { recursive: true, mode: 0o700 });
        const all = `${options},addr=${address},port=${nfsPort},mountport=${nfsPort}`;
        await run('mount', ['-i', '-t', 'nfs', '-o', all, `${address}:${checkpointsPath}`, at], { signal: AbortSignal.timeout(patience) });
        await chmod(at, 0o700); // what is in the memory of programs is nobody's business
      }
      return at;
    } catch (error) {
      throw new FarmError(
        'checkpoint.place',
        `there is no place for checkpoints: ${checkpointsPath} of ${server} cannot be mounted: ${sentence(error)}`,
        'does farm serve run there, with NFS? farm status',
        error,
      );
    }
  };
  return () => {
    done ??= mount().catch((error: unknown) => {
      done = undefined;
      throw error;
    });
    return done;
  };
}
