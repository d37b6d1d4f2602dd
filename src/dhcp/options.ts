// Option values by their IANA names: RFC 2132, and 77 RFC 3004, 82 RFC 3046, 93/94/97 RFC 4578, 119 RFC 3397, 121 RFC 3442, 175 iPXE.
import { type Ipv4, ipv4Bytes, ipv4FromBytes } from '../base/addresses.ts';
import { WireError } from '../base/errors.ts';

export type Options = ReadonlyMap<number, Buffer>;

/** The options that the rules speak of. */
export const option = {
  subnetMask: 1,
  routers: 3,
  nameServers: 6,
  hostName: 12,
  domainName: 15,
  rootPath: 17,
  broadcastAddress: 28,
  vendorSpecific: 43,
  requestedAddress: 50,
  leaseTime: 51,
  messageType: 53,
  serverIdentifier: 54,
  parameterRequestList: 55,
  message: 56,
  maximumMessageSize: 57,
  renewalTime: 58,
  rebindingTime: 59,
  vendorClass: 60,
  clientIdentifier: 61,
  tftpServerName: 66,
  bootFileName: 67,
  userClass: 77,
  relayAgentInformation: 82,
  clientArchitecture: 93,
  clientUuid: 97,
  etherbootMagic: 128,
  ipxe: 175,
} as const;

/** DHCP message types (RFC 2132 9.6) by number; 0 is unused. */
export const messageTypes = ['', 'DISCOVER', 'OFFER', 'REQUEST', 'DECLINE', 'ACK', 'NAK', 'RELEASE', 'INFORM'] as const;

/** How the bytes of a value are to be read. */
type Shape = 'addresses' | 'u8' | 'u16' | 'u32' | 'i32' | 'text' | 'codes' | 'architectures' | 'bytes';

/** Name and shape of each option that a client of a boot server is seen to send or ask for; what is not here is bytes. */
const catalogue: ReadonlyMap<number, readonly [name: string, shape: Shape]> = new Map([
  [1, ['subnet-mask', 'addresses']],
  [2, ['time-offset', 'i32']],
  [3, ['routers', 'addresses']],
  [4, ['time-servers', 'addresses']],
  [5, ['ien116-name-servers', 'addresses']],
  [6, ['domain-name-servers', 'addresses']],
  [7, ['log-servers', 'addresses']],
  [9, ['lpr-servers', 'addresses']],
  [12, ['host-name', 'text']],
  [13, ['boot-size', 'u16']],
  [15, ['domain-name', 'text']],
  [16, ['swap-server', 'addresses']],
  [17, ['root-path', 'text']],
  [18, ['extensions-path', 'text']],
  [22, ['max-dgram-reassembly', 'u16']],
  [23, ['default-ip-ttl', 'u8']],
  [26, ['interface-mtu', 'u16']],
  [28, ['broadcast-address', 'addresses']],
  [33, ['static-routes', 'addresses']],
  [40, ['nis-domain', 'text']],
  [41, ['nis-servers', 'addresses']],
  [42, ['ntp-servers', 'addresses']],
  [43, ['vendor-encapsulated-options', 'bytes']],
  [44, ['netbios-name-servers', 'addresses']],
  [46, ['netbios-node-type', 'u8']],
  [47, ['netbios-scope', 'text']],
  [50, ['requested-address', 'addresses']],
  [51, ['lease-time', 'u32']],
  [53, ['message-type', 'u8']],
  [54, ['server-identifier', 'addresses']],
  [55, ['parameter-request-list', 'codes']],
  [56, ['message', 'text']],
  [57, ['max-message-size', 'u16']],
  [58, ['renewal-time', 'u32']],
  [59, ['rebinding-time', 'u32']],
  [60, ['vendor-class', 'text']],
  [61, ['client-identifier', 'bytes']],
  [66, ['tftp-server-name', 'text']],
  [67, ['boot-file-name', 'text']],
  [77, ['user-class', 'bytes']],
  [81, ['fqdn', 'bytes']],
  [82, ['relay-agent-information', 'bytes']],
  [93, ['client-architecture', 'architectures']],
  [94, ['client-ndi', 'bytes']],
  [97, ['client-uuid', 'bytes']],
  [118, ['subnet-selection', 'addresses']],
  [119, ['domain-search', 'bytes']],
  [121, ['classless-static-routes', 'bytes']],
  [128, ['etherboot-magic', 'bytes']],
  [150, ['tftp-servers', 'bytes']],
  [175, ['ipxe', 'bytes']],
]);

/** `vendor-class(60)`; for an option without a name `option(203)`. */
export function optionName(code: number): string {
  return `${catalogue.get(code)?.[0] ?? 'option'}(${code})`;
}

export function optionShape(code: number): Shape {
  return catalogue.get(code)?.[1] ?? 'bytes';
}

function wrongLength(code: number, value: Buffer, wanted: string): WireError {
  return new WireError('dhcp.option', 0, `${optionName(code)} has ${value.length} bytes, ${wanted} wanted`);
}

function fixed(options: Options, code: number, length: number): Buffer | undefined {
  const value = options.get(code);
  if (value !== undefined && value.length !== length) throw wrongLength(code, value, String(length));
  return value;
}

/** One byte. Like all readers here: undefined if the option is absent, `WireError` `dhcp.option` if it has another length than its kind. */
export function readU8(options: Options, code: number): number | undefined {
  return fixed(options, code, 1)?.readUInt8();
}

export function readU16(options: Options, code: number): number | undefined {
  return fixed(options, code, 2)?.readUInt16BE();
}

export function readU32(options: Options, code: number): number | undefined {
  return fixed(options, code, 4)?.readUInt32BE();
}

export function readAddress(options: Options, code: number): Ipv4 | undefined {
  const value = fixed(options, code, 4);
  return value === undefined ? undefined : ipv4FromBytes(value);
}

export function readAddresses(options: Options, code: number): readonly Ipv4[] | undefined {
  const value = options.get(code);
  if (value === undefined) return undefined;
  if (value.length === 0 || value.length % 4 !== 0) throw wrongLength(code, value, 'a multiple of 4');
  return Array.from({ length: value.length / 4 }, (_, index) => ipv4FromBytes(value.subarray(index * 4)));
}

/** Latin-1 without the trailing NULs that RFC 2132 section 2 tells receivers to expect. */
export function readText(options: Options, code: number): string | undefined {
  return options.get(code)?.toString('latin1').replace(/\0+$/, '');
}

/** 16-bit numbers, e.g. option 93; an odd last byte is left out. */
export function readU16s(options: Options, code: number): readonly number[] | undefined {
  const value = options.get(code);
  return value === undefined ? undefined : Array.from({ length: value.length >> 1 }, (_, index) => value.readUInt16BE(index * 2));
}

export function readI32(options: Options, code: number): number | undefined {
  return fixed(options, code, 4)?.readInt32BE();
}

export function u8Value(value: number): Buffer {
  return Buffer.from([value]);
}

export function u32Value(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function addressesValue(addresses: readonly Ipv4[]): Buffer {
  return Buffer.concat(addresses.map(ipv4Bytes));
}

export function textValue(text: string): Buffer {
  return Buffer.from(text, 'utf8');
}

/** Splits a container (43, 82, 175) into its sub-options, up to END or the first that is cut short; later ones win. */
export function subOptions(container: Buffer): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at < container.length; ) {
    const code = container[at] ?? 0;
    if (code === 255) break;
    if (code === 0) {
      at += 1;
      continue;
    }
    const length = container[at + 1];
    if (length === undefined || at + 2 + length > container.length) break;
    found.set(code, container.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return found;
}
