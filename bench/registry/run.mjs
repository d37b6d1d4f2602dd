// The registry in farms of 10, 1,000 and 10,000 nodes: what each command costs a person who waits for it, beside node's own start and one plain parse.
// node bench/registry/run.mjs [--json] [rounds]; needs no root. Processor time is what other work on the machine changes least: the least of the rounds.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const farm = fileURLToPath(new URL('../../bin/farm', import.meta.url));
const yaml = fileURLToPath(import.meta.resolve('yaml'));
const rounds = Number(process.argv.find((word) => /^\d+$/.test(word)) ?? 5);
const sizes = [10, 1000, 10_000];

/** Milliseconds of this process's ended children, user and system (proc_pid_stat(5), fields 16 and 17, in ticks of 10 ms). */
function childMilliseconds() {
  const fields = readFileSync('/proc/self/stat', 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

function cost(words, before = () => {}) {
  const each = Array.from({ length: rounds }, () => {
    before();
    const cpu = childMilliseconds();
    const start = performance.now();
    execFileSync(process.execPath, words, { stdio: ['ignore', 'ignore', 'inherit'] });
    return { wall: performance.now() - start, cpu: childMilliseconds() - cpu };
  });
  return { wall: Math.round(Math.min(...each.map(({ wall }) => wall))), cpu: Math.min(...each.map(({ cpu }) => cpu)) };
}

function nodeLine(index) {
  const hex = (shift) => ((index >> shift) & 255).toString(16).padStart(2, '0');
  const address = 10 + index;
  return `  n${index}: { id: ${index}, mac: "52:54:00:${hex(16)}:${hex(8)}:${hex(0)}", ip: 10.0.${address >> 8}.${address & 255} }\n`;
}

const work = mkdtempSync(join(tmpdir(), 'farm-registry-'));
const rows = [];
const row = (nodes, what, words, before) => rows.push({ nodes, what, ...cost(words, before) });
try {
  row(0, 'node -e 0', ['-e', '0']);
  row(0, 'farm --help', [farm, '--help']);
  for (const nodes of sizes) {
    const directory = join(work, `lab-${nodes}`);
    execFileSync(process.execPath, [farm, 'init', directory, '--interface', 'lo', '--address', '10.0.0.1/16'], { stdio: 'ignore' });
    const config = join(directory, 'farm.yaml');
    const lines = Array.from({ length: nodes }, (_, index) => nodeLine(index + 1)).join('');
    const text = readFileSync(config, 'utf8').replace(/^nodes:.*\n/m, `nodes:\n${lines}`);
    writeFileSync(config, text);
    const parse = `import { readFileSync } from 'node:fs'; import { parse } from ${JSON.stringify(yaml)}; parse(readFileSync(${JSON.stringify(config)}, 'utf8'))`;
    row(nodes, 'yaml parses farm.yaml', ['--input-type=module', '-e', parse]);
    const run = (what, words, before) => row(nodes, `farm ${what}`, [farm, '-C', directory, ...words], before);
    run('node list', ['node', 'list']);
    run('status', ['status']);
    run('completion words', ['completion', 'words', '--', 'node', 'show', 'n']);
    run('add-node', ['add-node', '52:54:00:ff:ff:ff'], () => writeFileSync(config, text));
    writeFileSync(config, text);
    // Once before, because the ssh host keys are made the first time.
    execFileSync(process.execPath, [farm, '-C', directory, 'render'], { stdio: 'ignore' });
    run('render', ['render']);
    const out = join(work, 'out');
    run('render --out, new', ['render', '--out', out], () => rmSync(out, { recursive: true, force: true }));
    run('render --out, the same', ['render', '--out', out]);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
if (process.argv.includes('--json')) console.log(JSON.stringify(rows, undefined, 2));
else
  console.log(
    [
      '| nodes | command | wall ms | CPU ms |',
      '|---:|---|---:|---:|',
      ...rows.map((each) => `| ${each.nodes.toLocaleString('en')} | ${each.what} | ${each.wall} | ${each.cpu} |`),
    ].join('\n'),
  );
