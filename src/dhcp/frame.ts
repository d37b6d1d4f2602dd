// UDP in IPv4 in Ethernet, for a client that has no address yet and so answers no ARP: RFC 894, RFC 791 section 3.1, RFC 768.
import type { Ipv4 } from '../base/addresses.ts';
import { WireError } from '../base/errors.ts';

//   0            6            12        14
//   +------------+------------+---------+----------+---------+---------+
//   | to         | from       | 0x0800  | IPv4  20 | UDP   8 | payload |
//   +------------+------------+---------+----------+---------+---------+

export interface UdpFrame {
  /** Six bytes each. */
  readonly toHardware: Uint8Array;
  readonly fromHardware: Uint8Array;
  readonly source: Ipv4;
  readonly destination: Ipv4;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

const etherTypeIpv4 = 0x0800;
const ethernetHeader = 14;
const ipHeader = 20;
const udpHeader = 8;
const udpAt = ethernetHeader + ipHeader;
const payloadAt = udpAt + udpHeader;
const udp = 17;
/** RFC 1700's default. A reply crosses no router, but some filters find a TTL of 1 strange. */
const timeToLive = 64;
/** Do not fragment, which makes the identification field meaningless (RFC 6864). */
const dontFragment = 0x4000;

/** The longest payload that one Ethernet frame of 1500 bytes carries. */
export const longestFramePayload: number = 1500 - ipHeader - udpHeader;

/** The bytes of a frame with both checksums; the card pads what is shorter than Ethernet's 60. Throws `WireError` `frame.field`. */
export function encodeUdpFrame(frame: UdpFrame): Buffer {
  const { toHardware, fromHardware, source, destination, sourcePort, destinationPort, payload } = frame;
  if (toHardware.length !== 6 || fromHardware.length !== 6) throw new WireError('frame.field', 0, 'an Ethernet address has six bytes');
  if (payload.length > longestFramePayload) throw new WireError('frame.field', payloadAt, `${payload.length} bytes do not fit into one frame`);
  const bytes = Buffer.allocUnsafe(payloadAt + payload.length);
  bytes.set(toHardware, 0);
  bytes.set(fromHardware, 6);
  bytes.writeUInt16BE(etherTypeIpv4, 12);

  bytes.writeUInt16BE(0x4500, ethernetHeader); // version 4, header of 5 words, no type of service
  bytes.writeUInt16BE(ipHeader + udpHeader + payload.length, ethernetHeader + 2);
  bytes.writeUInt16BE(0, ethernetHeader + 4);
  bytes.writeUInt16BE(dontFragment, ethernetHeader + 6);
  bytes.writeUInt16BE((timeToLive << 8) | udp, ethernetHeader + 8);
  bytes.writeUInt16BE(0, ethernetHeader + 10);
  writeAddress(bytes, source, ethernetHeader + 12);
  writeAddress(bytes, destination, ethernetHeader + 16);
  bytes.writeUInt16BE(folded(sum(bytes, ethernetHeader, udpAt)), ethernetHeader + 10);

  bytes.writeUInt16BE(sourcePort, udpAt);
  bytes.writeUInt16BE(destinationPort, udpAt + 2);
  bytes.writeUInt16BE(udpHeader + payload.length, udpAt + 4);
  bytes.writeUInt16BE(0, udpAt + 6);
  bytes.set(payload, payloadAt);
  // RFC 768: pseudo-header of both addresses, protocol and length; a checksum of zero is sent as all ones, zero means none.
  const pseudo = sum(bytes, ethernetHeader + 12, udpAt) + udp + udpHeader + payload.length;
  bytes.writeUInt16BE(folded(pseudo + sum(bytes, udpAt, bytes.length)) || 0xffff, udpAt + 6);
  return bytes;
}

function writeAddress(bytes: Buffer, address: Ipv4, at: number): void {
  let value = 0;
  let offset = at;
  for (let index = 0; index < address.length; index++) {
    const code = address.charCodeAt(index);
    if (code === 0x2e) {
      bytes[offset++] = value;
      value = 0;
    } else value = value * 10 + code - 0x30;
  }
  bytes[offset] = value;
}

/** RFC 1071, without the last folds: exact for a frame. */
function sum(bytes: Buffer, from: number, to: number): number {
  let total = 0;
  let at = from;
  for (; at + 1 < to; at += 2) total += bytes.readUInt16BE(at);
  return at < to ? total + bytes.readUInt8(at) * 256 : total;
}

function folded(total: number): number {
  let sum = total;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
