import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { silentLog } from '../../src/base/log.ts';
import type { Service } from '../../src/base/service.ts';
import { writeFreeArguments, writeLockArguments, writeShareArguments, writeUnlockArguments } from '../../src/nlm/arguments.ts';
import { openCaller } from '../../src/nlm/caller.ts';
import { nlmProcedures, nlmProgram, nlmVersions } from '../../src/nlm/nlm.ts';
import { nsmProcedures, nsmProgram, readMonitorResult, writeMonitoring, writeStateChange } from '../../src/nlm/nsm.ts';
import { readShareResult, readStatusResult, readTestResult, writeStatusResult } from '../../src/nlm/results.ts';
import { type LockServer, type Locks, openLocks, startLockServer } from '../../src/nlm/server.ts';
import { portmap } from '../../src/rpc/portmap/program.ts';
import { startRpcServer } from '../../src/rpc/server.ts';
import { type LockNode, type Over, startLockNode, wantedLock } from '../support/lock-node.ts';
import { decodeReply, encodeCall, tcpExchange } from '../support/rpc-client.ts';

const server = ipv4('127.0.0.1');
const one = ipv4('127.0.0.2');
const two = ipv4('127.0.0.3');
const wide: Over = { version: 4, transport: 'tcp' };
const cookie = Buffer.from([9, 9, 9, 9]);

let folder: string;
let mapperPort = 0;
let locks: Locks;
let lockServer: LockServer;
let mapper: Service;
let nodes: LockNode[] = [];

/** The server, with a port mapper that knows it; the nodes' mappers listen on the same port of theirs. */
async function start(port = 0): Promise<void> {
  locks = openLocks({
    path: join(folder, 'locks-monitored'),
    questions: {
      admits: (client) => client === one || client === two,
      identify: (handle) => (handle.toString().startsWith('file') ? handle.toString() : undefined),
      permit: () => 'yes',
    },
    log: silentLog,
    caller: openCaller({ portmapPort: mapperPort === 0 ? 1 : mapperPort }),
  });
  lockServer = await startLockServer({ locks, address: server, nlmPort: 0, nsmPort: 0, privileged: false, log: silentLog });
  const programs = [portmap({ address: server, mappings: lockServer.mappings, now: () => 0 })];
  const started = await startRpcServer({ name: 'portmap', address: server, port, transports: ['tcp', 'udp'], programs, log: silentLog });
  mapper = started;
  mapperPort = started.port;
}

async function stop(): Promise<void> {
  await Promise.all([lockServer.close(), mapper.close(), locks.close()]);
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'farm-nlm-'));
  mapperPort = 0;
  await start();
  const port = mapperPort;
  await stop(); // once more, now that the port of the mappers is known
  await start(port);
  nodes = [await startLockNode({ address: one, portmapPort: port }), await startLockNode({ address: two, portmapPort: port })];
});

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  await stop();
  rmSync(folder, { recursive: true });
});

const everyWay = nlmVersions.flatMap((version) => (['tcp', 'udp'] as const).map((transport) => [version, transport] as const));

describe('version %i over %s', () => {
  test.each(everyWay)('version %i over %s: what one locks another is denied, and told by whom', async (version, transport) => {
    const [first, second] = nodes;
    const over = { version, transport };
    expect(await first!.lock(server, over, 1)).toBe('GRANTED');
    expect(await second!.lock(server, over, 1)).toBe('DENIED');
    const { status, holder } = readTestResult(await second!.test(server, over, 1), version);
    expect(status).toBe('DENIED');
    expect(holder).toEqual({ exclusive: true, svid: 1, ownerHandle: Buffer.from('1@node'), offset: 0n, length: 10n });
    expect(await first!.unlock(server, over, 1)).toBe('GRANTED');
    expect(readTestResult(await second!.test(server, over, 1), version).status).toBe('GRANTED');
  });

  test.each(everyWay)('version %i over %s: who waits is called back in that version', async (version, transport) => {
    const [first, second] = nodes;
    const over = { version, transport };
    await first!.lock(server, over, 1);
    expect(await second!.lock(server, over, 7, { block: true })).toBe('BLOCKED');
    await first!.unlock(server, over, 1);
    const grant = await second!.grants.next();
    expect(grant).toMatchObject({ version, procedure: 'GRANTED', exclusive: true });
    expect(grant.lock).toMatchObject({ handle: Buffer.from('file a'), svid: 7, offset: 0n, length: 10n });
    expect(await first!.lock(server, over, 1)).toBe('DENIED');
  });
});

