// One boot of one side: the lab with its server, followed until all machines are up, checked to be what it claims, and taken down.
import { systemClock } from '../../dist/base/clock.js';
import { FarmError } from '../../dist/base/errors.js';
import { followFile } from '../../dist/lab/follow.js';
import { startLab } from '../../dist/lab/lab.js';
import { lineSplitter } from '../../dist/lab/lines.js';
import { openStages } from '../../dist/lab/stages.js';
import { countProcessorTime } from './processor-time.mjs';
import { openBoot, stages } from './stages.mjs';

/** Four machines take three minutes on two cores without acceleration. */
const minutesPerMachine = 5;
const lookMilliseconds = 2000;

/**
 * Boots the first `count` nodes of `farm` at once. Gives `nodes`: for each `node` its stages in `seconds` from its power-on; and
 * `processorTime`. Throws `bench.failed` unless every machine came up, from the root and the NFS server that are the side's.
 */
export async function bootOnce(side, farm, count, directory, signal) {
  const nodes = farm.nodes.slice(0, count);
  const processorTime = countProcessorTime(side);
  const lab = await startLab({
    directory,
    farmDirectory: farm.directory,
    network: farm.network,
    machines: nodes.map(({ name, mac }) => ({ name, mac, memoryMiB: 512, firmware: 'bios' })),
    serve: side.serve,
    signal,
  });
  try {
    const { machines } = await lab.status();
    const since = new Map(machines.map((machine) => [machine.name, machine.since]));
    const boot = openBoot(nodes);
    await follow(lab, boot, since, signal);
    const used = await processorTime(lab);
    await verify(side, lab, nodes, boot);
    return {
      nodes: nodes.map(({ name }) => ({ node: name, seconds: secondsSince(since.get(name), boot.boots.get(name).at) })),
      processorTime: used,
    };
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    throw new FarmError(error.code, `${side.title}, ${count} at once: ${error.message}`, error.hint ?? `logs: ${directory}`, error);
  } finally {
    await lab.down();
  }
}

function secondsSince(start, at) {
  return Object.fromEntries(stages.map(({ name }) => [name, Math.round(at[name] - start) / 1000]));
}

async function follow(lab, boot, since, signal) {
  const view = openStages(process.stdout, systemClock);
  const trouble = new AbortController();
  const timer = setInterval(() => void look(lab, trouble), lookMilliseconds);
  const late = AbortSignal.timeout(since.size * minutesPerMachine * 60_000);
  let failure;
  const take = lineSplitter((line) => {
    try {
      boot.take(line);
    } catch (error) {
      failure ??= error;
    }
  });
  const onChunk = (chunk) => {
    take(chunk);
    view.update([...boot.boots].map(([name, { at }]) => shown(name, since.get(name), at)));
    return failure !== undefined || boot.isComplete;
  };
  try {
    await followFile(lab.serveLog, onChunk, AbortSignal.any([signal, trouble.signal, late]));
  } finally {
    clearInterval(timer);
    view.close();
  }
  signal.throwIfAborted();
  trouble.signal.throwIfAborted();
  if (failure !== undefined) throw failure;
  const waiting = [...boot.boots].filter(([, { at }]) => at.up === undefined).map(([name, { at }]) => `${name} (${reached(at)?.title ?? 'switched on'})`);
  if (waiting.length > 0) throw new FarmError('bench.failed', `not up after ${since.size * minutesPerMachine} minutes: ${waiting.join(', ')}`);
}

/** A machine or server that has ended will not come up. */
async function look(lab, trouble) {
  try {
    const { machines, serve } = await lab.status();
    const ended = machines.find(({ state }) => state !== 'running');
    if (serve.state === 'ended') throw new FarmError('bench.failed', `the server ended: ${serve.ended}`, `its log: ${lab.serveLog}`);
    if (ended !== undefined) throw new FarmError('bench.failed', `${ended.name} ended: ${ended.ended}`, `its console: ${ended.log}`);
  } catch (error) {
    trouble.abort(error);
  }
}

function reached(at) {
  return stages.findLast(({ name }) => at[name] !== undefined);
}

function shown(name, since, at) {
  const stage = reached(at);
  return { name, since, stage: stage?.shown ?? 'DHCP', until: at.up, detail: stage?.title ?? 'switched on' };
}

/** That each node's root was the side's, its systemd content, and its NFS connection with the side's server. */
async function verify(side, lab, nodes, { boots }) {
  const sockets = (await lab.exec('ss', ['-Htnp', 'state', 'established', 'sport = :2049'])).toString().split('\n');
  for (const node of nodes) {
    const { at, details } = boots.get(node.name);
    const refuse = (what) => {
      throw new FarmError('bench.failed', `${node.name} ${what}`, `its console: ${lab.consoleLog(node.name)}`);
    };
    const missing = stages.filter(({ name }) => at[name] === undefined).map(({ title }) => title);
    if (missing.length > 0) refuse(`was up without: ${missing.join(', ')}`);
    if (details.up !== 'running') refuse(`is ${details.up}, so it has not done the same work`);
    if (details.root !== `mounted ${side.root(node)}`) refuse(`says "${details.root}", not its root ${side.root(node)}`);
    const served = sockets.filter((line) =>
      line
        .replaceAll(/[[\]]|::ffff:/g, ' ')
        .split(/[\s:]+/)
        .includes(node.address),
    );
    const by = served.map((line) => /users:\(\("([^"]+)"/.exec(line)?.[1]);
    if (by.length === 0 || !by.every((name) => side.nfsProcess.test(name))) refuse(`has its root from ${by.join(', ') || 'nobody'}`);
  }
}
