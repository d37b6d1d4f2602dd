// Starts the first process of a job, and waits until it has built the job's world.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { FarmError } from '../../base/errors.ts';
import { type Ends, mountSources, type Places, spawned, systemPath } from './body.ts';
import { initScript, leadingWords, mainScript, scriptEnvironment, startScript } from './init.ts';
import type { JobSpec } from './types.ts';

const namespaces = ['--pid', '--mount', '--ipc', '--uts', '--time'];
const complaintLength = 2000;

/** Gives its pid. Throws FarmError `job.start`; nothing runs then but what its cgroup has. */
export async function launch(places: Places, spec: JobSpec, directory: string, cgroup: string, ends: Ends): Promise<number> {
  const { environment, shell } = scriptEnvironment(startScript(spec));
  const root = await places.rootOf(spec.home);
  const init = ['perl', '-e', initScript, '--', cgroup, root, join(directory, 'root'), spec.hostname, places.devices, String(spec.mounts.length)];
  const sources = mountSources(places, spec, root);
  const words = [...spec.mounts.flatMap((path, index) => [sources[index] ?? path, path]), ...leadingWords(spec, getPriority()), ...shell];
  const errors = ends.errors ?? ends.output;
  const maker = spawn('unshare', [...namespaces, '--fork', '--propagation', 'private', ...init, ...words], {
    stdio: [ends.input.reader, ends.output.writer, errors.writer, ends.status.writer, 'pipe'],
    env: { PATH: systemPath, FARM_MAIN: mainScript, ...environment },
    cwd: '/',
    detached: true,
  });
  const pid = await spawned(maker);
  try {
    const said = await setupWords(maker.stdio[4]);
    if (!/^ready$/m.test(said))
      throw new FarmError('job.start', `the job cannot be started: ${said.trim() || 'its first process ended'}`, 'see the node for criu, mounts and cgroups');
    const first = Number((await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim());
    // It only waits; the first process goes on under init.
    maker.kill('SIGKILL');
    await told(maker.stdio[4], 'go\n');
    return first;
  } finally {
    maker.kill('SIGKILL');
    maker.stdio[4]?.destroy();
  }
}

async function told(stream: unknown, words: string): Promise<void> {
  if (!(stream instanceof Writable)) return;
  await new Promise<void>((resolve, reject) => {
    stream.write(words, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}

/** What is said until the end or `ready`. */
function setupWords(stream: unknown): Promise<string> {
  if (!(stream instanceof Readable)) return Promise.resolve('');
  let said = '';
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (/^ready$/m.test(said) || said.length > complaintLength) resolve(said);
    });
    stream.once('close', () => resolve(said));
    stream.once('error', () => resolve(said));
  });
}
