// TFTP packets: RFC 1350, with the option field and the OACK of RFC 2347.
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';

/** A name and its value as they were sent. Names are compared without case (RFC 2347). */
export interface TftpOption {
  readonly name: string;
  readonly value: string;
}

//  RRQ 1, WRQ 2   | opcode | file | 0 | mode | 0 | name | 0 | value | 0 | ...
//  DATA 3         | opcode | block | bytes |
//  ACK 4          | opcode | block |
//  ERROR 5        | opcode | code | message | 0 |
//  OACK 6         | opcode | name | 0 | value | 0 | ...
/** Strings hold one byte in each character (latin1), so that whatever bytes a firmware sends are kept. */
export type TftpPacket =
  | { readonly op: 'read' | 'write'; readonly file: string; readonly mode: string; readonly options: readonly TftpOption[] }
  | { readonly op: 'data'; readonly block: number; readonly bytes: Buffer }
  | { readonly op: 'ack'; readonly block: number }
  | { readonly op: 'error'; readonly code: number; readonly message: string }
  | { readonly op: 'oack'; readonly options: readonly TftpOption[] };

const opcodes = { read: 1, write: 2, data: 3, ack: 4, error: 5, oack: 6 } as const;

/** RFC 1350: the codes that this server sends. */
export const errorCodes = { undefined: 0, notFound: 1, access: 2, full: 3, illegal: 4, exists: 6 } as const;

/** Bytes before the content of a DATA packet. */
export const dataHeader = 4;

/** RFC 2347 allows a request 512 bytes; one Ethernet frame is taken, more is no boot file's name. */
const requestMax = 1472;

/** Firmware shows the message on one line of a text screen. */
const messageMax = 78;

/** Reads one datagram. Throws `WireError`: `short`, `tftp.opcode`, `tftp.string` (no final NUL), `tftp.request` (too long). */
export function decode(datagram: Buffer): TftpPacket {
  const reader = new ByteReader(datagram);
  const opcode = reader.u16();
  switch (opcode) {
    case opcodes.read:
    case opcodes.write:
      if (datagram.length > requestMax) throw new WireError('tftp.request', 0, `a request of ${datagram.length} bytes`);
      return {
        op: opcode === opcodes.read ? 'read' : 'write',
        file: readString(reader),
        mode: readString(reader),
        options: readOptions(reader),
      };
    case opcodes.data:
      return { op: 'data', block: reader.u16(), bytes: reader.rest() };
    case opcodes.ack:
      return { op: 'ack', block: reader.u16() };
    case opcodes.error: {
      const code = reader.u16();
      const [message = ''] = reader.rest().toString('latin1').split('\0', 1); // some ROMs send no message, not even its NUL
      return { op: 'error', code, message };
    }
    case opcodes.oack:
      return { op: 'oack', options: readOptions(reader) };
    default:
      throw new WireError('tftp.opcode', 0, `opcode ${opcode}`);
  }
}

function readString(reader: ByteReader): string {
  const end = reader.bytes.indexOf(0, reader.offset);
  if (end === -1) throw new WireError('tftp.string', reader.offset, 'a string without its final NUL');
  const text = reader.take(end - reader.offset).toString('latin1');
  reader.skip(1);
  return text;
}

/** An empty name ends the list: padding with NULs is not an option. */
function readOptions(reader: ByteReader): TftpOption[] {
  const options: TftpOption[] = [];
  while (reader.left > 0) {
    const name = readString(reader);
    if (name === '') break;
    options.push({ name, value: readString(reader) });
  }
  return options;
}

/** The bytes of a packet. An error's message is made fit for a screen: printable ASCII, cut to one line. */
export function encode(packet: TftpPacket): Buffer {
  const writer = new ByteWriter(packet.op === 'data' ? packet.bytes.length + 4 : 128);
  writer.u16(opcodes[packet.op]);
  switch (packet.op) {
    case 'read':
    case 'write':
      writeString(writer, packet.file);
      writeString(writer, packet.mode);
      writeOptions(writer, packet.options);
      break;
    case 'data':
      writer.u16(packet.block);
      writer.put(packet.bytes);
      break;
    case 'ack':
      writer.u16(packet.block);
      break;
    case 'error':
      writer.u16(packet.code);
      writeString(writer, packet.message.replace(/[^\x20-\x7e]/g, '?').slice(0, messageMax));
      break;
    case 'oack':
      writeOptions(writer, packet.options);
      break;
  }
  return writer.bytes();
}

/** Makes the first bytes of `packet`, whose content is in place, those of DATA `block`. */
export function writeDataHeader(packet: Buffer, block: number): void {
  packet.writeUInt16BE(opcodes.data, 0);
  packet.writeUInt16BE(block, 2);
}

function writeString(writer: ByteWriter, text: string): void {
  writer.put(Buffer.from(text, 'latin1'));
  writer.u8(0);
}

function writeOptions(writer: ByteWriter, options: readonly TftpOption[]): void {
  for (const { name, value } of options) {
    writeString(writer, name);
    writeString(writer, value);
  }
}
