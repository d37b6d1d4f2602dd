// The gossip datagram: there and back, tampered with, and made of noise.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { authenticate, decodeGossip, encodeGossip, type Gossip, gossipBytes, gossipBytesMax, isClusterName, macBytes } from '../../src/cluster/gossip.ts';
import { gossipKey, parseFarmKeys } from '../../src/cluster/key.ts';
import { facts, measures, safe, someEntry, someId } from './facts.ts';
import { untilFuzzed } from './fuzz.ts';

const secret = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const [first, second] = parseFarmKeys(`${secret}\n${secret}1\n`, 'key');
const key = gossipKey(first);
const otherKey = gossipKey(second!);

const sample: Gossip = {
  ...{ kind: 'push', cluster: 'farm', sender: 2, recipient: 3, incarnation: 1_700_000_000_000, echo: 1_600_000_000_000, sequence: 7, subject: 2 },
  claims: [{ id: 4, state: 'suspect', incarnation: 500, refutation: 1 }],
  entries: [{ id: 2, incarnation: 1_700_000_000_000, refutation: 0, beat: 9, age: 40, facts }],
};

const gossips: fc.Arbitrary<Gossip> = fc
  .record({
    kind: fc.constantFrom('push' as const, 'ack' as const, 'ask' as const, 'relay' as const, 'leave' as const),
    cluster: fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9.-]{0,31}$/),
    ...{ sender: someId, recipient: someId, incarnation: safe, echo: safe, sequence: fc.nat(0xffffffff), subject: someId },
    claims: fc.array(
      fc.record({
        id: someId,
        state: fc.constantFrom('alive' as const, 'suspect' as const, 'dead' as const, 'left' as const),
        incarnation: safe,
        refutation: fc.nat(0xffff),
      }),
      { maxLength: 10 },
    ),
    entries: fc.array(someEntry, { maxLength: 14 }),
  })
  .map((gossip) => ({ ...gossip, entries: gossip.entries.map((one, i) => (i === 0 ? { ...one, id: gossip.sender, incarnation: gossip.incarnation } : one)) }));

