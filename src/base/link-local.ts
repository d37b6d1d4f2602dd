// The IPv6 link-local address of one of this machine's interfaces, from the kernel's table (proc(5), /proc/net/if_inet6; RFC 4862).
// os.networkInterfaces() leaves out interfaces without a carrier and does not tell an address that is still being checked from one in use.
import { readFileSync } from 'node:fs';
import { systemCode } from './errors.ts';

export type LinkLocal =
  | { readonly kind: 'address'; readonly address: Buffer }
  /** Duplicate address detection runs, a second or two after the link came up: it may not be used yet (RFC 4862 5.4). */
  | { readonly kind: 'tentative' }
  | { readonly kind: 'none' };

/** RFC 4291 2.5.6 as the kernel writes it, IPV6_ADDR_LINKLOCAL. */
const linkScope = 0x20;
/** linux/if_addr.h */
const flag = { optimistic: 0x04, duplicate: 0x08, tentative: 0x40 } as const;

/** Reads the table now: addresses come and go with the link. */
export function linkLocal(name: string): LinkLocal {
  let table: string;
  try {
    table = readFileSync('/proc/net/if_inet6', 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { kind: 'none' }; // a kernel without IPv6
    throw error;
  }
  return linkLocalIn(table, name);
}

/** The same for a given table: address, index, prefix length, scope and flags in hex, name. */
export function linkLocalIn(table: string, name: string): LinkLocal {
  let found: LinkLocal = { kind: 'none' };
  for (const line of table.split('\n')) {
    const [address = '', , , scope = '', flags = '', device] = line.trim().split(/\s+/);
    if (device !== name || Number.parseInt(scope, 16) !== linkScope || !/^[0-9a-f]{32}$/.test(address)) continue;
    const state = Number.parseInt(flags, 16);
    if ((state & flag.duplicate) !== 0) continue;
    if ((state & flag.tentative) === 0 || (state & flag.optimistic) !== 0) return { kind: 'address', address: Buffer.from(address, 'hex') };
    found = { kind: 'tentative' };
  }
  return found;
}
