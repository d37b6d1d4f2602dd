// Tagged names, `file$$KEY=value$$`: which of several versions of a file a client gets. After ClusterNFS (2000) and unfs3's tags(7).
import { type Cidr, type Ipv4, inNetwork, parseCidr, parseIpv4 } from '../base/addresses.ts';

/** Who asks: the names and addresses that a tag may speak of. */
export interface TagClient {
  readonly address: Ipv4;
  /** Short host name, `n1`. */
  readonly host: string;
  /** Full host name, `n1.farm.lan`; equal to `host` in a farm without a domain. */
  readonly fqdn: string;
}

export type Tag =
  | { readonly kind: 'ip'; readonly address: Ipv4 }
  | { readonly kind: 'network'; readonly network: Cidr }
  | { readonly kind: 'host'; readonly pattern: string }
  | { readonly kind: 'client' };

export interface TaggedName {
  /** The name that clients see. */
  readonly plain: string;
  readonly tag: Tag;
}

const shape = /^(.+)\$\$(IP|HOST|CLIENT)(?:=([^$]+))?\$\$$/s;

/** Splits a tagged name; undefined for a name without a tag that we know, which is then an ordinary name. */
export function parseTaggedName(name: string): TaggedName | undefined {
  if (!name.endsWith('$$')) return undefined;
  const [, plain, key, value] = shape.exec(name) ?? [];
  if (plain === undefined) return undefined;
  const tag = parseTag(key, value);
  return tag === undefined ? undefined : { plain, tag };
}

function parseTag(key: string | undefined, value: string | undefined): Tag | undefined {
  if (key === 'CLIENT') return value === undefined ? { kind: 'client' } : undefined;
  if (value === undefined) return undefined;
  if (key === 'HOST') return { kind: 'host', pattern: value.toLowerCase() };
  const address = parseIpv4(value);
  if (address !== undefined) return { kind: 'ip', address };
  const network = parseCidr(value.replace('_', '/'));
  return network === undefined ? undefined : { kind: 'network', network };
}

/** The plain name comes last, behind every tag that matches. */
export const plainRank = 1_000_000;

/**
 * How well a tag fits a client: the smallest rank wins, undefined means that it does not match.
 * Order: IP, networks by longest prefix, full host name, short host name, longest wildcard, CLIENT, plain name.
 */
export function tagRank(tag: Tag, client: TagClient): number | undefined {
  switch (tag.kind) {
    case 'ip':
      return tag.address === client.address ? 0 : undefined;
    case 'network':
      return inNetwork(tag.network, client.address) ? 100 - tag.network.prefix : undefined;
    case 'host':
      return hostRank(tag.pattern, client);
    case 'client':
      return 10_000;
  }
}

function hostRank(pattern: string, client: TagClient): number | undefined {
  if (!/[*?]/.test(pattern)) {
    if (pattern === client.fqdn.toLowerCase()) return 200;
    return pattern === client.host.toLowerCase() ? 201 : undefined;
  }
  const matches = globMatches(pattern, client.host.toLowerCase()) || globMatches(pattern, client.fqdn.toLowerCase());
  return matches ? 1000 - pattern.replace(/[*?]/g, '').length : undefined;
}

/** `*` and `?` as in a shell. Linear: no pattern can make it slow. */
export function globMatches(pattern: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let i = 0; i < text.length; ) {
    const wanted = pattern[at];
    if (wanted === '*') {
      star = at++;
      resume = i;
    } else if (wanted === '?' || wanted === text[i]) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
