// farm lab: the farm's nodes as virtual machines, in a network of their own on this machine.
import { existsSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Mac } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { loadFarm } from '../farm/config.ts';
import { labDirectory } from '../farm/directory.ts';
import type { Farm } from '../farm/farm.ts';
import { addNodes } from '../farm/nodes.ts';
import { attachConsole } from '../lab/console.ts';
import { findLab, type Lab, labKernelArgs, startLab } from '../lab/lab.ts';
import { type Card, type Firmware, firmwares, type Rom } from '../lab/plan.ts';
import { farmDirectory, numberArgument, table } from './options.ts';
import { commandName, commandPath } from './package.ts';

export function labCommand(): Command {
  const directory = (command: Command): string => farmDirectory(command);
  return new Command('lab')
    .enablePositionalOptions()
    .description('a virtual farm: diskless QEMU machines that boot from this farm')
    .addCommand(
      new Command('up')
        .description("start the farm's nodes as virtual machines, with farm serve, in a network namespace of their own")
        .argument('[machines]', 'how many; missing nodes are added to the farm (default: all nodes, or 2)', numberArgument(1, 64))
        .option('--memory <MiB>', 'memory of each machine', numberArgument(64, 65_536), 512)
        .addOption(new Option('--card <model>', 'network card of each machine').choices(['e1000', 'virtio-net-pci']))
        .addOption(new Option('--firmware <kind>', 'what each machine is switched on into').choices(firmwares).default('bios'))
        .option('--rom <file>', "another boot ROM on the card than QEMU's own, or none", romArgument)
        .action(async (machines: number | undefined, options: UpOptions, command: Command) => {
          const farm = directory(command);
          const { memory, ...choice } = options;
          const lab = await bringUp(farm, machines, { memoryMiB: memory, ...choice, keep: true });
          console.log(`${lab.machines.length} machines are switched on: ${lab.machines.join(' ')}`);
          console.log(howToLook(farm, lab));
        }),
    )
    .addCommand(
      new Command('status').description('which machines run').action(async (_options: unknown, command: Command) => {
        const { machines, serve } = await runningLab(directory(command)).status();
        process.stdout.write(table([['MACHINE', 'STATE', 'CONSOLE LOG'], ...machines.map(({ name, state, log }) => [name, state, log])]));
        console.log(`farm serve: ${serve.state}, log ${serve.log}`);
      }),
    )
    .addCommand(
      new Command('console')
        .description("a machine's console; leave it with Ctrl-]")
        .argument('<node>')
        .action(async (node: string, _options: unknown, command: Command) => {
          const how = await attachConsole(runningLab(directory(command)), node, process.stdin, process.stdout);
          process.stdin.destroy();
          console.log(how === 'ended' ? `\r\n${node} has ended` : '');
        }),
    )
    .addCommand(
      new Command('power')
        .description('switch a machine on or off, reset it, or shut it down')
        .argument('<node>')
        .argument('<action>', 'on, off, reset or shutdown')
        .action(async (node: string, action: string, _options: unknown, command: Command) => {
          if (action !== 'on' && action !== 'off' && action !== 'reset' && action !== 'shutdown') {
            throw new FarmError('usage', `there is no power action ${action}`, 'actions are on, off, reset and shutdown');
          }
          await runningLab(directory(command)).power(node, action);
        }),
    )
    .addCommand(
      new Command('shell')
        .description("a shell, or a command, in the lab's network")
        .argument('[command...]')
        .passThroughOptions()
        .action(async (words: string[], _options: unknown, command: Command) => {
          const [program = process.env['SHELL'] ?? '/bin/sh', ...args] = words;
          const child = runningLab(directory(command)).spawn(program, args);
          process.exitCode = await new Promise<number>((resolve, reject) => {
            child.on('error', reject);
            child.on('exit', (code) => resolve(code ?? 2));
          });
        }),
    )
    .addCommand(
      new Command('down').description('switch everything off and remove it').action(async (_options: unknown, command: Command) => {
        await runningLab(directory(command)).down();
        console.log('the lab is down');
      }),
    );
}

