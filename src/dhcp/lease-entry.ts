// The lines of the lease journal. Each gives the whole state of one address, so that the last one counts.
import { type Ipv4, type Mac, parseIpv4, parseMac } from '../base/addresses.ts';

/** `net` had `address` leased to `key`. Times are lease time in milliseconds. */
export interface LeaseLine {
  readonly lease: Ipv4;
  readonly net: string;
  readonly key: string;
  readonly mac?: Mac;
  readonly host?: string;
  readonly at: number;
  /** null: without end. */
  readonly end: number | null;
  /** It ended because its owner gave it back. */
  readonly released?: true;
}

/** A client found `address` in use by somebody else. It belongs to nobody and is not given before `end`. */
export interface DeclineLine {
  readonly declined: Ipv4;
  readonly net: string;
  readonly at: number;
  readonly end: number;
}

export type LeaseEntry = LeaseLine | DeclineLine;

/** A line as it was read, or undefined if it is none of these. */
export function parseLeaseEntry(value: unknown): LeaseEntry | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const field = (name: string): unknown => Reflect.get(value, name);
  const net = field('net');
  const at = field('at');
  const end = field('end');
  if (typeof net !== 'string' || !isTime(at) || (end !== null && !isTime(end))) return undefined;
  const declined = address(field('declined'));
  if (declined !== undefined) return end === null ? undefined : { declined, net, at, end };
  const lease = address(field('lease'));
  const key = field('key');
  const mac = field('mac');
  const host = field('host');
  if (lease === undefined || typeof key !== 'string') return undefined;
  const macAddress = typeof mac === 'string' ? parseMac(mac) : undefined;
  return {
    lease,
    net,
    key,
    ...(macAddress === undefined ? {} : { mac: macAddress }),
    ...(typeof host === 'string' ? { host } : {}),
    at,
    end,
    ...(field('released') === true ? { released: true } : {}),
  };
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function address(value: unknown): Ipv4 | undefined {
  return typeof value === 'string' ? parseIpv4(value) : undefined;
}
