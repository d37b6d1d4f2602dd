// A datagram as text for people: one header line, one line per option by its IANA name. For captures, tests and explanations.
import { WireError } from '../../src/base/errors.ts';
import { optionName, optionType } from '../../src/dhcp/known-options.ts';
import { messageTypes, type Options, option, readAddresses, readI32, readText, readU8, readU16, readU16s, readU32 } from '../../src/dhcp/options.ts';
import { broadcastFlag, type DhcpPacket } from '../../src/dhcp/packet.ts';

export function describePacket(packet: DhcpPacket): string {
  const { op, htype, chaddr, xid, secs, flags, hops, ciaddr, yiaddr, siaddr, giaddr } = packet;
  const lines = [
    `${op} xid=${xid.toString(16).padStart(8, '0')} htype=${htype} chaddr=${chaddr.toString('hex')} secs=${secs} hops=${hops}` +
      `${(flags & broadcastFlag) === 0 ? '' : ' broadcast'}${packet.cookie ? '' : ' no-cookie'}`,
    `ciaddr=${ciaddr} yiaddr=${yiaddr} siaddr=${siaddr} giaddr=${giaddr}`,
  ];
  if (packet.sname !== '') lines.push(`sname=${JSON.stringify(packet.sname)}`);
  if (packet.file !== '') lines.push(`file=${JSON.stringify(packet.file)}`);
  if (packet.vendor.length > 0) lines.push(`vendor=${packet.vendor.toString('hex')}`);
  for (const [code, value] of packet.options) lines.push(`${optionName(code)} ${optionText(code, value)}`.trimEnd());
  return lines.join('\n');
}

/** The value by its shape; hex, with the reason, if it is not of it. */
function optionText(code: number, value: Buffer): string {
  try {
    return shapedText(code, new Map([[code, value]]));
  } catch (error) {
    if (error instanceof WireError) return `${value.toString('hex')} (${error.message})`;
    throw error;
  }
}

function shapedText(code: number, options: Options): string {
  const bytes = options.get(code) ?? Buffer.alloc(0);
  switch (optionType(code)) {
    case 'ip':
    case 'ips':
    case 'ip-pairs':
      return readAddresses(options, code)?.join(' ') ?? '';
    case 'u8': {
      const number = readU8(options, code);
      return (code === option.messageType && messageTypes[number ?? 0]) || String(number);
    }
    case 'u16':
      return String(readU16(options, code));
    case 'u32': {
      const number = readU32(options, code);
      return code === option.leaseTime && number === 0xffffffff ? 'infinite' : String(number);
    }
    case 'i32':
      return String(readI32(options, code));
    case 'text':
      return JSON.stringify(readText(options, code));
    case 'codes':
      return bytes.join(' ');
    case 'u16s':
      return readU16s(options, code)?.join(' ') ?? '';
    case 'bool':
    case 'domains':
    case 'routes':
    case 'hex':
      return bytes.toString('hex');
  }
}
