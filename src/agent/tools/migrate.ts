// migrate: asks for one job to be moved, and waits for what comes of it. openMosix migrate(1).
import { existsSync } from 'node:fs';
import { FarmError } from '../../base/errors.ts';
import { allNodes, findNode, type Hpc, homeJobs, selfNode } from './hpc.ts';
import { done, misuse, no, type Tool, type World } from './tool.ts';

export const usage = 'migrate PID ID|IP|NAME|home|balance';

/** Between two looks, ms. */
const look = 200;

export const migrate: Tool = async (args, world) => {
  const { hpc } = world;
  const [pid = '', to = ''] = args;
  if (args.length !== 2 || !/^[1-9]\d{0,9}$/.test(pid)) throw misuse('name one process and one place', usage);
  const self = selfNode(hpc);
  const place = to === 'home' ? '0' : to === 'balance' ? '-1' : String(findNode(allNodes(hpc), to).id);
  const job = homeJobs(hpc).find((one) => String(one.pid) === pid);
  if (job !== undefined) {
    hpc.write(`jobs/${pid}/goto`, `${place === String(self.id) ? '0' : place}\n`);
    return await wait(pid, world);
  }
  if (isGuest(hpc, pid)) {
    hpc.write(`remote/${pid}/migrate`, `${place}\n`);
    return done;
  }
  if (!existsSync(`/proc/${pid}`)) throw new FarmError('process.unknown', `there is no process ${pid}`, 'mps ax lists them');
  throw new FarmError('process.immovable', `process ${pid} is no job: it was not started with mosrun`, `start it with: mosrun COMMAND; why ${pid} says more`);
};

function isGuest(hpc: Hpc, pid: string): boolean {
  try {
    return hpc.read(`remote/${pid}/from`) !== '';
  } catch (error) {
    if (error instanceof FarmError && error.code === 'hpc.absent') return false;
    throw error;
  }
}

/** Until it has moved, or will not. */
async function wait(pid: string, { hpc, pause, out }: World): Promise<number> {
  for (;;) {
    const job = homeJobs(hpc).find((one) => String(one.pid) === pid);
    if (job === undefined) return done; // it ended: nobody can ask for more
    if (job.asked.startsWith('failed'))
      throw new FarmError('migrate.refused', `job ${pid} stays on node ${job.node}${job.asked.slice('failed'.length)}`, `why ${pid}`);
    if (job.asked.startsWith('done')) {
      if (job.asked !== 'done') out(`job ${pid} stays on node ${job.node}${job.asked.slice('done'.length)}\n`);
      return done;
    }
    if (await pause(look)) return no;
  }
}
