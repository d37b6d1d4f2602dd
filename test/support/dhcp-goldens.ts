// The DHCP datagrams of test/golden/dhcp: out of captures, and out of files of hex that were written down from a client's source.
//
//   # where it comes from
//   == DISCOVER, 67          what it is, and the port that it goes to
//   0101060000123456...
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ipv4Any, ipv4Broadcast } from '../../src/base/addresses.ts';
import { type CapturedDatagram, readPcap } from './pcap.ts';

export type GoldenDatagram = CapturedDatagram;

/** Below the checkout, where tests and the fuzzer are started: a bundled fuzzer lies elsewhere than its source. */
export const goldenFolder = `${resolve('test/golden/dhcp')}/`;
export const goldenNames: readonly string[] = readdirSync(goldenFolder).filter((name) => /\.(pcap|hex)$/.test(name));

const ports = new Set([67, 68, 4011]);

export function readGolden(name: string): readonly GoldenDatagram[] {
  if (name.endsWith('.hex')) return readHex(readFileSync(goldenFolder + name, 'utf8'));
  return readPcap(goldenFolder + name).filter(({ fromPort, toPort }) => ports.has(fromPort) && ports.has(toPort));
}

function readHex(text: string): readonly GoldenDatagram[] {
  const blocks = text
    .replaceAll(/^#.*$/gm, '')
    .split(/^== .*, /m)
    .slice(1);
  return blocks.map((block, index) => {
    const [port = '', ...lines] = block.split('\n');
    return { frame: index + 1, from: ipv4Any, to: ipv4Broadcast, fromPort: 68, toPort: Number(port), payload: Buffer.from(lines.join(''), 'hex') };
  });
}

/** The bytes of all of them. */
export function goldenPayloads(): readonly Buffer[] {
  return goldenNames.flatMap((name) => readGolden(name).map(({ payload }) => payload));
}
