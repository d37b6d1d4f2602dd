// The procedures of NLM versions 1, 3 and 4 by number: arguments in, the lock service asked, results out. C702 11 and 14.
import type { Ipv4 } from '../base/addresses.ts';
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import type { Body } from '../rpc/message.ts';
import { type Caller, nullProcedure, type Procedure, type Program, voidBody } from '../rpc/program.ts';
import { readCancelArguments, readFreeArguments, readLockArguments, readShareArguments, readTestArguments, readUnlockArguments } from './arguments.ts';
import type { Asker, LockDoors } from './doors.ts';
import { type LockArguments, type NlmVersion, nlmProcedures, nlmProgram, nlmVersions, type StatusResult, type TestResult } from './nlm.ts';
import { readStatusResult, writeShareResult, writeStatusResult, writeTestResult } from './results.ts';
import type { LockService } from './service.ts';

/** A procedure with a result, which is sent in the reply or as a call of its own. */
interface Operation<Result> {
  readonly run: (asker: Asker, args: ByteReader, asynchronous: boolean) => Result | Promise<Result>;
  readonly write: (writer: ByteWriter, version: NlmVersion, result: Result) => void;
}

type Settled<Result> = (result: Result) => void;

function whenSettled<Result>(result: Result | Promise<Result>, then: Settled<Result>): void {
  if (result instanceof Promise) void result.then(then);
  else then(result);
}

/** The program as it is reached at one address of ours: callbacks come from there. */
export function nlm(service: LockService, doors: Pick<LockDoors, 'call' | 'questions'>, server: Ipv4): Program {
  return { number: nlmProgram, versions: new Map(nlmVersions.map((version) => [version, proceduresOf(service, doors, server, version)])) };
}

function proceduresOf(
  service: LockService,
  doors: Pick<LockDoors, 'call' | 'questions'>,
  server: Ipv4,
  version: NlmVersion,
): readonly (Procedure | undefined)[] {
  const askerOf = (caller: Caller): Asker => ({ ...caller, server, version });
  const table: (Procedure | undefined)[] = [nullProcedure];
  const define = (name: keyof typeof nlmProcedures, once: boolean, run: Procedure['run']) => {
    table[nlmProcedures[name]] = { name, once, run };
  };

  /** `once`: a retransmission that comes late must not undo what was done since. */
  const both = <Result>(name: 'TEST' | 'LOCK' | 'CANCEL' | 'UNLOCK' | 'GRANTED', once: boolean, { run, write }: Operation<Result>) => {
    const bodyOf = (result: Result): Body => ({ encode: (writer) => write(writer, version, result) });
    define(name, once, (caller, args) => {
      const result = run(askerOf(caller), args, false);
      return result instanceof Promise ? result.then(bodyOf) : bodyOf(result);
    });
    define(`${name}_MSG`, false, (caller, args) => {
      const asker = askerOf(caller);
      const result = run(asker, args, true);
      if (doors.questions.admits(asker.client))
        whenSettled(result, (settled) => void doors.call(resultCall(asker, name, (writer) => write(writer, version, settled))));
      return voidBody;
    });
    // Only GRANTED is ever asked by us.
    define(`${name}_RES`, false, (caller, args) => {
      if (name !== 'GRANTED') return voidBody;
      const { cookie, status } = readStatusResult(args);
      service.grantedResult(caller.client, cookie, status);
      return voidBody;
    });
  };

  both<TestResult>('TEST', false, {
    run: (asker, reader) => {
      const args = readTestArguments(reader, version);
      return { cookie: args.cookie, ...service.test(asker, args) };
    },
    write: writeTestResult,
  });
  const lock = (asker: Asker, args: LockArguments, how: { readonly monitored: boolean; readonly asynchronous: boolean }) => {
    const { cookie } = args;
    const status = service.lock(asker, args, how);
    return status instanceof Promise ? status.then((settled): StatusResult => ({ cookie, status: settled })) : { cookie, status };
  };
  both<StatusResult>('LOCK', true, {
    run: (asker, reader, asynchronous) => lock(asker, readLockArguments(reader, version), { monitored: true, asynchronous }),
    write: writeStatusResult,
  });
  both<StatusResult>('CANCEL', true, {
    run: (asker, reader) => {
      const args = readCancelArguments(reader, version);
      return { cookie: args.cookie, status: service.cancel(asker, args) };
    },
    write: writeStatusResult,
  });
  both<StatusResult>('UNLOCK', true, {
    run: (asker, reader) => {
      const args = readUnlockArguments(reader, version);
      return { cookie: args.cookie, status: service.unlock(asker, args.lock) };
    },
    write: writeStatusResult,
  });
  // We wait for nobody's locks.
  both<StatusResult>('GRANTED', false, {
    run: (_asker, reader) => ({ cookie: readTestArguments(reader, version).cookie, status: 'DENIED' }),
    write: writeStatusResult,
  });
  if (version === 1) return table;

  const shareResult = (result: StatusResult): Body => ({ encode: (writer) => writeShareResult(writer, version, result) });
  define('SHARE', true, (caller, reader) => {
    const args = readShareArguments(reader);
    return shareResult({ cookie: args.cookie, status: service.share(askerOf(caller), args) });
  });
  define('UNSHARE', true, (caller, reader) => {
    const args = readShareArguments(reader);
    return shareResult({ cookie: args.cookie, status: service.unshare(askerOf(caller), args) });
  });
  define('NM_LOCK', true, (caller, reader) => {
    const result = lock(askerOf(caller), readLockArguments(reader, version), { monitored: false, asynchronous: false });
    const bodyOf = (settled: StatusResult): Body => ({ encode: (writer) => writeStatusResult(writer, version, settled) });
    return result instanceof Promise ? result.then(bodyOf) : bodyOf(result);
  });
  define('FREE_ALL', true, ({ client }, reader) => {
    readFreeArguments(reader);
    service.release(client, 'it asked for it (FREE_ALL)');
    return voidBody;
  });
  return table;
}

/** The result of an asynchronous call goes to the client's own lock manager. By UDP first: that is how such clients ask. */
function resultCall(
  { server, client, version }: Asker,
  name: 'TEST' | 'LOCK' | 'CANCEL' | 'UNLOCK' | 'GRANTED',
  args: (writer: ByteWriter) => void,
): Parameters<LockDoors['call']>[0] {
  return {
    from: server,
    to: client,
    transports: ['udp', 'tcp'],
    repeatable: true,
    program: nlmProgram,
    version,
    procedure: nlmProcedures[`${name}_RES`],
    args,
  };
}
