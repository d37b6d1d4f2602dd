// Hostile datagrams: mutations of real captures. Only a WireError ever comes out of the codec, nothing out of the rules.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { answer } from '../../src/dhcp/answer.ts';
import { decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import { describePacket } from '../support/describe-dhcp.ts';
import { fuzzFarms, fuzzOnce } from '../support/dhcp-fuzz.ts';
import { goldenPayloads } from '../support/dhcp-goldens.ts';
import { farmOf, message, node, nodeMac, pxeRom, request, wants } from './packets.ts';

const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0.8);
const timeout = (seconds + 30) * 1000;

const seeds: readonly Buffer[] = [
  ...goldenPayloads(),
  encodePacket(request([])),
  encodePacket(request([], { cookie: false })),
  encodePacket(message('request', [...pxeRom, wants(1, 3, 6, 15, 66, 67)], { ciaddr: node.address })),
];

/** Changes bytes, cuts, repeats a stretch, or puts a length where it hurts. */
const mutated = fc
  .tuple(
    fc.constantFrom(...seeds),
    fc.array(fc.tuple(fc.nat(600), fc.oneof(fc.nat(255), fc.constantFrom(0, 52, 53, 54, 55, 57, 60, 61, 77, 82, 93, 97, 175, 255))), { maxLength: 12 }),
    fc.option(fc.nat(600), { nil: undefined, freq: 3 }),
    fc.option(fc.tuple(fc.nat(600), fc.nat(200)), { nil: undefined }),
  )
  .map(([seed, edits, cut, repeat]) => {
    let bytes: Buffer = Buffer.from(seed);
    for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
    if (repeat !== undefined)
      bytes = Buffer.concat([bytes.subarray(0, repeat[0]), bytes.subarray(repeat[0], repeat[0] + repeat[1]), bytes.subarray(repeat[0])]);
    return cut === undefined ? bytes : bytes.subarray(0, cut);
  });

function wireErrorOrNothing(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

test('a mutated datagram is read or refused, and what is read is answered within the size that the client takes', { timeout }, () => {
  let answered = 0;
  fc.assert(
    fc.property(mutated, fc.constantFrom(...fuzzFarms), (datagram, context) => {
      if (fuzzOnce(datagram, context) === 'reply') answered += 1;
    }),
    { numRuns: Number.POSITIVE_INFINITY, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false },
  );
  expect(answered).toBeGreaterThan(100);
});

test('noise is read or refused', { timeout }, () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500, size: 'max' }), (bytes) => wireErrorOrNothing(() => decodePacket(Buffer.from(bytes)))),
    { numRuns: Number.POSITIVE_INFINITY, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false },
  );
});

test('whatever is read can be written again, but for a name without room for its NUL', { timeout }, () => {
  fc.assert(
    fc.property(mutated, (datagram) => {
      wireErrorOrNothing(() => {
        const packet = decodePacket(datagram);
        expect(describePacket(packet)).toContain('xid=');
        if (packet.file.length === 128 || packet.sname.length === 64) return;
        const again = decodePacket(encodePacket(packet));
        expect([...again.options].sort(([a], [b]) => a - b)).toEqual([...packet.options].sort(([a], [b]) => a - b));
      });
    }),
    { numRuns: Number.POSITIVE_INFINITY, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false },
  );
});

test('the seeds themselves are answered', () => {
  const verdicts = seeds.map((seed) => answer(decodePacket(seed), farmOf()).exchange);
  expect(verdicts.filter(({ mac }) => mac === nodeMac).length).toBeGreaterThan(20);
});
