// ICMPv6 in IPv6 in Ethernet: RFC 2464, RFC 8200 section 3 and 8.1 (checksum), RFC 4443 section 2.3. No extension headers: neighbour discovery has none.
import { type Mac, macBytes, macFromBytes } from '../base/addresses.ts';
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';

/** Addresses of IPv6 are their 16 bytes. */
export interface IcmpFrame {
  readonly from: Mac;
  readonly to: Mac;
  readonly source: Buffer;
  readonly destination: Buffer;
  readonly hopLimit: number;
  /** The ICMPv6 message. Its checksum was right, or is set by `encodeFrame`. */
  readonly message: Buffer;
}

export const etherTypeIpv6 = 0x86dd;
const icmpv6 = 58;
const ethernetHeader = 14;
const ipv6Header = 40;
/** Where a socket filter finds the next header and the ICMPv6 type. */
export const nextHeaderOffset: number = ethernetHeader + 6;
export const icmpTypeOffset: number = ethernetHeader + ipv6Header;

/** Reads a frame; what is behind the IPv6 packet is padding. Throws `WireError`: `short`, `ipv6.type`, `ipv6.version`, `ipv6.next`, `ipv6.checksum`. */
export function decodeFrame(bytes: Buffer): IcmpFrame {
  const reader = new ByteReader(bytes);
  const to = macFromBytes(reader.take(6));
  const from = macFromBytes(reader.take(6));
  const type = reader.u16();
  if (type !== etherTypeIpv6) throw new WireError('ipv6.type', 12, `EtherType 0x${type.toString(16)}`);
  const version = reader.u32() >>> 28;
  if (version !== 6) throw new WireError('ipv6.version', ethernetHeader, `IP version ${version}`);
  const length = reader.u16();
  const next = reader.u8();
  if (next !== icmpv6) throw new WireError('ipv6.next', nextHeaderOffset, `next header ${next}`);
  const hopLimit = reader.u8();
  const source = reader.take(16);
  const destination = reader.take(16);
  const message = reader.take(length);
  if (checksum(source, destination, message) !== 0) throw new WireError('ipv6.checksum', icmpTypeOffset + 2, 'wrong ICMPv6 checksum');
  return { from, to, source, destination, hopLimit, message };
}

/** The bytes of a frame, shorter than Ethernet's 60 if the message is: the card pads it. The message is at least its header's 4 bytes. */
export function encodeFrame({ from, to, source, destination, hopLimit, message }: IcmpFrame): Buffer {
  const sealed = Buffer.from(message);
  sealed.writeUInt16BE(0, 2);
  sealed.writeUInt16BE(checksum(source, destination, sealed), 2);
  const writer = new ByteWriter(ethernetHeader + ipv6Header + message.length);
  writer.put(macBytes(to));
  writer.put(macBytes(from));
  writer.u16(etherTypeIpv6);
  writer.u32(6 * 2 ** 28);
  writer.u16(sealed.length);
  writer.u8(icmpv6);
  writer.u8(hopLimit);
  writer.put(source);
  writer.put(destination);
  writer.put(sealed);
  return writer.bytes();
}

/** Of pseudo-header and message (RFC 8200 8.1); 0 for a message that has its right checksum in it. */
function checksum(source: Buffer, destination: Buffer, message: Buffer): number {
  let sum = message.length + icmpv6;
  for (const bytes of [source, destination, message]) {
    for (let at = 0; at < bytes.length; at += 1) sum += (bytes[at] ?? 0) << (at % 2 === 0 ? 8 : 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
