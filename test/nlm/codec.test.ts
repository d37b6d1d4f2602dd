import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import {
  readFreeArguments,
  readLockArguments,
  readShareArguments,
  readTestArguments,
  readUnlockArguments,
  writeFreeArguments,
  writeLockArguments,
  writeShareArguments,
  writeTestArguments,
  writeUnlockArguments,
} from '../../src/nlm/arguments.ts';
import { type NlmStatus, type NlmVersion, nlmVersions } from '../../src/nlm/nlm.ts';
import { readMonitoring, readMonitorResult, readStateChange, writeMonitoring, writeMonitorResult, writeStateChange } from '../../src/nlm/nsm.ts';
import { readShareResult, readStatusResult, readTestResult, writeShareResult, writeStatusResult, writeTestResult } from '../../src/nlm/results.ts';

function written(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter();
  write(writer);
  return Buffer.from(writer.bytes());
}

const words = (...all: readonly (number | string)[]) =>
  Buffer.concat(
    all.map((word) =>
      typeof word === 'string' ? Buffer.from(word, 'latin1') : Buffer.from([word >>> 24, word >>> 16, word >>> 8, word].map((byte) => byte & 255)),
    ),
  );

describe('golden bytes', () => {
  // As a Linux 6.1 client writes them: fs/lockd/clnt4xdr.c and clntxdr.c.
  const lock = { caller: 'n1', handle: Buffer.from('HANDLE!!'), ownerHandle: Buffer.from('17@n1'), svid: 17, offset: 0x1_0000_0002n, length: 5n };
  const head = words(4, '\x34\x12\0\0', 1, 1, 2, 'n1\0\0', 8, 'HANDLE!!', 5, '17@n1\0\0\0', 17);
  const cookie = Buffer.from([0x34, 0x12, 0, 0]);

  test('LOCK of version 4', () => {
    const args = { cookie, block: true, exclusive: true, lock, reclaim: false, state: 3 };
    const bytes = Buffer.concat([head, words(1, 2, 0, 5, 0, 3)]);
    expect(written((writer) => writeLockArguments(writer, 4, args))).toEqual(bytes);
    expect(readLockArguments(new ByteReader(bytes), 4)).toEqual(args);
  });

  test('LOCK of version 1', () => {
    const args = { cookie, block: true, exclusive: true, lock: { ...lock, offset: 2n }, reclaim: true, state: 3 };
    const bytes = Buffer.concat([head, words(2, 5, 1, 3)]);
    expect(written((writer) => writeLockArguments(writer, 1, args))).toEqual(bytes);
    expect(readLockArguments(new ByteReader(bytes), 1)).toEqual(args);
  });

  test('who is in the way, in version 4 and in version 1', () => {
    const holder = { exclusive: true, svid: 9, ownerHandle: Buffer.from('9@n2'), offset: 7n, length: 0n };
    const result = { cookie, status: 'DENIED' as const, holder };
    expect(written((writer) => writeTestResult(writer, 4, result))).toEqual(words(4, '\x34\x12\0\0', 1, 1, 9, 4, '9@n2', 0, 7, 0, 0));
    expect(written((writer) => writeTestResult(writer, 1, result))).toEqual(words(4, '\x34\x12\0\0', 1, 1, 9, 4, '9@n2', 7, 0));
  });

  test('SM_NOTIFY', () => {
    expect(written((writer) => writeStateChange(writer, { name: '10.0.0.1', state: 5 }))).toEqual(words(8, '10.0.0.1', 5));
  });
});

test.each([
  ['what begins and ends in 32 bits', 5n, 9n, 5n, 9n],
  ['what ends beyond goes to the end', 5n, 0x1_0000_0000n, 5n, 0n],
  ['what begins beyond begins at the highest offset', 0x1_0000_0000n, 5n, 0x7fff_ffffn, 0n],
])('version 1 is told of a 64-bit range: %s', (_, offset, length, toldOffset, toldLength) => {
  const holder = { exclusive: false, svid: 1, ownerHandle: Buffer.alloc(0), offset, length };
  const bytes = written((writer) => writeTestResult(writer, 1, { cookie: Buffer.alloc(0), status: 'DENIED', holder }));
  expect(readTestResult(new ByteReader(bytes), 1).holder).toMatchObject({ offset: toldOffset, length: toldLength });
});

