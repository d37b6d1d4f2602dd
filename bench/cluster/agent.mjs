// What one agent costs in a cluster of 100: resident memory, processor time, time to start. node bench/cluster/agent.mjs [--seconds 60] [--nodes 100]
// The 99 others are one process (peers.ts) on loopback addresses. Needs `npm run build`; flags after -- go to node.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, nodes: { type: 'string', default: '100' } },
  allowPositionals: true,
});
const network = `127.${100 + (process.pid % 100)}.1`;
const port = '5428';
const folder = mkdtempSync(join(tmpdir(), 'farm-cluster-bench-'));
const file = (name) => join(folder, name);
const children = [];
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

writeFileSync(file('map'), `1 ${network}.1 ${values.nodes}\n`);
writeFileSync(file('key'), 'c0ffee00'.repeat(8));
const here = fileURLToPath(new URL('.', import.meta.url));
const common = { bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' };
await build({ ...common, entryPoints: [join(here, 'peers.ts')], outfile: file('peers.mjs') });
children.push(spawn(process.execPath, [file('peers.mjs'), network, values.nodes, file('key'), port], { stdio: 'inherit' }));
await delay(2000);

const agent = fileURLToPath(new URL('../../dist/agent/farm-agent.mjs', import.meta.url));
const options = ['--map', file('map'), '--key-file', file('key'), '--server', '127.0.0.1:9', '--address', `${network}.1`, '--cluster-port', port];
const places = ['--socket', file('agent.sock'), '--state-dir', file('state'), '--boot-env', file('none'), '--config', file('none')];
const begun = performance.now();
const child = spawn(process.execPath, [...positionals, agent, ...options, ...places, '--hpc', file('hpc'), '--hpc-port', '46610'], {
  stdio: ['ignore', 'ignore', 'pipe'],
});
children.push(child);
let said = '';
let startedAt;
child.stderr.setEncoding('utf8').on('data', (text) => {
  said += text;
  if (startedAt === undefined && said.includes('agent.started')) startedAt = performance.now();
});
await delay(10_000); // until it knows all
const before = spent(child.pid);
await delay(Number(values.seconds) * 1000);
const used = spent(child.pid) - before;
const memory = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))?.[1] ?? Number.NaN) / 1024;
const figures = {
  nodes: Number(values.nodes),
  alive: said.match(/^member\.alive /gm)?.length ?? 0,
  startMilliseconds: startedAt === undefined ? undefined : Math.round(startedAt - begun),
  residentMiB: Math.round(memory('VmRSS') * 10) / 10,
  ofThatFileMiB: Math.round(memory('RssFile') * 10) / 10,
  cpuPercent: Math.round((used / Number(values.seconds)) * 100 * 100) / 100,
};
console.log(JSON.stringify(figures));
process.exit(0);

/** Seconds of processor time; proc(5) counts hundredths. */
function spent(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
