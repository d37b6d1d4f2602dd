// What a client is: its firmware and the loader that asks, read from options 60, 77, 93, 97, 150 and 175. RFC 4578, RFC 5970, the sources of iPXE,
// Etherboot 5.4 and U-Boot.
import { type Options, option, readText, readU16s, subOptions } from './options.ts';
import type { DhcpPacket } from './packet.ts';

type Firmware =
  | 'bios'
  | 'efi-ia32'
  | 'efi-x64'
  | 'efi-arm32'
  | 'efi-arm64'
  | 'efi-riscv32'
  | 'efi-riscv64'
  | 'efi-loong32'
  | 'efi-loong64'
  | 'uboot-arm32'
  | 'uboot-arm64'
  | 'powerpc'
  | 's390'
  | 'rpi'
  | 'other';

/**
 * Who asks: firmware, a boot loader that took over from it, or none of them: the client of an operating system or of its initramfs, such as udhcpc,
 * the kernel's `ip=dhcp` or anaconda. PXELINUX is not among them: it goes on with the answer that its ROM got.
 */
type Loader = 'rom' | 'ipxe' | 'etherboot' | 'uboot' | 'none';

export interface BootClient {
  readonly firmware: Firmware;
  /** gPXE counts as `ipxe`, whose options it shares. */
  readonly loader: Loader;
  /** UEFI HTTP boot: takes only a URL and an answer whose option 60 says HTTPClient. */
  readonly http: boolean;
  /** Says PXEClient in option 60; iPXE does too. */
  readonly pxe: boolean;
  /** Asks by BOOTP, without option 53. A BOOTP client says nothing else of itself: with loader `none` it may yet be a boot ROM. */
  readonly bootp: boolean;
  /** Every code of option 93, in the client's order; empty if it sent none. */
  readonly architectures: readonly number[];
  /** Option 60 whole. */
  readonly vendorClass?: string;
  /** Option 97 in the order its bytes came; firmware differs in swapping the first three groups, so a registry compares both. */
  readonly uuid?: string;
  /** What this iPXE was built with, e.g. `http`, `bzimage`, `efi`; empty for others. */
  readonly features: ReadonlySet<string>;
  /** From option 175, e.g. `1.0.0`. */
  readonly ipxeVersion?: string;
}

/** For objects under construction: a spread for each optional field costs more than all the rest of reading a request. */
export type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** IANA "Processor Architecture Types". 7 and 9 are both x86-64: RFC 4578 and its errata name them the other way round, and ROMs send either. */
const firmwareByArchitecture: ReadonlyMap<number, Firmware> = new Map([
  [0, 'bios'],
  [6, 'efi-ia32'],
  [7, 'efi-x64'],
  [9, 'efi-x64'],
  [10, 'efi-arm32'],
  [11, 'efi-arm64'],
  [12, 'powerpc'],
  [13, 'powerpc'],
  [14, 'powerpc'],
  [15, 'efi-ia32'],
  [16, 'efi-x64'],
  [17, 'efi-x64'],
  [18, 'efi-arm32'],
  [19, 'efi-arm64'],
  [20, 'bios'],
  [21, 'uboot-arm32'],
  [22, 'uboot-arm64'],
  [23, 'uboot-arm32'],
  [24, 'uboot-arm64'],
  [25, 'efi-riscv32'],
  [26, 'efi-riscv32'],
  [27, 'efi-riscv64'],
  [28, 'efi-riscv64'],
  [31, 's390'],
  [32, 's390'],
  [37, 'efi-loong32'],
  [38, 'efi-loong32'],
  [39, 'efi-loong64'],
  [40, 'efi-loong64'],
  [41, 'rpi'],
]);

/** The Raspberry Pi's boot ROM says that it is a PC BIOS, in these very words. Its address tells them apart. */
const raspberryPiClass = 'PXEClient:Arch:00000:UNDI:002001';
const raspberryPiVendors: ReadonlySet<number> = new Set([0xb827eb, 0xdca632, 0xe45f01, 0x28cdc1, 0xd83add, 0x2ccf67]);

/** Sub-options of 175 by which iPXE says what was compiled in (its features.h). */
const ipxeFeatures: ReadonlyMap<number, string> = new Map([
  [0x10, 'pxe-extensions'],
  [0x11, 'iscsi'],
  [0x12, 'aoe'],
  [0x13, 'http'],
  [0x14, 'https'],
  [0x15, 'tftp'],
  [0x16, 'ftp'],
  [0x17, 'dns'],
  [0x18, 'bzimage'],
  [0x19, 'multiboot'],
  [0x1a, 'slam'],
  [0x1b, 'srp'],
  [0x20, 'nbi'],
  [0x21, 'pxe'],
  [0x22, 'elf'],
  [0x23, 'comboot'],
  [0x24, 'efi'],
  [0x25, 'fcoe'],
  [0x26, 'vlan'],
  [0x27, 'menu'],
  [0x28, 'sdi'],
  [0x29, 'nfs'],
]);

const ipxeVersionTag = 0xeb;
/** Sub-option 176 of 175: 1 tells iPXE that no proxyDHCP offer will follow, which saves the 2 s it waits for one. */
export const ipxeNoProxyTag = 0xb0;