describe('callbacks', () => {
  test('reach a node whose lock manager has UDP only', async () => {
    await nodes[1]!.close();
    nodes[1] = await startLockNode({ address: two, portmapPort: mapperPort, transports: ['udp'] });
    await nodes[0]!.lock(server, wide, 1);
    await nodes[1].lock(server, wide, 1, { block: true });
    await nodes[0]!.unlock(server, wide, 1);
    expect((await nodes[1].grants.next()).procedure).toBe('GRANTED');
  });

  test('a node that does not want its lock any more does not keep it', async () => {
    const [first, second] = nodes;
    second!.willingness = 'DENIED';
    await first!.lock(server, wide, 1);
    await second!.lock(server, wide, 1, { block: true });
    await first!.lock(server, wide, 2, { block: true });
    await first!.unlock(server, wide, 1);
    await second!.grants.next();
    expect((await first!.grants.next()).lock.svid).toBe(2);
  });

  test('a request by LOCK_MSG is answered by LOCK_RES, and its grant is a GRANTED_MSG that GRANTED_RES answers', async () => {
    const [first, second] = nodes;
    await first!.lock(server, wide, 1);
    await second!.lock(server, wide, 1, { block: true }, 'LOCK_MSG');
    expect(await second!.results.next()).toMatchObject({ procedure: 'LOCK_RES', status: 'BLOCKED' });
    await first!.unlock(server, wide, 1);
    const grant = await second!.grants.next();
    expect(grant.procedure).toBe('GRANTED_MSG');
    await second!.ask(server, wide, 'GRANTED_RES', (writer) => writeStatusResult(writer, 4, { cookie: grant.cookie, status: 'DENIED' }));
    expect(readTestResult(await first!.test(server, wide, 1), 4).status).toBe('GRANTED');
  });

  test('every asynchronous call has its result; GRANTED is denied: we wait for nothing', async () => {
    const [node] = nodes;
    const lock = wantedLock(1);
    await node!.ask(server, wide, 'UNLOCK_MSG', (writer) => writeUnlockArguments(writer, 4, { cookie, lock }));
    expect(await node!.results.next()).toEqual({ procedure: 'UNLOCK_RES', status: 'GRANTED', cookie });
    const args = { cookie, block: false, exclusive: true, lock, reclaim: false, state: 1 };
    for (const procedure of ['LOCK_MSG'] as const) await node!.ask(server, wide, procedure, (writer) => writeLockArguments(writer, 4, args));
    expect(await node!.results.next()).toEqual({ procedure: 'LOCK_RES', status: 'GRANTED', cookie });
    expect(await node!.cancel(server, wide, 1)).toBe('DENIED');
  });
});

