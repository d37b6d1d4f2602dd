// npm run demo: from a fresh clone to a cluster of diskless virtual machines. Options go to `farm demo`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { bootPackages, ready, top } from './ready.mjs';

ready(bootPackages);
const demo = spawn(process.execPath, [join(top, 'bin', 'farm'), 'demo', '--directory', join(top, '.farm', 'demo'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// The terminal sends Ctrl-C to both; the demo takes its machines down and then ends, and this process with it.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => demo.kill(signal));
demo.on('exit', (code) => {
  process.exitCode = code ?? 2;
});
