import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import { type Body, type Credential, decodeCall } from '../../src/rpc/message.ts';
import { type Answering, answer, nullProcedure, type Procedure, type Program } from '../../src/rpc/program.ts';
import { type CallOptions, decodeReply, directExchange, encodeCall, rootUser } from '../support/rpc-client.ts';

const client = ipv4('10.0.0.1');
const faults: string[] = [];

const procedure = (name: string, run: Procedure['run']): Procedure => ({ name, once: false, run });
const program: Program = {
  number: 400_000,
  versions: new Map([
    [
      2,
      [
        nullProcedure,
        procedure('ECHO', (_, args) => {
          const value = args.u32();
          return { encode: (writer) => writer.u32(value) };
        }),
        undefined,
        procedure('THROWS', () => {
          throw new Error('a bug');
        }),
        procedure('REJECTS', () => Promise.reject(new Error('a later bug'))),
        procedure('UNWRITABLE', (): Body => ({ encode: (writer) => writer.u32(-1) })),
        procedure('LATER', async () => ({ encode: (writer) => writer.u32(1), tail: { bytes: Buffer.from('tail') } })),
      ],
    ],
    [4, [nullProcedure]],
  ]),
};
const answering: Answering = {
  programs: new Map([[program.number, program]]),
  replies: undefined,
  fault: (name, error) => faults.push(`${name}: ${error instanceof Error ? error.message : error}`),
};
const exchange = directExchange(answering, client);
const base: CallOptions = { xid: 0x01020304, program: 400_000, version: 2, procedure: 0, user: rootUser };

describe('the ways an RPC call is answered (RFC 5531 9)', () => {
  test.each<[string, Partial<CallOptions>, string]>([
    ['success without results', {}, '01020304 00000001 00000000 00000000 00000000 00000000'],
    ['an unknown program', { program: 400_001 }, '01020304 00000001 00000000 00000000 00000000 00000001'],
    ['an unknown version, with those that are known', { version: 3 }, '01020304 00000001 00000000 00000000 00000000 00000002 00000002 00000004'],
    ['an unknown procedure', { procedure: 9 }, '01020304 00000001 00000000 00000000 00000000 00000003'],
    ['a gap in the procedures', { procedure: 2 }, '01020304 00000001 00000000 00000000 00000000 00000003'],
    ['arguments that are missing', { procedure: 1 }, '01020304 00000001 00000000 00000000 00000000 00000004'],
    ['an exception', { procedure: 3 }, '01020304 00000001 00000000 00000000 00000000 00000005'],
    ['a rejected promise', { procedure: 4 }, '01020304 00000001 00000000 00000000 00000000 00000005'],
    ['a result that cannot be written', { procedure: 5 }, '01020304 00000001 00000000 00000000 00000000 00000005'],
    ['a promise with a tail', { procedure: 6 }, '01020304 00000001 00000000 00000000 00000000 00000000 00000001 7461696c'],
    ['another RPC version', { rpcVersion: 3 }, '01020304 00000001 00000001 00000000 00000002 00000002'],
  ])('%s', async (_, change, hex) => {
    expect((await exchange(encodeCall({ ...base, ...change }))).toString('hex')).toBe(hex.replaceAll(' ', ''));
  });

  test('each unexpected exception is reported once, with its procedure', () => {
    expect(faults).toEqual(['THROWS: a bug', 'REJECTS: a later bug', expect.stringMatching(/^encoding: /)]);
  });

  test('arguments reach the procedure', async () => {
    const reply = decodeReply(await exchange(encodeCall({ ...base, procedure: 1 }, (to) => to.u32(77))));
    expect(reply.results.u32()).toBe(77);
  });

  test.each([
    ['nothing', ''],
    ['half an xid', '0102'],
    ['a reply', '01020304 00000001'],
    ['a call that ends before its program', '01020304 00000000 00000002'],
  ])('%s cannot even be answered', (_, hex) => {
    expect(() => answer(answering, { client, port: 700, transport: 'tcp' }, Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toThrow(WireError);
  });
});

describe('credentials', () => {
  const call = (flavor: number, body: (writer: ByteWriter) => void, verifier = Buffer.from('0000000000000000', 'hex')): Buffer => {
    const inner = new ByteWriter();
    body(inner);
    const writer = new ByteWriter();
    for (const word of [9, 0, 2, 400_000, 2, 0, flavor, inner.length]) writer.u32(word);
    writer.put(inner.bytes());
    writer.zeros(-inner.length & 3);
    writer.put(verifier);
    return writer.bytes();
  };
  const unix = (groups: number, name = 'host'): ((writer: ByteWriter) => void) => {
    return (writer) => {
      writer.u32(1);
      writer.u32(name.length);
      writer.put(Buffer.from(name));
      writer.zeros(-name.length & 3);
      writer.u32(1000);
      writer.u32(100);
      writer.u32(groups);
      for (let index = 0; index < groups; index += 1) writer.u32(200 + index);
    };
  };

  test('AUTH_NONE and AUTH_UNIX are read', () => {
    expect(decodeCall(new ByteReader(call(0, () => {})))).toMatchObject({ credential: { flavor: 'none' } });
    const expected: Credential = { flavor: 'unix', machine: 'host', uid: 1000, gid: 100, gids: [200, 201] };
    expect(decodeCall(new ByteReader(call(1, unix(2))))).toMatchObject({ credential: expected });
    expect(decodeCall(new ByteReader(call(1, unix(16))))).toMatchObject({ kind: 'call' });
    expect(decodeCall(new ByteReader(call(1, unix(1, 'n'.repeat(255)))))).toMatchObject({ kind: 'call' });
  });

  test.each([
    ['17 groups', call(1, unix(17))],
    ['a machine name of 256 bytes', call(1, unix(1, 'n'.repeat(256)))],
    ['a body above 400 bytes', call(0, (writer) => writer.zeros(404))],
    ['an AUTH_UNIX body that is cut off', call(1, (writer) => writer.u32(1))],
    ['RPCSEC_GSS', call(6, () => {})],
    ['no verifier', call(0, () => {}, Buffer.alloc(0))],
  ])('%s is AUTH_BADCRED', (_, message) => {
    expect(decodeCall(new ByteReader(message))).toEqual({ kind: 'denied', xid: 9, reason: 'bad-credential' });
  });

  test('the denial is what RFC 5531 says', async () => {
    const reply = await exchange(call(6, () => {}));
    expect(reply.toString('hex')).toBe('0000000900000001000000010000000100000001');
  });
});
