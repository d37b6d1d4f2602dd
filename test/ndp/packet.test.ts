// Router solicitations and advertisements as bytes.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { decodeMessage, encodeMessage, type NdpMessage } from '../../src/ndp/packet.ts';
import { dnsmasqAdvertisement, ipxeSolicitation } from './frames.ts';

test('iPXE’s solicitation says its link-layer address', () => {
  expect(decodeMessage(ipxeSolicitation.subarray(54))).toEqual({
    kind: 'solicitation',
    options: [{ type: 1, value: Buffer.from('525400fa0001', 'hex') }],
  });
});

test('another server’s advertisement is read whole, options we do not know included', () => {
  const message = decodeMessage(dnsmasqAdvertisement);
  expect(message).toMatchObject({ kind: 'advertisement', hopLimit: 64, flags: 0x40, lifetime: 1800, reachableTime: 0, retransmissionTimer: 0 });
  expect(message.options.map(({ type, value }) => [type, value.length])).toEqual([
    [3, 30],
    [5, 6],
    [1, 6],
  ]);
  const unsealed = Buffer.from(dnsmasqAdvertisement);
  unsealed.writeUInt16BE(0, 2);
  expect(encodeMessage(message)).toEqual(unsealed);
});

describe('what RFC 4861 6.1 says to drop', () => {
  test.each([
    ['nothing', '', 'short'],
    ['a solicitation cut short', '85000000000000', 'short'],
    ['an advertisement cut short', '860000000000000000000000000000', 'short'],
    ['another message', '8700000000000000', 'ndp.type'],
    ['a code that is not 0', '8501000000000000', 'ndp.code'],
    ['an option of length 0', '850000000000000001000000', 'ndp.option'],
    ['an option longer than the message', '85000000000000000102525400fa0001', 'short'],
    ['half an option header', '850000000000000001', 'short'],
  ])('%s', (_what, hex, code) => {
    expect(() => decodeMessage(Buffer.from(hex, 'hex'))).toThrow(expect.objectContaining({ name: WireError.name, code }));
  });
});

const options = fc.array(
  fc
    .tuple(fc.nat(255), fc.integer({ min: 1, max: 5 }))
    .chain(([type, blocks]) => fc.uint8Array({ minLength: blocks * 8 - 2, maxLength: blocks * 8 - 2 }).map((value) => ({ type, value: Buffer.from(value) }))),
  { maxLength: 6 },
);
const u32 = fc.nat(0xffffffff);
const messages: fc.Arbitrary<NdpMessage> = fc.oneof(
  fc.record({ kind: fc.constant('solicitation' as const), options }),
  fc.record({
    kind: fc.constant('advertisement' as const),
    hopLimit: fc.nat(255),
    flags: fc.nat(255),
    lifetime: fc.nat(0xffff),
    reachableTime: u32,
    retransmissionTimer: u32,
    options,
  }),
);

test('what is written is read back the same', () => {
  fc.assert(
    fc.property(messages, (message) => {
      expect(decodeMessage(encodeMessage(message))).toEqual(message);
    }),
  );
});

test('an option that does not fill its blocks is padded with zeros', () => {
  const bytes = encodeMessage({ kind: 'solicitation', options: [{ type: 14, value: Buffer.from('abcdef', 'hex') }] });
  expect(bytes.toString('hex')).toBe('8500000000000000' + '0e01abcdef000000');
});
