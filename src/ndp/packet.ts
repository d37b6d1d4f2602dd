// Router solicitations and advertisements: RFC 4861 sections 4.1, 4.2 and 4.6, without the headers below ICMPv6.
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';

/** An option without its type and length: its bytes up to the multiple of eight that it fills (RFC 4861 4.6). */
export interface NdpOption {
  readonly type: number;
  readonly value: Buffer;
}

//  133  | type | code | checksum | reserved, 4 bytes | options
//  134  | type | code | checksum | hop limit | flags | lifetime | reachable time | retransmission timer | options
export type NdpMessage =
  | { readonly kind: 'solicitation'; readonly options: readonly NdpOption[] }
  | {
      readonly kind: 'advertisement';
      /** 0 here and in the times below: the router does not say. */
      readonly hopLimit: number;
      /** The flags byte whole: 0x80 managed, 0x40 other, the rest by later RFCs. */
      readonly flags: number;
      /** Seconds for which this is a default router; 0: it is none. */
      readonly lifetime: number;
      /** Milliseconds. */
      readonly reachableTime: number;
      /** Milliseconds. */
      readonly retransmissionTimer: number;
      readonly options: readonly NdpOption[];
    };

const types = { solicitation: 133, advertisement: 134 } as const;

/** RFC 4861 4.6.1 */
export const sourceLinkLayerAddress = 1;

/** Options come in blocks of eight bytes, the first two of which are type and number of blocks. */
const block = 8;

/**
 * Reads an ICMPv6 message whose checksum was right. Throws `WireError`: `short`, `ndp.type` (neither of the two), `ndp.code` (not 0), `ndp.option`
 * (an option of length 0), all of which RFC 4861 6.1 says to drop silently.
 */
export function decodeMessage(bytes: Buffer): NdpMessage {
  const reader = new ByteReader(bytes);
  const type = reader.u8();
  if (type !== types.solicitation && type !== types.advertisement) throw new WireError('ndp.type', 0, `ICMPv6 type ${type}`);
  const code = reader.u8();
  if (code !== 0) throw new WireError('ndp.code', 1, `code ${code}`);
  reader.skip(2);
  if (type === types.solicitation) {
    reader.skip(4);
    return { kind: 'solicitation', options: readOptions(reader) };
  }
  return {
    kind: 'advertisement',
    hopLimit: reader.u8(),
    flags: reader.u8(),
    lifetime: reader.u16(),
    reachableTime: reader.u32(),
    retransmissionTimer: reader.u32(),
    options: readOptions(reader),
  };
}

function readOptions(reader: ByteReader): NdpOption[] {
  const options: NdpOption[] = [];
  while (reader.left > 0) {
    const at = reader.offset;
    const type = reader.u8();
    const blocks = reader.u8();
    if (blocks === 0) throw new WireError('ndp.option', at, `option ${type} has length 0`);
    options.push({ type, value: reader.take(blocks * block - 2) });
  }
  return options;
}

/** The bytes, with a checksum of 0: that one covers addresses which are in the header below. Options are padded with zeros. */
export function encodeMessage(message: NdpMessage): Buffer {
  const writer = new ByteWriter(64);
  writer.u8(types[message.kind]);
  writer.zeros(3);
  if (message.kind === 'solicitation') {
    writer.zeros(4);
  } else {
    writer.u8(message.hopLimit);
    writer.u8(message.flags);
    writer.u16(message.lifetime);
    writer.u32(message.reachableTime);
    writer.u32(message.retransmissionTimer);
  }
  for (const { type, value } of message.options) {
    const blocks = Math.ceil((value.length + 2) / block);
    writer.u8(type);
    writer.u8(blocks);
    writer.put(value);
    writer.zeros(blocks * block - 2 - value.length);
  }
  return writer.bytes();
}
