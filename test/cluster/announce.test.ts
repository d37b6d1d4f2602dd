// The announcement datagram: there and back, tampered with, and made of noise.
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { type Announcement, announcementBytesMax, decodeAnnouncement, encodeAnnouncement, heardMax, isClusterName } from '../../src/cluster/announce.ts';
import { announcementKey, parseFarmKey } from '../../src/cluster/key.ts';
import { untilFuzzed } from './fuzz.ts';

const secret = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const key = announcementKey(parseFarmKey(secret, 'key'));
const otherKey = announcementKey(parseFarmKey(`${secret}1`, 'key'));

const sample: Announcement = {
  kind: 'announce',
  cluster: 'farm',
  sender: 2,
  recipient: 3,
  incarnation: 1_700_000_000_000,
  sequence: 7,
  sample: { load: 1.25, cpus: 4, memory: { total: 2 ** 30, available: 2 ** 29 } },
  heard: [{ id: 3, left: false, age: 40, incarnation: 1_600_000_000_000, sequence: 9 }],
};

const u32 = fc.nat(0xffffffff);
const safe = fc.nat(Number.MAX_SAFE_INTEGER);
const id = fc.integer({ min: 1, max: 65535 });
const announcements: fc.Arbitrary<Announcement> = fc.record({
  kind: fc.constantFrom('announce' as const, 'leave' as const),
  cluster: fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9.-]{0,31}$/),
  sender: id,
  recipient: id,
  incarnation: safe,
  sequence: u32,
  sample: fc.record({
    load: u32.map((hundredths) => hundredths / 100),
    cpus: fc.integer({ min: 1, max: 65535 }),
    memory: fc.tuple(safe, safe).map(([a, b]) => ({ total: Math.max(a, b), available: Math.min(a, b) })),
  }),
  heard: fc.uniqueArray(fc.record({ id, left: fc.boolean(), age: u32, incarnation: safe, sequence: u32 }), {
    selector: (entry) => entry.id,
    maxLength: heardMax,
  }),
});