test.each<readonly [NlmStatus, NlmStatus]>([
  ['GRANTED', 'GRANTED'],
  ['DENIED_GRACE_PERIOD', 'DENIED_GRACE_PERIOD'],
  ['STALE_FH', 'DENIED_NOLOCKS'],
  ['FBIG', 'DENIED_NOLOCKS'],
  ['DEADLCK', 'DENIED'],
])('%s is %s for versions 1 and 3', (status, told) => {
  for (const version of nlmVersions) {
    const bytes = written((writer) => writeStatusResult(writer, version, { cookie: Buffer.alloc(0), status }));
    expect(readStatusResult(new ByteReader(bytes)).status).toBe(version === 4 ? status : told);
  }
});

const bytes = (most: number) => fc.uint8Array({ maxLength: most }).map((array) => Buffer.from(array));
const version = fc.constantFrom<NlmVersion>(...nlmVersions);
const word = fc.nat(0xffff_ffff);
const latin = bytes(40).map((buffer) => buffer.toString('latin1'));
const lock = fc.record({
  caller: latin,
  handle: bytes(64),
  ownerHandle: bytes(1024),
  svid: word,
  offset: fc.bigInt(0n, 0x3fff_ffffn),
  length: fc.bigInt(0n, 0x3fff_ffffn),
});

test('what is written is read again', () => {
  const args = fc.record({ cookie: bytes(1024), block: fc.boolean(), exclusive: fc.boolean(), lock, reclaim: fc.boolean(), state: word });
  const share = fc.record({
    cookie: bytes(8),
    caller: latin,
    handle: bytes(64),
    ownerHandle: bytes(64),
    mode: fc.nat(3),
    access: fc.nat(3),
    reclaim: fc.boolean(),
  });
  fc.assert(
    fc.property(version, args, share, (asVersion, asked, shared) => {
      const { cookie, exclusive, lock: wanted } = asked;
      const { caller: _, handle: __, ...who } = wanted;
      const result = { cookie, status: 'DENIED' as const, holder: { exclusive, ...who } };
      const again = <Value>(write: (writer: ByteWriter) => void, read: (reader: ByteReader) => Value) => {
        const reader = new ByteReader(written(write));
        const value = read(reader);
        expect(reader.left).toBe(0);
        return value;
      };
      expect(
        again(
          (to) => writeLockArguments(to, asVersion, asked),
          (from) => readLockArguments(from, asVersion),
        ),
      ).toEqual(asked);
      expect(
        again(
          (to) => writeTestArguments(to, asVersion, asked),
          (from) => readTestArguments(from, asVersion),
        ),
      ).toEqual({ cookie, exclusive, lock: wanted });
      expect(
        again(
          (to) => writeUnlockArguments(to, asVersion, asked),
          (from) => readUnlockArguments(from, asVersion),
        ),
      ).toEqual({ cookie, lock: wanted });
      expect(
        again(
          (to) => writeTestResult(to, asVersion, result),
          (from) => readTestResult(from, asVersion),
        ),
      ).toEqual(result);
      expect(again((to) => writeShareArguments(to, shared), readShareArguments)).toEqual(shared);
      expect(again((to) => writeShareResult(to, asVersion, { cookie, status: 'DENIED' }), readShareResult)).toEqual({ cookie, status: 'DENIED' });
      const free = { name: wanted.caller, state: asked.state };
      expect(again((to) => writeFreeArguments(to, free), readFreeArguments)).toEqual(free);
      const monitoring = { name: wanted.caller, informed: { name: 'localhost', program: 100_021, version: 4, procedure: 16 }, secret: Buffer.alloc(16, 7) };
      expect(again((to) => writeMonitoring(to, monitoring), readMonitoring)).toEqual(monitoring);
      const monitored = { accepted: exclusive, state: asked.state };
      expect(again((to) => writeMonitorResult(to, monitored), readMonitorResult)).toEqual(monitored);
      expect(again((to) => writeStateChange(to, free), readStateChange)).toEqual(free);
    }),
    { numRuns: 60 },
  );
});

test('any bytes are read, or refused as WireError', () => {
  const readers = [readFreeArguments, readShareArguments, readShareResult, readStatusResult, readMonitoring, readMonitorResult, readStateChange];
  const versioned = [readLockArguments, readTestArguments, readTestResult, readUnlockArguments];
  fc.assert(
    fc.property(version, bytes(200), (asVersion, garbage) => {
      for (const read of [...readers, ...versioned.map((each) => (from: ByteReader) => each(from, asVersion))]) {
        try {
          read(new ByteReader(garbage));
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }
    }),
    { numRuns: 100 },
  );
});

test.each([
  ['a cookie above 1024 bytes', words(1025)],
  ['a share mode that is none', words(0, 0, 0, 0, 4, 0, 0)],
])('%s is refused', (_, garbage) => {
  expect(() => readShareArguments(new ByteReader(garbage))).toThrow(WireError);
});
