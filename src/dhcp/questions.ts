// What the DHCP service asks of the farm. Numbers in brackets are the DHCP options that a field becomes.
import type { Cidr, Ipv4, Mac } from '../base/addresses.ts';
import type { BootClient } from './pxe.ts';

/** A machine as far as it says who it is. */
export interface DhcpAsker {
  readonly mac: Mac;
  /** The relay agent's address on the machine's own network; absent if the machine is on ours. */
  readonly relay?: Ipv4;
  readonly uuid?: string;
}

export interface DhcpHost {
  /** Short name (12). */
  readonly name: string;
  /** The address it always gets. */
  readonly address: Ipv4;
  /** Its network: mask (1) and broadcast address (28). */
  readonly subnet: Cidr;
  /** The farm's address as this machine reaches it; `siaddr` when no boot file names another. */
  readonly server: Ipv4;
  /** (3) */
  readonly routers: readonly Ipv4[];
  /** (6) */
  readonly nameServers: readonly Ipv4[];
  /** (15) */
  readonly domain?: string;
  /** (51); `Infinity` for a lease without end. */
  readonly leaseSeconds: number;
  /** (17), e.g. `10.11.0.1:/srv/root,v3`. */
  readonly rootPath?: string;
}

export type BootFile =
  /** `siaddr` and `file`, and (66) (67) if asked for. */
  | { readonly kind: 'tftp'; readonly server: Ipv4; readonly file: string }
  /** (67), and `file` if it fits. */
  | { readonly kind: 'url'; readonly url: string };

/** Both answer at once and from memory: they are asked for every datagram. */
export interface DhcpQuestions {
  /** undefined: not one of ours, no reply. */
  host(asker: DhcpAsker): DhcpHost | undefined;
  /** undefined: an address but nothing to boot. */
  bootFile(client: BootClient, host: DhcpHost): BootFile | undefined;
}
