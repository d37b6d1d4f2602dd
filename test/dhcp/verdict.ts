// An answer in three words, for tables.
import { answer, type DhcpContext } from '../../src/dhcp/answer.ts';
import { messageTypes, option, readU8 } from '../../src/dhcp/options.ts';
import type { DhcpPacket } from '../../src/dhcp/packet.ts';
import { farmOf } from './packets.ts';

/** `OFFER 10.11.0.7`, `NAK wrong-address`, `silence unknown-machine`, `BOOTP 10.11.0.7`, `heard dhcp.decline`. */
export function verdict(asked: DhcpPacket, context: DhcpContext = farmOf()): string {
  const said = answer(asked, context);
  const { event, reason } = said.exchange;
  if (said.kind === 'silence') return event === 'dhcp.ignore' ? `silence ${reason}` : `heard ${event}`;
  const type = readU8(said.packet.options, option.messageType);
  const name = type === undefined ? 'BOOTP' : messageTypes[type];
  return name === 'NAK' ? `NAK ${reason}` : `${name} ${said.packet.yiaddr}`;
}
