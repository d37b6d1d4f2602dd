// why: says where a job is, all that keeps it there, with what can be done about each, and what the balancer thinks. openMosix had /proc/PID/cantmove.
import { existsSync } from 'node:fs';
import { FarmError } from '../../base/errors.ts';
import type { HpcJob } from '../hpc/job-files.ts';
import { allNodes, homeJobs, type SelfNode, selfNode } from './hpc.ts';
import { done, misuse, no, type Tool } from './tool.ts';

export const usage = 'why PID';

export const why: Tool = (args, { hpc, out }) => {
  const [pid = ''] = args;
  if (args.length !== 1 || !/^[1-9]\d{0,9}$/.test(pid)) throw misuse('name one process', usage);
  const self = selfNode(hpc);
  const job = homeJobs(hpc).find((one) => String(one.pid) === pid);
  if (job === undefined) {
    if (!existsSync(`/proc/${pid}`)) throw new FarmError('process.unknown', `there is no process ${pid}`, 'mps ax lists them');
    out(`process ${pid} is no job: it was not started with mosrun, so it stays on this node\n  start it with: mosrun COMMAND\n`);
    return no;
  }
  const names = new Map(allNodes(hpc).map(({ id, name }) => [id, name]));
  out(
    explained(job, self, (id) => names.get(id) ?? 'unknown')
      .map((line) => `${line}\n`)
      .join(''),
  );
  return job.obstacles.length > 0 || job.locked ? no : done;
};

/** Lines for people; a remedy is indented below its reason. */
export function explained(job: HpcJob, self: Pick<SelfNode, 'id' | 'flags'>, name: (id: number) => string): readonly string[] {
  const { pid, command, node, atHome, moves, goingTo, obstacles, locked, holds, thinks, asked, saved } = job;
  const where = atHome ? 'at home' : `on node ${node} (${name(node)})`;
  const lines = [`job ${pid} (${command}) runs ${where}, ${moves === 0 ? 'where it began' : moves === 1 ? 'after 1 move' : `after ${moves} moves`}`];
  if (goingTo !== undefined) lines.push(`it is on its way to node ${goingTo} (${name(goingTo)})`);
  for (const { message, remedy } of obstacles) lines.push(`it cannot move: ${message}`, `  ${remedy}`);
  if (locked) lines.push('it is locked: the balancer leaves it where it is', `  echo 0 > /hpc/jobs/${pid}/lock`);
  for (const hold of holds) lines.push(`it stays for now: ${hold}`);
  if (atHome && self.flags.stay) lines.push('this node has stay set: no job leaves it by itself', '  mosctl nostay');
  else if (atHome && self.flags.lstay) lines.push('this node has lstay set: its own jobs do not leave it by themselves', '  mosctl nolstay');
  if (asked.startsWith('failed')) lines.push(`the last request came to nothing${asked.slice('failed'.length)}`);
  if (lines.length === 1) lines.push('nothing holds it');
  lines.push(...saved);
  if (thinks !== '') lines.push(`the balancer of node ${node}: ${thinks}`);
  return lines;
}
