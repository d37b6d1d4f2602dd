// What stands in the answer to a machine, and where in farm.yaml each value comes from: options, then what each kind of client boots.
import { ipv4FromBytes, netmask } from '../base/addresses.ts';
import { type BootPlan, nextBoot } from '../boot/plan.ts';
import { knownOption, optionName, optionType } from '../dhcp/known-options.ts';
import type { BootClient } from '../dhcp/pxe.ts';
import type { Farm, FarmOption, Network, Node } from './farm.ts';
import { bytesText } from './identifiers.ts';
import { mergedOptions } from './places.ts';

export interface WhyOption {
  readonly code: number;
  readonly name: string;
  readonly value: string;
  /** Where in farm.yaml it comes from: `networks.main.router`. */
  readonly from: string;
  /** Sent even to clients that do not ask for it. */
  readonly always: boolean;
}

export interface WhyBoot {
  readonly client: string;
  /** Path or URL; absent: nothing to boot. */
  readonly file?: string;
  readonly how: string;
}

/** What every machine of a network is told, and what farm.yaml adds or puts in its place. */
export function networkOptions(farm: Farm, network: Network, narrower: readonly Scoped[] = [], own: readonly WhyOption[] = []): readonly WhyOption[] {
  const { name, subnet, router, nameServers } = network;
  const fixed = (code: number, value: string, from: string): WhyOption => ({ code, name: optionName(code), value, from, always: false });
  const standard = [
    ...own,
    fixed(1, netmask(subnet), `networks.${name}.address`),
    ...(router === undefined ? [] : [fixed(3, router, `networks.${name}.router`)]),
    ...(nameServers.length === 0 ? [] : [fixed(6, nameServers.join(', '), `networks.${name}.name_servers`)]),
    ...(farm.domain === '' ? [] : [fixed(15, farm.domain, 'domain')]),
  ];
  const custom = mergedOptions([scoped(farm.options, ''), scoped(network.options, `networks.${name}.`), narrower]).map(
    (option): WhyOption => ({ code: option.code, name: customName(option), value: optionText(option), from: option.from, always: option.always }),
  );
  return [...standard.filter(({ code }) => custom.every((option) => option.code !== code)), ...custom].sort((a, b) => a.code - b.code);
}

export function nodeOptions(farm: Farm, node: Node): readonly WhyOption[] {
  const narrower = mergedOptions([scoped(node.profile.options, `profiles.${node.profile.name}.`), scoped(node.options, `nodes.${node.name}.`)]);
  const name: WhyOption = { code: 12, name: optionName(12), value: node.name, from: `nodes.${node.name}`, always: false };
  return networkOptions(farm, node.network, narrower, [name]);
}

interface Scoped extends FarmOption {
  readonly from: string;
}

function scoped(options: readonly FarmOption[], prefix: string): readonly Scoped[] {
  return options.map((option) => ({ ...option, from: `${prefix}options.${option.name}` }));
}

/** An option without a name of its own is called as in farm.yaml. */
function customName({ code, name }: FarmOption): string {
  return knownOption(code) === undefined && !/^\d+$/.test(name) ? `${name}(${code})` : optionName(code);
}

/** Addresses and numbers where the option is known to have them. */
function optionText({ code, value }: FarmOption): string {
  const type = optionType(code);
  if ((type === 'ip' || type === 'ips') && value.length % 4 === 0) {
    return Array.from({ length: value.length / 4 }, (_, index) => ipv4FromBytes(value.subarray(index * 4))).join(', ');
  }
  if ((type === 'u8' || type === 'u16' || type === 'u32') && value.length >= 1 && value.length <= 4) return String(value.readUIntBE(0, value.length));
  return bytesText(value);
}

interface Kind {
  readonly client: string;
  readonly firmware: BootClient['firmware'];
  readonly loader: BootClient['loader'];
  readonly http?: boolean;
}

const kinds: readonly Kind[] = [
  { client: 'BIOS, its PXE ROM', firmware: 'bios', loader: 'rom' },
  { client: 'BIOS, iPXE', firmware: 'bios', loader: 'ipxe' },
  { client: 'BIOS, Etherboot', firmware: 'bios', loader: 'etherboot' },
  { client: 'UEFI x64, PXE', firmware: 'efi-x64', loader: 'rom' },
  { client: 'UEFI x64, HTTP boot', firmware: 'efi-x64', loader: 'rom', http: true },
  { client: 'UEFI x64, iPXE', firmware: 'efi-x64', loader: 'ipxe' },
  { client: 'UEFI ia32, PXE', firmware: 'efi-ia32', loader: 'rom' },
  { client: 'UEFI ia32, iPXE', firmware: 'efi-ia32', loader: 'ipxe' },
];

/** What an iPXE of Debian can do, as it says in option 175. */
const ipxeFeatures: ReadonlySet<string> = new Set(['http', 'tftp', 'dns', 'bzimage', 'menu', 'nbi', 'pxe']);

/** Only for `firmware`, if one is given. */
export function bootOf(plan: BootPlan | undefined, node: Node, firmware: BootClient['firmware'] | undefined): readonly WhyBoot[] {
  if (plan === undefined)
    return [{ client: 'any', how: `nothing to boot: image ${node.profile.image} is not built, or has no root in one file (farm image build)` }];
  const asked = firmware === undefined ? kinds : kinds.filter((kind) => kind.firmware === firmware);
  const known: readonly Kind[] = asked.length > 0 || firmware === undefined ? asked : [{ client: firmware, firmware, loader: 'rom' }];
  return known.map((kind) => {
    const next = nextBoot(
      {
        ...kind,
        http: kind.http === true,
        pxe: kind.http !== true,
        bootp: false,
        architectures: [],
        features: kind.loader === 'ipxe' ? ipxeFeatures : new Set(),
      },
      plan,
    );
    const { client } = kind;
    if (next.kind === 'nothing') return { client, how: `nothing: ${next.reason}` };
    return next.kind === 'url' ? { client, file: next.url, how: 'by HTTP' } : { client, file: next.file, how: `by TFTP from ${next.server}` };
  });
}
