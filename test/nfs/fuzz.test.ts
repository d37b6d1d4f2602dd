import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ByteWriter } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import { type NfsService, startNfsServer } from '../../src/nfs/server.ts';
import { statusNumbers } from '../../src/nfs/status.ts';
import { writeHyper, writeOpaque, writeString } from '../../src/rpc/xdr.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { loopback, singleExport, testKey } from '../support/nfs-farm.ts';
import { nfsWorld } from '../support/nfs-world.ts';
import { writeSattr2 } from '../support/nfs2-client.ts';
import { mountProgram, nfsProgram, writeSattr } from '../support/nfs3-client.ts';
import { decodeReply, encodeCall, marked, tcpExchange, udpExchange } from '../support/rpc-client.ts';

const milliseconds = Number(process.env['FUZZ_SECONDS'] ?? 1) * 1000;
/** Statuses of version 3, and of version 2: those that are numbers of UNIX errors, and EOPNOTSUPP. */
const known: Readonly<Record<number, ReadonlySet<number>>> = {
  2: new Set([...Object.values(statusNumbers).filter((number) => number < 100), 45]),
  3: new Set(Object.values(statusNumbers)),
};

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
  version: fc.constantFrom(2, 3),
  transport: fc.constantFrom('tcp' as const, 'udp' as const),
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

/** What follows the handle that all procedures of version 3 but NULL begin with. */
const argumentsAfterHandle3: Readonly<Record<number, readonly Write[]>> = {
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

const writeChange2: Write = (to, { change: { mode, uid, gid, size, atime, mtime }, numbers: [kind] }) => {
  const time = (value: typeof atime) =>
    value === undefined ? undefined : value === 'now' ? ([0, 1_000_000] as const) : ([value.seconds, value.nanoseconds] as const);
  writeSattr2(to, {
    ...(mode !== undefined && { mode: mode | ((kind % 16) << 12) }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(size !== undefined && { size: size >>> 0 }),
    ...(atime !== undefined && { atime: time(atime) ?? [0, 0] }),
    ...(mtime !== undefined && { mtime: time(mtime) ?? [0, 0] }),
  });
};
const writeOffset2: Write = (to, { offset }) => to.u32(offset % 3 === 0 ? offset >>> 0 : offset % 5000);
const writeName2: Write = (to, { newName }, other) => {
  to.put(other);
  writeString(to, newName);
};

/** The same for version 2. */
const argumentsAfterHandle2: Readonly<Record<number, readonly Write[]>> = {
  2: [writeChange2],
  4: [writeName],
  6: [writeOffset2, (to, { numbers }) => to.u32(numbers[0]), (to) => to.u32(0)],
  8: [(to) => to.u32(0), writeOffset2, (to) => to.u32(0), (to, { data }) => writeOpaque(to, data)],
  9: [writeName, writeChange2],
  10: [writeName],
  11: [writeName, writeName2],
  12: [writeName2],
  13: [writeName, (to, { newName }) => writeString(to, newName), writeChange2],
  14: [writeName, writeChange2],
  15: [writeName],
  16: [(to, { offset }) => to.u32(offset >>> 0), (to, { numbers }) => to.u32(numbers[0])],
};

function message(given: Step, handles: readonly Buffer[], xid: number): Buffer {
  const { procedure, uid, version } = given;
  const handle = handles[given.object % handles.length] ?? Buffer.alloc(0);
  const other = handles[given.other % handles.length] ?? Buffer.alloc(0);
  const program = given.mount && procedure < 7 ? mountProgram : nfsProgram;
  const mountVersion = version === 2 ? 1 : 3;
  return encodeCall({ xid, program, version: program === mountProgram ? mountVersion : version, procedure, user: { uid, gid: uid, gids: [1] } }, (to) => {
    if (program === mountProgram) {
      writeString(to, given.name);
      return;
    }
    if (version === 3) {
      writeOpaque(to, handle);
      for (const write of argumentsAfterHandle3[procedure] ?? []) write(to, given, other);
    } else {
      to.put(filled(handle));
      for (const write of argumentsAfterHandle2[procedure] ?? []) write(to, given, filled(other));
    }
  });
}

/** To 32 bytes, as version 2 has them. */
function filled(handle: Buffer): Buffer {
  return Buffer.concat([handle, Buffer.alloc(32)]).subarray(0, 32);
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
        const { client, exchangeAs, root, handles: codec, faults } = nfsWorld(tree);
        const exchanges = { tcp: exchangeAs(loopback, 'tcp'), udp: exchangeAs(loopback, 'udp') };
        await client.setattr(root, { mode: 0o1777 });
        await client.mkdir(root, 'dir', { mode: 0o777 });
        // Ids are given in order, so these are the handles that the calls below may make.
        const handles = [root, ...Array.from({ length: 12 }, (_, index) => codec.encode(7, tree.generation, index + 2)), Buffer.alloc(24), Buffer.alloc(3)];
        for (const [index, given] of steps.entries()) {
          const bytes = broken(message(given, handles, 1_000_000 + index), given);
          const reply = await exchanges[given.transport](bytes).catch((error: unknown) => error);
          if (!(reply instanceof Buffer)) {
            expect(reply).toBeInstanceOf(WireError);
            continue;
          }
          expect(reply.length % 4).toBe(0);
          const { denied, status, results } = decodeReply(reply);
          expect(status).not.toBe(5);
          if (!denied && status === 0 && bytes.readUInt32BE(12) === nfsProgram && results.left > 0)
            expect(known[bytes.readUInt32BE(16)]).toContain(results.u32());
          if (given.transport === 'udp') expect(reply.length).toBeLessThanOrEqual(33_000);
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
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), fc.constantFrom(2, 3), async (bytes, call, version) => {
        const head = encodeCall({ xid: 1, program: nfsProgram, version, procedure: (bytes[0] ?? 0) % 23 });
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

test(
  'random bytes and broken calls over TCP and UDP: the next call of both is answered',
  async () => {
    const faults: string[] = [];
    const tree = new MemoryTree();
    const service: NfsService = await startNfsServer({
      address: loopback,
      port: 0,
      portmap: false,
      privileged: false,
      exports: singleExport(tree),
      key: testKey,
      log: (level, event) => level === 'error' && faults.push(event),
      clock: { now: () => 0 },
    });
    const { port } = service;
    const udp = await udpExchange(port);
    const raw = fc.record({ bytes: fc.uint8Array({ maxLength: 400 }), call: fc.option(step), marked: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(raw, { minLength: 1, maxLength: 20 }), async (messages) => {
        const tcp = await tcpExchange(port);
        for (const { bytes, call, marked: whole } of messages) {
          const sent = call === null ? Buffer.from(bytes) : broken(message(call, [Buffer.from(bytes).subarray(0, 24)], 7), call);
          udp.socket.send(sent, port, '127.0.0.1');
          tcp.socket.write(whole ? marked(sent) : sent);
        }
        tcp.close();
        const other = await tcpExchange(port);
        for (const { exchange } of [udp, other]) {
          const reply = decodeReply(await exchange(encodeCall({ xid: 0x7fff_0001, program: nfsProgram, version: 2, procedure: 0 })));
          expect([reply.denied, reply.status]).toEqual([false, 0]);
        }
        other.close();
      }),
      { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: milliseconds, markInterruptAsFailure: false },
    );
    udp.close();
    await service.close();
    expect(faults).toEqual([]);
    tree.check();
  },
  milliseconds + 20_000,
);