function codeOf(bytes: Buffer, withKey = key): string {
  try {
    decodeAnnouncement(bytes, withKey);
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'accepted';
}

/** The datagram with `change` made to it and a right HMAC put under it again. */
function forged(change: (body: Buffer) => Buffer): Buffer {
  const body = change(Buffer.from(encodeAnnouncement(sample, key).subarray(0, -32)));
  return Buffer.concat([body, createHmac('sha256', key).update(body).digest()]);
}

describe('a datagram', () => {
  test('has a pinned layout', () => {
    expect(encodeAnnouncement(sample, key).subarray(0, -32).toString('hex')).toBe(
      `4641524d${'01'}${'01'}${'04'}6661726d${'0002'}${'0003'}${'0000018bcfe56800'}${'00000007'}${'0000007d'}${'0004'}` +
        `${'0000000040000000'}${'0000000020000000'}${'01'}${'0003'}${'00'}${'00000028'}${'000001748 76e8000'.replace(' ', '')}${'00000009'}`,
    );
  });

  test('is read as what was written', () => {
    fc.assert(
      fc.property(announcements, (announcement) => {
        const bytes = encodeAnnouncement(announcement, key);
        expect(bytes.length).toBeLessThan(announcementBytesMax);
        expect(decodeAnnouncement(bytes, key)).toEqual(announcement);
      }),
    );
  });

  test('holds the first 64 members of a longer list, and the largest numbers its fields take', () => {
    const heard = Array.from({ length: 100 }, (_, i) => ({ id: i + 1, left: false, age: 2 ** 40, incarnation: 1, sequence: 1 }));
    const big = { ...sample, heard, sample: { ...sample.sample, load: 1e12, cpus: 1e6 } };
    const read = decodeAnnouncement(encodeAnnouncement(big, key), key);
    expect(read.heard.map((entry) => entry.id)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1));
    expect(read.heard[0]?.age).toBe(0xffffffff);
    expect(read.sample).toEqual({ ...sample.sample, load: 42949672.95, cpus: 65535 });
  });

  test('is refused after any single bit was changed', () => {
    const bytes = encodeAnnouncement(sample, key);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(codeOf(changed)).not.toBe('accepted');
    }
  });

  test('is refused when cut anywhere or continued', () => {
    const bytes = encodeAnnouncement(sample, key);
    for (let length = 0; length < bytes.length; length += 1) expect(codeOf(bytes.subarray(0, length))).not.toBe('accepted');
    expect(codeOf(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe('announce.key');
  });

  test('made with another key is refused, and the error names the cluster it claims', () => {
    expect(() => decodeAnnouncement(encodeAnnouncement(sample, otherKey), key)).toThrow('made with another key than ours, for cluster farm');
  });

  const listed = 49; // where the count of members is, with a cluster name of four letters
  test.each([
    ['announce.magic', (body: Buffer) => body.fill(0, 0, 1)],
    ['announce.version', (body: Buffer) => body.fill(9, 4, 5)],
    ['announce.kind', (body: Buffer) => body.fill(9, 5, 6)],
    ['announce.kind', (body: Buffer) => body.fill(0, 5, 6)],
    ['announce.cluster', (body: Buffer) => body.fill(0x20, 7, 8)],
    ['announce.cluster', (body: Buffer) => body.fill(33, 6, 7)],
    ['announce.id', (body: Buffer) => body.fill(0, 11, 13)],
    ['announce.id', (body: Buffer) => body.fill(0, 13, 15)],
    ['announce.range', (body: Buffer) => body.fill(0xff, 15, 23)],
    ['announce.cpus', (body: Buffer) => body.fill(0, 31, 33)],
    ['announce.memory', (body: Buffer) => body.fill(0, 33, 41)],
    ['announce.heard', (body: Buffer) => body.fill(65, listed, listed + 1)],
    ['announce.heard', (body: Buffer) => Buffer.concat([body.fill(2, listed, listed + 1), body.subarray(listed + 1)])],
    ['announce.trailing', (body: Buffer) => Buffer.concat([body, Buffer.alloc(1)])],
    ['announce.long', (body: Buffer) => Buffer.concat([body, Buffer.alloc(1400)])],
    ['short', (body: Buffer) => body.subarray(0, 40)],
  ])('that a holder of the key made wrong is refused with %s', (code, change) => {
    expect(codeOf(forged(change))).toBe(code);
  });

  test('of noise is refused with a WireError', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
      fc.uint8Array({ maxLength: 1300 }).map((bytes) => forged((body) => Buffer.concat([body.subarray(0, 15), bytes]))),
      fc.tuple(announcements, fc.nat(), fc.nat(255)).map(([announcement, at, value]) => {
        const bytes = encodeAnnouncement(announcement, key);
        const body = Buffer.from(bytes.subarray(0, -32));
        body[at % body.length] = value;
        return Buffer.concat([body, createHmac('sha256', key).update(body).digest()]);
      }),
    );
    untilFuzzed(noise, (bytes) => {
      expect(codeOf(bytes)).toMatch(/^(accepted|short|announce\.\w+)$/);
    });
  });
});

describe('a cluster name', () => {
  test.each([
    ['farm', true],
    ['Lab-2.example', true],
    ['a'.repeat(32), true],
    ['a'.repeat(33), false],
    ['', false],
    ['-x', false],
    ['zwei wörter', false],
  ])('%j: %j', (name, valid) => {
    expect(isClusterName(name)).toBe(valid);
  });
});

describe('a farm key', () => {
  test('is one long word, whatever blanks are around it', () => {
    expect(parseFarmKey(` ${secret}\n`, 'key').toString()).toBe(secret);
  });

  test.each([
    ['', 'nothing'],
    ['short', 'a short word'],
    [`${secret} ${secret}`, 'two words'],
    [`${secret.slice(0, 31)}\u00e9`, 'letters beyond ASCII'],
    ['x'.repeat(5000), 'a whole file'],
  ])('is refused as key.invalid: %s', (text) => {
    expect(() => parseFarmKey(text, '/etc/farm/key')).toThrow(expect.objectContaining({ code: 'key.invalid', message: '/etc/farm/key holds no farm key' }));
  });

  test('signs announcements with a key of its own', () => {
    expect(announcementKey(Buffer.from(secret))).toHaveLength(32);
    expect(announcementKey(Buffer.from(secret)).equals(Buffer.from(secret))).toBe(false);
  });
});
