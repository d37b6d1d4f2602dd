// IPv4 and Ethernet addresses as branded strings in one canonical spelling, so `===` compares them.
import { FarmError } from './errors.ts';

declare const ipv4Brand: unique symbol;
declare const macBrand: unique symbol;

/** Dotted decimal without leading zeros, e.g. `10.11.0.1`. */
export type Ipv4 = string & { readonly [ipv4Brand]: true };
/** Six lower-case hex pairs with colons, e.g. `52:54:00:12:34:56`. */
export type Mac = string & { readonly [macBrand]: true };

/** A network and one address in it: `10.11.0.1/24`. */
export interface Cidr {
  readonly address: Ipv4;
  readonly prefix: number;
}

const dot = 0x2e;
const zero = 0x30;

export const ipv4Any: Ipv4 = '0.0.0.0' as Ipv4;
export const ipv4Broadcast: Ipv4 = '255.255.255.255' as Ipv4;

/** Reads dotted decimal; undefined for anything else. `010.1.1.1` is refused: some read it as octal. */
export function parseIpv4(text: string): Ipv4 | undefined {
  // By hand: it is asked for every datagram.
  let dots = 0;
  let digits = 0;
  let part = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === dot) {
      if (digits === 0 || ++dots > 3) return undefined;
      digits = 0;
      part = 0;
    } else {
      if (code < zero || code > zero + 9 || (digits > 0 && part === 0)) return undefined;
      digits++;
      part = part * 10 + code - zero;
      if (part > 255) return undefined;
    }
  }
  return dots === 3 && digits > 0 ? (text as Ipv4) : undefined;
}

/** Like `parseIpv4`, for text that a person wrote. */
export function ipv4(text: string): Ipv4 {
  const address = parseIpv4(text);
  if (address === undefined) {
    throw new FarmError('address.ipv4', `"${text}" is not an IPv4 address`, 'write it as four numbers from 0 to 255, e.g. 10.11.0.7');
  }
  return address;
}

/** The address as an unsigned 32-bit number. */
export function ipv4Number(address: Ipv4): number {
  let number = 0;
  let part = 0;
  for (let at = 0; at < address.length; at++) {
    const code = address.charCodeAt(at);
    if (code === dot) {
      number = number * 256 + part;
      part = 0;
    } else part = part * 10 + code - zero;
  }
  return number * 256 + part;
}

/** The inverse of `ipv4Number`; `value` is taken modulo 2^32. */
export function ipv4FromNumber(value: number): Ipv4 {
  const bits = value >>> 0;
  return `${bits >>> 24}.${(bits >>> 16) & 255}.${(bits >>> 8) & 255}.${bits & 255}` as Ipv4;
}

export function ipv4FromBytes(bytes: Uint8Array): Ipv4 {
  return `${bytes[0] ?? 0}.${bytes[1] ?? 0}.${bytes[2] ?? 0}.${bytes[3] ?? 0}` as Ipv4;
}

export function ipv4Bytes(address: Ipv4): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(ipv4Number(address));
  return bytes;
}

/** Strips the IPv4-mapped prefix that a dual-stack socket reports (`::ffff:10.0.0.7`). */
export function ipv4FromPeer(address: string): Ipv4 | undefined {
  return parseIpv4(address.replace(/^::ffff:/i, ''));
}

/** Reads `a.b.c.d/n`, 0 <= n <= 32. */
export function parseCidr(text: string): Cidr | undefined {
  const [host, bits, ...more] = text.split('/');
  const address = parseIpv4(host ?? '');
  if (address === undefined || bits === undefined || more.length > 0 || !/^\d{1,2}$/.test(bits) || Number(bits) > 32) return undefined;
  return { address, prefix: Number(bits) };
}

/** The netmask of a prefix length as a number; 0 for /0. */
export function prefixMask(prefix: number): number {
  return prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
}

export function netmask(cidr: Cidr): Ipv4 {
  return ipv4FromNumber(prefixMask(cidr.prefix));
}

export function networkAddress(cidr: Cidr): Ipv4 {
  return ipv4FromNumber((ipv4Number(cidr.address) & prefixMask(cidr.prefix)) >>> 0);
}

export function broadcastAddress(cidr: Cidr): Ipv4 {
  return ipv4FromNumber((ipv4Number(cidr.address) | ~prefixMask(cidr.prefix)) >>> 0);
}

export function inNetwork(cidr: Cidr, address: Ipv4): boolean {
  const mask = prefixMask(cidr.prefix);
  return (ipv4Number(address) & mask) >>> 0 === (ipv4Number(cidr.address) & mask) >>> 0;
}

/**
 * Reads every usual spelling of an Ethernet address: `52:54:00:12:34:56`, `52-54-00-12-34-56`, `5254.0012.3456`,
 * `525400123456`, any case, single-digit groups (`0:1b:…`), and PXELINUX's `01-52-54-…` with its hardware type.
 */
export function parseMac(text: string): Mac | undefined {
  const trimmed = text.trim().toLowerCase();
  const groups = trimmed.split(/[:-]/);
  const pairs = groups.length === 7 && groups[0] === '01' ? groups.slice(1) : groups;
  if (pairs.length === 6 && pairs.every((pair) => /^[0-9a-f]{1,2}$/.test(pair))) {
    return pairs.map((pair) => pair.padStart(2, '0')).join(':') as Mac;
  }
  const digits = /^[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}$/.test(trimmed) ? trimmed.replaceAll('.', '') : trimmed;
  return /^[0-9a-f]{12}$/.test(digits) ? (digits.replace(/..(?=.)/g, '$&:') as Mac) : undefined;
}

/** Like `parseMac`, for text that a person wrote; also refuses addresses no single card can have. */
export function mac(text: string): Mac {
  const address = parseMac(text);
  if (address === undefined) {
    throw new FarmError(
      'address.mac',
      `"${text}" is not a MAC address`,
      'write twelve hex digits, e.g. 52:54:00:12:34:56, 52-54-00-12-34-56 or 5254.0012.3456',
    );
  }
  if (address === '00:00:00:00:00:00' || (Number.parseInt(address.slice(0, 2), 16) & 1) === 1) {
    throw new FarmError(
      'address.mac',
      `${address} cannot be a machine's MAC address`,
      'zero, broadcast and multicast addresses belong to no card; read the one on its label or in its boot screen',
    );
  }
  return address;
}

export function macFromBytes(bytes: Uint8Array): Mac {
  return Array.from(bytes.subarray(0, 6), (byte) => byte.toString(16).padStart(2, '0')).join(':') as Mac;
}

export function macBytes(address: Mac): Buffer {
  return Buffer.from(address.replaceAll(':', ''), 'hex');
}
