// Where a reply goes: RFC 2131 section 4.1, for BOOTP RFC 1542 section 4.
import { type Ipv4, ipv4Any } from '../base/addresses.ts';
import { broadcastFlag, type DhcpPacket } from './packet.ts';

export type Route =
  /** To the relay agent, on the servers' port. */
  | { readonly kind: 'relay'; readonly address: Ipv4 }
  /** To a client that has this address and answers ARP for it. */
  | { readonly kind: 'unicast'; readonly address: Ipv4 }
  | { readonly kind: 'broadcast' }
  /**
   * To a client that has no address yet but takes a frame sent to its hardware address. That needs a raw frame: through a UDP socket the
   * kernel would first ask by ARP for an address that nobody has. The server of today carries it out as `broadcast`, which every client
   * takes (RFC 2131 4.1 allows it); a later one sends the frame.
   */
  | { readonly kind: 'unconfigured'; readonly address: Ipv4 };

export type ReplyKind = 'offer' | 'ack' | 'nak' | 'inform' | 'bootp';

/** `yiaddr` is the address in the reply; `inform` is the ACK to an INFORM. */
export function replyRoute(request: DhcpPacket, kind: ReplyKind, yiaddr: Ipv4): Route {
  // RFC 2131 4.3.5: the answer to INFORM goes straight to ciaddr, even if a relay passed it on.
  if (kind === 'inform') return { kind: 'unicast', address: request.ciaddr };
  if (request.giaddr !== ipv4Any) return { kind: 'relay', address: request.giaddr };
  // A client that is told to drop its address may not own it: only a broadcast is sure to reach it.
  if (kind === 'nak') return { kind: 'broadcast' };
  if (request.ciaddr !== ipv4Any) return { kind: 'unicast', address: request.ciaddr };
  if ((request.flags & broadcastFlag) !== 0) return { kind: 'broadcast' };
  return { kind: 'unconfigured', address: yiaddr };
}
