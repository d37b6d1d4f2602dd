// Tagged names, `file$$KEY=value$$`: what a name says, and how well it fits a client. After ClusterNFS (2000) and unfs3's tags(7).
import { type Cidr, type Ipv4, inNetwork, type Mac, networkAddress, parseCidr, parseIpv4, parseMac } from '../base/addresses.ts';
import { globMatches, literals } from './glob.ts';

/** Who asks: the names, addresses and groups that a tag may speak of. */
export interface TagClient {
  readonly address: Ipv4;
  /** Short host name, `n1`. */
  readonly host: string;
  /** Full host name, `n1.farm.lan`; equal to `host` in a farm without a domain. */
  readonly fqdn: string;
  readonly mac: Mac | undefined;
  /** The node's profile, then its tags: the first that a name speaks of counts most. */
  readonly groups: readonly string[];
  /** Of the request, where it is known; the primary group is the first of `gids`. */
  readonly user?: { readonly uid: number; readonly gids: readonly number[] };
}

export type Tag =
  | { readonly kind: 'uid'; readonly uid: number }
  | { readonly kind: 'gid'; readonly gid: number }
  | { readonly kind: 'ip'; readonly address: Ipv4 }
  | { readonly kind: 'mac'; readonly mac: Mac }
  /** Without host bits. */
  | { readonly kind: 'network'; readonly network: Cidr }
  /** A full or a short name, lower case. */
  | { readonly kind: 'host'; readonly name: string }
  | { readonly kind: 'glob'; readonly pattern: string }
  | { readonly kind: 'group'; readonly group: string }
  | { readonly kind: 'client' };

export interface TaggedName {
  /** The name that clients see. */
  readonly plain: string;
  readonly tag: Tag;
}

/**
 * The order in which versions of a name are tried, best first. This table is the order: `fitOf` ranks by it, the index searches by it, and
 * docs/decisions/tags.md shows it (a test compares). Of two that fit equally well, the name that is first in byte order wins.
 */
export const order = [
  { row: 'uid', tag: '$$UID=n$$', fits: 'the user id of the request is n' },
  { row: 'gid', tag: '$$GID=n$$', fits: 'the user is in group n; the primary group first, then by number' },
  { row: 'ip', tag: '$$IP=a.b.c.d$$', fits: 'the address of the client' },
  { row: 'mac', tag: '$$MAC=aa:bb:cc:dd:ee:ff$$', fits: 'the MAC address that farm.yaml has for the node' },
  { row: 'network', tag: '$$IP=a.b.c.d_n$$', fits: 'the address is in the network, n = 0 to 32; longest prefix first' },
  { row: 'fqdn', tag: '$$HOST=name.domain$$', fits: 'the full host name' },
  { row: 'short', tag: '$$HOST=name$$', fits: 'the short host name' },
  { row: 'group', tag: '$$GROUP=name$$', fits: "the node's profile, those that it inherits from, then its tags in their order" },
  { row: 'glob', tag: '$$HOST=glob$$', fits: 'the short or the full name matches `*` and `?`; most other characters first, then fewest `*`' },
  { row: 'client', tag: '$$CLIENT$$', fits: 'every client' },
] as const;

export type OrderRow = (typeof order)[number]['row'];

const rowNumber = Object.fromEntries(order.map(({ row }, index) => [row, index])) as Readonly<Record<OrderRow, number>>;

/** Splits a tagged name; undefined for a name without a tag that we know, which is then an ordinary name. */
export function parseTaggedName(name: string): TaggedName | undefined {
  // By hand: it is asked for every name, several times.
  const end = name.length - 2;
  if (end < 3 || !name.endsWith('$$')) return undefined;
  const start = name.lastIndexOf('$$', end - 2);
  if (start < 1 || name.indexOf('$', start + 2) !== end) return undefined;
  const equals = name.indexOf('=', start);
  const tag = equals < 0 ? parseTag(name.slice(start + 2, end), undefined) : parseTag(name.slice(start + 2, equals), name.slice(equals + 1, end));
  return tag === undefined ? undefined : { plain: name.slice(0, start), tag };
}

function parseTag(key: string, value: string | undefined): Tag | undefined {
  if (value === undefined) return key === 'CLIENT' ? { kind: 'client' } : undefined;
  if (value === '') return undefined;
  switch (key) {
    case 'UID': {
      const uid = parseId(value);
      return uid === undefined ? undefined : { kind: 'uid', uid };
    }
    case 'GID': {
      const gid = parseId(value);
      return gid === undefined ? undefined : { kind: 'gid', gid };
    }
    case 'IP':
      return parseAddress(value);
    case 'MAC': {
      const mac = parseMac(value);
      return mac === undefined ? undefined : { kind: 'mac', mac };
    }
    case 'HOST':
      return /[*?]/.test(value) ? { kind: 'glob', pattern: value.toLowerCase() } : { kind: 'host', name: value.toLowerCase() };
    case 'GROUP':
      return { kind: 'group', group: value };
    default:
      return undefined;
  }
}

