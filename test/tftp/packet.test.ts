import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { decode, encode, type TftpPacket } from '../../src/tftp/packet.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

const wire: readonly [string, string, TftpPacket][] = [
  ['a plain read request', '0001 61 00 6f6374657400', { op: 'read', file: 'a', mode: 'octet', options: [] }],
  ['a write request', '0002 61 00 6f6374657400', { op: 'write', file: 'a', mode: 'octet', options: [] }],
  [
    'the size probe of EDK2, options in its order',
    '0001 6200 6f6374657400 7473697a6500 3000 626c6b73697a6500 3134363800 77696e646f7773697a6500 3400',
    {
      op: 'read',
      file: 'b',
      mode: 'octet',
      options: [
        { name: 'tsize', value: '0' },
        { name: 'blksize', value: '1468' },
        { name: 'windowsize', value: '4' },
      ],
    },
  ],
  ['an empty last block', '0003 0002', { op: 'data', block: 2, bytes: Buffer.alloc(0) }],
  ['block 65535', '0003 ffff 2a', { op: 'data', block: 65535, bytes: Buffer.from([42]) }],
  ['an acknowledgement', '0004 8000', { op: 'ack', block: 32768 }],
  ['an error', '0005 0001 6e6f00', { op: 'error', code: 1, message: 'no' }],
  ['an option acknowledgement', '0006 626c6b73697a6500 3800', { op: 'oack', options: [{ name: 'blksize', value: '8' }] }],
];

describe('the TFTP codec', () => {
  it.each(wire)('reads and writes %s', (_, bytes, packet) => {
    expect(decode(hex(bytes))).toEqual(packet);
    expect(encode(packet)).toEqual(hex(bytes));
  });

  it.each([
    ['bytes after an ACK (Ethernet padding)', '0004 0001 0000000000', { op: 'ack', block: 1 }],
    ['an error without a message', '0005 0008', { op: 'error', code: 8, message: '' }],
    ['an error whose message has no NUL', '0005 0000 6869', { op: 'error', code: 0, message: 'hi' }],
    ['a request padded with NULs', '0001 6100 6f6374657400 0000000000', { op: 'read', file: 'a', mode: 'octet', options: [] }],
    ['an empty option value', '0001 6100 6d00 7800 00', { op: 'read', file: 'a', mode: 'm', options: [{ name: 'x', value: '' }] }],
    ['bytes that are no text', '0001 61ff00 6d00', { op: 'read', file: 'a\xff', mode: 'm', options: [] }],
  ])('takes %s', (_, bytes, packet) => {
    expect(decode(hex(bytes))).toEqual(packet);
  });

  it.each([
    ['nothing', '', 'short'],
    ['one byte', '00', 'short'],
    ['an ACK without its block', '0004 01', 'short'],
    ['an unknown opcode', '0007', 'tftp.opcode'],
    ['opcode 0', '0000 6100', 'tftp.opcode'],
    ['a file name without NUL', '0001 6161', 'tftp.string'],
    ['a request without a mode', '0001 6100', 'tftp.string'],
    ['a mode without NUL', '0001 6100 6f63', 'tftp.string'],
    ['an option without a value', '0001 6100 6f00 7800', 'tftp.string'],
    ['a request longer than a frame', `0001${'61'.repeat(1500)}00 6f00`, 'tftp.request'],
  ])('refuses %s', (_, bytes, code) => {
    expect(() => decode(hex(bytes))).toThrow(expect.objectContaining({ name: 'WireError', code }));
  });

  it('makes an error message fit for a boot screen', () => {
    const sent = encode({ op: 'error', code: 0, message: `Größe\n${'x'.repeat(200)}` });
    expect(sent.toString('latin1', 4)).toMatch(/^Gr\?\?e\?x+\0$/);
    expect(sent.length).toBeLessThan(90);
  });

  const text = fc.array(fc.integer({ min: 1, max: 255 }), { maxLength: 40 }).map((bytes) => String.fromCharCode(...bytes));
  const options = fc.array(fc.record({ name: text.filter((name) => name !== ''), value: text }), { maxLength: 8 });
  const packets: fc.Arbitrary<TftpPacket> = fc.oneof(
    fc.record({ op: fc.constantFrom('read' as const, 'write' as const), file: text, mode: text, options }),
    fc.record({ op: fc.constant('data' as const), block: fc.nat(65535), bytes: fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)) }),
    fc.record({ op: fc.constant('ack' as const), block: fc.nat(65535) }),
    fc.record({ op: fc.constant('error' as const), code: fc.nat(65535), message: fc.stringMatching(/^[ -~]{0,78}$/) }),
    fc.record({ op: fc.constant('oack' as const), options }),
  );

  it('reads back whatever it writes', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        expect(decode(encode(packet))).toEqual(packet);
      }),
    );
  });

  it('answers any bytes with a packet or a WireError', () => {
    const until = Date.now() + 1000 * Number(process.env['FUZZ_SECONDS'] ?? 1);
    let rounds = 0;
    while (Date.now() < until) {
      fc.assert(
        fc.property(
          fc.oneof(
            fc.uint8Array({ maxLength: 80 }),
            fc.tuple(fc.nat(7), fc.uint8Array({ maxLength: 40 })).map(([opcode, rest]) => Uint8Array.from([0, opcode, ...rest])),
            fc.tuple(packets, fc.nat(50), fc.nat(255)).map(([packet, at, byte]) => {
              const bytes = Buffer.from(encode(packet));
              if (at < bytes.length) bytes[at] = byte;
              return bytes.subarray(0, bytes.length - (byte % 3));
            }),
          ),
          (bytes) => {
            try {
              encode(decode(Buffer.from(bytes)));
            } catch (error) {
              if (!(error instanceof WireError)) throw error;
            }
          },
        ),
        { numRuns: 500 },
      );
      rounds += 1;
    }
    expect(rounds).toBeGreaterThan(0);
  });
});
