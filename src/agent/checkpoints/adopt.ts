// Makes a job again that nobody has the terminal of: `mosrun -R` as its user, in a service of its own that outlives the agent (systemd-run(1)).
import { run } from '../../base/processes.ts';
import type { JobSpec } from '../jobs/types.ts';
import type { Store } from './store.ts';

/** systemd answers when the service has been started; a busy old machine takes seconds. */
const patience = 60_000;
const mosrun = '/usr/bin/mosrun';

/** Its output is appended to a file beside its checkpoints. Throws `FarmError` `program.failed`. */
export async function adoptByService(store: Store, spec: JobSpec, key: string): Promise<void> {
  const output = await store.outputOf(key);
  const properties = ['StandardInput=null', `StandardOutput=append:${output}`, `StandardError=append:${output}`];
  // Of the life that it begins: systemd has names once.
  const unit = `farm-job-${key}-${(spec.life ?? 0) + 1}`;
  const as = ['--uid', String(spec.uid), '--gid', String(spec.gid)];
  await run('systemd-run', ['--quiet', '--collect', '--unit', unit, ...as, ...properties.flatMap((each) => ['-p', each]), mosrun, '-R', spec.id], {
    signal: AbortSignal.timeout(patience),
  });
}
