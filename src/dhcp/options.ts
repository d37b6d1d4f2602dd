// Option values by their IANA names: RFC 2132, and 77 RFC 3004, 82 RFC 3046, 93/94/97 RFC 4578, 119 RFC 3397, 121 RFC 3442, 175 iPXE.
import { type Ipv4, ipv4FromBytes, ipv4Number } from '../base/addresses.ts';
import { WireError } from '../base/errors.ts';
import { optionName } from './known-options.ts';

export { optionName };

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
  rapidCommit: 80,
  relayAgentInformation: 82,
  clientArchitecture: 93,
  clientUuid: 97,
  subnetSelection: 118,
  etherbootMagic: 128,
  /** Cisco's and GRUB's TFTP servers; Etherboot's container. */
  tftpServers: 150,
  ipxe: 175,
} as const;

/** DHCP message types (RFC 2132 9.6) by number; 0 is unused. */
export const messageTypes = ['', 'DISCOVER', 'OFFER', 'REQUEST', 'DECLINE', 'ACK', 'NAK', 'RELEASE', 'INFORM'] as const;

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
  const value = options.get(code);
  if (value === undefined) return undefined;
  let length = value.length;
  while (length > 0 && value[length - 1] === 0) length -= 1;
  return value.toString('latin1', 0, length);
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
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function addressesValue(addresses: readonly Ipv4[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * addresses.length);
  for (const [index, address] of addresses.entries()) bytes.writeUInt32BE(ipv4Number(address), 4 * index);
  return bytes;
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
