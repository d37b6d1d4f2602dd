// UDP frames: the bytes and checksums of those that were captured, built again.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ipv4, ipv4FromBytes, mac, macBytes } from '../../src/base/addresses.ts';
import { encodeUdpFrame, longestFramePayload, type UdpFrame } from '../../src/dhcp/frame.ts';

const template: UdpFrame = {
  toHardware: macBytes(mac('52:54:00:12:34:56')),
  fromHardware: macBytes(mac('52:55:0a:00:02:02')),
  source: ipv4('10.0.2.2'),
  destination: ipv4('10.0.2.15'),
  sourcePort: 67,
  destinationPort: 68,
  payload: Buffer.alloc(300, 1),
};

/** Every UDP frame of a capture, less what Ethernet padded. */
function* captured(name: string): Iterable<Buffer> {
  const file = readFileSync(new URL(`../golden/dhcp/${name}.pcap`, import.meta.url));
  for (let at = 24; at < file.length; ) {
    const length = file.readUInt32LE(at + 8);
    const frame = file.subarray(at + 16, at + 16 + length);
    at += 16 + length;
    if (frame.readUInt16BE(12) === 0x0800 && frame[23] === 17) yield frame.subarray(0, 14 + frame.readUInt16BE(16));
  }
}

/** Type of service, identification and flags differ from host to host, and the IP checksum with them. */
function comparable(frame: Buffer): Buffer {
  const copy = Buffer.from(frame);
  copy.fill(0, 15, 16);
  copy.fill(0, 18, 22);
  copy.fill(0, 24, 26);
  return copy;
}

/** RFC 1071: the sum over a header with its right checksum is all ones. */
function onesSum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt8(at) * 256 + (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

describe.each(['edk2-pxe-then-ipxe', 'edk2-pxe-and-http-unanswered', 'ipxe-bios-rom'])('%s', (name) => {
  test('each frame of the capture is built again to the byte, UDP checksum and all', () => {
    let count = 0;
    for (const frame of captured(name)) {
      const built = encodeUdpFrame({
        toHardware: frame.subarray(0, 6),
        fromHardware: frame.subarray(6, 12),
        source: ipv4FromBytes(frame.subarray(26)),
        destination: ipv4FromBytes(frame.subarray(30)),
        sourcePort: frame.readUInt16BE(34),
        destinationPort: frame.readUInt16BE(36),
        payload: frame.subarray(42),
      });
      expect(comparable(built).toString('hex')).toBe(comparable(frame).toString('hex'));
      expect(onesSum(built.subarray(14, 34))).toBe(0xffff);
      count += 1;
    }
    expect(count).toBeGreaterThan(10);
  });
});

test('a checksum that comes out as zero is sent as all ones, because zero means none', () => {
  const payload = Buffer.alloc(2);
  const plain = encodeUdpFrame({ ...template, payload }).readUInt16BE(40);
  payload.writeUInt16BE(plain);
  expect(encodeUdpFrame({ ...template, payload }).readUInt16BE(40)).toBe(0xffff);
});

test('an odd length is summed as if a zero followed', () => {
  const odd = encodeUdpFrame({ ...template, payload: Buffer.from([1, 2, 3]) });
  const pseudo = Buffer.concat([odd.subarray(26, 34), Buffer.from([0, 17, 0, 11])]);
  expect(onesSum(Buffer.concat([pseudo, odd.subarray(34)]))).toBe(0xffff);
});

test('what fits into no frame, and a hardware address that is none, are refused', () => {
  expect(encodeUdpFrame({ ...template, payload: Buffer.alloc(longestFramePayload) })).toHaveLength(1514);
  expect(() => encodeUdpFrame({ ...template, payload: Buffer.alloc(longestFramePayload + 1) })).toThrow(expect.objectContaining({ code: 'frame.field' }));
  expect(() => encodeUdpFrame({ ...template, toHardware: Buffer.alloc(8) })).toThrow(expect.objectContaining({ code: 'frame.field' }));
});
