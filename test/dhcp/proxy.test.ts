// proxyDHCP beside another server, and PXE boot server requests on port 4011: PXE 2.1 sections 2.2.3 and 3.
import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { answer, type DhcpContext } from '../../src/dhcp/answer.ts';
import { option, readAddress, readText, textValue } from '../../src/dhcp/options.ts';
import { type DhcpPacket, decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import type { BootFile } from '../../src/dhcp/questions.ts';
import {
  efiRom,
  farmOf,
  httpRom,
  kernelFile,
  message,
  node,
  noLeases,
  pxeRom,
  request,
  requestedAddress,
  scriptUrl,
  server,
  serverIdentifier,
  wants,
} from './packets.ts';
import { verdict } from './verdict.ts';

const ipxeClass: readonly [number, Buffer] = [option.userClass, Buffer.from('iPXE')];
const elsewhere: BootFile = { kind: 'tftp', server: ipv4('10.11.0.3'), file: 'ipxe.efi' };
const told = { ciaddr: ipv4('10.11.0.77') };

function proxy(bootFile: BootFile | undefined = kernelFile, port: 67 | 4011 = 67): DhcpContext {
  const context = farmOf(node, bootFile);
  return { ...context, port, questions: { ...context.questions, mode: () => 'proxy' } };
}

function reply(asked: DhcpPacket, context: DhcpContext): { readonly packet: DhcpPacket; readonly route: string; readonly event: string } {
  const said = answer(asked, context);
  if (said.kind !== 'reply') throw new Error(`no reply: ${said.exchange.reason} ${said.exchange.detail}`);
  return { packet: decodePacket(encodePacket(said.packet)), route: said.route.kind, event: said.exchange.event };
}

const codes = (packet: DhcpPacket) => [...packet.options.keys()];

describe('port 67', () => {
  test.each([
    ['a PC’s ROM', message('discover', pxeRom), 'OFFER 0.0.0.0'],
    ['UEFI', message('discover', efiRom), 'OFFER 0.0.0.0'],
    ['iPXE', message('discover', [...pxeRom, ipxeClass]), 'OFFER 0.0.0.0'],
    ['an operating system', message('discover'), 'silence proxy'],
    ['U-Boot, which says neither PXEClient nor HTTPClient', message('discover', [[60, textValue('U-Boot.armv8')]]), 'silence proxy'],
    ['a machine that nobody registered', message('discover', pxeRom, { chaddr: Buffer.from('525400999999', 'hex') }), 'silence unknown-machine'],
    ['BOOTP', request([]), 'silence proxy'],
    ['a REQUEST to the other server', message('request', [...pxeRom, serverIdentifier('10.11.0.99'), requestedAddress('10.11.0.77')]), 'silence proxy'],
    ['a REQUEST to us, who offered no address', message('request', [...pxeRom, serverIdentifier(server)]), 'silence proxy'],
    ['a RELEASE', message('release', pxeRom, told), 'silence proxy'],
    ['an INFORM', message('inform', pxeRom, told), 'silence proxy'],
  ] as const)('%s', (_, asked, expected) => {
    expect(verdict(asked, proxy())).toBe(expected);
  });

  test('nothing to boot: silence, for a boot that would fail comes before the disk', () => {
    expect(verdict(message('discover', pxeRom), farmOfNothing())).toBe('silence no-boot-file');
    expect(verdict(message('discover', httpRom), proxy(kernelFile))).toBe('silence no-boot-file');
  });

  test('what another server leases is not asked of ours', () => {
    const overheard = () => {
      throw new Error('the other server is meant to be there');
    };
    expect(
      verdict(message('request', [serverIdentifier('10.11.0.99'), requestedAddress('10.11.0.77')]), { ...proxy(), leases: { ...noLeases, overheard } }),
    ).toBe('silence proxy');
  });

  test('a PC’s ROM boots from the offer itself', () => {
    const { packet, route, event } = reply(message('discover', pxeRom), proxy());
    expect([event, route, packet.flags]).toEqual(['dhcp.proxy-offer', 'broadcast', 0x8000]);
    expect(packet).toMatchObject({ yiaddr: '0.0.0.0', ciaddr: '0.0.0.0', siaddr: server, file: 'undionly.kpxe' });
    expect(codes(packet)).toEqual([53, 54, 60, 97, 43]);
    expect(readText(packet.options, 60)).toBe('PXEClient');
    expect(packet.options.get(43)?.toString('hex')).toBe('060108ff');
    expect(packet.options.get(97)?.toString('hex')).toBe('0000112233445566778899aabbccddeeff');
  });

  test('UEFI is sent to port 4011 of ours, wherever the file is: no 43', () => {
    const { packet } = reply(message('discover', efiRom), proxy(elsewhere));
    expect([packet.siaddr, packet.options.has(43), readAddress(packet.options, 54)]).toEqual([server, false, server]);
  });

  test('iPXE is told of no proxy’s absence (175), since this is one', () => {
    const { packet } = reply(message('discover', [...pxeRom, ipxeClass]), proxy(scriptUrl));
    expect(codes(packet)).toEqual([53, 54, 60, 67, 97]);
    expect([readText(packet.options, 60), packet.file]).toEqual(['PXEClient', scriptUrl.kind === 'url' && scriptUrl.url]);
  });

  test('UEFI HTTP boot takes the URL with HTTPClient', () => {
    const { packet } = reply(message('discover', httpRom), proxy(scriptUrl));
    expect([60, 67].map((code) => readText(packet.options, code))).toEqual(['HTTPClient', scriptUrl.kind === 'url' && scriptUrl.url]);
  });

  test('through a relay', () => {
    const { packet, route } = reply(message('discover', [...pxeRom, [82, Buffer.from('0101aa', 'hex')]], { giaddr: ipv4('10.11.0.254') }), proxy());
    expect([route, packet.flags, codes(packet).at(-1)]).toEqual(['relay', 0x8000, 82]);
  });
});

function farmOfNothing(): DhcpContext {
  const context = proxy();
  return { ...context, questions: { ...context.questions, bootFile: () => undefined } };
}

describe('port 4011', () => {
  const at4011 = (bootFile: BootFile = kernelFile) => proxy(bootFile, 4011);
  test.each([
    ['a boot server request', message('request', efiRom, told), 'ACK 0.0.0.0'],
    ['one that names us', message('request', [...efiRom, serverIdentifier(server)], told), 'ACK 0.0.0.0'],
    ['one that names another', message('request', [...efiRom, serverIdentifier('10.11.0.99')], told), 'silence other-server'],
    ['an INFORM, as some ROMs send', message('inform', pxeRom, told), 'ACK 0.0.0.0'],
    ['one from no address', message('request', efiRom), 'silence no-address'],
    ['a DISCOVER', message('discover', efiRom, told), 'silence not-a-request'],
    ['an operating system', message('request', [], told), 'silence proxy'],
    ['another server’s reply', message('ack', [], { op: 'reply' }), 'silence not-a-request'],
  ] as const)('%s', (_, asked, expected) => {
    expect(verdict(asked, at4011())).toBe(expected);
  });

  test('UEFI is told its file, at the port it asks from', () => {
    const { packet, route, event } = reply(message('request', [...efiRom, wants(66, 67)], told), at4011(elsewhere));
    expect([event, route]).toEqual(['dhcp.boot-server', 'source']);
    expect(packet).toMatchObject({ ciaddr: '10.11.0.77', yiaddr: '0.0.0.0', siaddr: '10.11.0.3', file: 'ipxe.efi' });
    expect([60, 66, 67].map((code) => readText(packet.options, code))).toEqual(['PXEClient', '10.11.0.3', 'ipxe.efi']);
    expect(packet.options.has(43)).toBe(false);
  });

  test('the menu item that is asked for comes back (43.71), and only that', () => {
    const { packet } = reply(message('request', [...pxeRom, [43, Buffer.from('470400000000ff', 'hex')]], told), at4011());
    expect(packet.options.get(43)?.toString('hex')).toBe('470400000000ff');
    const damaged = reply(message('request', [...pxeRom, [43, Buffer.from('4702', 'hex')]], told), at4011());
    expect(damaged.packet.options.get(43)?.toString('hex')).toBe('060108ff');
  });

  test('is served too where we give the addresses, for firmware that asks', () => {
    expect(verdict(message('request', efiRom, { ciaddr: node.address }), { ...farmOf(node, kernelFile), port: 4011 })).toBe('ACK 0.0.0.0');
  });

  test('a machine of no registry is told what its range boots', () => {
    const { address: _, leaseSeconds: __, name: ___, ...network } = node;
    const pool = { name: 'main', first: node.address, last: node.address, subnet: node.subnet, leaseSeconds: 60, isReserved: () => false, host: network };
    const context = farmOf(node, kernelFile, { kind: 'pool', pool });
    const said = answer(message('request', pxeRom, { ...told, chaddr: Buffer.from('525400999999', 'hex') }), { ...context, port: 4011 });
    expect(said).toMatchObject({ kind: 'reply', commits: false, packet: { file: 'undionly.kpxe' } });
  });
});

test('no room for everything: what did not fit is told', () => {
  const url = `http://10.11.0.1/${'u'.repeat(500)}`;
  const said = answer(message('discover', [...httpRom, [97, Buffer.alloc(17, 1)]]), proxy({ kind: 'url', url }));
  expect(said.exchange.omitted).toEqual([67]);
});
