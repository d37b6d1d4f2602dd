// The datagram codec: RFC 951, RFC 2131, RFC 2132 9.3, RFC 3046, RFC 3396.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Ipv4, ipv4, ipv4FromNumber } from '../../src/base/addresses.ts';
import { WireError } from '../../src/base/errors.ts';
import { type DhcpPacket, datagramLength, decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import { message, request } from './packets.ts';

const cookie = Buffer.from([99, 130, 83, 99]);

/** A request of 236 bytes of header and whatever follows it. */
function datagram(area: readonly number[] | Buffer, header: (bytes: Buffer) => void = () => {}): Buffer {
  const bytes = Buffer.alloc(236);
  bytes.set([1, 1, 6, 0]);
  header(bytes);
  return Buffer.concat([bytes, Buffer.from(area)]);
}

function withOptions(...area: number[]): Buffer {
  return datagram([...cookie, ...area]);
}

function codeOf(bytes: Buffer): string {
  try {
    decodePacket(bytes);
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'decoded';
}

describe('decoding', () => {
  test('reads every header field', () => {
    const bytes = Buffer.from(`01010603deadbeef00108000 0a000001 0a000002 0a000003 0a000004 525400123456${'00'.repeat(10 + 192)}`.replaceAll(' ', ''), 'hex');
    bytes.write('head', 44);
    bytes.write('vmlinuz', 108);
    expect(decodePacket(Buffer.concat([bytes, cookie, Buffer.from([53, 1, 1, 255])]))).toEqual({
      op: 'request',
      htype: 1,
      hops: 3,
      xid: 0xdeadbeef,
      secs: 16,
      flags: 0x8000,
      ciaddr: '10.0.0.1',
      yiaddr: '10.0.0.2',
      siaddr: '10.0.0.3',
      giaddr: '10.0.0.4',
      chaddr: Buffer.from('525400123456', 'hex'),
      sname: 'head',
      file: 'vmlinuz',
      cookie: true,
      vendor: Buffer.alloc(0),
      options: new Map([[53, Buffer.from([1])]]),
    });
  });

  test.each([
    ['END ends the options, whatever follows', [53, 1, 1, 255, 60, 200], [[53, '01']]],
    ['a missing END is tolerated', [53, 1, 1], [[53, '01']]],
    ['pads between options are skipped', [0, 53, 1, 1, 0, 0, 12, 1, 65, 255], [[53, '01'], [12, '41']]], // biome-ignore format: one row
    ['an empty value is kept', [80, 0, 255], [[80, '']]],
    ['an unknown option is kept', [224, 2, 1, 2, 255], [[224, '0102']]],
    ['repeated options are joined (RFC 3396)', [67, 1, 97, 12, 1, 65, 67, 1, 98, 255], [[67, '6162'], [12, '41']]], // biome-ignore format: one row
    ['nothing but the cookie', [], []],
  ] as const)('%s', (_, area, expected) => {
    const { options } = decodePacket(withOptions(...area));
    expect([...options].map(([code, value]) => [code, value.toString('hex')])).toEqual(expected);
  });

  test('reads options from file, then sname, when they are overloaded', () => {
    const bytes = datagram([...cookie, 67, 1, 97, 52, 1, 3, 255], (header) => {
      header.set([67, 1, 99, 255], 44);
      header.set([67, 1, 98, 12, 1, 65], 108);
    });
    const packet = decodePacket(bytes);
    expect(packet.options.get(67)?.toString()).toBe('abc');
    expect(packet.options.get(12)?.toString()).toBe('A');
    expect(packet.options.has(52)).toBe(false);
    expect([packet.file, packet.sname]).toEqual(['', '']);
  });

  test.each([
    [1, '', 'head'],
    [2, 'vmlinuz', ''],
  ])('overload %i takes only its own field', (bits, file, sname) => {
    const packet = decodePacket(
      datagram([...cookie, 52, 1, bits, 255], (header) => {
        header.write(bits === 2 ? '\x0c\x01A' : 'head', 44, 'latin1');
        header.write(bits === 1 ? '\x0c\x01A' : 'vmlinuz', 108, 'latin1');
      }),
    );
    expect([packet.file, packet.sname, packet.options.get(12)?.toString()]).toEqual([file, sname, 'A']);
  });

  test('a BOOTP request without the cookie keeps its vendor area and has no options', () => {
    const packet = decodePacket(datagram(Buffer.concat([Buffer.from('CMU\0\x01', 'latin1'), Buffer.alloc(59)])));
    expect(packet.cookie).toBe(false);
    expect(packet.vendor.toString('latin1')).toBe('CMU\0\x01');
    expect(packet.options.size).toBe(0);
  });

  test('a header alone is a BOOTP request', () => {
    expect(decodePacket(datagram([])).cookie).toBe(false);
  });

  test('InfiniBand sends no hardware address (RFC 4390)', () => {
    const packet = decodePacket(datagram([], (header) => header.set([1, 32, 0, 0])));
    expect([packet.htype, packet.chaddr.length]).toEqual([32, 0]);
  });

  test('a name that fills its field has no NUL', () => {
    expect(decodePacket(datagram([], (header) => header.fill(97, 108, 236))).file).toBe('a'.repeat(128));
  });

  test.each([
    ['an empty datagram', Buffer.alloc(0), 'short'],
    ['one byte less than a header', datagram([]).subarray(0, 235), 'short'],
    ['op 0', datagram([], (header) => header.set([0])), 'dhcp.op'],
    ['op 3', datagram([], (header) => header.set([3])), 'dhcp.op'],
    ['17 bytes of hardware address', datagram([], (header) => header.set([1, 1, 17])), 'dhcp.hlen'],
    ['an option longer than the datagram', withOptions(53, 2, 1), 'dhcp.option'],
    ['an option without its length', withOptions(53), 'dhcp.option'],
    ['overload of nothing', withOptions(52, 1, 0), 'dhcp.overload'],
    ['overload of unknown fields', withOptions(52, 1, 4), 'dhcp.overload'],
    ['overload of two bytes', withOptions(52, 2, 1, 2), 'dhcp.overload'],
    ['an option that runs out of an overloaded field', datagram([...cookie, 52, 1, 1, 255], (header) => header.fill(200, 108, 236)), 'dhcp.option'],
  ])('%s is refused', (_, bytes, code) => {
    expect(codeOf(bytes)).toBe(code);
  });

  test('the error says where', () => {
    expect(() => decodePacket(withOptions(53, 1, 1, 60, 9, 1))).toThrow('option 60 at offset 243 claims 9 bytes, 1 left');
  });
});

describe('encoding', () => {
  test('a short datagram is padded to the 300 bytes that kernels want', () => {
    expect(encodePacket(message('discover')).length).toBe(300);
    expect(encodePacket(request([], { cookie: false })).length).toBe(300);
  });

  test('53 comes first and 82 last, before END', () => {
    const packet = request([
      [82, Buffer.from([1, 1, 7])],
      [60, Buffer.from('x')],
      [53, Buffer.from([5])],
    ]);
    expect(encodePacket(packet).subarray(240, 252).toString('hex')).toBe('3501053c0178' + '5203010107' + 'ff');
  });

  test('a value over 255 bytes is sent in parts', () => {
    const value = Buffer.alloc(600, 'u');
    const bytes = encodePacket(request([[67, value]]));
    expect([bytes[241], bytes[240 + 257 + 1], bytes[240 + 2 * 257 + 1]]).toEqual([255, 255, 90]);
    expect(decodePacket(bytes).options.get(67)).toEqual(value);
  });

  test.each([254, 255, 256, 510, 511])('a value of %i bytes takes the room that is reckoned for it', (length) => {
    const packet = request([[67, Buffer.alloc(length)]]);
    expect(encodePacket(packet).length).toBe(Math.max(300, datagramLength(packet.options)));
  });

  test('names keep room for their NUL', () => {
    expect(encodePacket(request([], { file: 'f'.repeat(127), sname: 's'.repeat(63) }))[235]).toBe(0);
    expect(() => encodePacket(request([], { file: 'f'.repeat(128) }))).toThrow(WireError);
    expect(() => encodePacket(request([], { sname: 's'.repeat(64) }))).toThrow(WireError);
    expect(() => encodePacket(request([], { file: 'a\0b' }))).toThrow(WireError);
  });

  test.each([0, 52, 255, 256])('code %i is no option', (code) => {
    expect(() => encodePacket(request([[code, Buffer.from([1])]]))).toThrow(WireError);
  });
});

describe('round trip', () => {
  const address = fc.nat(0xffffffff).map((value): Ipv4 => ipv4FromNumber(value));
  const name = (most: number) => fc.uint8Array({ maxLength: most }).map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 0)).toString('latin1'));
  const bytes = (most: number) => fc.uint8Array({ maxLength: most }).map((value) => Buffer.from(value));
  const options = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 254 }), bytes(700)), { maxLength: 20 })
    .map((entries) => new Map(entries.filter(([code]) => code !== 52)));
  const packets = fc.record<DhcpPacket>({
    op: fc.constantFrom('request', 'reply'),
    htype: fc.nat(255),
    hops: fc.nat(255),
    xid: fc.nat(0xffffffff),
    secs: fc.nat(65535),
    flags: fc.nat(65535),
    ciaddr: address,
    yiaddr: address,
    siaddr: address,
    giaddr: address,
    chaddr: bytes(16),
    sname: name(63),
    file: name(127),
    cookie: fc.constant(true),
    vendor: fc.constant(Buffer.alloc(0)),
    options,
  });
  const sorted = (packet: DhcpPacket) => ({ ...packet, options: [...packet.options].sort(([a], [b]) => a - b) });

  test('every packet with options comes back as it was', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        expect(sorted(decodePacket(encodePacket(packet)))).toEqual(sorted(packet));
      }),
    );
  });

  test('every packet without the cookie comes back as it was', () => {
    const vendor = bytes(64).filter((area) => area.length === 0 || (area[area.length - 1] !== 0 && !area.subarray(0, 4).equals(cookie)));
    fc.assert(
      fc.property(packets, vendor, (packet, area) => {
        const bare = { ...packet, cookie: false, vendor: area, options: new Map() };
        expect(decodePacket(encodePacket(bare))).toEqual(bare);
      }),
    );
  });

  test('a datagram can be read inside a larger buffer', () => {
    const packet = message('discover', [[60, Buffer.from('PXEClient')]], { giaddr: ipv4('10.0.0.9'), file: 'x' });
    const bytes = encodePacket(packet);
    const larger = Buffer.concat([Buffer.alloc(13, 7), bytes, Buffer.alloc(5, 9)]);
    expect(decodePacket(larger.subarray(13, 13 + bytes.length))).toEqual(decodePacket(bytes));
  });
});
