// Where a reply goes: RFC 2131 section 4.1, for BOOTP RFC 1542 section 4, for proxies and boot servers PXE 2.1 section 2.2.3.
import { type Ipv4, ipv4Any } from '../base/addresses.ts';
import { broadcastFlag, type DhcpPacket } from './packet.ts';

export type Route =
  /** To the relay agent, on the servers' port. */
  | { readonly kind: 'relay'; readonly address: Ipv4 }
  /** To a client that has this address and answers ARP for it. */
  | { readonly kind: 'unicast'; readonly address: Ipv4 }
  | { readonly kind: 'broadcast' }
  /**
   * To a client that has no address yet but takes a frame sent to its hardware address (chaddr). That needs a raw frame: through a UDP socket
   * the kernel would first ask by ARP for an address that nobody has. Where it cannot be sent, `broadcast` does: every client takes it.
   */
  | { readonly kind: 'unconfigured'; readonly address: Ipv4 }
  /** To the address and port that the request came from, from the port it came to: clients send to port 4011 from 68 or from 4011. */
  | { readonly kind: 'source' };

export type ReplyKind = 'offer' | 'ack' | 'nak' | 'inform' | 'bootp' | 'proxy-offer' | 'boot-server';

/** `yiaddr` is the address in the reply; `inform` is the ACK to an INFORM, `boot-server` the one on port 4011. */
export function replyRoute(request: DhcpPacket, kind: ReplyKind, yiaddr: Ipv4): Route {
  if (kind === 'boot-server') return { kind: 'source' };
  // RFC 2131 4.3.5: the answer to INFORM goes straight to ciaddr, even if a relay passed it on.
  if (kind === 'inform') return { kind: 'unicast', address: request.ciaddr };
  if (request.giaddr !== ipv4Any) return { kind: 'relay', address: request.giaddr };
  // A client that is told to drop its address may not own it: only a broadcast is sure to reach it. A proxy gives no address to send to.
  if (kind === 'nak' || kind === 'proxy-offer') return { kind: 'broadcast' };
  if (request.ciaddr !== ipv4Any) return { kind: 'unicast', address: request.ciaddr };
  // RFC 4390: a hardware address that is not in chaddr cannot be sent to.
  if ((request.flags & broadcastFlag) !== 0 || !hasCardAddress(request)) return { kind: 'broadcast' };
  return { kind: 'unconfigured', address: yiaddr };
}

/** Whether chaddr is the address of one Ethernet (1) or IEEE 802 (6) card. Zero and group addresses belong to none; some broken ROMs send them. */
export function hasCardAddress({ htype, chaddr }: DhcpPacket): boolean {
  return (htype === 1 || htype === 6) && chaddr.length === 6 && ((chaddr[0] ?? 0) & 1) === 0 && chaddr.some((byte) => byte !== 0);
}
