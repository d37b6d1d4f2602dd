// Mounts our own NFS export on this machine and takes it away again: mount(8) without a helper, options of nfs(5).
import { mkdir, readFile } from 'node:fs/promises';
import { FarmError, sentence } from '../../base/errors.ts';
import { run } from '../../base/processes.ts';

/** mount(8) asks our own server, which answers at once. */
const patience = 30_000;

/**
 * Values are live: nothing is cached, and each write(2) is one WRITE, whose refusal the writer sees. Soft and short: when the agent is dead, a look at
 * / costs some seconds and an EIO, not the shell.
 */
const live = 'vers=3,proto=tcp,mountproto=tcp,nolock,noac,lookupcache=none,soft,timeo=30,retrans=1,nosuid,nodev,noexec,addr=127.0.0.1';

/** Mounts `path` of the NFS server on this `port` at `at`; what an agent that was killed left there is taken away first. Throws `FarmError` `hpc.mount`. */
export async function mountHere(at: string, port: number, path: string, options: string = live): Promise<void> {
  try {
    if (isNfsMount(await readFile('/proc/self/mountinfo', 'utf8'), at)) await unmount(at);
    await mkdir(at, { recursive: true });
    // -i: mount.nfs is in nfs-common, which nodes do not need; the kernel asks MOUNT itself.
    const args = ['-i', '-t', 'nfs', '-o', `${options},port=${port},mountport=${port}`, `127.0.0.1:${path}`, at];
    await run('mount', args, { signal: AbortSignal.timeout(patience) });
  } catch (error) {
    throw new FarmError('hpc.mount', `${at} cannot be mounted: ${sentence(error)}`, 'it needs root and a kernel with an NFS client: modprobe nfsv3', error);
  }
}

/** Lazily: a shell that stands in it is no reason to fail. Without a look at it (-c), which waits when its server is dead. */
export async function unmount(at: string): Promise<void> {
  await run('umount', ['-i', '-c', '-l', at], { signal: AbortSignal.timeout(patience) });
}

/** Whether proc_pid_mountinfo(5) has NFS at `at`. */
export function isNfsMount(mountinfo: string, at: string): boolean {
  return mountinfo.split('\n').some((line) => {
    const [before = '', after = ''] = line.split(' - ');
    return before.split(' ')[4] === at && /^nfs4? /.test(after);
  });
}
