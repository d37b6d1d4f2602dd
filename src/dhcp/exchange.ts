// One exchange as the rules see it: what was asked, what is said to it, and the same in the field's words for the log and for who watches.
import { type Ipv4, ipv4Any, type Mac } from '../base/addresses.ts';
import type { DhcpPacket } from './packet.ts';
import type { BootClient, Writable } from './pxe.ts';
import type { DhcpHost, DhcpQuestions, Leases } from './questions.ts';
import type { RelayInformation } from './relay.ts';
import type { Route } from './route.ts';

export interface DhcpContext {
  /** Our address on the network that the datagram came from: the server identifier (54). */
  readonly server: Ipv4;
  /** Names, in lower case, that a BOOTP request may call us by in `sname` (RFC 951 section 7.3). */
  readonly names: readonly string[];
  readonly questions: DhcpQuestions;
  readonly leases: Leases;
  /** Milliseconds, on the clock of the leases. */
  readonly now: number;
  /** The port that the datagram came to. 4011 is for PXE boot server requests alone. */
  readonly port: 67 | 4011;
}

/** Why a datagram got no reply, or a NAK. */
export type DhcpReason =
  /** Not from a client: another server's reply, or a message type that servers send or that nobody here knows (DHCPLEASEQUERY). */
  | 'not-a-request'
  /** Nothing in it says which machine it is: no address that a card can have, no client identifier, no UUID. */
  | 'no-mac'
  /** Nobody has registered this machine, and its network gives strangers nothing. */
  | 'unknown-machine'
  /** It is to be registered; what it asks after that is answered. */
  | 'registering'
  /** Its network has no dynamic range. */
  | 'no-pool'
  /** It asks from a network that the farm does not have. */
  | 'no-network'
  /** DHCP is off in its network. */
  | 'off'
  /** Another server gives addresses in its network; we only say what to boot, and to whom that asks for it. */
  | 'proxy'
  /** It takes another server's offer, or calls another by name. */
  | 'other-server'
  /** The address is of another network than the one it asks from. */
  | 'wrong-network'
  /** It wants to use an address that is not its own. */
  | 'wrong-address'
  /** It says of no address that it wants it, or of one that cannot be. */
  | 'no-address'
  /** The server has no record of its lease, and another may have (RFC 2131 4.3.2). */
  | 'no-lease'
  /** An address is being probed for it; it asks again. */
  | 'probing'
  /** The dynamic range has no free address. */
  | 'pool-full'
  /** There is nothing for it to boot. */
  | 'no-boot-file'
  /** An option is not what its RFC says. */
  | 'malformed';

/** One exchange in the field's words, for the log and for who watches. */
export interface DhcpExchange {
  readonly event:
    | 'dhcp.offer'
    | 'dhcp.ack'
    | 'dhcp.nak'
    | 'dhcp.inform'
    | 'bootp.reply'
    | 'dhcp.proxy-offer'
    | 'dhcp.boot-server'
    | 'dhcp.decline'
    | 'dhcp.release'
    | 'dhcp.other-server'
    | 'dhcp.ignore';
  /** What was asked: `DISCOVER`, `REQUEST`, ..., `BOOTP`. */
  readonly asked: string;
  readonly client: BootClient;
  readonly mac?: Mac;
  readonly relay?: Ipv4;
  readonly host?: DhcpHost;
  /** The address given, refused, declined or released. */
  readonly address?: Ipv4;
  /** The boot file's name or URL. */
  readonly file?: string;
  readonly reason?: DhcpReason;
  /** A clause for people. */
  readonly detail?: string;
  /** Options that were due and did not fit into the client's message size. */
  readonly omitted?: readonly number[];
  /** The server whose offer it took, or that sent a reply here. */
  readonly otherServer?: Ipv4;
}

export type DhcpAnswer =
  | {
      readonly kind: 'reply';
      readonly packet: DhcpPacket;
      readonly route: Route;
      /** It promises a dynamic lease: to be sent only when the lease is on the disk. */
      readonly commits: boolean;
      readonly exchange: DhcpExchange;
    }
  | { readonly kind: 'silence'; readonly exchange: DhcpExchange };

/** What is known of the asker before anything is decided. */
export interface Asked {
  readonly request: DhcpPacket;
  readonly context: DhcpContext;
  readonly client: BootClient;
  readonly asked: string;
  readonly mac: Mac | undefined;
}

/** An asked message after the relay's part of it was read. */
export interface Located extends Asked {
  readonly information: RelayInformation;
  /** An address of the network it asks from. */
  readonly link: Ipv4;
  /** What we sign as. */
  readonly self: Ipv4;
}

export function exchange(event: DhcpExchange['event'], { asked, client, mac, request }: Asked, more: Partial<DhcpExchange>): DhcpExchange {
  const told: Writable<DhcpExchange> = { event, asked, client };
  if (mac !== undefined) told.mac = mac;
  if (request.giaddr !== ipv4Any) told.relay = request.giaddr;
  return Object.assign(told, more);
}

export function ignore(asked: Asked, reason: DhcpReason, detail: string, host?: DhcpHost): DhcpAnswer {
  return { kind: 'silence', exchange: exchange('dhcp.ignore', asked, { reason, detail, ...(host === undefined ? {} : { host }) }) };
}