/** E4 "Eth" and version 0.0 in option 128: Etherboot reads its own options (129 to 192) only in an answer that has it. */
export const etherbootMagic: Buffer = Buffer.from([0xe4, 0x45, 0x74, 0x68, 0, 0]);
/** Its card (175) and its architecture (177) in option 150: how an Etherboot built with PXE_DHCP_STRICT differs from a PXE ROM. */
const etherbootCardTag = 175;

const noFeatures: ReadonlySet<string> = new Set();
const noParts: ReadonlyMap<number, Buffer> = new Map();

/** Never throws: an option that is not what its RFC says is read as far as it goes. */
export function bootClient(packet: DhcpPacket): BootClient {
  const { options } = packet;
  const vendorClass = readText(options, option.vendorClass);
  const architectures = readU16s(options, option.clientArchitecture) ?? [];
  const uuid = uuidOf(options.get(option.clientUuid));
  const loader = loaderOf(options, vendorClass);
  const container = loader === 'ipxe' ? options.get(option.ipxe) : undefined;
  const encapsulated = container === undefined ? noParts : subOptions(container);
  const version = encapsulated.get(ipxeVersionTag);
  const client: Writable<BootClient> = {
    firmware: isRaspberryPi(packet, vendorClass) ? 'rpi' : firmwareOf(architectures, vendorClass),
    loader,
    http: vendorClass?.startsWith('HTTPClient') ?? false,
    pxe: vendorClass?.startsWith('PXEClient') ?? false,
    bootp: !options.has(option.messageType),
    architectures,
    features: container === undefined ? noFeatures : featuresOf(encapsulated),
  };
  if (vendorClass !== undefined) client.vendorClass = vendorClass;
  if (uuid !== undefined) client.uuid = uuid;
  if (version !== undefined) client.ipxeVersion = version.join('.');
  return client;
}

/** The first code that is known; RFC 4578 2.1 allows several. A client that sends none is from before option 93: a PC BIOS, or U-Boot. */
function firmwareOf(architectures: readonly number[], vendorClass = ''): Firmware {
  for (const code of architectures) {
    const firmware = firmwareByArchitecture.get(code);
    if (firmware !== undefined) return firmware;
  }
  // Before 21 to 24 were assigned, U-Boot sent 0x100 for any ARM: its class knows better.
  if (isUboot(vendorClass)) return /armv8/i.test(vendorClass) ? 'uboot-arm64' : /arm/i.test(vendorClass) ? 'uboot-arm32' : 'other';
  return architectures.length === 0 ? 'bios' : 'other';
}

function isRaspberryPi({ htype, chaddr }: DhcpPacket, vendorClass: string | undefined): boolean {
  return htype === 1 && chaddr.length === 6 && vendorClass === raspberryPiClass && raspberryPiVendors.has(chaddr.readUIntBE(0, 3));
}

/** `U-Boot.armv8`, `U-boot.armv7`, `U-Boot`: CONFIG_BOOTP_VCI_STRING. */
function isUboot(vendorClass: string): boolean {
  return /^u-boot/i.test(vendorClass);
}

function loaderOf(options: Options, vendorClass = ''): Loader {
  // Etherboot first: it also has an option 175.
  if (vendorClass.startsWith('Etherboot') || hasEtherbootMark(options)) return 'etherboot';
  // Not by option 60, in which iPXE says PXEClient: taken for a ROM, it would be handed itself again for ever.
  const classes = userClasses(options.get(option.userClass));
  if (classes.includes('iPXE') || classes.includes('gPXE') || options.has(option.ipxe)) return 'ipxe';
  if (vendorClass.startsWith('PXEClient') || vendorClass.startsWith('HTTPClient')) return 'rom';
  return isUboot(vendorClass) ? 'uboot' : 'none';
}

function hasEtherbootMark(options: Options): boolean {
  const magic = options.get(option.etherbootMagic);
  if (magic?.subarray(0, 4).equals(etherbootMagic.subarray(0, 4)) === true) return true;
  const container = options.get(option.tftpServers);
  // GRUB's and Cisco's 150 is addresses: a container of Etherboot's begins with its card.
  return container !== undefined && container[0] === etherbootCardTag && subOptions(container).has(etherbootCardTag);
}

const noClasses: readonly string[] = [];

/** RFC 3004 wants a length before each class; iPXE sends its name without one. Both readings are given if the first is possible. */
function userClasses(value: Buffer | undefined): readonly string[] {
  if (value === undefined || value.length === 0) return noClasses;
  const raw = value.toString('latin1').replace(/\0+$/, '');
  const listed: string[] = [];
  for (let at = 0; at < value.length; ) {
    const length = value[at] ?? 0;
    if (length === 0 || at + 1 + length > value.length) return [raw];
    listed.push(value.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return [...listed, raw];
}

function featuresOf(encapsulated: ReadonlyMap<number, Buffer>): ReadonlySet<string> {
  const features = new Set<string>();
  for (const [tag, value] of encapsulated) {
    const name = ipxeFeatures.get(tag);
    if (name !== undefined && value.some((byte) => byte !== 0)) features.add(name);
  }
  return features;
}

const noUuid = '0'.repeat(32);
const erasedUuid = 'f'.repeat(32);

/** Type 0 and 16 bytes. Boards without a UUID send all zeros or all ones, which would make one machine of them all. */
function uuidOf(value: Buffer | undefined): string | undefined {
  if (value === undefined || value.length !== 17 || value[0] !== 0) return undefined;
  const hex = value.toString('hex', 1);
  if (hex === noUuid || hex === erasedUuid) return undefined;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
