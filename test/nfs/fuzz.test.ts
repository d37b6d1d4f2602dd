import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { type NfsService, startNfsServer } from '../../src/nfs/server.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { broken, callOf, type GivenCall, knownStatuses } from '../support/nfs-calls.ts';
import { loopback, singleExport, testKey } from '../support/nfs-farm.ts';
import { fuzzRound } from '../support/nfs-fuzz.ts';
import { nfsWorld } from '../support/nfs-world.ts';
import { nfsProgram } from '../support/nfs3-client.ts';
import { decodeReply, encodeCall, marked, tcpExchange, udpExchange } from '../support/rpc-client.ts';

const milliseconds = Number(process.env['FUZZ_SECONDS'] ?? 1) * 1000;

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
const step: fc.Arbitrary<GivenCall> = fc.record({
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
          const bytes = broken(callOf(given, handles, 1_000_000 + index), given);
          const reply = await exchanges[given.transport](bytes).catch((error: unknown) => error);
          if (!(reply instanceof Buffer)) {
            expect(reply).toBeInstanceOf(WireError);
            continue;
          }
          expect(reply.length % 4).toBe(0);
          const { denied, status, results } = decodeReply(reply);
          expect(status).not.toBe(5);
          if (!denied && status === 0 && bytes.readUInt32BE(12) === nfsProgram && results.left > 0)
            expect(knownStatuses[bytes.readUInt32BE(16)]).toContain(results.u32());
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
  'rounds of mutated calls, through record marking and as datagrams, with portmap and MOUNT among them',
  async () => {
    const until = Date.now() + milliseconds / 2;
    const counts = { unreadable: 0, refused: 0, answered: 0, failed: 0, succeeded: 0 };
    for (let seed = 1; seed === 1 || Date.now() < until; seed += 1) {
      const tree = new MemoryTree({ totalBytes: 20_000, totalObjects: 30, linkMax: 6 });
      await fuzzRound(seed, 500, tree, () => tree.check(), counts);
    }
    for (const [kind, count] of Object.entries(counts)) expect(count, kind).toBeGreaterThan(5);
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
          const sent = call === null ? Buffer.from(bytes) : broken(callOf(call, [Buffer.from(bytes).subarray(0, 24)], 7), call);
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
