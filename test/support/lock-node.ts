// A node as the lock server sees it: lock manager, status monitor and port mapper on an address of its own, and calls from there.
import type { Ipv4 } from '../../src/base/addresses.ts';
import type { ByteReader, ByteWriter } from '../../src/base/bytes.ts';
import { silentLog } from '../../src/base/log.ts';
import type { Service } from '../../src/base/service.ts';
import { readTestArguments, writeCancelArguments, writeLockArguments, writeTestArguments, writeUnlockArguments } from '../../src/nlm/arguments.ts';
import { openCaller } from '../../src/nlm/caller.ts';
import {
  type LockArguments,
  type NlmStatus,
  type NlmVersion,
  nlmProcedures,
  nlmProgram,
  nlmVersions,
  type TestArguments,
  type WantedLock,
} from '../../src/nlm/nlm.ts';
import { nsmProcedures, nsmProgram, readStateChange, type StateChange } from '../../src/nlm/nsm.ts';
import { readStatusResult, writeStatusResult } from '../../src/nlm/results.ts';
import { mappingsOf } from '../../src/rpc/portmap/mappings.ts';
import { portmap } from '../../src/rpc/portmap/program.ts';
import { nullProcedure, type Procedure, type Program, type Transport, voidBody } from '../../src/rpc/program.ts';
import { startRpcServer } from '../../src/rpc/server.ts';

const transports = ['tcp', 'udp'] as const;

/** Values that come one after the other, and whoever waits for the next. */
export class Arrivals<Value> {
  private readonly values: Value[] = [];
  private readonly waiting: ((value: Value) => void)[] = [];

  push(value: Value): void {
    const first = this.waiting.shift();
    if (first === undefined) this.values.push(value);
    else first(value);
  }

  next(): Promise<Value> {
    const first = this.values.shift();
    return first === undefined ? new Promise((resolve) => this.waiting.push(resolve)) : Promise.resolve(first);
  }

  get count(): number {
    return this.values.length;
  }
}

export interface LockNode extends Pick<Service, 'close'> {
  readonly grants: Arrivals<TestArguments & { readonly version: NlmVersion; readonly procedure: string }>;
  /** `_RES` calls. */
  readonly results: Arrivals<{ readonly procedure: string; readonly status: NlmStatus; readonly cookie: Buffer }>;
  readonly notices: Arrivals<StateChange>;
  /** What it answers to GRANTED. */
  willingness: NlmStatus;
  ask(to: Ipv4, over: Over, procedure: keyof typeof nlmProcedures, args: (writer: ByteWriter) => void): Promise<ByteReader>;
  lock(
    to: Ipv4,
    over: Over,
    svid: number,
    rest?: Partial<LockArguments> & Partial<WantedLock>,
    procedure?: 'LOCK' | 'NM_LOCK' | 'LOCK_MSG',
  ): Promise<NlmStatus>;
  unlock(to: Ipv4, over: Over, svid: number, rest?: Partial<WantedLock>): Promise<NlmStatus>;
  cancel(to: Ipv4, over: Over, svid: number, rest?: Partial<WantedLock>): Promise<NlmStatus>;
  test(to: Ipv4, over: Over, svid: number, rest?: Partial<WantedLock>): Promise<ByteReader>;
  call: ReturnType<typeof openCaller>['call'];
}

export interface Over {
  readonly version: NlmVersion;
  readonly transport: Transport;
}

export interface NodeOptions {
  readonly address: Ipv4;
  /** The same on every machine of the test. */
  readonly portmapPort: number;
  readonly transports?: readonly Transport[];
}

/** Programs and a port mapper that knows them, all on one address. */
export async function serveWithMapper(
  address: Ipv4,
  port: number,
  programs: readonly Program[],
  over: readonly Transport[] = transports,
): Promise<Service & { port: number }> {
  const server = await startRpcServer({ name: 'node', address, port: 0, transports: over, programs, log: silentLog });
  const mappings = mappingsOf(programs, over, server.port);
  const mapper = await startRpcServer({ name: 'portmap', address, port, transports, programs: [portmap({ address, mappings, now: () => 0 })], log: silentLog });
  const close = async () => {
    await Promise.all([server.close(), mapper.close()]);
  };
  return { name: 'node', sockets: [], port: mapper.port, close };
}

