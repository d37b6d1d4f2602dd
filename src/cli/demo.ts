// farm demo: two diskless virtual machines boot from nothing but our servers, stage by stage, until they are a cluster.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import { systemClock } from '../base/clock.ts';
import { FarmError } from '../base/errors.ts';
import { configFile, loadFarm } from '../farm/config.ts';
import { imagesDirectory, labDirectory, stateDirectory } from '../farm/directory.ts';
import { replaceFile } from '../farm/edit.ts';
import { initFarm } from '../farm/init.ts';
import { farmMap } from '../farm/own-map.ts';
import type { FarmStatus, NodeStatus } from '../farm/status.ts';
import { findLab, type Lab } from '../lab/lab.ts';
import { type MachineStage, openStages } from '../lab/stages.ts';
import { buildWithProgress } from './image.ts';
import { bringUp, howToLook } from './lab.ts';
import { numberArgument, table } from './options.ts';
import { fetchStatus } from './status.ts';

interface DemoOptions {
  readonly directory: string;
  readonly machines: number;
  readonly keep?: boolean;
  readonly rebuild?: boolean;
}

const image = 'debian-13';
const pollMilliseconds = 200;

/** A boot takes under a minute on two cores without acceleration; a machine that has not moved for this long is stuck. */
const stuckMilliseconds = 300_000;

export function demoCommand(): Command {
  return new Command('demo')
    .description('boot a virtual farm of diskless machines from nothing but this program, and show it')
    .option('--directory <dir>', 'where the demo farm is kept', join('.farm', 'demo'))
    .option('--machines <n>', 'how many machines', numberArgument(1, 64), 2)
    .option('--keep', 'leave it running, and say how to look inside')
    .option('--rebuild', 'build the node image anew although there is one')
    .action(demo);
}

async function demo(options: DemoOptions): Promise<void> {
  const directory = resolve(options.directory); // the server is started in another working directory
  const started = Date.now();
  if (findLab(labDirectory(directory)) !== undefined) {
    throw new FarmError('lab.running', 'the demo is running already', `end it with: farm -C ${directory} lab down`);
  }
  prepareFarm(directory);
  if (options.rebuild === true || !existsSync(join(imagesDirectory(directory), image, 'current'))) {
    console.log('Building the node image: Debian 13, its kernel and the node agent image.');
    await buildWithProgress(directory, image);
  }
  const abort = new AbortController();
  const stop = (): void => abort.abort(new FarmError('demo.interrupted', 'interrupted', 'everything was taken down'));
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  console.log(`Switching on ${options.machines} machines without disks. Only farm answers in their network.`);
  const lab = await bringUp(directory, options.machines, { memoryMiB: 512, keep: options.keep ?? false, signal: abort.signal });
  try {
    const status = await watch(directory, lab, abort.signal);
    console.log(`\n${clusterText(status)}`);
    console.log(`openmosix.map, the same on all nodes:\n\n${farmMap(loadFarm(directory))}`);
    console.log(`From nothing to a cluster in ${Math.round((Date.now() - started) / 1000)} s.`);
    if (options.keep === true) {
      console.log(`It goes on running. Look inside:\n${howToLook(directory, lab)}`);
      return;
    }
  } catch (error) {
    if (abort.signal.aborted || options.keep !== true) await lab.down();
    throw error;
  }
  await lab.down();
  console.log('Everything is taken down. Keep it running with --keep.');
}

/** The demo's own farm: made once, its image kept, its nodes' state fresh each time. */
function prepareFarm(directory: string): void {
  const path = join(directory, configFile);
  if (existsSync(path)) {
    for (const name of ['private', 'observed']) rmSync(join(stateDirectory(directory), name), { recursive: true, force: true });
    return;
  }
  initFarm(directory, { name: 'demo', interface: 'farm0', address: '10.11.0.1/24', range: '10.11.0.11-10.11.0.250' }, []);
  const text = readFileSync(path, 'utf8');
  replaceFile(path, text.replace('    # console_login: true', '    console_login: true'), 0o644);
}

/** Shows every machine's stage until all are up and see each other. */
async function watch(directory: string, lab: Lab, signal: AbortSignal): Promise<FarmStatus> {
  const { machines } = await lab.status();
  const switchedOn = new Map(machines.map(({ name, since }) => [name, since]));
  const view = openStages(process.stdout, systemClock);
  let moved = Date.now();
  let before = '';
  try {
    for (;;) {
      signal.throwIfAborted();
      const status = await fetchStatus(directory);
      const nodes = status.nodes.filter(({ name }) => switchedOn.has(name));
      view.update(nodes.map((node) => machineStage(node, switchedOn.get(node.name) ?? 0, nodes.length)));
      const failed = nodes.find(({ stage }) => stage === 'failed');
      if (failed !== undefined)
        throw new FarmError('demo.failed', `${failed.name} cannot boot: ${failed.detail}`, `its console: ${lab.consoleLog(failed.name)}`);
      if (nodes.every((node) => isComplete(node, nodes.length))) return { ...status, nodes };
      const now = JSON.stringify(nodes.map(({ stage, detail }) => [stage, detail]));
      if (now !== before) moved = Date.now();
      before = now;
      const late = nodes.find(({ stage }) => stage !== 'up');
      if (Date.now() - moved > stuckMilliseconds && late !== undefined) {
        throw new FarmError(
          'demo.stuck',
          `${late.name} has stayed at ${late.stage} for ${stuckMilliseconds / 1000} s`,
          `its console: ${lab.consoleLog(late.name)}`,
        );
      }
      await delay(pollMilliseconds, undefined, { signal }).catch(() => undefined); // the next round says why
    }
  } finally {
    view.close();
  }
}

/** Up, and every other node of the demo is alive in its eyes. */
function isComplete({ stage, agent }: NodeStatus, nodes: number): boolean {
  return stage === 'up' && agent !== undefined && agent.counts.alive >= nodes - 1;
}

const shownStages: Readonly<Record<NodeStatus['stage'], MachineStage['stage']>> = {
  off: 'DHCP',
  seen: 'DHCP',
  dhcp: 'DHCP',
  loader: 'loader',
  menu: 'loader',
  kernel: 'kernel',
  root: 'root',
  agent: 'agent',
  up: 'up',
  silent: 'agent',
  leaving: 'agent',
  failed: 'root',
};

function machineStage(node: NodeStatus, since: number, nodes: number): MachineStage {
  const detail = node.stage === 'off' ? 'switched on' : (node.detail ?? '');
  if (node.stage !== 'up') return { name: node.name, stage: shownStages[node.stage], since, detail };
  const others = node.agent?.counts.alive ?? 0;
  return {
    name: node.name,
    stage: 'up',
    since,
    until: node.reached?.up ?? node.since,
    detail: `sees ${others} of ${nodes - 1} other${nodes === 2 ? '' : 's'}`,
  };
}

/** What the nodes themselves say they are. */
function clusterText(status: FarmStatus): string {
  const rows = status.nodes.map(({ name, agent, id, address, stage, reached, bootedAt }) => {
    const seconds = reached?.up === undefined || bootedAt === undefined ? '' : `${Math.round((reached.up - bootedAt) / 1000)} s after its first DHCP message`;
    return [agent?.hostname ?? name, String(agent?.id ?? id), address, stage, `${agent?.counts.alive ?? 0} alive`, seconds];
  });
  return table([['HOSTNAME', 'NODE ID', 'ADDRESS', 'STAGE', 'OTHERS', 'UP'], ...rows]);
}