/** Ids are 32 bits (RFC 5531 AUTH_SYS). */
function parseId(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= 0xffff_ffff ? Number(text) : undefined;
}

/** `10.0.0.7`, or `10.0.0.0_24`; bits behind the prefix mean nothing, as in the address of an interface. */
function parseAddress(value: string): Tag | undefined {
  const address = parseIpv4(value);
  if (address !== undefined) return { kind: 'ip', address };
  const network = value.includes('/') ? undefined : parseCidr(value.replace('_', '/'));
  return network === undefined ? undefined : { kind: 'network', network: { address: networkAddress(network), prefix: network.prefix } };
}

/** How well a tag fits: the smaller row wins, within a row the smaller `within`. */
export interface Fit {
  readonly row: number;
  readonly within: number;
}

function at(row: OrderRow, within = 0): Fit {
  return { row: rowNumber[row], within };
}

function gidFit(gid: number, { user }: TagClient): Fit | undefined {
  if (user === undefined || !user.gids.includes(gid)) return undefined;
  return at('gid', gid === user.gids[0] ? 0 : 1 + gid);
}

/** Of a lower-case pattern. */
export function matchesHost(pattern: string, { host, fqdn }: Pick<TagClient, 'host' | 'fqdn'>): boolean {
  return globMatches(pattern, host.toLowerCase()) || globMatches(pattern, fqdn.toLowerCase());
}

/** undefined: the tag does not speak of this client. */
export function fitOf(tag: Tag, client: TagClient): Fit | undefined {
  switch (tag.kind) {
    case 'uid':
      return tag.uid === client.user?.uid ? at('uid') : undefined;
    case 'gid':
      return gidFit(tag.gid, client);
    case 'ip':
      return tag.address === client.address ? at('ip') : undefined;
    case 'mac':
      return tag.mac === client.mac ? at('mac') : undefined;
    case 'network':
      return inNetwork(tag.network, client.address) ? at('network', 32 - tag.network.prefix) : undefined;
    case 'host':
      return tag.name === client.fqdn.toLowerCase() ? at('fqdn') : tag.name === client.host.toLowerCase() ? at('short') : undefined;
    case 'group':
      return client.groups.includes(tag.group) ? at('group', client.groups.indexOf(tag.group)) : undefined;
    case 'glob':
      return matchesHost(tag.pattern, client) ? at('glob', vagueness(tag.pattern)) : undefined;
    case 'client':
      return at('client');
  }
}

/** Smaller for a pattern that says more. A name has at most 255 characters, so 256 keeps the two apart. */
export function vagueness(pattern: string): number {
  return (255 - literals(pattern)) * 256 + pattern.split('*').length - 1;
}

/** What a name says of how others are found and made: `file$$ALWAYS=IP$$`, `$$CREATE=CLIENT$$` (for a whole directory). */
export interface Directive {
  /** The name it is about; empty: all names of the directory. */
  readonly plain: string;
  readonly rule: 'ALWAYS' | 'CREATE';
  readonly as: 'IP' | 'CLIENT';
}

/** As unfs3 has them: no other values. */
export function parseDirective(name: string): Directive | undefined {
  if (!name.endsWith('=IP$$') && !name.endsWith('=CLIENT$$')) return undefined;
  const [, plain, rule, as] = /^(.*)\$\$(ALWAYS|CREATE)=(IP|CLIENT)\$\$$/s.exec(name) ?? [];
  if (plain === undefined || (rule !== 'ALWAYS' && rule !== 'CREATE') || (as !== 'IP' && as !== 'CLIENT')) return undefined;
  return { plain, rule, as };
}

/** The name of a client's version as ALWAYS and CREATE make it. */
export function versionName(plain: string, as: Directive['as'], client: Pick<TagClient, 'address'>): string {
  return as === 'IP' ? `${plain}$$IP=${client.address}$$` : `${plain}$$CLIENT$$`;
}

/** `name$$$$` is always the plain file (tags(7)): its name, or undefined if `name` is not of that shape. */
export function plainOf(name: string): string | undefined {
  return name.length > 4 && name.endsWith('$$$$') ? name.slice(0, -4) : undefined;
}

/** A version of a file or a directive: no client sees or makes it under this name. */
export function isHiddenName(name: string): boolean {
  return parseTaggedName(name) !== undefined || parseDirective(name) !== undefined;
}
