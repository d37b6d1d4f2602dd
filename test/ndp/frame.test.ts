// The headers below ICMPv6.
import { expect, test } from 'vitest';
import { decodeFrame, encodeFrame } from '../../src/ndp/frame.ts';
import { allRouters, client, clientLinkLocal, dnsmasqFrame, ipxeSolicitation } from './frames.ts';

test('a captured frame is read, and written again byte by byte', () => {
  const frame = decodeFrame(ipxeSolicitation);
  expect(frame).toMatchObject({ from: client, to: '33:33:00:00:00:02', hopLimit: 255 });
  expect(frame.source).toEqual(clientLinkLocal);
  expect(frame.destination).toEqual(allRouters);
  expect(encodeFrame(frame)).toEqual(ipxeSolicitation);
});

test('a frame with traffic class and flow label is read', () => {
  expect(decodeFrame(dnsmasqFrame)).toMatchObject({ from: '02:00:0a:0b:00:01', to: '33:33:00:00:00:01', hopLimit: 255 });
});

test('padding behind the packet is not part of it', () => {
  expect(decodeFrame(Buffer.concat([ipxeSolicitation, Buffer.alloc(6, 0xff)])).message).toEqual(ipxeSolicitation.subarray(54));
});

test('a message of odd length has the checksum of one with a zero behind it', () => {
  const frame = { ...decodeFrame(ipxeSolicitation), message: Buffer.from('8500000000000000ab', 'hex') };
  const even = { ...frame, message: Buffer.from('8500000000000000ab00', 'hex') };
  const [odd, padded] = [frame, even].map((each) => decodeFrame(encodeFrame(each)).message.readUInt16BE(2));
  expect(odd).toBe((padded ?? 0) + 1); // but for the length, one less, which the pseudo-header has
});

test.each([
  ['nothing', 'short', Buffer.alloc(0)],
  ['an IPv6 header cut short', 'short', ipxeSolicitation.subarray(0, 40)],
  ['a length beyond the frame', 'short', edited(19, 17)],
  ['IPv4', 'ipv6.type', edited(12, 8)],
  ['another version', 'ipv6.version', edited(14, 0x40)],
  ['another protocol, or an extension header', 'ipv6.next', edited(20, 0)],
  ['a changed byte', 'ipv6.checksum', edited(60, 1)],
  ['a changed source address', 'ipv6.checksum', edited(30, 1)],
])('%s is refused', (_what, code, bytes) => {
  expect(() => decodeFrame(bytes)).toThrow(expect.objectContaining({ name: 'WireError', code }));
});

function edited(at: number, value: number): Buffer {
  const bytes = Buffer.from(ipxeSolicitation);
  bytes[at] = value;
  return bytes;
}
