import fc from 'fast-check';
import { expect, test } from 'vitest';
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
  numbers: fc.array(words, { minLength: 6, maxLength: 6 }),
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

function message(given: Step, handles: readonly Buffer[], xid: number): Buffer {
  const { procedure, mount, uid, name, newName, numbers, offset, data } = given;
  const [one = 0, two = 0, three = 0] = numbers;
  const handle = handles[given.object % handles.length] ?? Buffer.alloc(0);
  const other = handles[given.other % handles.length] ?? Buffer.alloc(0);
  const program = mount && procedure < 7 ? mountProgram : nfsProgram;
  return encodeCall({ xid, program, version: 3, procedure, user: { uid, gid: uid, gids: [1] } }, (to) => {
    if (program === mountProgram) {
      writeString(to, name);
      return;
    }
    writeOpaque(to, handle);
    if ([3, 8, 9, 10, 11, 12, 13, 14].includes(procedure)) writeString(to, name);
    if (procedure === 2 || procedure === 9 || procedure === 10) writeSattr(to, given.change);
    if (procedure === 2) to.u32(0);
    if (procedure === 4) to.u32(one);
    if (procedure === 6) {
      writeHyper(to, offset);
      to.u32(one);
    }
    if (procedure === 7) {
      writeHyper(to, offset);
      to.u32(one % 2 === 0 ? data.length : one);
      to.u32(two % 4);
      writeOpaque(to, data);
    }
    if (procedure === 8) {
      to.u32(one % 4);
      if (one % 4 === 2) to.zeros(8);
      else writeSattr(to, given.change);
    }
    if (procedure === 10) writeString(to, newName);
    if (procedure === 11) {
      to.u32(one % 9);
      writeSattr(to, given.change);
      to.u32(two);
      to.u32(three);
    }
    if (procedure === 14 || procedure === 15) {
      writeOpaque(to, other);
      writeString(to, newName);
    }
    if (procedure === 16 || procedure === 17) {
      writeHyper(to, offset);
      to.zeros(8);
      to.u32(one);
      to.u32(two);
    }
    if (procedure === 21) to.zeros(12);
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
