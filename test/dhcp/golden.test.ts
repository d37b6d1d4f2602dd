// Real firmware and clients, captured (test/golden/dhcp/*.pcap) or written down from their source (*.hex): every datagram as text, who asks, and what
// we would say. UPDATE_GOLDEN=1 writes the expected text anew.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ipv4Any } from '../../src/base/addresses.ts';
import { answer, type DhcpContext } from '../../src/dhcp/answer.ts';
import { decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import { describePacket } from '../support/describe-dhcp.ts';
import { goldenFolder, goldenNames, readGolden } from '../support/dhcp-goldens.ts';
import { farmOf, hostAt, node, server as usualServer } from './packets.ts';

/** A farm in the place of the server in the capture, with the address that the machine was given there; a proxy, where that gave none. */
function farmOfCapture(name: string): DhcpContext {
  const replies = readGolden(name).filter(({ payload }) => payload[0] === 2);
  const given = replies.map(({ payload }) => decodePacket(payload).yiaddr).find((address) => address !== ipv4Any) ?? node.address;
  const proxy = replies.find(({ payload }) => decodePacket(payload).yiaddr === ipv4Any);
  const server = (proxy ?? replies[0])?.from ?? usualServer;
  const host = { ...hostAt(given), server, routers: [server], nameServers: [server], rootPath: `${server}:/srv/root` };
  return {
    ...farmOf(),
    server,
    questions: {
      place: () => ({ kind: 'host', host }),
      mode: () => (proxy === undefined ? 'full' : 'proxy'),
      bootFile: (client) => {
        if (client.http) return { kind: 'url', url: `http://${server}/boot/ipxe.efi` };
        if (client.loader === 'ipxe') return { kind: 'url', url: `http://${server}/boot/n1.ipxe` };
        if (client.loader === 'none' && !client.bootp) return undefined;
        return { kind: 'tftp', server, file: client.loader === 'rom' && client.firmware.startsWith('efi') ? 'ipxe.efi' : 'undionly.kpxe' };
      },
    },
  };
}

function story(name: string): string {
  const context = farmOfCapture(name);
  const blocks: string[] = [];
  for (const { frame, payload, toPort } of readGolden(name)) {
    const packet = decodePacket(payload);
    blocks.push(`== frame ${frame}, ${payload.length} bytes${toPort === 4011 ? ', to port 4011' : ''}\n${describePacket(packet)}`);
    if (packet.op === 'reply') continue;
    const said = answer(packet, { ...context, port: toPort === 4011 ? 4011 : 67 });
    const { client, event, reason } = said.exchange;
    blocks.push(
      `-- ${client.firmware} ${client.loader}${client.http ? ' http' : ''}${client.pxe ? ' pxe' : ''}` +
        `${client.ipxeVersion === undefined ? '' : ` iPXE ${client.ipxeVersion}`} [${[...client.features].join(' ')}]`,
    );
    if (said.kind === 'silence') blocks.push(`-- ${event} ${reason}`);
    else {
      const bytes = encodePacket(said.packet);
      blocks.push(`-- ${event}, ${said.route.kind}, ${bytes.length} bytes\n${describePacket(decodePacket(bytes))}`);
    }
  }
  return `${blocks.join('\n')}\n`;
}

test('there are captures, and every expected text has one', () => {
  expect(goldenNames.length).toBeGreaterThanOrEqual(13);
  const texts = readdirSync(goldenFolder).filter((name) => name.endsWith('.txt'));
  expect(texts.sort()).toEqual(goldenNames.map((name) => name.replace(/(pcap|hex)$/, 'txt')).sort());
});

describe.each(goldenNames)('%s', (name) => {
  test('reads and is answered as expected', () => {
    const expected = goldenFolder + name.replace(/(pcap|hex)$/, 'txt');
    const text = story(name);
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(expected, text);
    expect(text).toBe(readFileSync(expected, 'utf8'));
  });

  test('every datagram means the same after it was written again', () => {
    for (const { payload } of readGolden(name)) {
      const packet = decodePacket(payload);
      expect(
        describePacket(decodePacket(encodePacket(packet)))
          .split('\n')
          .sort(),
      ).toEqual(describePacket(packet).split('\n').sort());
    }
  });
});
