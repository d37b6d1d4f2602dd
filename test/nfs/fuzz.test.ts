import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ByteWriter } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import { statusNumbers } from '../../src/nfs/status.ts';
import { writeHyper, writeOpaque, writeString } from '../../src/rpc/xdr.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { nfsWorld } from '../support/nfs-world.ts';
import { mountProgram, nfsProgram, writeSattr } from '../support/nfs3-client.ts';
import { decodeReply, encodeCall } from '../support/rpc-client.ts';

const milliseconds = Number(process.env['FUZZ_SECONDS'] ?? 1) * 1000;
const known: ReadonlySet<number> = new Set(Object.values(statusNumbers));

const names = fc.oneof(fc.constantFrom('a', 'b', 'c', 'd', 'dir', '.', '..', '', 'a/b', 'n'.repeat(256)), fc.string({ maxLength: 8 }));
const words = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(0x7fff_ffff, 0x8000_0000, 0xffff_ffff), fc.nat(0xffff_ffff));
const offsets = fc.oneof(fc.nat(5000), fc.maxSafeNat());
const change = fc.record(
  {
    mode: fc.nat(0o7777),
    uid: fc.nat(3),
    gid: fc.nat(3),
    size: offsets,
    atime: fc.constantFrom('now' as const, { seconds: 1, nanoseconds: 2 }),
    mtime: fc.constantFrom('now' as const, { seconds: 3, nanoseconds: 4 }),
  },
  { requiredKeys: [] },
);

/** One call: which procedure, on which of the handles seen so far, with which arguments, and which of its bytes are broken. */
const step = fc.record({
  procedure: fc.integer({ min: 0, max: 22 }),
  mount: fc.boolean(),
  uid: fc.nat(3),
  object: fc.nat(1000),
  other: fc.nat(1000),
  name: names,
  newName: names,
  numbers: fc.tuple(words, words),
  offset: offsets,
  change,
  data: fc.uint8Array({ maxLength: 300 }),
  flips: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 3 }) },
  ),
  cut: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(200) }),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

type Write = (to: ByteWriter, given: Step, other: Buffer) => void;

const writeName: Write = (to, { name }) => writeString(to, name);
const writeChange: Write = (to, { change: asked }) => writeSattr(to, asked);
const writeTarget: Write = (to, { newName }, other) => {
  writeOpaque(to, other);
  writeString(to, newName);
};
const writeCookie: Write = (to, { offset, numbers }) => {
  writeHyper(to, offset);
  to.zeros(8);
  for (const word of numbers.slice(0, 2)) to.u32(word);
};

/** What follows the handle that all procedures but NULL begin with. */
const argumentsAfterHandle: Readonly<Record<number, readonly Write[]>> = {
  2: [writeChange, (to) => to.u32(0)],
  3: [writeName],
  4: [(to, { numbers }) => to.u32(numbers[0])],
  6: [(to, { offset }) => writeHyper(to, offset), (to, { numbers }) => to.u32(numbers[0])],
  7: [
    (to, { offset }) => writeHyper(to, offset),
    (to, { numbers: [count], data }) => to.u32(count % 2 === 0 ? data.length : count),
    (to, { numbers }) => to.u32(numbers[1] % 4),
    (to, { data }) => writeOpaque(to, data),
  ],
  8: [writeName, (to, { numbers }) => to.u32(numbers[0] % 4), (to, { numbers, change: asked }) => (numbers[0] % 4 === 2 ? to.zeros(8) : writeSattr(to, asked))],
  9: [writeName, writeChange],
  10: [writeName, writeChange, (to, { newName }) => writeString(to, newName)],
  11: [writeName, (to, { numbers }) => to.u32(numbers[0] % 9), writeChange, (to, { numbers }) => to.u32(numbers[1]), (to) => to.u32(1)],
  12: [writeName],
  13: [writeName],
  14: [writeName, writeTarget],
  15: [writeTarget],
  16: [writeCookie],
  17: [writeCookie],
  21: [(to) => to.zeros(12)],
};

function message(given: Step, handles: readonly Buffer[], xid: number): Buffer {
  const { procedure, uid } = given;
  const handle = handles[given.object % handles.length] ?? Buffer.alloc(0);
  const other = handles[given.other % handles.length] ?? Buffer.alloc(0);
  const program = given.mount && procedure < 7 ? mountProgram : nfsProgram;
  return encodeCall({ xid, program, version: 3, procedure, user: { uid, gid: uid, gids: [1] } }, (to) => {
    if (program === mountProgram) {
      writeString(to, given.name);
      return;
    }
    writeOpaque(to, handle);
    for (const write of argumentsAfterHandle[procedure] ?? []) write(to, given, other);
  });
}

function broken(bytes: Buffer, { flips, cut }: Step): Buffer {
  const copy = Buffer.from(cut === undefined ? bytes : bytes.subarray(0, cut));
  for (const [at, value] of flips) if (copy.length > 0) copy.writeUInt8(value, at % copy.length);
  return copy;
}

test(
  'whatever is called in whatever order: only answers of the protocol, no exception, and a tree that agrees with itself',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
        const tree = new MemoryTree({ totalBytes: 20_000, totalObjects: 30, linkMax: 6 });
        const { client, exchange, root, handles: codec, faults } = nfsWorld(tree);
        await client.setattr(root, { mode: 0o1777 });
        await client.mkdir(root, 'dir', { mode: 0o777 });
        // Ids are given in order, so these are the handles that the calls below may make.
        const handles = [root, ...Array.from({ length: 12 }, (_, index) => codec.encode(7, tree.generation, index + 2)), Buffer.alloc(24), Buffer.alloc(3)];
        for (const [index, given] of steps.entries()) {
          const bytes = broken(message(given, handles, 1_000_000 + index), given);
          const reply = await exchange(bytes).catch((error: unknown) => error);
          if (!(reply instanceof Buffer)) {
            expect(reply).toBeInstanceOf(WireError);
            continue;
          }
          expect(reply.length % 4).toBe(0);
          const { denied, status, results } = decodeReply(reply);
          expect(status).not.toBe(5);
          if (!denied && status === 0 && bytes.readUInt32BE(12) === nfsProgram && bytes.readUInt32BE(20) !== 0) expect(known).toContain(results.u32());
          tree.check();
        }
        expect(faults).toEqual([]);
      }),
      { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: milliseconds, markInterruptAsFailure: false },
    );
  },
  milliseconds + 20_000,
);

test(
  'random bytes get an answer or none, and break nothing',
  async () => {
    const tree = new MemoryTree();
    const { exchange, faults } = nfsWorld(tree);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, call) => {
        const head = encodeCall({ xid: 1, program: nfsProgram, version: 3, procedure: (bytes[0] ?? 0) % 23 });
        const reply = await exchange(call ? Buffer.concat([head, bytes]) : Buffer.from(bytes)).catch((error: unknown) => error);
        if (reply instanceof Buffer) decodeReply(reply);
        else expect(reply).toBeInstanceOf(WireError);
      }),
      { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: milliseconds, markInterruptAsFailure: false },
    );
    expect(faults).toEqual([]);
    tree.check();
  },
  milliseconds + 20_000,
);
