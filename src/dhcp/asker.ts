// Who asks and from where: RFC 2131 section 4.2, RFC 4390 (InfiniBand), RFC 6842, and the relay's part of it (relay.ts).
import { type Ipv4, ipv4Any, type Mac } from '../base/addresses.ts';
import { WireError } from '../base/errors.ts';
import type { DhcpContext, Located } from './exchange.ts';
import { messageTypes, option, readAddress, readText } from './options.ts';
import type { DhcpPacket } from './packet.ts';
import type { Writable } from './pxe.ts';
import type { DhcpAsker, LeaseClaim, Pool } from './questions.ts';
import { hasCardAddress } from './route.ts';

/** RFC 2132 9.14 wants two bytes at least; nothing in use is longer than a DUID, which ends at 130 (RFC 8415 11.1). */
const longestIdentifier = 255;
const infiniBand = 32;
const discover = 1;

export function macOf(request: DhcpPacket): Mac | undefined {
  if (!hasCardAddress(request)) return undefined;
  const hex = request.chaddr.toString('hex');
  return `${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}:${hex.slice(6, 8)}:${hex.slice(8, 10)}:${hex.slice(10)}` as Mac;
}

/** `DISCOVER`, ..., or `BOOTP` for a request without option 53. */
export function askedBy(request: DhcpPacket): string {
  const type = request.options.get(option.messageType);
  return type === undefined ? 'BOOTP' : messageTypes[type[0] ?? 0] || `type ${type.toString('hex')}`;
}

/** An address of the network that the client is on. */
export function linkOf(request: DhcpPacket, { server, questions }: DhcpContext, told: Ipv4 | undefined): Ipv4 {
  if (told !== undefined) return told;
  // RENEWING comes straight through a router, without giaddr: what is left to go by is the client's own address. Who has none yet is where it asks.
  const { ciaddr } = request;
  const isBound = ciaddr !== ipv4Any && (request.options.get(option.messageType)?.[0] ?? discover) !== discover;
  return isBound && questions.mode(ciaddr) !== 'off' ? ciaddr : server;
}

/** undefined: nothing in it says which machine it is. Throws `WireError` for an identifier that is none. */
export function askerOf({ request, client, information, link, mac }: Located): DhcpAsker | undefined {
  const clientId = identifierOf(request);
  // RFC 4390 2.1: over InfiniBand there is nothing else to know a client by.
  if (mac === undefined && clientId === undefined && (request.htype === infiniBand || client.uuid === undefined)) return undefined;
  const asker: Writable<DhcpAsker> = { link, client };
  if (mac !== undefined) asker.mac = mac;
  if (clientId !== undefined) asker.clientId = clientId;
  if (client.uuid !== undefined) asker.uuid = client.uuid;
  if (request.giaddr !== ipv4Any) asker.relay = request.giaddr;
  if (information.circuitId !== undefined) asker.circuitId = information.circuitId;
  if (information.remoteId !== undefined) asker.remoteId = information.remoteId;
  const hostName = hostNameOf(request);
  if (hostName !== undefined) asker.hostName = hostName;
  return asker;
}

function identifierOf(request: DhcpPacket): Buffer | undefined {
  const value = request.options.get(option.clientIdentifier);
  if (value !== undefined && value.length > longestIdentifier) throw new WireError('dhcp.option', 0, `client identifier of ${value.length} bytes`);
  return value === undefined || value.length < 2 ? undefined : value;
}

/** The first label, if it is a host name: anything else is of no use to anybody. */
function hostNameOf(request: DhcpPacket): string | undefined {
  if (!request.options.has(option.hostName)) return undefined;
  const label = readText(request.options, option.hostName)?.split('.', 1)[0] ?? '';
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(label) ? label.toLowerCase() : undefined;
}

/**
 * A claim for a dynamic address; undefined for a client that only a UUID tells from others. The hardware type is written before the hardware address,
 * so that a ROM without an identifier and a system whose identifier is that very address (RFC 2132 9.14, type 1) are one client.
 */
export function claimOf(request: DhcpPacket, asker: DhcpAsker, pool: Pool, rapid = false): LeaseClaim | undefined {
  const { clientId, mac } = asker;
  if (clientId === undefined && mac === undefined) return undefined;
  const claim: Writable<LeaseClaim> = {
    key: clientId?.toString('hex') ?? `${request.htype.toString(16).padStart(2, '0')}${request.chaddr.toString('hex')}`,
    pool,
  };
  if (mac !== undefined) claim.mac = mac;
  const wanted = readAddress(request.options, option.requestedAddress);
  if (wanted !== undefined && wanted !== ipv4Any) claim.wanted = wanted;
  if (asker.hostName !== undefined) claim.hostName = asker.hostName;
  if (rapid) claim.rapid = true;
  return claim;
}