interface UpOptions {
  readonly memory: number;
  readonly card?: Card;
  readonly firmware: Firmware;
  readonly rom?: Rom;
}

function romArgument(text: string): Rom {
  const path = resolve(text);
  if (text === 'none') return 'none';
  if (!existsSync(path)) throw new InvalidArgumentError('Write none, or the path of a ROM.');
  return path as Rom;
}

export interface LabChoice {
  readonly memoryMiB: number;
  /** As `MachineOptions` has them by default; the firmware is `bios`. */
  readonly card?: Card;
  readonly firmware?: Firmware;
  readonly rom?: Rom;
  /** Whether it outlives this command. */
  readonly keep: boolean;
  readonly signal?: AbortSignal;
}

/** Starts the first `count` nodes of a farm, adding what is missing. */
export async function bringUp(directory: string, count: number | undefined, choice: LabChoice): Promise<Lab> {
  const farm = withNodes(directory, count);
  const network = farm.networks.find(({ link }) => link.kind === 'direct');
  if (network === undefined) throw new FarmError('config.invalid', "the farm has no network on this server's cards", 'add one to farm.yaml');
  const { keep, signal, ...chosen } = choice;
  const hardware = { firmware: 'bios' as const, ...chosen };
  return startLab({
    directory: labDirectory(directory),
    farmDirectory: directory,
    network: { interface: network.link.interface, address: { address: network.server, prefix: network.subnet.prefix } },
    machines: bootable(farm)
      .slice(0, count)
      .map(({ name, mac }) => ({ name, mac, ...hardware })),
    // The machines' consoles are serial ports here; the last console named is /dev/console.
    serve: { command: process.execPath, args: [commandPath, '-C', directory, 'serve', '--log-format', 'json', '--kernel-args', labKernelArgs] },
    keep,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Nodes that a virtual card can be: those known by a MAC address. */
function bootable(farm: Farm): readonly { readonly name: string; readonly mac: Mac }[] {
  return farm.nodes.flatMap(({ name, mac }) => (mac === undefined ? [] : [{ name, mac }]));
}

function withNodes(directory: string, count: number | undefined): Farm {
  const farm = loadFarm(directory);
  const present = bootable(farm).length;
  const missing = (count ?? (present === 0 ? 2 : present)) - present;
  if (missing <= 0) return farm;
  const taken = new Set(farm.nodes.map(({ mac }) => mac));
  const macs: Mac[] = [];
  for (let number = 1; macs.length < missing; number++) {
    // QEMU's own prefix; the fourth byte keeps clear of what it hands out by itself.
    const mac = `52:54:00:fa:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}` as Mac;
    if (!taken.has(mac)) macs.push(mac);
  }
  const { added } = addNodes(
    directory,
    macs.map((mac) => ({ mac })),
  );
  console.log(`added to farm.yaml: ${added.map(({ name, mac }) => `${name} (${mac})`).join(', ')}`);
  return loadFarm(directory);
}

function runningLab(directory: string): Lab {
  const lab = findLab(labDirectory(directory));
  if (lab === undefined) throw new FarmError('lab.down', 'no lab runs for this farm', 'start one with: farm lab up');
  return lab;
}

/** The commands that look into a running lab. */
export function howToLook(directory: string, lab: Lab): string {
  const [first = 'n1'] = lab.machines;
  const here = relative(process.cwd(), directory);
  const farm = `${commandName()} -C ${here.startsWith('..') ? directory : here || '.'}`;
  return table([
    [`  ${farm} status`, 'every node, live'],
    [`  ${farm} lab console ${first}`, 'its console, root is logged in where the profile says so (leave: Ctrl-])'],
    [`  ${farm} lab shell`, "a shell in the lab's network"],
    [`  tail -f ${lab.serveLog}`, 'what the server does'],
    [`  ${farm} lab down`, 'take everything down'],
  ]);
}
