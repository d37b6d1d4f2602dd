// Calls of every procedure with plausible and broken arguments: there is always an answer, never a fault, and everything is free in the end.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Ipv4, ipv4 } from '../../src/base/addresses.ts';
import { ByteWriter } from '../../src/base/bytes.ts';
import { silentLog } from '../../src/base/log.ts';
import { writeFreeArguments, writeLockArguments, writeShareArguments } from '../../src/nlm/arguments.ts';
import type { LockDoors } from '../../src/nlm/doors.ts';
import { Monitored, MonitoredRecord } from '../../src/nlm/monitored.ts';
import { nlmProcedures, nlmProgram, nlmVersions } from '../../src/nlm/nlm.ts';
import { nsmProgram, writeStateChange } from '../../src/nlm/nsm.ts';
import { nlm } from '../../src/nlm/procedures.ts';
import { writeStatusResult } from '../../src/nlm/results.ts';
import { LockService } from '../../src/nlm/service.ts';
import { statd } from '../../src/nlm/statd.ts';
import { type Answering, answer, encodeAnswer } from '../../src/rpc/program.ts';
import { Disk } from '../support/lock-world.ts';
import { decodeReply, encodeCall } from '../support/rpc-client.ts';
import { settle, VirtualTimers } from '../support/virtual-timers.ts';

const milliseconds = Number(process.env['FUZZ_SECONDS'] ?? 0.7) * 1000;
const server = ipv4('10.0.0.254');
const clients = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(ipv4);

const offsets = fc.oneof(fc.bigInt(0n, 20n), fc.constantFrom(2n ** 31n, 2n ** 32n - 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n));
const step = fc.record({
  client: fc.nat(clients.length - 1),
  version: fc.constantFrom(...nlmVersions),
  transport: fc.constantFrom('tcp' as const, 'udp' as const),
  procedure: fc.constantFrom(...Object.values(nlmProcedures), 16, 24),
  status: fc.nat(1),
  file: fc.nat(2),
  svid: fc.nat(2),
  offset: offsets,
  length: offsets,
  block: fc.boolean(),
  exclusive: fc.boolean(),
  reclaim: fc.boolean(),
  state: fc.nat(3),
  flips: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 3 }) },
  ),
  cut: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(150) }),
  pass: fc.constantFrom(0, 0, 0, 1000, 60_000),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

function writeArguments(to: ByteWriter, given: Step): void {
  const { version, file, svid, offset, length, block, exclusive, reclaim, state } = given;
  const handle = Buffer.from(`file ${file}`);
  const ownerHandle = Buffer.from(`${svid}`);
  const cookie = Buffer.from([0, 0, 0, file]);
  if (given.procedure === nlmProcedures.SHARE || given.procedure === nlmProcedures.UNSHARE) {
    writeShareArguments(to, { cookie, caller: 'n', handle, ownerHandle, mode: svid, access: state, reclaim });
  } else if (given.procedure === nlmProcedures.FREE_ALL) writeFreeArguments(to, { name: 'n', state });
  else if (given.procedure === nlmProcedures.GRANTED_RES) writeStatusResult(to, version, { cookie, status: exclusive ? 'GRANTED' : 'DENIED' });
  else if (given.status === 1 && given.procedure > 15) writeStateChange(to, { name: 'n', state });
  else {
    // What LOCK takes begins with what CANCEL takes; the others leave flags out, and read them as something else: as good as any fuzz.
    const fitted = version === 4 ? { offset, length } : { offset: offset & 0x7fff_ffffn, length: length & 0x7fff_ffffn };
    writeLockArguments(to, version, { cookie, block, exclusive, reclaim, state, lock: { caller: 'n', handle, ownerHandle, svid, ...fitted } });
  }
}

async function run(steps: readonly Step[]): Promise<void> {
  const timers = new VirtualTimers();
  const faults: unknown[] = [];
  const disk = new Disk();
  const doors: LockDoors = {
    questions: {
      admits: (client) => client !== clients[2],
      identify: (handle) => (handle.length === 6 ? handle.toString('latin1') : undefined),
      permit: (handle, _caller, exclusive) => (handle.at(-1) === 0x32 && exclusive ? 'read-only' : 'yes'),
    },
    timers,
    call: () => Promise.resolve({ kind: 'unanswered', reason: 'nobody', arrived: false }),
    log: silentLog,
  };
  const service = new LockService({ doors, monitored: new Monitored(new MonitoredRecord(), disk), firstCookie: 0 });
  const programs = new Map([
    [nlmProgram, nlm(service, doors, server)],
    [nsmProgram, statd(service)],
  ]);
  const answering: Answering = { programs, replies: undefined, fault: (procedure, error) => faults.push(procedure, error) };

  const ask = async (client: Ipv4, given: Step) => {
    const program = given.procedure === 24 ? nsmProgram : nlmProgram;
    const procedure = given.procedure === 24 ? given.state + 3 : given.procedure;
    const version = given.procedure === 24 ? 1 : given.version;
    const message = Buffer.from(encodeCall({ xid: 1, program, version, procedure }, (to) => writeArguments(to, given)));
    const header = 40;
    for (const [at, bits] of given.flips) if (header + at < message.length) message[header + at]! ^= bits;
    const reply = await answer(
      answering,
      { client, port: 700, transport: given.transport },
      given.cut === undefined ? message : message.subarray(0, header + given.cut),
    );
    const writer = new ByteWriter();
    encodeAnswer(answering, writer, reply);
    expect(decodeReply(writer.bytes()).xid).toBe(1);
  };
  for (const given of steps) {
    await ask(clients[given.client]!, given);
    if (given.pass > 0) await timers.pass(given.pass);
  }
  expect(faults).toEqual([]);
  for (const client of clients) service.release(client, 'the end');
  await settle();
  const lock = { caller: 'n', handle: Buffer.from('file 0'), ownerHandle: Buffer.alloc(0), svid: 99, offset: 0n, length: 0n };
  const asker = { client: clients[0]!, port: 700, transport: 'tcp', server, version: 4, credential: { flavor: 'none' } } as const;
  expect(service.test(asker, { cookie: Buffer.alloc(0), exclusive: true, lock }).status).toBe('GRANTED');
  service.close();
}

test(
  'there is an answer to everything',
  async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), run), {
      interruptAfterTimeLimit: milliseconds,
      numRuns: 100_000,
      ...(milliseconds > 2000 && { endOnFailure: true }),
    });
  },
  milliseconds + 10_000,
);
