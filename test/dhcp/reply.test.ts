// What a reply says: header, options, the boot file for each kind of client, and what is left out when there is no room.
import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { answer } from '../../src/dhcp/answer.ts';
import { option, readAddress, readAddresses, readText, readU32, textValue } from '../../src/dhcp/options.ts';
import { type DhcpPacket, decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import type { BootFile, DhcpHost } from '../../src/dhcp/questions.ts';
import { farmOf, httpRom, kernelFile, message, node, pxeRom, request, requestedAddress, scriptUrl, server, wants } from './packets.ts';

function reply(asked: DhcpPacket, host: DhcpHost = node, bootFile?: BootFile): DhcpPacket {
  const said = answer(asked, farmOf(host, bootFile));
  if (said.kind !== 'reply') throw new Error(`no reply: ${said.exchange.detail}`);
  return decodePacket(encodePacket(said.packet));
}

const codes = (packet: DhcpPacket) => [...packet.options.keys()];
const ipxeClass: readonly [number, Buffer] = [option.userClass, Buffer.from('iPXE')];

describe('header (RFC 2131 table 3)', () => {
  const asked = message('discover', [], { hops: 2, secs: 9, flags: 0x8000, giaddr: ipv4('10.11.0.254'), sname: 'x', file: 'y' });

  test('gives back what identifies the exchange', () => {
    const { op, htype, xid, hops, secs, flags, giaddr, chaddr } = reply(asked);
    expect({ op, htype, xid, hops, secs, flags, giaddr }).toEqual({
      op: 'reply',
      htype: 1,
      xid: asked.xid,
      hops: 2,
      secs: 0,
      flags: 0x8000,
      giaddr: '10.11.0.254',
    });
    expect(chaddr).toEqual(asked.chaddr);
  });

  test('names the farm as next server when there is no boot file: kernels mount their root from siaddr', () => {
    expect(reply(asked)).toMatchObject({ siaddr: server, file: '', sname: '', yiaddr: '10.11.0.7', ciaddr: '0.0.0.0' });
  });

  test('keeps ciaddr in an ACK', () => {
    expect(reply(message('request', [], { ciaddr: node.address }))).toMatchObject({ ciaddr: '10.11.0.7', yiaddr: '10.11.0.7' });
  });
});

describe('options', () => {
  test('a client that asks for nothing gets all that is known', () => {
    const { options } = reply(message('discover'));
    expect(readAddress(options, 54)).toBe(server);
    expect(readAddress(options, 1)).toBe('255.255.255.0');
    expect(readAddress(options, 28)).toBe('10.11.0.255');
    expect(readAddresses(options, 3)).toEqual([server]);
    expect(readAddresses(options, 6)).toEqual([server, '10.11.0.2']);
    expect([12, 15, 17].map((code) => readText(options, code))).toEqual(['n1', 'farm.test', '10.11.0.1:/srv/root']);
  });

  test('a client that asks gets what it asks for, in its order, after what is due anyway', () => {
    expect(codes(reply(message('discover', [wants(15, 12, 3, 44)])))).toEqual([53, 54, 51, 1, 15, 12, 3]);
  });

  test('nothing is sent for what the farm does not know', () => {
    const { domain: _, rootPath: __, ...bare } = { ...node, routers: [], nameServers: [] };
    expect(codes(reply(message('discover'), bare))).toEqual([53, 54, 51, 1, 12, 28]);
  });

  test.each([
    ['without end: no T1, no T2', Number.POSITIVE_INFINITY, [0xffffffff, undefined, undefined]],
    ['as long as a number can be: without end', 0xffffffff, [0xffffffff, undefined, undefined]],
    ['a day: T1 a half, T2 seven eighths', 86400, [86400, 43200, 75600]],
    ['an odd number of seconds', 61.7, [61, 30, 53]],
    ['nothing is a second, for 0 is none', 0, [1, 0, 0]],
  ])('lease %s', (_, leaseSeconds, times) => {
    const { options } = reply(message('discover', [wants(58, 59)]), { ...node, leaseSeconds });
    expect([51, 58, 59].map((code) => readU32(options, code))).toEqual(times);
  });

  test('an ACK to INFORM has no lease in it (RFC 2131 4.3.5)', () => {
    const packet = reply(message('inform', [wants(3, 51, 58, 59)], { ciaddr: node.address }), { ...node, leaseSeconds: 60 });
    expect(codes(packet)).toEqual([53, 54, 1, 3]);
  });

  test('the client identifier comes back (RFC 6842), the relay’s information too and last (RFC 3046)', () => {
    const identifier = Buffer.from('01525400123456', 'hex');
    const information = Buffer.from('0104deadbeef', 'hex');
    const packet = reply(message('discover', [[82, information], [61, identifier], wants(3)])); // biome-ignore format: one row
    expect(codes(packet)).toEqual([53, 54, 51, 1, 61, 3, 82]);
    expect([packet.options.get(61), packet.options.get(82)]).toEqual([identifier, information]);
  });
});

describe('the boot file', () => {
  test('of a PXE ROM: header, 60, and 43 that keeps it from looking for a boot server', () => {
    const packet = reply(message('discover', [...pxeRom, wants(1, 3)]), node, kernelFile);
    expect(packet).toMatchObject({ siaddr: server, file: 'undionly.kpxe' });
    expect(codes(packet)).toEqual([53, 54, 51, 1, 60, 43, 97, 3]);
    expect(readText(packet.options, 60)).toBe('PXEClient');
    expect(packet.options.get(43)?.toString('hex')).toBe('060108ff');
    expect(packet.options.get(97)?.toString('hex')).toBe('0000112233445566778899aabbccddeeff');
  });

  test('also in 66 and 67 if asked', () => {
    const { options } = reply(message('discover', [...pxeRom, wants(66, 67)]), node, kernelFile);
    expect([66, 67].map((code) => readText(options, code))).toEqual([server, 'undionly.kpxe']);
  });

  test('97 is not made up for a ROM that sent none', () => {
    const { options } = reply(message('discover', pxeRom.slice(0, 2)), node, kernelFile);
    expect(options.has(97)).toBe(false);
  });

  test('a ROM that has nothing to boot is not told that this is a PXE answer', () => {
    expect(codes(reply(message('discover', [...pxeRom, wants(1)])))).toEqual([53, 54, 51, 1]);
  });

  test('of UEFI HTTP boot: 60 says HTTPClient and the URL is in 67, asked for or not', () => {
    const packet = reply(message('discover', [...httpRom, wants(1)]), node, scriptUrl);
    expect([60, 67].map((code) => readText(packet.options, code))).toEqual(['HTTPClient', scriptUrl.kind === 'url' && scriptUrl.url]);
    expect(packet.options.has(43)).toBe(false);
  });

  test('UEFI HTTP boot cannot use a TFTP file: it gets an address, and the log says why no more', () => {
    const said = answer(message('discover', [...httpRom, wants(1, 66, 67)]), farmOf(node, kernelFile));
    if (said.kind !== 'reply') throw new Error('no reply');
    expect([said.packet.file, codes(said.packet)]).toEqual(['', [53, 54, 51, 1]]);
    expect(said.exchange).toMatchObject({ event: 'dhcp.offer', detail: expect.stringContaining('TFTP') });
    expect(said.exchange.file).toBeUndefined();
  });

  test('of iPXE: no wait for a proxy (175.176), and none of what a ROM needs', () => {
    const packet = reply(message('discover', [...pxeRom, ipxeClass, wants(1)]), node, scriptUrl);
    expect(codes(packet)).toEqual([53, 54, 51, 1, 175, 67, 97]);
    expect(packet.options.get(175)?.toString('hex')).toBe('b00101');
    expect(packet.file).toBe(scriptUrl.kind === 'url' && scriptUrl.url);
  });

  test('a name too long for the header is in 67 alone', () => {
    const file = `${'d/'.repeat(64)}kernel`;
    const packet = reply(message('discover', [wants(1)]), node, { kind: 'tftp', server, file });
    expect([packet.file, readText(packet.options, 67)]).toEqual(['', file]);
  });

  test('siaddr is the server of the file, which may be another', () => {
    expect(reply(message('discover'), node, { kind: 'tftp', server: ipv4('10.11.0.3'), file: 'x' }).siaddr).toBe('10.11.0.3');
  });
});

describe('BOOTP', () => {
  test('gets RFC 1497’s options, no lease, in exactly 300 bytes', () => {
    const said = answer(request([wants(1)]), farmOf(node, kernelFile));
    if (said.kind !== 'reply') throw new Error('no reply');
    expect(encodePacket(said.packet).length).toBe(300);
    expect(codes(said.packet)).toEqual([1]);
    expect(said.packet).toMatchObject({ yiaddr: '10.11.0.7', siaddr: server, file: 'undionly.kpxe' });
    expect(codes(reply(request([]), node, kernelFile))).toEqual([1, 3, 12, 6, 15, 17]);
  });

  test('leaves out what its 64 bytes do not hold, and says so', () => {
    const said = answer(request([]), farmOf({ ...node, rootPath: `10.11.0.1:/${'r'.repeat(40)}` }));
    expect(said.exchange.omitted).toEqual([17]);
  });

  test('without the cookie gets no options at all', () => {
    const packet = reply(request([], { cookie: false }), node, kernelFile);
    expect([packet.cookie, packet.options.size, packet.file]).toEqual([false, 0, 'undionly.kpxe']);
  });
});

describe('room', () => {
  const length = (asked: DhcpPacket, host: DhcpHost) => {
    const said = answer(asked, farmOf(host, scriptUrl));
    if (said.kind !== 'reply') throw new Error('no reply');
    return { bytes: encodePacket(said.packet).length, omitted: said.exchange.omitted ?? [] };
  };
  const size = (bytes: number): readonly [number, Buffer] => [option.maximumMessageSize, Buffer.from([bytes >> 8, bytes & 255])];
  const wordy = { ...node, rootPath: 'r'.repeat(240), domain: 'd'.repeat(160) };

  test.each([
    ['no option 57: 576 bytes with the IP and UDP headers', [], 548, [17]],
    ['less than the least', [size(300)], 548, [17]],
    ['an Ethernet frame', [size(1500)], 1472, []],
    ['what OVMF claims is cut to a frame', [size(65280)], 1472, []],
  ] as const)('%s', (_, options, most, omitted) => {
    const made = length(message('discover', options), wordy);
    expect(made.bytes).toBeLessThanOrEqual(most);
    expect(made.omitted).toEqual(omitted);
  });

  test('what makes it boot goes before what it wished for', () => {
    const url = `http://10.11.0.1/${'u'.repeat(240)}`;
    const packet = reply(message('discover', [...httpRom, wants(17, 15, 67)]), wordy, { kind: 'url', url });
    expect(readText(packet.options, 67)).toBe(url);
    expect(packet.options.has(17)).toBe(false);
  });

  test('relay information is given back whatever the room', () => {
    const information = Buffer.alloc(300, 1);
    expect(reply(message('discover', [[82, information], [60, textValue('x')]])).options.get(82)).toEqual(information); // biome-ignore format: one row
  });
});

test('REQUEST and DISCOVER of one client are given the same options', () => {
  const offer = reply(message('discover', [...pxeRom, wants(1, 3, 66, 67)]), node, kernelFile);
  const ack = reply(message('request', [...pxeRom, requestedAddress(node.address), wants(1, 3, 66, 67)]), node, kernelFile);
  expect([...ack.options].slice(1)).toEqual([...offer.options].slice(1));
});

test.each([
  ['a boot ROM', message('discover', pxeRom), 'nothing to boot: it is broken'],
  ['a ROM that says nothing but BOOTP', request([]), 'nothing to boot: it is broken'],
  ['an operating system', message('discover'), undefined],
] as const)('that there is nothing to boot is said with its reason to the log, if it matters: %s', (_, asked, detail) => {
  const context = farmOf(node);
  const said = answer(asked, { ...context, questions: { ...context.questions, bootFile: () => ({ kind: 'nothing', reason: 'it is broken' }) } });
  expect(said).toMatchObject({ kind: 'reply', packet: { file: '', siaddr: node.server } });
  expect(said.exchange.detail).toBe(detail);
});
