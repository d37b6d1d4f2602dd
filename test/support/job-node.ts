// Runs on a node in a boot test: a job engine without the rest of the agent. `serve PORT` receives jobs; `move HOST:PORT|here SCENE...` starts one of each
// scene, moves it, looks whether it goes on, and says what it saw in one line of JSON a scene. `leave` and `find`: what is left when an agent is killed.
import { startJobEngine } from '../../src/agent/jobs/engine.ts';
import { openAgentLog } from '../../src/agent/log.ts';
import { far, near, type Place, serveEngine } from './job-far.ts';
import { plainSpec, specOf } from './job-scenes.ts';
import { move, trials } from './job-trials.ts';

const log = openAgentLog(process.stderr, false);
const [command = '', ...args] = process.argv.slice(2);

/** Each its own directory and cgroups, so that one machine can be both ends. */
const engineAt = (name: string) => startJobEngine({ log, rootOf: async () => '/', directory: `/run/test-${name}`, cgroups: `/sys/fs/cgroup/test-${name}` });

const say = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

if (command === 'serve') {
  await serveEngine(await engineAt('target'), Number(args[0]));
  process.stdout.write('ready\n');
} else if (command === 'leave') {
  // As an agent that is killed: no goodbye.
  const job = await (await engineAt('source')).start({ ...plainSpec(50, 'n1'), args: ['sh', '-c', 'while read -r x; do echo "$x"; done; exit 5'] });
  job.input.write('one\n');
  process.kill(process.pid, 'SIGKILL');
} else if (command === 'find') {
  const found = await (await engineAt('source')).adopt();
  for (const each of found) {
    if (each.kind !== 'running') continue;
    let text = '';
    each.job.output.on('data', (data: Buffer) => {
      text += data;
    });
    each.job.input.end('two\n');
    const { status } = await each.job.ended;
    say({ id: each.job.spec.id.split('-')[1], text, status });
  }
  process.exit(0);
} else {
  const source = await engineAt('source');
  const [where = 'here', ...names] = args;
  const place: Place = where === 'here' ? near(await engineAt('target')) : far(where.split(':')[0] ?? '', Number(where.split(':')[1]));
  for (const [index, name] of names.entries()) {
    const started = process.hrtime.bigint();
    try {
      const trial = trials[name];
      const seen =
        trial === undefined
          ? await move(source, place, specOf(name.replace(/\+.*/, ''), 100 + index, 'n1'), name.split('+').length - 1)
          : await trial(source, place);
      say({ name, ...seen, took: Number((process.hrtime.bigint() - started) / 1_000_000n) });
    } catch (error) {
      say({ name, error: error instanceof Error ? `${error.message} ${error.stack}` : String(error) });
    }
  }
  process.exit(0);
}
