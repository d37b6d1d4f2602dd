// farm dhcp: why a machine gets what it gets.
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { type Ipv4, mac } from '../base/addresses.ts';
import type { BootPlan } from '../boot/plan.ts';
import { leasesFile, readLeases } from '../dhcp/lease-store.ts';
import type { BootClient } from '../dhcp/pxe.ts';
import { readActions } from '../farm/action-store.ts';
import { actionNow } from '../farm/actions.ts';
import { loadFarm } from '../farm/config.ts';
import { stateDirectory } from '../farm/directory.ts';
import { type DhcpQuestion, type DhcpWhy, explainDhcp } from '../farm/explain-dhcp.ts';
import type { Node } from '../farm/farm.ts';
import { Images } from '../farm/images.ts';
import { bootPlan } from '../farm/planning.ts';
import { indexFarm } from '../farm/registry.ts';
import { clientIdArgument, farmDirectory, ipv4Argument, relayIdArgument, table, uuidArgument } from './options.ts';

const firmwares = ['bios', 'efi-x64', 'efi-ia32', 'efi-arm64', 'uboot-arm64', 'rpi'] as const satisfies readonly BootClient['firmware'][];

interface WhyOptions {
  readonly uuid?: string;
  readonly clientId?: Buffer;
  readonly relay?: Ipv4;
  readonly circuit?: Buffer;
  readonly remote?: Buffer;
  readonly arch?: BootClient['firmware'];
  readonly json?: boolean;
}

export function dhcpCommand(): Command {
  return new Command('dhcp').description('what the DHCP service answers').addCommand(
    new Command('why')
      .description('which rule gives a machine which address, options and boot file')
      .argument('<mac>', 'its MAC address')
      .option('--uuid <guid>', 'the GUID that it sends (option 97)', uuidArgument)
      .option('--client-id <id>', 'the client id that it sends (option 61), in hex or as text:NAME', clientIdArgument)
      .option('--relay <address>', 'the relay through which it asks', ipv4Argument)
      .option('--circuit <id>', 'the circuit id that the relay adds (82.1), as text or hex:...', relayIdArgument)
      .option('--remote <id>', 'the remote id that the relay adds (82.2)', relayIdArgument)
      .addOption(new Option('--arch <firmware>', 'what it boots with this firmware (default: every kind)').choices(firmwares))
      .option('--json', 'for programs')
      .action((text: string, options: WhyOptions, command: Command) => {
        const why = explain(farmDirectory(command), text, options);
        if (options.json === true) console.log(JSON.stringify(why, undefined, 2));
        else process.stdout.write(whyText(why));
        process.exitCode = why.verdict === 'silence' ? 1 : 0;
      }),
  );
}

function explain(directory: string, text: string, { uuid, clientId, relay, circuit, remote, arch }: WhyOptions): DhcpWhy {
  const farm = loadFarm(directory);
  const images = new Images(directory, []);
  const actions = readActions(directory);
  const ordered = (name: string): ReturnType<typeof actionNow> => actionNow(actions.get(name) ?? {}, Date.now());
  const question: DhcpQuestion = {
    mac: mac(text),
    ...(uuid === undefined ? {} : { uuid }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(relay === undefined ? {} : { relay }),
    ...(circuit === undefined ? {} : { circuitId: circuit }),
    ...(remote === undefined ? {} : { remoteId: remote }),
    ...(arch === undefined ? {} : { firmware: arch }),
  };
  const plan = (node: Node): BootPlan | undefined =>
    bootPlan(farm, node, {
      images,
      kernelArgs: [],
      ordered: ({ name }) => ordered(name),
      packedRoot: ({ name, version }) => images.packedRoot(`${name}/${version}`),
    });
  return explainDhcp(farm, indexFarm(farm), question, plan, readLeases(join(stateDirectory(directory), leasesFile), Date.now()));
}

function whyText({ verdict, node, steps, options, boot }: DhcpWhy): string {
  const heads: Record<DhcpWhy['verdict'], string> = {
    node: `It is ${node}.`,
    lease: 'It is no node; it gets an address for a time.',
    register: 'It is no node; farm serve makes it one when it boots from the network.',
    silence: node === undefined ? 'It is no node, and gets no answer.' : `It is ${node}, and gets no answer there.`,
  };
  const rows = [
    ...steps.map(({ about, says }) => [about, says]),
    ...options.map(({ name, value, from, always }) => ['option', `${name} ${value}, ${from}${always ? ', even if not asked for' : ''}`]),
    ...boot.map(({ client, file, how }) => ['boot', `${client}: ${file === undefined ? how : `${file} ${how}`}`]),
  ];
  return `${heads[verdict]}\n${table(rows.map(([about = '', says = '']) => [`  ${about}`, says]))}`;
}
