// One test for each pitfall of real firmware, relays and servers that a DHCP server for booting has to know. The numbers are those of the project's
// list, where each has its source (bug reports of iPXE, EDK2, dnsmasq, FOG, Warewulf, xCAT and others).
import { expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { answer, type DhcpContext } from '../../src/dhcp/answer.ts';
import { option, readText, subOptions, textValue } from '../../src/dhcp/options.ts';
import { type DhcpPacket, decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import { bootClient } from '../../src/dhcp/pxe.ts';
import type { BootFile, LeaseClaim } from '../../src/dhcp/questions.ts';
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

type Pair = readonly [number, Buffer];
const architecture = (...codes: number[]): Pair => [option.clientArchitecture, Buffer.from(codes.flatMap((code) => [code >> 8, code & 255]))];
const vendor = (text: string): Pair => [option.vendorClass, textValue(text)];
const relay = ipv4('10.11.0.254');
const url = 'http://10.11.0.1/boot/n1.ipxe';

function bytesTo(asked: DhcpPacket, context: DhcpContext = farmOf(node, kernelFile)): Buffer {
  const said = answer(asked, context);
  if (said.kind !== 'reply') throw new Error(`silence: ${said.exchange.reason}`);
  return encodePacket(said.packet);
}
const replyTo = (asked: DhcpPacket, context?: DhcpContext) => decodePacket(bytesTo(asked, context));
const routeTo = (asked: DhcpPacket, context: DhcpContext = farmOf(node, kernelFile)) => {
  const said = answer(asked, context);
  return said.kind === 'reply' ? said.route : undefined;
};
/** A farm that boots what fits the firmware, as a real one does. */
function farmByClient(file: (client: ReturnType<typeof bootClient>) => BootFile | undefined): DhcpContext {
  const context = farmOf();
  return { ...context, questions: { ...context.questions, bootFile: file } };
}
const proxy = (context: DhcpContext): DhcpContext => ({ ...context, questions: { ...context.questions, mode: () => 'proxy' } });

test('pitfall 1: option 93 decides, not the numbers in option 60; a client without it is a BIOS', () => {
  expect(bootClient(message('discover', [vendor('PXEClient:Arch:00000:UNDI:002001'), architecture(7)])).firmware).toBe('efi-x64');
  expect(bootClient(message('discover', [vendor('PXEClient:Arch:00007:UNDI:003000')])).firmware).toBe('bios');
});

test.each([
  [0, 'bios'], [6, 'efi-ia32'], [7, 'efi-x64'], [9, 'efi-x64'], [10, 'efi-arm32'], [11, 'efi-arm64'], [15, 'efi-ia32'], [16, 'efi-x64'], [18, 'efi-arm32'],
  [19, 'efi-arm64'], [20, 'bios'], [21, 'uboot-arm32'], [22, 'uboot-arm64'], [23, 'uboot-arm32'], [24, 'uboot-arm64'], [25, 'efi-riscv32'],
  [27, 'efi-riscv64'], [28, 'efi-riscv64'], [31, 's390'], [32, 's390'], [37, 'efi-loong32'], [39, 'efi-loong64'], [41, 'rpi'], [8, 'other'],
] as const)('pitfall 2: architecture %i is %s', (code, firmware) => {
  expect(bootClient(message('discover', [architecture(code)])).firmware).toBe(firmware);
}); // biome-ignore format: a table

test('pitfall 3: option 93 may list several architectures', () => {
  const client = bootClient(message('discover', [architecture(0x7777, 0x0007, 0x0000)]));
  expect([client.firmware, client.architectures]).toEqual(['efi-x64', [0x7777, 7, 0]]);
});

test('pitfall 4: option 60 comes back as HTTPClient or PXEClient, to firmware only', () => {
  const classOf = (options: readonly Pair[], context = farmOf(node, scriptUrl)) => readText(replyTo(message('discover', options), context).options, 60);
  expect(classOf(httpRom)).toBe('HTTPClient');
  expect(classOf(pxeRom)).toBe('PXEClient');
  expect(classOf([vendor('udhcp 1.35.0')])).toBeUndefined();
  expect(readText(replyTo(message('discover', efiRom), proxy(farmOf(node, kernelFile))).options, 60)).toBe('PXEClient');
});

test('pitfall 5: a full answer with 60 has 43 in it, or EDK2 asks port 4011 for the file', () => {
  const { options } = replyTo(message('discover', efiRom));
  expect([
    options.has(60),
    subOptions(options.get(43) ?? Buffer.alloc(0))
      .get(6)
      ?.toString('hex'),
  ]).toEqual([true, '08']);
});

test('pitfall 6: a proxy’s answer to UEFI has no 43, and port 4011 answers', () => {
  const context = proxy(farmOf(node, kernelFile));
  expect(replyTo(message('discover', efiRom), context).options.has(43)).toBe(false);
  expect(verdict(message('request', efiRom, { ciaddr: node.address }), { ...context, port: 4011 })).toBe('ACK 0.0.0.0');
});

test('pitfall 7: 43 has neither boot servers (8) nor menus (9, 10) that would override siaddr or prompt', () => {
  for (const rom of [pxeRom, efiRom]) expect([...subOptions(replyTo(message('discover', rom)).options.get(43) ?? Buffer.alloc(0)).keys()]).toEqual([6]);
});

test('pitfall 7: but the Raspberry Pi boots only with its menu', () => {
  const asked = message('discover', [vendor('PXEClient:Arch:00000:UNDI:002001'), architecture(0)], { chaddr: Buffer.from('b827ebe8271e', 'hex') });
  const context = farmByClient(() => kernelFile);
  const { options } = replyTo(asked, { ...context, questions: { ...context.questions, place: () => ({ kind: 'host', host: node }) } });
  const parts = subOptions(options.get(43) ?? Buffer.alloc(0));
  expect([...parts.keys()]).toEqual([6, 10, 9]);
  expect(parts.get(9)?.toString('latin1')).toBe('\0\0\x11Raspberry Pi Boot');
});

test('pitfall 8: a UUID of zeros or ones is none, one that came goes back as it was, and none is made up', () => {
  const uuid = (hex: string): Pair => [option.clientUuid, Buffer.from(hex, 'hex')];
  for (const hex of [`00${'00'.repeat(16)}`, `00${'ff'.repeat(16)}`]) {
    const asked = message('discover', [...efiRom, uuid(hex)]);
    expect([bootClient(asked).uuid, replyTo(asked).options.get(97)?.toString('hex')]).toEqual([undefined, hex]);
  }
  expect(replyTo(message('discover', efiRom)).options.has(97)).toBe(false);
});

test('pitfall 9: option 77 with RFC 3004’s lengths or without', () => {
  for (const hex of ['0469505845', '69505845', '6950584500']) {
    expect(bootClient(message('discover', [[option.userClass, Buffer.from(hex, 'hex')]])).loader).toBe('ipxe');
  }
});

test('pitfall 10: option 175 says what this iPXE can do; Etherboot’s container is 150', () => {
  const client = bootClient(message('discover', [[option.ipxe, Buffer.from('150101190101240101130100', 'hex')]]));
  expect([...client.features]).toEqual(['tftp', 'multiboot', 'efi']);
  expect(bootClient(message('discover', [vendor('Etherboot-5.4'), [150, Buffer.from('af05018086100e', 'hex')]])).loader).toBe('etherboot');
});

test('pitfall 10: iPXE is never handed itself, whatever marks it has', () => {
  const context = farmByClient((client) => (client.loader === 'ipxe' ? { kind: 'url', url } : kernelFile));
  for (const mark of [
    [option.userClass, Buffer.from('iPXE')],
    [option.userClass, Buffer.from('\x04gPXE')],
    [option.ipxe, Buffer.from('130101', 'hex')],
  ] as const) {
    expect(replyTo(message('discover', [...pxeRom, mark]), context).file).toBe(url);
  }
});

test('pitfall 11: a node has one address through all its stages, however they call themselves', () => {
  const stages: readonly (readonly Pair[])[] = [
    pxeRom,
    [...pxeRom, [option.ipxe, Buffer.from('130101', 'hex')], [61, Buffer.from('01525400123456', 'hex')]],
    [[61, Buffer.from('ff525400120001000130b8c1e5525400123456', 'hex')]],
  ];
  for (const options of stages) expect(verdict(message('discover', options))).toBe('OFFER 10.11.0.7');
});

test('pitfall 11: so has a machine that leases one, when ROM and iPXE differ only in sending 61', () => {
  const keys = new Set<string>();
  const { address: _, leaseSeconds: __, name: ___, ...host } = node;
  const pool = { name: 'p', first: server, last: server, subnet: node.subnet, leaseSeconds: 60, isReserved: () => false, host };
  const offer = (claim: LeaseClaim) => {
    keys.add(claim.key);
    return { kind: 'full', why: '' } as const;
  };
  const context = farmOf();
  const leasing: DhcpContext = { ...context, leases: { ...noLeases, offer }, questions: { ...context.questions, place: () => ({ kind: 'pool', pool }) } };
  for (const options of [pxeRom, [[61, Buffer.from('01525400123456', 'hex')] as const]]) answer(message('discover', options), leasing);
  expect([...keys]).toEqual(['01525400123456']);
});

test('pitfall 12: InfiniBand: no hardware address, known by its identifier, answered by broadcast', () => {
  const identifier: Pair = [61, Buffer.from('ff00000000000002000002c9000002c90300001232', 'hex')];
  const context = farmOf();
  const questions: DhcpContext['questions'] = {
    ...context.questions,
    place: (asker) => (asker.clientId?.equals(identifier[1]) ? { kind: 'host', host: node } : { kind: 'nobody', reason: 'unknown-machine', detail: '' }),
  };
  const fields = { htype: 32, chaddr: Buffer.alloc(0) };
  const asked = message('discover', [identifier], fields);
  expect(verdict(asked, { ...context, questions })).toBe('OFFER 10.11.0.7');
  expect(routeTo(asked, { ...context, questions })).toEqual({ kind: 'broadcast' });
  expect(
    bytesTo(asked, { ...context, questions })
      .subarray(0, 3)
      .toString('hex'),
  ).toBe('022000');
  expect(verdict(message('discover', [[97, Buffer.alloc(17, 1)]], fields), { ...context, questions })).toBe('silence no-mac');
});

test('pitfall 14: a registered machine is booted by what asks, HTTP boot too', () => {
  const context = farmByClient((client) => (client.http ? { kind: 'url', url: 'http://10.11.0.1/ipxe.efi' } : kernelFile));
  expect(readText(replyTo(message('discover', httpRom), context).options, 67)).toBe('http://10.11.0.1/ipxe.efi');
  expect(replyTo(message('discover', pxeRom), context).file).toBe('undionly.kpxe');
});

test('pitfall 15: BOOTP: 64 bytes of options that RFC 1497 knows, 300 bytes in all, no lease time', () => {
  const bytes = bytesTo(request([]));
  expect([bytes.length, [...decodePacket(bytes).options.keys()]]).toEqual([300, [1, 3, 12, 6, 15, 17]]);
  expect(
    bytesTo(request([], { cookie: false }))
      .subarray(236)
      .every((byte) => byte === 0),
  ).toBe(true);
});

test('pitfall 16: a relayed request is answered to giaddr whatever its flags, and hops, giaddr and flags stay', () => {
  const asked = message('discover', [], { giaddr: relay, hops: 3, flags: 0x8000 });
  expect(routeTo(asked)).toEqual({ kind: 'relay', address: relay });
  expect(replyTo(asked)).toMatchObject({ giaddr: relay, hops: 3, flags: 0x8000 });
});

test('pitfall 17: option 82 comes back unchanged, the last before the end, even if it is empty or too long', () => {
  for (const value of [Buffer.from('0104aabbccdd0202ffff', 'hex'), Buffer.alloc(0), Buffer.alloc(400, 7)]) {
    const bytes = bytesTo(message('discover', [[82, value], wants(1, 3, 6)], { giaddr: relay }));
    expect([...decodePacket(bytes).options].at(-1)).toEqual([82, value]);
  }
});

test('pitfall 18: a client without an address and without the broadcast flag is sent a frame, not an ARP question', () => {
  expect(routeTo(message('discover'))).toEqual({ kind: 'unconfigured', address: node.address });
  expect(routeTo(message('discover', [], { flags: 0x8000 }))).toEqual({ kind: 'broadcast' });
});

test('pitfall 19: NAK is broadcast, or made so by the relay', () => {
  const other = requestedAddress('10.11.0.8');
  expect(routeTo(message('request', [other], { ciaddr: ipv4Zero }))).toEqual({ kind: 'broadcast' });
  expect(replyTo(message('request', [other], { giaddr: relay })).flags).toBe(0x8000);
});
const ipv4Zero = ipv4('0.0.0.0');

test('pitfall 20: the file’s name ends in NUL in its field, and 67 repeats it without', () => {
  const bytes = bytesTo(message('discover', [...pxeRom, wants(67)]), farmOf(node, { kind: 'tftp', server, file: 'f'.repeat(127) }));
  expect([bytes[108 + 126], bytes[108 + 127]]).toEqual([0x66, 0]);
  expect(decodePacket(bytes).options.get(67)?.length).toBe(127);
});

test('pitfall 21: siaddr and file, and 66 and 67 for who asks; overload is read and never written', () => {
  const packet = replyTo(message('discover', [...pxeRom, wants(66, 67)]));
  expect([packet.siaddr, packet.file, readText(packet.options, 66), readText(packet.options, 67)]).toEqual([server, 'undionly.kpxe', server, 'undionly.kpxe']);
  const overloaded = encodePacket(message('discover'));
  overloaded.set([12, 2, 0x6e, 0x31, 255], 108);
  overloaded.set([52, 1, 1, 255], overloaded.indexOf(255, 240));
  expect(readText(decodePacket(overloaded).options, 12)).toBe('n1');
  const wordy = { ...node, domain: 'd'.repeat(250), rootPath: 'r'.repeat(250) };
  expect(bytesTo(message('discover', [wants(15, 17)]), farmOf(wordy)).includes(Buffer.from([52, 1]))).toBe(false);
});

test('pitfall 22: no reply is longer than option 57 allows, 576 without it', () => {
  const wordy = { ...node, domain: 'd'.repeat(250), rootPath: 'r'.repeat(250) };
  const size = (bytes: number): Pair => [57, Buffer.from([bytes >> 8, bytes & 255])];
  const length = (...options: Pair[]) =>
    bytesTo(message('discover', [...httpRom, ...options]), farmOf(wordy, { kind: 'url', url: `http://h/${'u'.repeat(200)}` })).length;
  expect([length() <= 548, length(size(700)) <= 672, length(size(100)) <= 548, length(size(65000)) <= 1472]).toEqual([true, true, true, true]);
});

test('pitfall 23: an answer that came too soon for a ROM is the same when it asks again', () => {
  const [first, second] = [0, 4].map((secs) => bytesTo(message('discover', pxeRom, { secs, xid: 7 })));
  expect(second).toEqual(first);
});

test('pitfall 24: iPXE that takes no proxy’s offer after its ACK is told at 4011, and a full server spares it the wait', () => {
  const ipxe: readonly Pair[] = [...pxeRom, [option.userClass, Buffer.from('iPXE')]];
  const context = { ...proxy(farmOf(node, scriptUrl)), port: 4011 } as const;
  expect(replyTo(message('request', [...ipxe, serverIdentifier(server)], { ciaddr: node.address }), context).file).toBe(
    scriptUrl.kind === 'url' && scriptUrl.url,
  );
  expect(replyTo(message('discover', ipxe), farmOf(node, scriptUrl)).options.get(175)?.toString('hex')).toBe('b00101');
  expect(replyTo(message('discover', ipxe), proxy(farmOf(node, scriptUrl))).options.has(175)).toBe(false);
});

test('pitfall 25: a ROM that a switch kept waiting is answered however long it has asked', () => {
  for (const secs of [0, 60, 65535]) expect(verdict(message('discover', pxeRom, { secs }))).toBe('OFFER 10.11.0.7');
});

test('pitfall 26: a second server is noticed by the clients that take its offers', () => {
  const { exchange } = answer(message('request', [serverIdentifier('10.11.0.99'), requestedAddress('10.11.0.50')]), farmOf());
  expect(exchange).toMatchObject({ event: 'dhcp.other-server', otherServer: '10.11.0.99', address: '10.11.0.50' });
});

test('pitfall 27: the lease of a node’s root has no end and no T1, so that nothing takes it away', () => {
  const { options } = replyTo(message('request', [requestedAddress(node.address), wants(51, 58, 59)]));
  expect([options.get(51)?.toString('hex'), options.has(58), options.has(59)]).toEqual(['ffffffff', false, false]);
});

test('pitfall 29: replies to machines without an address go past the server’s ARP table', () => {
  for (const flags of [0, 0x8000]) expect(routeTo(message('discover', [], { flags }))?.kind).not.toBe('unicast');
});

test('pitfalls 43 and 45: a URL goes out as it is: an address for a name, no slash too many', () => {
  const { options, file } = replyTo(message('discover', httpRom), farmOf(node, { kind: 'url', url }));
  expect([readText(options, 67), file]).toEqual([url, url]);
});

test('pitfall 44: a client of HTTP boot is never sent to TFTP', () => {
  const packet = replyTo(message('discover', [...httpRom, wants(66, 67)]));
  expect([packet.file, packet.options.has(66), packet.options.has(67), packet.options.has(60)]).toEqual(['', false, false, false]);
});

test('pitfall 47: GRUB after shim reads its server from the DHCP answer: siaddr and 66 name it in ACKs too', () => {
  const elsewhere: BootFile = { kind: 'tftp', server: ipv4('10.11.0.3'), file: 'shimx64.efi' };
  const packet = replyTo(message('request', [...efiRom, requestedAddress(node.address), wants(66)]), farmOf(node, elsewhere));
  expect([packet.siaddr, readText(packet.options, 66)]).toEqual(['10.11.0.3', '10.11.0.3']);
});
