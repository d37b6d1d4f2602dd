// The port mapper: version 2 and rpcbind 3 and 4 (RFC 1833), and what happens where the system has one.
import { afterEach, describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import type { ByteReader, ByteWriter } from '../../src/base/bytes.ts';
import type { Log } from '../../src/base/log.ts';
import { type Mapping, mappingsOf } from '../../src/rpc/portmap/mappings.ts';
import { portmap } from '../../src/rpc/portmap/program.ts';
import { startPortmap } from '../../src/rpc/portmap/server.ts';
import { type Answering, nullProcedure, type Program, type Transport } from '../../src/rpc/program.ts';
import { startRpcServer } from '../../src/rpc/server.ts';
import { readBool, readString, writeString } from '../../src/rpc/xdr.ts';
import { loopback } from '../support/nfs-farm.ts';
import { decodeReply, directExchange, encodeCall, udpExchange } from '../support/rpc-client.ts';

const nfs: Program = {
  number: 100_003,
  versions: new Map([
    [2, [nullProcedure]],
    [3, [nullProcedure]],
  ]),
};
const tcpOnly: Program = { number: 100_021, versions: new Map([[4, [nullProcedure]]]) };
const mappings = [...mappingsOf([nfs], ['tcp', 'udp'], 2049), ...mappingsOf([tcpOnly], ['tcp'], 4045)];

const answering: Answering = {
  programs: new Map([[100_000, portmap({ address: ipv4('10.11.0.1'), mappings, now: () => 1_700_000_000_999 })]]),
  replies: undefined,
  fault: (name, error) => {
    throw new Error(name, { cause: error });
  },
};

async function ask(version: number, procedure: number, args: (to: ByteWriter) => void = () => {}, transport: Transport = 'tcp'): Promise<ByteReader> {
  const reply = decodeReply(await directExchange(answering, loopback, transport)(encodeCall({ xid: 1, program: 100_000, version, procedure }, args)));
  if (reply.denied || reply.status !== 0) throw new Error(`accept_stat ${reply.status}`);
  return reply.results;
}

const words =
  (...numbers: number[]) =>
  (to: ByteWriter) => {
    for (const number of numbers) to.u32(number);
  };

/** struct rpcb */
const rpcb =
  (program: number, version: number, netid = 'tcp') =>
  (to: ByteWriter) => {
    words(program, version)(to);
    for (const text of [netid, '', '']) writeString(to, text);
  };

function readList<Entry>(from: ByteReader, read: () => Entry): readonly Entry[] {
  const list: Entry[] = [];
  while (readBool(from)) list.push(read());
  expect(from.left).toBe(0);
  return list;
}

describe('version 2', () => {
  test.each([
    ['NFS over TCP', 100_003, 3, 6, 2049],
    ['NFS over UDP', 100_003, 2, 17, 2049],
    ['another version of NFS: the program itself will say which it has', 100_003, 4, 6, 2049],
    ['what is not on that transport', 100_021, 4, 17, 0],
    ['a transport that is none', 100_003, 3, 1, 0],
    ['itself', 100_000, 2, 17, 111],
    ['rpcbind', 100_000, 4, 6, 111],
    ['a program that is not here', 100_227, 3, 6, 0],
  ])('GETPORT knows %s', async (_, program, version, protocol, port) => {
    expect((await ask(2, 3, words(program, version, protocol, 0))).u32()).toBe(port);
  });

  test('DUMP lists everything', async () => {
    const from = await ask(2, 4);
    const list = readList(from, () => [from.u32(), from.u32(), from.u32(), from.u32()]);
    expect(list).toHaveLength(6 + mappings.length);
    for (const row of [
      [100_000, 2, 6, 111],
      [100_000, 4, 17, 111],
      [100_003, 2, 17, 2049],
      [100_021, 4, 6, 4045],
    ])
      expect(list).toContainEqual(row);
  });

  test.each([
    ['SET', 1],
    ['UNSET', 2],
  ])('%s is FALSE, and changes nothing', async (_, procedure) => {
    for (const version of [2, 3, 4]) {
      const args = version === 2 ? words(100_003, 3, 6, 1) : rpcb(100_003, 3);
      expect(readBool(await ask(version, procedure, args))).toBe(false);
    }
    expect((await ask(2, 3, words(100_003, 3, 6, 0))).u32()).toBe(2049);
  });
});

test.each([
  ['CALLIT', 2, 5],
  ['CALLIT', 3, 5],
  ['BCAST', 4, 5],
  ['INDIRECT', 4, 10],
])('%s of version %i, which would call others, is not there', async (_, version, procedure) => {
  await expect(ask(version, procedure, words(100_003, 3, 0, 0))).rejects.toThrow('accept_stat 3');
});

describe('rpcbind', () => {
  test.each([
    [3, 3, 100_003, 3, '10.11.0.1.8.1'],
    [4, 3, 100_003, 3, '10.11.0.1.8.1'],
    [4, 3, 100_003, 9, '10.11.0.1.8.1'],
    [4, 9, 100_003, 2, '10.11.0.1.8.1'],
    [4, 9, 100_003, 9, ''],
    [4, 3, 100_021, 4, '10.11.0.1.15.205'],
    [3, 3, 100_099, 1, ''],
    [3, 3, 100_000, 4, '10.11.0.1.0.111'],
  ])('version %i procedure %i: program %i version %i is at %s', async (version, procedure, program, wanted, address) => {
    expect(readString(await ask(version, procedure, rpcb(program, wanted)), 64)).toBe(address);
  });

  test('GETADDR means the transport that it comes over, whatever it says', async () => {
    expect(readString(await ask(4, 3, rpcb(100_021, 4, 'tcp'), 'udp'), 64)).toBe('');
    expect(readString(await ask(4, 3, rpcb(100_021, 4, 'udp'), 'tcp'), 64)).toBe('10.11.0.1.15.205');
  });

  test('GETADDRLIST tells every transport', async () => {
    const from = await ask(4, 11, rpcb(100_003, 3));
    const text = () => readString(from, 64);
    expect(readList(from, () => [text(), text(), from.u32(), text(), text()])).toEqual([
      ['10.11.0.1.8.1', 'tcp', 3, 'inet', 'tcp'],
      ['10.11.0.1.8.1', 'udp', 1, 'inet', 'udp'],
    ]);
  });

  test('DUMP lists everything', async () => {
    const from = await ask(3, 4);
    const text = () => readString(from, 64);
    const list = readList(from, () => [from.u32(), from.u32(), text(), text(), text()]);
    expect(list).toHaveLength(6 + mappings.length);
    expect(list).toContainEqual([100_003, 3, 'udp', '10.11.0.1.8.1', 'superuser']);
  });

  test('GETTIME is in seconds', async () => {
    expect((await ask(3, 6)).u32()).toBe(1_700_000_000);
    expect((await ask(4, 6)).u32()).toBe(1_700_000_000);
  });

  test('an argument that is too long is garbage', async () => {
    await expect(ask(4, 3, rpcb(1, 1, 'x'.repeat(257)))).rejects.toThrow('accept_stat 4');
    await expect(ask(4, 3, words(100_003, 3))).rejects.toThrow('accept_stat 4');
  });
});

describe('on a port', () => {
  const closers: (() => unknown)[] = [];
  const events: { level: string; event: string; fields: Readonly<Record<string, unknown>> }[] = [];
  const log: Log = (level, event, fields = {}) => events.push({ level, event, fields });
  const clock = { now: () => 0 };

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    events.length = 0;
  });

  /** The system's rpcbind, as far as anybody registers with it. `taken` is what somebody else has registered. */
  async function systemRpcbind(taken: readonly Mapping[] = []) {
    const known = new Map<string, number>(
      taken.map(({ program, version, transport, port }) => [`${program}/${version}/${transport === 'tcp' ? 6 : 17}`, port]),
    );
    const read = (args: ByteReader) => ({ program: args.u32(), version: args.u32(), protocol: args.u32(), port: args.u32() });
    const program: Program = {
      number: 100_000,
      versions: new Map([
        [
          2,
          [
            nullProcedure,
            {
              name: 'SET',
              once: false,
              run: (_caller, args) => {
                const { program: number, version, protocol, port } = read(args);
                const key = `${number}/${version}/${protocol}`;
                const done = known.get(key) === undefined || known.get(key) === port;
                if (done) known.set(key, port);
                return { encode: (to) => to.u32(done ? 1 : 0) };
              },
            },
            {
              name: 'UNSET',
              once: false,
              run: (_caller, args) => {
                const { program: number, version } = read(args);
                const done = [6, 17].map((protocol) => known.delete(`${number}/${version}/${protocol}`)).includes(true);
                return { encode: (to) => to.u32(done ? 1 : 0) };
              },
            },
          ],
        ],
      ]),
    };
    const service = await startRpcServer({ name: 'rpcbind', address: loopback, port: 0, transports: ['tcp', 'udp'], programs: [program], log });
    closers.push(() => service.close());
    return { port: service.port, known };
  }

  async function freePort(): Promise<number> {
    const probe = await startRpcServer({ name: 'probe', address: loopback, port: 0, transports: ['tcp', 'udp'], programs: [], log });
    await probe.close();
    return probe.port;
  }

  test('that is free, it answers itself', async () => {
    const port = await freePort();
    const service = await startPortmap({ address: loopback, port, mappings, log, clock });
    closers.push(() => service.close());
    expect(service.sockets).toEqual([`tcp 127.0.0.1:${port}`, `udp 127.0.0.1:${port}`]);
    const { exchange, close } = await udpExchange(port);
    const reply = decodeReply(await exchange(encodeCall({ xid: 3, program: 100_000, version: 2, procedure: 3 }, words(100_003, 3, 17, 0))));
    expect(reply.results.u32()).toBe(2049);
    close();
  });

  test("that is rpcbind's, it registers there until it is closed", async () => {
    const { port, known } = await systemRpcbind();
    const service = await startPortmap({ address: loopback, port, mappings, log, clock });
    expect(service.sockets).toEqual([]);
    expect([...known]).toEqual([
      ['100003/2/6', 2049],
      ['100003/2/17', 2049],
      ['100003/3/6', 2049],
      ['100003/3/17', 2049],
      ['100021/4/6', 4045],
    ]);
    expect(events).toMatchObject([{ level: 'info', event: 'portmap.registered', fields: { port } }]);
    const again = await startPortmap({ address: loopback, port, mappings, log, clock });
    expect(events.at(-1)).toMatchObject({ event: 'portmap.registered' });
    await again.close();
    await service.close();
    await service.close();
    expect([...known]).toEqual([]);
  });

  test('on which another NFS server is registered, it registers the rest, says so, and takes back what it has registered', async () => {
    const [first] = mappingsOf([nfs], ['udp'], 2050);
    const { port, known } = await systemRpcbind([first!]);
    const service = await startPortmap({ address: loopback, port, mappings: mappings.slice(1), log, clock });
    const hint = expect.any(String);
    expect(events).toMatchObject([
      { level: 'info', event: 'portmap.registered', fields: { programs: expect.arrayContaining(['100003 version 3 on udp port 2049']) } },
      { level: 'warn', event: 'portmap.absent', fields: { reason: 'it refuses 100003 version 2 on udp port 2049', hint } },
    ]);
    await service.close();
    expect([...known]).toEqual([['100003/2/17', 2050]]);
  });

  test('that is nobody’s who could be asked, it says so', async () => {
    const other = await startRpcServer({ name: 'other', address: loopback, port: 0, transports: ['tcp', 'udp'], programs: [], log });
    closers.push(() => other.close());
    const service = await startPortmap({ address: loopback, port: other.port, mappings, log, clock });
    expect(events).toMatchObject([{ level: 'warn', event: 'portmap.absent' }]);
    await service.close();
  });
});
