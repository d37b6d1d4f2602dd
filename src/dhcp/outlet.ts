// Carries a reply out on the way that the rules chose (route.ts): a datagram, or a frame for a client that has no address yet.
import { type Ipv4, ipv4Any, ipv4Broadcast, type Mac, macBytes } from '../base/addresses.ts';
import { encodeUdpFrame, longestFramePayload } from './frame.ts';
import type { DhcpPacket } from './packet.ts';
import type { Route } from './route.ts';

export interface Endpoint {
  readonly address: Ipv4;
  readonly port: number;
}

export interface OutletOptions {
  /** Our address: the source of frames. */
  readonly server: Ipv4;
  /** Where relay agents listen, and the source port of frames. */
  readonly serverPort: number;
  readonly clientPort: number;
  /** Undefined or false: no frames now. */
  readonly frames: { readonly address: Mac | undefined; send(frame: Buffer): boolean } | undefined;
}

/** `sent`: a frame has gone. Otherwise where the datagram is to go, with the route that this really is. */
export type Delivery = { readonly kind: 'sent' } | { readonly kind: 'datagram'; readonly to: Endpoint; readonly route: Route['kind'] };

/** `source` is where the request came from. A frame that cannot be sent becomes a broadcast, which every client takes (RFC 2131 4.1). */
export function deliver(bytes: Buffer, packet: DhcpPacket, route: Route, source: Endpoint, options: OutletOptions): Delivery {
  const { serverPort, clientPort } = options;
  switch (route.kind) {
    case 'relay':
      return { kind: 'datagram', to: { address: route.address, port: serverPort }, route: 'relay' };
    case 'unicast':
      return { kind: 'datagram', to: { address: route.address, port: clientPort }, route: 'unicast' };
    case 'source':
      // A ROM without an address yet can hear a broadcast only.
      return { kind: 'datagram', to: source.address === ipv4Any ? { ...source, address: ipv4Broadcast } : source, route: 'source' };
    case 'broadcast':
      return { kind: 'datagram', to: { address: ipv4Broadcast, port: clientPort }, route: 'broadcast' };
    case 'unconfigured':
      if (sendFrame(bytes, packet, route.address, options)) return { kind: 'sent' };
      return { kind: 'datagram', to: { address: ipv4Broadcast, port: clientPort }, route: 'broadcast' };
  }
}

function sendFrame(payload: Buffer, { chaddr }: DhcpPacket, destination: Ipv4, { server, serverPort, clientPort, frames }: OutletOptions): boolean {
  const own = frames?.address;
  if (frames === undefined || own === undefined || payload.length > longestFramePayload) return false;
  const ports = { sourcePort: serverPort, destinationPort: clientPort };
  return frames.send(encodeUdpFrame({ toHardware: chaddr, fromHardware: macBytes(own), source: server, destination, ...ports, payload }));
}
