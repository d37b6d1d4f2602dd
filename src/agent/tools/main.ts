// The tools of a node, one file for all: which one it is says the name it was called by, as in busybox, or else the first argument.
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { basename } from 'node:path';
import { parseIpv4 } from '../../base/addresses.ts';
import { FarmError, sentence, systemCode } from '../../base/errors.ts';
import { openHpc } from './hpc.ts';
import { migrate, usage as migrateUsage } from './migrate.ts';
import { mosctl, usage as mosctlUsage } from './mosctl.ts';
import { mosmon, usage as mosmonUsage } from './mosmon.ts';
import { mps, usage as mpsUsage } from './mps.ts';
import { mtop, usage as mtopUsage } from './mtop.ts';
import { setpe, usage as setpeUsage } from './setpe.ts';
import { showmap, usage as showmapUsage } from './showmap.ts';
import { done, type Tool, unable, type World } from './tool.ts';
import { why, usage as whyUsage } from './why.ts';

const tools: Readonly<Record<string, { readonly run: Tool; readonly usage: string }>> = {
  setpe: { run: setpe, usage: setpeUsage },
  showmap: { run: showmap, usage: showmapUsage },
  mosctl: { run: mosctl, usage: mosctlUsage },
  mosmon: { run: mosmon, usage: mosmonUsage },
  mps: { run: mps, usage: mpsUsage },
  mtop: { run: mtop, usage: mtopUsage },
  migrate: { run: migrate, usage: migrateUsage },
  why: { run: why, usage: whyUsage },
};

const defaultPlace = '/hpc';
const standardInput = 0;

const { FARM_HPC = defaultPlace } = process.env;

const world: World = {
  hpc: openHpc(FARM_HPC),
  hostname: hostname(),
  addresses: () =>
    Object.entries(networkInterfaces()).flatMap(([name, infos]) =>
      (infos ?? []).flatMap((info) => {
        const address = info.family === 'IPv4' ? parseIpv4(info.address) : undefined;
        return address === undefined ? [] : [{ interface: name, address }];
      }),
    ),
  readText(path) {
    try {
      return readFileSync(path === '-' ? standardInput : path, 'utf8');
    } catch (error) {
      throw new FarmError('file.unreadable', `${path} cannot be read: ${sentence(error)}`, undefined, error);
    }
  },
  writeText(path, text) {
    try {
      if (path === '-') process.stdout.write(text);
      else writeFileSync(path, text);
    } catch (error) {
      throw new FarmError('file.unwritable', `${path} cannot be written: ${sentence(error)}`, undefined, error);
    }
  },
  out: (text) => void process.stdout.write(text),
  complain: (text) => void process.stderr.write(text),
  pause: (milliseconds) =>
    new Promise((resolve) => {
      const stop = (): void => finish(true);
      const finish = (interrupted: boolean): void => {
        clearTimeout(timer);
        process.off('SIGINT', stop);
        resolve(interrupted);
      };
      const timer = setTimeout(() => finish(false), milliseconds);
      process.once('SIGINT', stop);
    }),
};

// A reader that stops early (`mps ax | head -1`) is no error.
process.stdout.on('error', (error) => process.exit(systemCode(error) === 'EPIPE' ? done : unable));

const called = basename(process.argv[1] ?? '');
const [first = '', ...rest] = process.argv.slice(2);
const [name, args] = Object.hasOwn(tools, called) ? [called, process.argv.slice(2)] : [first, rest];
const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;

try {
  if (tool === undefined) throw new FarmError('usage', `"${name}" is none of the tools`, `they are ${Object.keys(tools).join(', ')}`);
  if (args.includes('--help')) {
    process.stdout.write(`usage: ${tool.usage.replaceAll('\n', '\n       ')}\n`);
    process.exitCode = done;
  } else process.exitCode = await tool.run(args, world);
} catch (error) {
  const hint = error instanceof FarmError ? error.hint : undefined;
  process.stderr.write(`${tool === undefined ? 'farm-tools' : name}: ${sentence(error)}\n${hint === undefined ? '' : `  ${hint}\n`}`);
  process.exitCode = unable;
}
