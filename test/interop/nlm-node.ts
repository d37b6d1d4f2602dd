// What a node's kernel does about locks, beside the real rpcbind and rpc.statd of its namespace: monitors the server, locks, takes callbacks.
// Argument is statd's state directory. Commands on stdin: lock, wait, unlock, restart (sm-notify(8), as at boot); tells events as lines of JSON.
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { ipv4 } from '../../src/base/addresses.ts';
import type { ByteReader } from '../../src/base/bytes.ts';
import { readTestArguments, writeLockArguments, writeUnlockArguments } from '../../src/nlm/arguments.ts';
import { openCaller } from '../../src/nlm/caller.ts';
import { type LockArguments, nlmProcedures, nlmProgram } from '../../src/nlm/nlm.ts';
import { nsmProcedures, nsmProgram, readMonitorResult, writeMonitoring } from '../../src/nlm/nsm.ts';
import { readStatusResult, writeStatusResult } from '../../src/nlm/results.ts';
import { systemTimers } from '../../src/nlm/server.ts';
import { mappingsOf } from '../../src/rpc/portmap/mappings.ts';
import { startPortmap } from '../../src/rpc/portmap/server.ts';
import { nullProcedure, type Procedure, type Program, voidBody } from '../../src/rpc/program.ts';
import { startRpcServer } from '../../src/rpc/server.ts';
import { readFixedOpaque, readString } from '../../src/rpc/xdr.ts';

const [, , stateDirectory = '', own = ''] = process.argv;
const address = ipv4(own);
const server = ipv4('10.11.0.1');
const loopback = ipv4('127.0.0.1');
/** NLM_SM_NOTIFY: how a Linux kernel has its statd tell it. */
const notifyProcedure = 16;
const secret = Buffer.from('0123456789abcdef');
const say = (event: string, fields: object = {}) => void writeSync(1, `${JSON.stringify({ event, ...fields })}\n`);
const log = (_level: string, event: string, fields = {}) => say(event, fields);

let holds = false;

const table: (Procedure | undefined)[] = [nullProcedure];
table[nlmProcedures.GRANTED] = {
  name: 'GRANTED',
  once: false,
  run: (_caller, args) => {
    const { cookie, lock } = readTestArguments(args, 4);
    holds = true;
    say('granted', { svid: lock.svid, handle: lock.handle.toString() });
    return { encode: (writer) => writeStatusResult(writer, 4, { cookie, status: 'GRANTED' }) };
  },
};
table[notifyProcedure] = {
  name: 'SM_NOTIFY',
  once: false,
  run: (_caller, args) => {
    const name = readString(args, 1024);
    say('rebooted', { name, state: args.u32(), ours: readFixedOpaque(args, 16).equals(secret) });
    if (holds) void lock({ reclaim: true }).then((status) => say('reclaimed', { status }));
    return voidBody;
  },
};
const program: Program = { number: nlmProgram, versions: new Map([[4, table]]) };
// statd calls back at 127.0.0.1, the server at our address.
const lockd = await startRpcServer({ name: 'lockd', address: ipv4('0.0.0.0'), port: 0, transports: ['tcp', 'udp'], programs: [program], log });
const mappings = mappingsOf([program], ['tcp', 'udp'], lockd.port);
const mapper = await startPortmap({ address, mappings, log, clock: systemTimers });
const caller = openCaller();

async function monitor(): Promise<number> {
  const informed = { name: own, program: nlmProgram, version: 4, procedure: notifyProcedure };
  const args = { name: server, informed, secret };
  const call = { program: nsmProgram, version: 1, procedure: nsmProcedures.MON, transports: ['udp'], repeatable: false } as const;
  const answer = await caller.call({ ...call, from: loopback, to: loopback, args: (writer) => writeMonitoring(writer, args) });
  if (answer.kind !== 'answered') throw new Error(answer.reason);
  const { accepted, state } = readMonitorResult(answer.results);
  say('monitored', { accepted, state });
  return state;
}

const wanted = { caller: own, handle: Buffer.from('a handle'), ownerHandle: Buffer.from('1@node'), svid: 1, offset: 0n, length: 0n };
const cookie = Buffer.from([1, 2, 3, 4]);
const state = await monitor();

async function ask(procedure: number, args: Parameters<typeof caller.call>[0]['args']): Promise<ByteReader> {
  const call = { from: address, to: server, transports: ['tcp'], repeatable: false, program: nlmProgram, version: 4, procedure } as const;
  const answer = await caller.call({ ...call, args });
  if (answer.kind !== 'answered') throw new Error(answer.reason);
  return answer.results;
}

async function lock(rest: Partial<LockArguments> = {}): Promise<string> {
  const args = { cookie, block: false, exclusive: true, lock: wanted, reclaim: false, state, ...rest };
  const { status } = readStatusResult(await ask(nlmProcedures.LOCK, (writer) => writeLockArguments(writer, 4, args)));
  holds ||= status === 'GRANTED';
  return status;
}

const commands: Readonly<Record<string, () => Promise<void>>> = {
  lock: async () => say('lock', { status: await lock() }),
  wait: async () => say('wait', { status: await lock({ block: true }) }),
  unlock: async () => {
    const results = await ask(nlmProcedures.UNLOCK, (writer) => writeUnlockArguments(writer, 4, { cookie, lock: wanted }));
    holds = false;
    say('unlock', { status: readStatusResult(results).status });
  },
  restart: async () => {
    const child = spawn('sm-notify', ['-f', '-d', '-m', '1', '-P', stateDirectory, '-v', 'node'], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('exit', (status) => say('sm-notify', { status }));
  },
};

const input = createInterface({ input: process.stdin });
input.on('line', (line) => void commands[line]?.());
input.on('close', () => {
  caller.close();
  void Promise.all([mapper.close(), lockd.close()]);
});
say('ready');