export function wantedLock(svid: number, rest: Partial<WantedLock> = {}): WantedLock {
  const { handle = Buffer.from('file a'), ownerHandle = Buffer.from(`${svid}@node`), offset = 0n, length = 10n } = rest;
  return { caller: 'node', handle, ownerHandle, svid, offset, length };
}

export async function startLockNode({ address, portmapPort, transports: over = transports }: NodeOptions): Promise<LockNode> {
  const grants: LockNode['grants'] = new Arrivals();
  const results: LockNode['results'] = new Arrivals();
  const notices: LockNode['notices'] = new Arrivals();
  const caller = openCaller({ portmapPort });

  const proceduresOf = (version: NlmVersion): readonly (Procedure | undefined)[] => {
    const table: (Procedure | undefined)[] = [nullProcedure];
    const define = (procedure: keyof typeof nlmProcedures, run: Procedure['run']) => {
      table[nlmProcedures[procedure]] = { name: procedure, once: false, run };
    };
    const granted = (args: ByteReader, procedure: string) => {
      const { cookie, exclusive, lock } = readTestArguments(args, version);
      grants.push({ version, procedure, exclusive, cookie: Buffer.from(cookie), lock });
      return { encode: (writer: ByteWriter) => writeStatusResult(writer, version, { cookie, status: node.willingness }) };
    };
    define('GRANTED', (_caller, args) => granted(args, 'GRANTED'));
    define('GRANTED_MSG', (_caller, args) => {
      granted(args, 'GRANTED_MSG');
      return voidBody;
    });
    for (const procedure of ['TEST_RES', 'LOCK_RES', 'CANCEL_RES', 'UNLOCK_RES', 'GRANTED_RES'] as const) {
      define(procedure, (_caller, args) => {
        const { cookie, status } = readStatusResult(args);
        results.push({ procedure, status, cookie: Buffer.from(cookie) });
        return voidBody;
      });
    }
    return table;
  };
  const notified: Procedure = {
    name: 'NOTIFY',
    once: false,
    run: (_caller, args) => {
      notices.push(readStateChange(args));
      return voidBody;
    },
  };
  const statd: (Procedure | undefined)[] = [nullProcedure];
  statd[nsmProcedures.NOTIFY] = notified;
  const programs: readonly Program[] = [
    { number: nlmProgram, versions: new Map(nlmVersions.map((version) => [version, proceduresOf(version)])) },
    { number: nsmProgram, versions: new Map([[1, statd]]) },
  ];
  const served = await serveWithMapper(address, portmapPort, programs, over);

  const ask: LockNode['ask'] = async (to, { version, transport }, procedure, args) => {
    const numbers = { program: nlmProgram, version, procedure: nlmProcedures[procedure] };
    const answer = await caller.call({ from: address, to, transports: [transport], repeatable: false, ...numbers, args });
    if (answer.kind !== 'answered') throw new Error(`${procedure}: ${answer.reason}`);
    return answer.results;
  };
  const cookie = Buffer.from([1, 2, 3, 4]);
  const node: LockNode = {
    grants,
    results,
    notices,
    willingness: 'GRANTED',
    ask,
    call: (call) => caller.call(call),
    lock: async (to, over, svid, rest = {}, procedure = 'LOCK') => {
      const args = { cookie, block: false, exclusive: true, reclaim: false, state: 1, ...rest, lock: wantedLock(svid, rest) };
      const reader = await ask(to, over, procedure, (writer) => writeLockArguments(writer, over.version, args));
      return procedure === 'LOCK_MSG' ? 'GRANTED' : readStatusResult(reader).status;
    },
    unlock: async (to, over, svid, rest) => {
      const lock = wantedLock(svid, rest);
      return readStatusResult(await ask(to, over, 'UNLOCK', (writer) => writeUnlockArguments(writer, over.version, { cookie, lock }))).status;
    },
    cancel: async (to, over, svid, rest) => {
      const args = { cookie, block: true, exclusive: true, lock: wantedLock(svid, rest) };
      return readStatusResult(await ask(to, over, 'CANCEL', (writer) => writeCancelArguments(writer, over.version, args))).status;
    },
    test: (to, over, svid, rest) => {
      const args = { cookie, exclusive: true, lock: wantedLock(svid, rest) };
      return ask(to, over, 'TEST', (writer) => writeTestArguments(writer, over.version, args));
    },
    close: async () => {
      caller.close();
      await served.close();
    },
  };
  return node;
}
