// The benchmark's rounds: for each number of machines the sides take turns, A B A B; then the table and .farm/bench/boot.json.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { FarmError, sentence } from '../../dist/base/errors.js';
import { run } from '../../dist/base/processes.js';
import { numberArgument } from '../../dist/cli/options.js';
import { top } from '../../scripts/ready.mjs';
import { bootOnce } from './boot-once.mjs';
import { farmSide, makeFarm } from './farm-side.mjs';
import { peerSide } from './peer-side.mjs';
import { summarise, summaryText } from './report.mjs';

const directory = join(top, '.farm', 'bench', 'boot');
const resultFile = join(top, '.farm', 'bench', 'boot.json');
/** Whose versions the figures depend on. */
const packages = ['qemu-system-x86', 'ipxe-qemu', 'dnsmasq-base', 'nfs-ganesha'];

const machineCount = numberArgument(1, 64);

/** Runs the benchmark with a command line's arguments; gives the exit status. */
export async function bench(args) {
  const abort = new AbortController();
  const stop = () => abort.abort(new FarmError('bench.interrupted', 'interrupted', 'everything was taken down; no figures were written'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  try {
    const options = readOptions(args);
    if (process.geteuid() !== 0) {
      throw new FarmError('bench.root', 'only root can run the peer: nfs-ganesha opens files by handle (open_by_handle_at(2))', 'sudo npm run bench:boot');
    }
    await measure(options, abort.signal);
    return 0;
  } catch (error) {
    const told = abort.signal.aborted ? abort.signal.reason : error;
    process.stderr.write(`bench: ${sentence(told)}\n${told instanceof FarmError && told.hint !== undefined ? `  ${told.hint}\n` : ''}`);
    return 2;
  } finally {
    rmSync(join(directory, 'peer'), { recursive: true, force: true }); // gigabytes of roots
  }
}

function readOptions(args) {
  return new Command('npm run bench:boot --')
    .description('power-on to `up` by stages: farm serve next to dnsmasq + nfs-ganesha, with the same machines, kernel, initramfs and root')
    .option('--machines <list>', 'how many machines boot at once, one comparison each', (text) => text.split(',').map(machineCount), [1, 4])
    .option('--runs <n>', 'boots of each side in each comparison', numberArgument(1, 100), 1)
    .option('--deliver <list>', 'how dnsmasq delivers kernel and initramfs: tftp, http (busybox httpd), or both', deliveries, ['tftp'])
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2)) // as every command of farm
    .parse(args, { from: 'user' })
    .opts();
}

function deliveries(text) {
  const words = text.split(',');
  if (!words.every((word) => word === 'tftp' || word === 'http')) throw new InvalidArgumentError('Write tftp, http or tftp,http.');
  return words;
}

async function measure({ machines, runs, deliver }, signal) {
  rmSync(resultFile, { force: true });
  rmSync(directory, { recursive: true, force: true });
  const farm = makeFarm(join(directory, 'farm'), Math.max(...machines));
  const sides = [farmSide(farm), ...deliver.map((how) => peerSide(farm, join(directory, 'peer', how), how))];
  const boots = [];
  for (const count of machines) {
    for (let round = 1; round <= runs; round++) {
      console.log(`\n${count} ${count === 1 ? 'machine' : 'machines'}, run ${round} of ${runs}: writing each node's root for the peer`);
      // All before the first clock starts: then the image is in the page cache for every side.
      for (const side of sides) await side.prepare(farm.nodes.slice(0, count), signal);
      for (const side of sides) {
        console.log(`${side.title}:`);
        const lab = join(directory, 'labs', `${side.name}-${count}-${round}`);
        boots.push({ side: side.name, machines: count, run: round, ...(await bootOnce(side, farm, count, lab, signal)) });
      }
    }
  }
  const summaries = summarise(boots, sides);
  console.log(`\n${summaryText(summaries)}`);
  if (runs === 1) console.log('One run a side: expect 30 % noise. More with --runs N.');
  const about = { at: new Date().toISOString(), cores: cpus().length, image: farm.version, packages: await versions() };
  mkdirSync(join(resultFile, '..'), { recursive: true });
  writeFileSync(resultFile, `${JSON.stringify({ ...about, summaries, boots }, undefined, 2)}\n`);
  console.log(`written to ${resultFile}; logs of servers and consoles are in ${join(directory, 'labs')}`);
}

async function versions() {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format
  const lines = await run('dpkg-query', ['-W', '-f', '${Package}\t${Version}\n', ...packages]);
  return Object.fromEntries(
    lines
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.split('\t')),
  );
}
