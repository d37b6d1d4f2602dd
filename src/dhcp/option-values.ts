// Values of DHCP options as people write them, made into bytes: RFC 2132; domain lists RFC 3397, classless routes RFC 3442.
import { ipv4Bytes, networkAddress, parseCidr, parseIpv4 } from '../base/addresses.ts';
import type { OptionType } from './known-options.ts';

/** What each type is written like. */
export const optionTypes: Readonly<Record<OptionType, string>> = {
  ip: 'an address, e.g. 10.11.0.1',
  ips: 'an address or a list of them, e.g. [10.11.0.1, 10.11.0.2]',
  'ip-pairs': 'a list of two addresses each, e.g. [10.12.0.0 10.11.0.1]',
  u8: 'a number from 0 to 255',
  u16: 'a number from 0 to 65535',
  u32: 'a number from 0 to 4294967295',
  i32: 'a number from -2147483648 to 2147483647',
  bool: 'true or false',
  text: 'text',
  codes: 'a list of numbers from 0 to 255',
  u16s: 'a number from 0 to 65535 or a list of them',
  domains: 'a domain name or a list of them, e.g. [farm.lan, example.org]',
  routes: 'a list of network and router, e.g. ["10.12.0.0/16 10.11.0.254"]',
  hex: 'bytes, e.g. "06:01:08:ff" or "hex:060108ff"',
};

export function isOptionType(text: string): text is OptionType {
  return Object.hasOwn(optionTypes, text);
}

/** A complaint that continues "option x ...". */
type Complaint = string;

/** The bytes, or what is wrong with the value. */
export function optionBytes(type: OptionType, value: unknown): Buffer | Complaint {
  switch (type) {
    case 'ip':
      return ipBytes(value);
    case 'ips':
      return each(value, ipBytes);
    case 'ip-pairs':
      return each(value, (pair) => {
        const words = typeof pair === 'string' ? pair.trim().split(/\s+/) : [];
        return words.length === 2 ? each(words, ipBytes) : complaint(pair, 'two addresses');
      });
    case 'u8':
      return integerBytes(value, 1, 0, 0xff);
    case 'u16':
      return integerBytes(value, 2, 0, 0xffff);
    case 'u32':
      return integerBytes(value, 4, 0, 0xffffffff);
    case 'i32':
      return integerBytes(value, 4, -0x80000000, 0x7fffffff);
    case 'bool':
      return typeof value === 'boolean' ? Buffer.from([value ? 1 : 0]) : complaint(value, 'true or false');
    case 'text':
      return textBytes(value);
    case 'codes':
      return each(value, (item) => integerBytes(item, 1, 0, 0xff));
    case 'u16s':
      return each(value, (item) => integerBytes(item, 2, 0, 0xffff));
    case 'domains':
      return each(value, domainBytes);
    case 'routes':
      return each(value, routeBytes);
    case 'hex':
      return hexBytes(value);
  }
}

function complaint(value: unknown, wanted: string): Complaint {
  return `has ${JSON.stringify(value) ?? 'nothing'}, which is not ${wanted}`;
}

/** A single value is a list of one. */
function each(value: unknown, bytesOf: (item: unknown) => Buffer | Complaint): Buffer | Complaint {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (items.length === 0) return 'has an empty list';
  const parts: Buffer[] = [];
  for (const item of items) {
    const bytes = bytesOf(item);
    if (typeof bytes === 'string') return bytes;
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

function ipBytes(value: unknown): Buffer | Complaint {
  const address = typeof value === 'string' ? parseIpv4(value.trim()) : undefined;
  return address === undefined ? complaint(value, 'an IPv4 address') : ipv4Bytes(address);
}

function integerBytes(value: unknown, size: 1 | 2 | 4, least: number, most: number): Buffer | Complaint {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
    return complaint(value, `a whole number from ${least} to ${most}`);
  const bytes = Buffer.alloc(size);
  if (least < 0) bytes.writeIntBE(value, 0, size);
  else bytes.writeUIntBE(value, 0, size);
  return bytes;
}

/** YAML reads `252: 5` as a number; as text it is its digits. NUL would end the text in most clients. */
function textBytes(value: unknown): Buffer | Complaint {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string' || text === '' || text.includes('\0')) return complaint(value, 'text');
  return Buffer.from(text, 'utf8');
}

/** RFC 1035 3.1: labels of 1 to 63 bytes, 255 in all. No compression: RFC 3397 allows it, and some clients cannot read it. */
function domainBytes(value: unknown): Buffer | Complaint {
  const labels = typeof value === 'string' ? value.replace(/\.$/, '').split('.') : [];
  const length = labels.reduce((sum, label) => sum + 1 + label.length, 1);
  if (length > 255 || labels.length === 0 || !labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label))) {
    return complaint(value, 'a domain name');
  }
  return Buffer.concat([...labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, 'latin1')]), Buffer.alloc(1)]);
}

/** RFC 3442: prefix length, as many bytes of the network as it covers, router. */
function routeBytes(value: unknown): Buffer | Complaint {
  const [network, router, ...more] = typeof value === 'string' ? value.trim().split(/\s+(?:via\s+)?/) : [];
  const cidr = parseCidr(network === 'default' ? '0.0.0.0/0' : (network ?? ''));
  const via = parseIpv4(router ?? '');
  if (cidr === undefined || via === undefined || more.length > 0) return complaint(value, 'a network and a router');
  const significant = ipv4Bytes(networkAddress(cidr)).subarray(0, Math.ceil(cidr.prefix / 8));
  return Buffer.concat([Buffer.from([cidr.prefix]), significant, ipv4Bytes(via)]);
}

/** An empty value is possible: some options only have to be there. */
function hexBytes(value: unknown): Buffer | Complaint {
  const digits = typeof value === 'string' ? value.replace(/^hex:/, '').replaceAll(/[\s:-]/g, '') : '?';
  return /^([0-9a-f]{2})*$/i.test(digits) ? Buffer.from(digits, 'hex') : complaint(value, 'bytes in hex');
}
