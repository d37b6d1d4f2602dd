// Hostile frames: mutations of a real one. Only a WireError ever comes out of the codecs, nothing out of the rule.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { advertisement, fullAnswerBudget, judge, readSolicitation } from '../../src/ndp/advertise.ts';
import { decodeFrame, encodeFrame } from '../../src/ndp/frame.ts';
import { decodeMessage, encodeMessage } from '../../src/ndp/packet.ts';
import { client, clientLinkLocal, dnsmasqAdvertisement, ipxeSolicitation, solicitation } from './frames.ts';

const milliseconds = Number(process.env['FUZZ_SECONDS'] ?? 1) * 1000;
const forever = { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: milliseconds, markInterruptAsFailure: false };
const timeout = milliseconds + 30_000;

const mutated = fc
  .tuple(
    fc.constantFrom(ipxeSolicitation, solicitation({ message: dnsmasqAdvertisement })),
    fc.array(fc.tuple(fc.nat(160), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 255))), { maxLength: 8 }),
    fc.option(fc.nat(160), { nil: undefined, freq: 4 }),
    fc.boolean(),
  )
  .map(([seed, edits, cut, sealed]) => {
    const bytes = Buffer.from(seed);
    for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
    const whole = cut === undefined ? bytes : bytes.subarray(0, cut);
    // Most changes would only be seen by the checksum; with a right one the rest is tried.
    if (!sealed || whole.length < 58) return whole;
    const { from, to, source, destination, hopLimit } = decodeFrame(ipxeSolicitation);
    return encodeFrame({ from, to, source, destination, hopLimit, message: whole.subarray(54) });
  });

test('a mutated frame is read or refused, and an answer goes to who sent it', { timeout }, () => {
  let answered = 0;
  const check = (bytes: Buffer) => {
    let read: ReturnType<typeof readSolicitation>;
    try {
      read = readSolicitation(bytes);
    } catch (error) {
      if (error instanceof WireError) return;
      throw error;
    }
    const { verdict } = judge(read.frame, read.message, () => true, fullAnswerBudget(0), 0);
    if (verdict.kind === 'silent') return;
    answered += 1;
    expect(verdict.to).toBe(read.frame.from);
    expect(advertisement(client, clientLinkLocal, verdict.to, verdict.destination)).toHaveLength(70);
  };
  fc.assert(fc.property(mutated, check), forever);
  expect(answered).toBeGreaterThan(0);
});

test('any bytes are a message that is written the same again, or a WireError', { timeout }, () => {
  const check = (bytes: Uint8Array) => {
    const given = Buffer.from(bytes);
    given[0] = 133 + ((given[0] ?? 0) & 1);
    given.fill(0, 1, Math.min(4, given.length)); // code, checksum
    try {
      const message = decodeMessage(given);
      if (message.kind === 'solicitation') given.fill(0, 4, 8); // reserved
      expect(encodeMessage(message)).toEqual(given);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  };
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), check), forever);
});
