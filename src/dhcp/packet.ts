// BOOTP and DHCP datagrams as bytes and as values: RFC 951, RFC 1542, RFC 2131 section 2, options per RFC 2132, RFC 3046 and RFC 3396.
import { type Ipv4, ipv4Any, ipv4FromNumber, ipv4Number } from '../base/addresses.ts';
import { ByteReader } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';

//   0       1       2       3
//   +-------+-------+-------+-------+
//   |  op   | htype | hlen  | hops  |
//   +-------+-------+-------+-------+
//   |              xid              |
//   +---------------+---------------+
//   |     secs      |     flags     |
//   +---------------+---------------+
//   | ciaddr, yiaddr, siaddr, giaddr|  4 each
//   +-------------------------------+
//   | chaddr 16, sname 64, file 128 |
//   +-------------------------------+
//   | cookie 4, options ...         |
//   +-------------------------------+

/** A datagram; in a reply made by us every field is what goes on the wire, nothing is filled in by the encoder. */
export interface DhcpPacket {
  readonly op: 'request' | 'reply';
  /** Hardware type (IANA): 1 Ethernet, 6 IEEE 802, 32 InfiniBand. */
  readonly htype: number;
  readonly hops: number;
  readonly xid: number;
  /** Seconds since the client began to ask. */
  readonly secs: number;
  /** The top bit asks for broadcast replies. */
  readonly flags: number;
  /** The address the client has and answers ARP for. */
  readonly ciaddr: Ipv4;
  /** The address it is given. */
  readonly yiaddr: Ipv4;
  /** The server to fetch the boot file from. */
  readonly siaddr: Ipv4;
  /** The relay agent that passed the request on. */
  readonly giaddr: Ipv4;
  /** hlen bytes, 0 to 16: IPoIB sends none (RFC 4390). */
  readonly chaddr: Buffer;
  /** Latin-1, up to the first NUL; empty if overloaded with options. */
  readonly sname: string;
  /** Latin-1, up to the first NUL; empty if overloaded with options. */
  readonly file: string;
  /** Whether the vendor area starts with the magic cookie 99.130.83.99. Without it there are no options. */
  readonly cookie: boolean;
  /** The vendor area of a datagram without the cookie, less its trailing zeros. */
  readonly vendor: Buffer;
  /** Raw values by code, known or not; repeated ones concatenated (RFC 3396), 52 resolved and gone. */
  readonly options: ReadonlyMap<number, Buffer>;
}

export const broadcastFlag = 0x8000;

const magicCookie = 0x63825363;
const chaddrAt = 28;
const snameAt = 44;
const fileAt = 108;
const headerLength = 236;
const chaddrLength = 16;
const snameLength = 64;
const fileLength = 128;
/** 236 + the 64 bytes of RFC 951's vendor area. Linux's kernel client ignores shorter replies. */
export const shortestDatagram = 300;
const longestPart = 255;
const nothing = Buffer.alloc(0);

const pad = 0;
const end = 255;
const overload = 52;
const messageType = 53;
const relayAgent = 82;

/** Reads one datagram. Throws `WireError`: `short`, `dhcp.op`, `dhcp.hlen`, `dhcp.option`, `dhcp.overload`. */
export function decodePacket(datagram: Buffer): DhcpPacket {
  const reader = new ByteReader(datagram);
  const op = reader.u8();
  if (op !== 1 && op !== 2) throw new WireError('dhcp.op', 0, `op is ${op}, neither request (1) nor reply (2)`);
  const htype = reader.u8();
  const hlen = reader.u8();
  if (hlen > chaddrLength) throw new WireError('dhcp.hlen', 2, `hardware address of ${hlen} bytes, the field has ${chaddrLength}`);
  const hops = reader.u8();
  const xid = reader.u32();
  const secs = reader.u16();
  const flags = reader.u16();
  const ciaddr = takeAddress(reader);
  const yiaddr = takeAddress(reader);
  const siaddr = takeAddress(reader);
  const giaddr = takeAddress(reader);
  reader.skip(chaddrLength + snameLength + fileLength);
  const chaddr = datagram.subarray(chaddrAt, chaddrAt + hlen);
  const cookie = reader.left >= 4 && datagram.readUInt32BE(headerLength) === magicCookie;

  const options = new Map<number, Buffer>();
  let overloaded = 0;
  if (cookie) {
    reader.skip(4);
    readOptions(reader, options);
    overloaded = overloadOf(options);
    // RFC 2131 4.1: the file field is read before sname.
    if ((overloaded & 1) !== 0) readOptions(new ByteReader(datagram, fileAt, fileAt + fileLength), options);
    if ((overloaded & 2) !== 0) readOptions(new ByteReader(datagram, snameAt, snameAt + snameLength), options);
    options.delete(overload);
  }
  return {
    op: op === 1 ? 'request' : 'reply',
    htype,
    hops,
    xid,
    secs,
    flags,
    ciaddr,
    yiaddr,
    siaddr,
    giaddr,
    chaddr,
    sname: (overloaded & 2) !== 0 ? '' : untilNul(datagram, snameAt, snameLength),
    file: (overloaded & 1) !== 0 ? '' : untilNul(datagram, fileAt, fileLength),
    cookie,
    vendor: cookie ? nothing : withoutTrailingZeros(reader.rest()),
    options,
  };
}

function takeAddress(reader: ByteReader): Ipv4 {
  const number = reader.u32();
  return number === 0 ? ipv4Any : ipv4FromNumber(number);
}

