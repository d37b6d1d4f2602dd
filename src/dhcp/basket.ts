// Options put one by one into the room that a client has: RFC 2131 section 2, RFC 2132 section 9.10.
import { type Options, option, readU16 } from './options.ts';
import { type DhcpPacket, datagramLength, optionLength, shortestDatagram } from './packet.ts';

/** IP and UDP headers, which option 57 counts and the datagram does not. */
const headers = 28;
/** RFC 2131 section 2: what every client takes. */
const leastMessageSize = 576;
/** One Ethernet frame: ROMs put no fragments together, though OVMF claims to take 65,280 bytes. */
const mostMessageSize = 1500;

/** Bytes of datagram that the client takes. One that asks by BOOTP has 64 bytes for options; Linux' `ip=bootp` says in option 57 that it has more. */
export function roomFor(request: DhcpPacket): number {
  const claimed = readU16(request.options, option.maximumMessageSize) ?? 0;
  const least = request.options.has(option.messageType) ? leastMessageSize : shortestDatagram + headers;
  return Math.min(Math.max(claimed, least), mostMessageSize) - headers;
}

export interface Basket {
  readonly options: Map<number, Buffer>;
  /** Codes for which there was no room. */
  readonly omitted: number[];
  left: number;
}

export function basket(options: Map<number, Buffer>, room: number): Basket {
  return { options, omitted: [], left: room - datagramLength(options) };
}

/** The first value of a code counts. */
export function put(into: Basket, code: number, value: Buffer | undefined): void {
  if (value === undefined || into.options.has(code)) return;
  const length = optionLength(value);
  if (length > into.left) {
    into.omitted.push(code);
    return;
  }
  into.options.set(code, value);
  into.left -= length;
}

export function copyOption(to: Map<number, Buffer>, from: Options, code: number): void {
  const value = from.get(code);
  if (value !== undefined) to.set(code, value);
}
