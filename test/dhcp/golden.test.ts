// Real firmware, captured (test/golden/dhcp/*.pcap): every DHCP datagram of it as text, who asks, and what we would say.
// UPDATE_GOLDEN=1 writes the expected text anew.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { answer, type DhcpContext } from '../../src/dhcp/answer.ts';
import { decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import { describePacket } from '../support/describe-dhcp.ts';
import { readPcap } from '../support/pcap.ts';
import { farmOf, hostAt, node } from './packets.ts';

const folder = fileURLToPath(new URL('../golden/dhcp/', import.meta.url));
const captures = readdirSync(folder).filter((name) => name.endsWith('.pcap'));

/** A farm in the place of the server in the capture, with the address that the machine was given there. */
function farmOfCapture(capture: string): DhcpContext {
  const offer = readPcap(folder + capture).find(({ fromPort }) => fromPort === 67);
  if (offer === undefined) throw new Error(`${capture} has no reply in it`);
  const { yiaddr } = decodePacket(offer.payload);
  const server = offer.from;
  return {
    ...farmOf(),
    server,
    questions: {
      host: () => ({ ...node, ...hostAt(yiaddr), server, routers: [server], nameServers: [server], rootPath: `${server}:/srv/root` }),
      bootFile: (client) => {
        if (client.http) return { kind: 'url', url: `http://${server}/boot/ipxe.efi` };
        if (client.loader === 'ipxe') return { kind: 'url', url: `http://${server}/boot/n1.ipxe` };
        return { kind: 'tftp', server, file: client.firmware === 'bios' ? 'undionly.kpxe' : 'ipxe.efi' };
      },
    },
  };
}

function story(capture: string): string {
  const context = farmOfCapture(capture);
  const blocks: string[] = [];
  for (const { frame, payload, fromPort } of readPcap(folder + capture)) {
    if (fromPort !== 67 && fromPort !== 68) continue;
    const packet = decodePacket(payload);
    blocks.push(`== frame ${frame}, ${payload.length} bytes\n${describePacket(packet)}`);
    if (fromPort !== 68) continue;
    const said = answer(packet, context);
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

test('there are captures', () => {
  expect(captures.length).toBeGreaterThanOrEqual(4);
});

describe.each(captures)('%s', (capture) => {
  test('reads and is answered as expected', () => {
    const expected = folder + capture.replace(/pcap$/, 'txt');
    const text = story(capture);
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(expected, text);
    expect(text).toBe(readFileSync(expected, 'utf8'));
  });

  test('every datagram means the same after it was written again', () => {
    for (const { payload, fromPort } of readPcap(folder + capture)) {
      if (fromPort !== 67 && fromPort !== 68) continue;
      const packet = decodePacket(payload);
      expect(
        describePacket(decodePacket(encodePacket(packet)))
          .split('\n')
          .sort(),
      ).toEqual(describePacket(packet).split('\n').sort());
    }
  });
});