function codeOf(bytes: Buffer, keys = [key]): string {
  try {
    decodeGossip(bytes, keys);
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'accepted';
}

/** The datagram with `change` made to it and a right HMAC put under it again. */
function forged(change: (body: Buffer) => Buffer, gossip = sample): Buffer {
  const body = change(Buffer.from(encodeGossip(gossip, key).subarray(0, -macBytes)));
  return Buffer.concat([body, authenticate(body, key)]);
}

describe('a datagram', () => {
  test('has a pinned layout', () => {
    expect(encodeGossip(sample, key).subarray(0, -macBytes).toString('hex')).toBe(
      `4641524d${'02'}${'01'}${'04'}6661726d${'0002'}${'0003'}${'0000018bcfe56800'}${'0000017487' + '6e8000'}${'00000007'}${'0002'}${'01'}${'01'}` +
        `${'0004'}${'01'}${'00000000000001f4'}${'0001'}` +
        `${'0002'}${'0000018bcfe56800'}${'0000'}${'00000009'}${'00000028'}${'80'}${'0000'}${'000100'}${'00002710'}${'0004'}` +
        `${'0000007d'}${'1388'}${'00400000'}${'00200000'}${'00100000'}${'00040000'}${'00000100'}` +
        `${'00000064'}${'000000c8'}${'00000000'}${'00000001'}${'04d2'}${'0000'}${'0001'}`,
    );
  });

  test('is read as what was written, and as long as was said', () => {
    fc.assert(
      fc.property(gossips, (gossip) => {
        const bytes = encodeGossip(gossip, key);
        expect(bytes.length).toBe(gossipBytes(gossip));
        expect(bytes.length).toBeLessThanOrEqual(gossipBytesMax);
        expect(decodeGossip(bytes, [key])).toEqual(gossip);
      }),
    );
  });

  test('holds the largest numbers that its fields take', () => {
    const big = { ...sample.entries[0]!, age: 2 ** 40, facts: { ...facts, guests: 1e9, measures: { ...measures, load: 1e12, utilization: 7 } } };
    const [read] = decodeGossip(encodeGossip({ ...sample, entries: [big] }, key), [key]).entries;
    expect(read).toMatchObject({ age: 0xffffffff, facts: { guests: 0xffff, measures: { load: 0xffffffff, utilization: 6.5535 } } });
  });

  test('is refused after any single bit was changed', () => {
    const bytes = encodeGossip(sample, key);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(codeOf(changed)).not.toBe('accepted');
    }
  });

  test('is refused when cut anywhere or continued', () => {
    const bytes = encodeGossip(sample, key);
    for (let length = 0; length < bytes.length; length += 1) expect(codeOf(bytes.subarray(0, length))).not.toBe('accepted');
    expect(codeOf(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe('gossip.key');
  });

  test('made with another key is refused, and the error names the cluster it claims', () => {
    expect(() => decodeGossip(encodeGossip(sample, otherKey), [key])).toThrow('made with another key than ours, for cluster farm');
  });

  test('made with either of two keys is taken while a key is replaced', () => {
    for (const used of [key, otherKey]) expect(codeOf(encodeGossip(sample, used), [key, otherKey])).toBe('accepted');
  });

  const claimAt = 39; // with a cluster name of four letters
  const entryAt = claimAt + 13;
  test.each([
    ['gossip.magic', (body: Buffer) => body.fill(0, 0, 1)],
    ['gossip.version', (body: Buffer) => body.fill(9, 4, 5)],
    ['gossip.kind', (body: Buffer) => body.fill(9, 5, 6)],
    ['gossip.kind', (body: Buffer) => body.fill(0, 5, 6)],
    ['gossip.cluster', (body: Buffer) => body.fill(0x20, 7, 8)],
    ['gossip.cluster', (body: Buffer) => body.fill(33, 6, 7)],
    ['entry.id', (body: Buffer) => body.fill(0, 11, 13)],
    ['entry.id', (body: Buffer) => body.fill(0, 13, 15)],
    ['entry.range', (body: Buffer) => body.fill(0xff, 15, 23)],
    ['gossip.state', (body: Buffer) => body.fill(4, claimAt + 2, claimAt + 3)],
    ['gossip.own', (body: Buffer) => body.fill(1, entryAt, entryAt + 2)],
    ['gossip.own', (body: Buffer) => body.fill(1, entryAt + 9, entryAt + 10)],
    ['entry.speed', (body: Buffer) => body.fill(0, entryAt + 26, entryAt + 30)],
    ['entry.cpus', (body: Buffer) => body.fill(0, entryAt + 30, entryAt + 32)],
    ['entry.memory', (body: Buffer) => body.fill(0, entryAt + 38, entryAt + 42)],
    ['gossip.trailing', (body: Buffer) => Buffer.concat([body, Buffer.alloc(1)])],
    ['gossip.long', (body: Buffer) => Buffer.concat([body, Buffer.alloc(1400)])],
    ['short', (body: Buffer) => body.subarray(0, 50)],
  ])('that a holder of the key made wrong is refused with %s', (code, change) => {
    expect(codeOf(forged(change))).toBe(code);
  });

  test('of noise is refused with a WireError', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
      fc.uint8Array({ maxLength: 1300 }).map((bytes) => forged((body) => Buffer.concat([body.subarray(0, 15), bytes]))),
      fc
        .tuple(gossips, fc.nat(), fc.nat(255))
        .map(([gossip, at, value]) => forged((body) => body.fill(value, at % body.length, (at % body.length) + 1), gossip)),
    );
    untilFuzzed(noise, (bytes) => {
      expect(codeOf(bytes)).toMatch(/^(accepted|short|(gossip|entry)\.[a-z]+)$/);
    });
  });
});

test.each([
  ['farm', true],
  ['a', true],
  ['lab-2.example', true],
  ['x'.repeat(33), false],
  ['', false],
  ['-a', false],
  ['a b', false],
])('a cluster may be called "%s": %s', (name, may) => {
  expect(isClusterName(name)).toBe(may);
});

describe('a key file', () => {
  test.each([
    ['one key', `${secret}\n`, 1],
    ['two keys, the old and the new', `${secret}\n${secret}1`, 2],
    ['a key between blank lines', `\n\n  ${secret}  \n\n`, 1],
  ])('with %s is read', (_what, text, count) => {
    expect(parseFarmKeys(text, 'key')).toHaveLength(count);
  });

  test.each([
    ['nothing', ''],
    ['a word', 'secret'],
    ['a good key and a bad one', `${secret}\nsecret`],
    ['three keys', `${secret}\n${secret}1\n${secret}2`],
    ['a key with a blank in it', `${secret} ${secret}`],
  ])('with %s is refused', (_what, text) => {
    expect(() => parseFarmKeys(text, 'the file')).toThrow('the file holds no farm key');
  });
});