/** Reads up to END; a missing END is tolerated because clients that fill the area to its last byte leave it out. */
function readOptions(reader: ByteReader, options: Map<number, Buffer>): void {
  while (reader.left > 0) {
    const at = reader.offset;
    const code = reader.u8();
    if (code === pad) continue;
    if (code === end) return;
    const length = reader.left > 0 ? reader.u8() : 1;
    if (length > reader.left) {
      throw new WireError('dhcp.option', at, `option ${code} at offset ${at} claims ${length} bytes, ${reader.left} left`);
    }
    const value = reader.take(length);
    const before = options.get(code);
    if (before === undefined) options.set(code, value);
    else if (code !== overload) options.set(code, Buffer.concat([before, value]));
  }
}

/** Which of `file` (1) and `sname` (2) hold options (RFC 2132 9.3). */
function overloadOf(options: ReadonlyMap<number, Buffer>): number {
  const value = options.get(overload);
  if (value === undefined) return 0;
  const bits = value.length === 1 ? (value[0] ?? 0) : 0;
  if (bits < 1 || bits > 3) throw new WireError('dhcp.overload', headerLength, `option overload is ${value.toString('hex')}, not 01, 02 or 03`);
  return bits;
}

function untilNul(datagram: Buffer, at: number, length: number): string {
  if (datagram[at] === 0) return '';
  const nul = datagram.indexOf(0, at);
  return datagram.toString('latin1', at, nul === -1 ? at + length : Math.min(nul, at + length));
}

function withoutTrailingZeros(bytes: Buffer): Buffer {
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0) length -= 1;
  return bytes.subarray(0, length);
}

/**
 * Writes one datagram of at least 300 bytes: option 53 first, 82 last (RFC 3046 2.1), values over 255 bytes in several parts (RFC 3396), no
 * overload, since PXE ROMs misread it. Throws `WireError` `dhcp.field` for a name that its field cannot hold with a NUL, an impossible
 * hardware address, or an option with code 0, 52 or 255.
 */
export function encodePacket(packet: DhcpPacket): Buffer {
  const { chaddr, options, vendor } = packet;
  if (chaddr.length > chaddrLength) throw new WireError('dhcp.field', chaddrAt, `hardware address of ${chaddr.length} bytes`);
  const length = packet.cookie ? datagramLength(options) : headerLength + vendor.length;
  const bytes = Buffer.allocUnsafe(Math.max(length, shortestDatagram)).fill(0); // from the pool: a buffer of its own costs more than all that is written
  bytes[0] = packet.op === 'request' ? 1 : 2;
  bytes[1] = packet.htype;
  bytes[2] = chaddr.length;
  bytes[3] = packet.hops;
  bytes.writeUInt32BE(packet.xid, 4);
  bytes.writeUInt16BE(packet.secs, 8);
  bytes.writeUInt16BE(packet.flags, 10);
  putAddress(bytes, 12, packet.ciaddr);
  putAddress(bytes, 16, packet.yiaddr);
  putAddress(bytes, 20, packet.siaddr);
  putAddress(bytes, 24, packet.giaddr);
  bytes.set(chaddr, chaddrAt);
  putName(bytes, snameAt, packet.sname, snameLength);
  putName(bytes, fileAt, packet.file, fileLength);
  if (packet.cookie) putOptions(bytes, options);
  else bytes.set(vendor, headerLength);
  return bytes;
}

/** The longest name that `file` holds with the NUL that some ROMs read on without. */
export const longestFile = fileLength - 1;

function putAddress(bytes: Buffer, at: number, address: Ipv4): void {
  if (address !== ipv4Any) bytes.writeUInt32BE(ipv4Number(address), at);
}

function putName(bytes: Buffer, at: number, name: string, length: number): void {
  if (name === '') return;
  if (name.length >= length || name.includes('\0')) {
    throw new WireError('dhcp.field', at, `${at === fileAt ? 'file' : 'sname'} "${name}" does not fit in ${length} bytes with its NUL`);
  }
  bytes.write(name, at, 'latin1');
}

function putOptions(bytes: Buffer, options: ReadonlyMap<number, Buffer>): void {
  bytes.writeUInt32BE(magicCookie, headerLength);
  let at = headerLength + 4;
  const type = options.get(messageType);
  if (type !== undefined) at = putOption(bytes, at, messageType, type);
  for (const [code, value] of options) {
    if (code !== messageType && code !== relayAgent) at = putOption(bytes, at, code, value);
  }
  const relayed = options.get(relayAgent);
  if (relayed !== undefined) at = putOption(bytes, at, relayAgent, relayed);
  bytes[at] = end;
}

/** Where the next option goes. */
function putOption(bytes: Buffer, from: number, code: number, value: Buffer): number {
  if (code <= pad || code >= end || code === overload) throw new WireError('dhcp.field', from, `${code} is no option with a value`);
  let at = from;
  let done = 0;
  do {
    const part = Math.min(longestPart, value.length - done);
    bytes[at] = code;
    bytes[at + 1] = part;
    // subarray only where it is cut: most values are a few bytes.
    bytes.set(part === value.length ? value : value.subarray(done, done + part), at + 2);
    at += 2 + part;
    done += part;
  } while (done < value.length);
  return at;
}

/** Bytes that an option of this value takes on the wire. */
export function optionLength(value: Buffer): number {
  return value.length + 2 * Math.max(1, Math.ceil(value.length / longestPart));
}

/** Bytes that a datagram with a cookie and these options takes before it is padded. */
export function datagramLength(options: ReadonlyMap<number, Buffer>): number {
  let length = headerLength + 4 + 1;
  for (const value of options.values()) length += optionLength(value);
  return length;
}
