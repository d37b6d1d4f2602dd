// Before the jobs: the unit's Nice counts within the agent's own session only where the kernel has autogroups, sched(7), and each job is a session.
import { writeFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { systemCode } from '../base/errors.ts';

/** Gives the session of this process the process' own nice value. Throws what writing throws, but not for a kernel without autogroups. */
export async function takePrecedence(): Promise<void> {
  try {
    await writeFile('/proc/self/autogroup', String(getPriority()));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}
