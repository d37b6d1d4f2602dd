// What the DHCP rules ask of the farm and of its leases. Numbers in brackets are the DHCP options that a field becomes.
import type { Cidr, Ipv4, Mac } from '../base/addresses.ts';
import type { BootClient } from './pxe.ts';

/** A machine as far as it says who it is, and where it asks from. */
export interface DhcpAsker {
  /** Absent over InfiniBand, whose hardware addresses do not fit (RFC 4390). */
  readonly mac?: Mac;
  /** (61) */
  readonly clientId?: Buffer;
  /** (97) */
  readonly uuid?: string;
  /** The relay agent that passed the request on: giaddr. */
  readonly relay?: Ipv4;
  /** An address of the network it is on: RFC 3527 link selection (82.5), else RFC 3011 (118), else giaddr, else our own address. */
  readonly link: Ipv4;
  /** (82.1), as the relay wrote it. */
  readonly circuitId?: Buffer;
  /** (82.2) */
  readonly remoteId?: Buffer;
  /** (12) */
  readonly hostName?: string;
  readonly client: BootClient;
}

/** An option that somebody wrote into the farm's configuration. */
export interface CustomOption {
  readonly code: number;
  readonly value: Buffer;
  /** Sent even to clients that do not ask for it. */
  readonly always: boolean;
}

export interface DhcpHost {
  /** Short name (12). Absent: a dynamic lease of a machine that nobody registered. */
  readonly name?: string;
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
  /** Sent in place of what the fields above become; one code at most once. */
  readonly options: readonly CustomOption[];
}

/** Where addresses of machines that are in no registry come from. */
export interface Pool {
  readonly name: string;
  readonly first: Ipv4;
  readonly last: Ipv4;
  readonly subnet: Cidr;
  readonly leaseSeconds: number;
  /** Whether a registered machine, or the farm itself, has this address: it is never leased. */
  isReserved(address: Ipv4): boolean;
  /** Everything but address and lease. */
  readonly host: Omit<DhcpHost, 'address' | 'leaseSeconds' | 'name'>;
}

export type Placement =
  /** A registered machine and its address. */
  | { readonly kind: 'host'; readonly host: DhcpHost }
  /** Any other machine that may have an address. */
  | { readonly kind: 'pool'; readonly pool: Pool }
  | {
      readonly kind: 'nobody';
      readonly reason: 'unknown-machine' | 'registering' | 'no-pool' | 'no-network';
      /** A clause for people. */
      readonly detail: string;
    };

export type BootFile =
  /** `siaddr` and `file`, and (66) (67) if asked for. */
  | { readonly kind: 'tftp'; readonly server: Ipv4; readonly file: string }
  /** (67), and `file` if it fits. */
  | { readonly kind: 'url'; readonly url: string };

/** Why a machine gets an address and nothing to boot: a clause for the log. */
export interface NothingToBoot {
  readonly kind: 'nothing';
  readonly reason: string;
}

/** `full`: we give addresses; `proxy`: another server does, and we add what is to be booted; `off`: we are silent. */
export type DhcpMode = 'full' | 'proxy' | 'off';

/** All answer at once and from memory: they are asked for every datagram. */
export interface DhcpQuestions {
  place(asker: DhcpAsker): Placement;
  /** undefined: an address but nothing to boot, and nothing to say of it. */
  bootFile(client: BootClient, host: DhcpHost): BootFile | NothingToBoot | undefined;
  mode(link: Ipv4): DhcpMode;
}

/** Who asks for a dynamic address, and for which. */
export interface LeaseClaim {
  /** The client identifier (61) in hex, else hardware type and address: RFC 2131 section 4.2. */
  readonly key: string;
  readonly mac?: Mac;
  readonly pool: Pool;
  /** The address it would like (50). */
  readonly wanted?: Ipv4;
  readonly hostName?: string;
  /** Rapid commit (80): the offer is the lease. */
  readonly rapid?: boolean;
}

export type LeaseOffer =
  | { readonly kind: 'address'; readonly address: Ipv4 /** `Infinity` for a lease without end. */; readonly seconds: number }
  /** The address is being probed; the client asks again. */
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'full'; readonly why: string };

export type LeaseGrant =
  | { readonly kind: 'granted'; readonly address: Ipv4; readonly seconds: number }
  | { readonly kind: 'refused'; readonly why: string }
  /** No record of this client: RFC 2131 4.3.2 wants silence in INIT-REBOOT. */
  | { readonly kind: 'unknown' };

/** Dynamic leases as the rules ask for them: state without I/O that is handed `now`, in milliseconds. */
export interface Leases {
  offer(claim: LeaseClaim, now: number): LeaseOffer;
  request(claim: LeaseClaim & { readonly address: Ipv4 }, now: number): LeaseGrant;
  /** false: it was not this client's to give back. */
  release(claim: LeaseClaim & { readonly address: Ipv4 }, now: number): boolean;
  decline(claim: LeaseClaim & { readonly address: Ipv4 }, now: number): boolean;
  /** A client took another server's offer of this address: it is in use on the wire, whoever gave it. */
  overheard(address: Ipv4, server: Ipv4, now: number): void;
}