describe('a restart', () => {
  test('of the server: nodes are told with its new state, from the address they know, and take their locks back', async () => {
    const [first, second] = nodes;
    const { state } = locks.service;
    await first!.lock(server, wide, 1);
    await stop();
    await start(mapperPort);
    expect(await first!.notices.next()).toEqual({ name: server, state: state + 2 });
    expect(await second!.lock(server, wide, 1)).toBe('DENIED_GRACE_PERIOD');
    expect(await first!.lock(server, wide, 1, { reclaim: true })).toBe('GRANTED');
    expect(second!.notices.count).toBe(0);
  });

  test('of a node: what it held is free, and who waited is told', async () => {
    const [first, second] = nodes;
    await first!.lock(server, wide, 1);
    await second!.lock(server, wide, 1, { block: true });
    const args = { name: 'whatever', state: 3 };
    const procedure = { program: nsmProgram, version: 1, procedure: nsmProcedures.NOTIFY };
    await first!.call({ from: one, to: server, transports: ['udp'], repeatable: false, ...procedure, args: (writer) => writeStateChange(writer, args) });
    expect((await second!.grants.next()).lock.svid).toBe(1);
  });

  test('of a PC: FREE_ALL frees its locks and shares, and nobody else does', async () => {
    const [first, second] = nodes;
    const over = { version: 3, transport: 'udp' } as const;
    const share = { cookie, caller: 'pc', handle: Buffer.from('file b'), ownerHandle: Buffer.from('o'), mode: 3, access: 3, reclaim: false };
    const shared = async (node: LockNode, procedure: 'SHARE' | 'UNSHARE') =>
      readShareResult(await node.ask(server, over, procedure, (writer) => writeShareArguments(writer, share))).status;
    const free = (node: LockNode) => node.ask(server, over, 'FREE_ALL', (writer) => writeFreeArguments(writer, { name: 'pc', state: 0 }));
    expect(await first!.lock(server, over, 1, {}, 'NM_LOCK')).toBe('GRANTED');
    expect(await shared(first!, 'SHARE')).toBe('GRANTED');
    await free(second!);
    expect([await second!.lock(server, over, 1), await shared(second!, 'SHARE')]).toEqual(['DENIED', 'DENIED']);
    await free(first!);
    expect([await second!.lock(server, over, 1), await shared(second!, 'SHARE'), await shared(second!, 'UNSHARE')]).toEqual(['GRANTED', 'GRANTED', 'GRANTED']);
  });
});

describe('the wire', () => {
  const portOf = (program: number) => lockServer.mappings.find((mapping) => mapping.program === program)?.port ?? 0;

  test.each([
    ['NULL', 4, 0, 0],
    ['arguments that end early', 4, nlmProcedures.LOCK, 4],
    ['a procedure that does not exist', 4, 17, 3],
    ['SHARE in version 1', 1, nlmProcedures.SHARE, 3],
    ['version 2', 2, nlmProcedures.TEST, 2],
  ])('%s has the answer that RFC 5531 has for it', async (_, version, procedure, status) => {
    const { exchange, close } = await tcpExchange(portOf(nlmProgram));
    expect(decodeReply(await exchange(encodeCall({ xid: 1, program: nlmProgram, version, procedure })))).toMatchObject({ denied: false, status });
    close();
  });

  test('a call that is repeated with the same xid is not done again: a late UNLOCK frees nothing', async () => {
    const { exchange, close } = await tcpExchange(portOf(nlmProgram));
    // From 127.0.0.1, which is nobody: so the reply is kept, whatever it is.
    const unlock = encodeCall({ xid: 5, program: nlmProgram, version: 4, procedure: nlmProcedures.UNLOCK }, (writer) =>
      writeUnlockArguments(writer, 4, { cookie, lock: wantedLock(1) }),
    );
    const first = Buffer.from(await exchange(unlock));
    expect(readStatusResult(decodeReply(first).results).status).toBe('STALE_FH');
    expect(await exchange(unlock)).toEqual(first);
    close();
  });

  test('it monitors nobody for others, and says in which state it is', async () => {
    const { exchange, close } = await tcpExchange(portOf(nsmProgram));
    const monitoring = { name: 'n1', informed: { name: 'n2', program: nlmProgram, version: 4, procedure: 16 }, secret: Buffer.alloc(16) };
    const call = (procedure: number) =>
      encodeCall({ xid: procedure, program: nsmProgram, version: 1, procedure }, (writer) => writeMonitoring(writer, monitoring));
    const { state } = locks.service;
    expect(readMonitorResult(decodeReply(await exchange(call(nsmProcedures.MON))).results)).toEqual({ accepted: false, state });
    expect(readMonitorResult(decodeReply(await exchange(call(nsmProcedures.STAT))).results)).toEqual({ accepted: false, state });
    expect(decodeReply(await exchange(call(nsmProcedures.UNMON))).results.u32()).toBe(state);
    expect(decodeReply(await exchange(call(nsmProcedures.UNMON_ALL))).status).toBe(0);
    expect(decodeReply(await exchange(call(nsmProcedures.SIMU_CRASH)))).toMatchObject({ status: 0 });
    close();
  });
});
