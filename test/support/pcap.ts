// Reads UDP datagrams out of a capture file: classic pcap, either byte order, Ethernet and IPv4 without fragments.
import { readFileSync } from 'node:fs';
import { type Ipv4, ipv4FromBytes } from '../../src/base/addresses.ts';

export interface CapturedDatagram {
  /** Number of the frame in the capture, from 1, as Wireshark counts. */
  readonly frame: number;
  readonly from: Ipv4;
  readonly to: Ipv4;
  readonly fromPort: number;
  readonly toPort: number;
  readonly payload: Buffer;
}

const ethernetHeader = 14;

export function readPcap(path: string): readonly CapturedDatagram[] {
  const file = readFileSync(path);
  const magic = file.readUInt32LE(0);
  const isLittle = magic === 0xa1b2c3d4 || magic === 0xa1b23c4d;
  const isBig = magic === 0xd4c3b2a1 || magic === 0x4d3cb2a1;
  if (!isLittle && !isBig) throw new Error(`${path} is not a pcap file`);
  const u32 = (at: number) => (isLittle ? file.readUInt32LE(at) : file.readUInt32BE(at));
  if (u32(20) !== 1) throw new Error(`${path} has link type ${u32(20)}, not Ethernet`);

  const datagrams: CapturedDatagram[] = [];
  for (let at = 24, frame = 1; at < file.length; frame++) {
    const length = u32(at + 8);
    const datagram = udpDatagram(frame, file.subarray(at + 16, at + 16 + length));
    if (datagram !== undefined) datagrams.push(datagram);
    at += 16 + length;
  }
  return datagrams;
}

function udpDatagram(frame: number, bytes: Buffer): CapturedDatagram | undefined {
  if (bytes.length < 42 || bytes.readUInt16BE(12) !== 0x0800 || bytes[23] !== 17) return undefined;
  const ip = bytes.subarray(ethernetHeader);
  const udp = ip.subarray((ip.readUInt8(0) & 15) * 4);
  return {
    frame,
    from: ipv4FromBytes(ip.subarray(12)),
    to: ipv4FromBytes(ip.subarray(16)),
    fromPort: udp.readUInt16BE(0),
    toPort: udp.readUInt16BE(2),
    payload: udp.subarray(8, udp.readUInt16BE(4)),
  };
}
