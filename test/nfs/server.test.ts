import { afterEach, describe, expect, test } from 'vitest';
import type { Level } from '../../src/base/log.ts';
import { type NfsService, startNfsServer } from '../../src/nfs/server.ts';
import { statusNumbers as nfs } from '../../src/nfs/status.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { loopback, singleExport, testKey } from '../support/nfs-farm.ts';
import { Nfs3Client, nfsProgram } from '../support/nfs3-client.ts';
import { decodeReply, encodeCall, tcpExchange } from '../support/rpc-client.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(tree: MemoryTree) {
  const lines: [Level, string, unknown][] = [];
  const service: NfsService = await startNfsServer({
    address: loopback,
    port: 0,
    portmap: false,
    privileged: false,
    exports: singleExport(tree),
    key: testKey,
    log: (level, event, fields) => lines.push([level, event, fields]),
    clock: { now: () => 0 },
  });
  closers.push(() => service.close());
  return { service, lines, connect: () => dial(service.port) };
}

async function dial(port: number) {
  const { exchange, close } = await tcpExchange(port);
  closers.push(close);
  return { exchange, client: new Nfs3Client(exchange) };
}

describe('the NFS server', () => {
  test('serves NFS and MOUNT on one port, and says where', async () => {
    const { service, lines, connect } = await serve(new MemoryTree());
    expect(service.sockets).toEqual([`tcp 127.0.0.1:${service.port}`]);
    const { client } = await connect();
    const { handle } = await client.mount('/');
    expect((await client.getattr(handle!)).attributes?.kind).toBe(2);
    expect(lines).toEqual([['info', 'nfs.mount', { client: '127.0.0.1', path: '/', owner: 7 }]]);
  });

  test('has no version but 3', async () => {
    const { connect } = await serve(new MemoryTree());
    const { exchange } = await connect();
    const { status, results } = decodeReply(await exchange(encodeCall({ xid: 1, program: nfsProgram, version: 4, procedure: 0 })));
    expect([status, results.u32(), results.u32()]).toEqual([2, 3, 3]);
  });

  test('that is started again knows its handles and has another write verifier', async () => {
    const tree = new MemoryTree();
    const first = await serve(tree);
    const { client } = await first.connect();
    const { handle: root } = await client.mount('/');
    const { handle: file } = await client.create(root!, 'f');
    const { verifier } = await client.write(file!, 0, Buffer.from('x'));
    await first.service.close();
    const { client: again } = await (await serve(tree)).connect();
    const written = await again.write(file!, 1, Buffer.from('y'));
    expect(written.status).toBe(nfs.OK);
    expect(written.verifier).not.toEqual(verifier);
  });

  test('answers SERVERFAULT to what it did not expect, reports it once with its stack, and goes on', async () => {
    class BrokenTree extends MemoryTree {
      override lookup(): never {
        throw new RangeError('a bug of ours');
      }
    }
    const { lines, connect } = await serve(new BrokenTree());
    const { client } = await connect();
    const { handle } = await client.mount('/');
    expect((await client.lookup(handle!, 'x')).status).toBe(nfs.SERVERFAULT);
    expect((await client.getattr(handle!)).status).toBe(nfs.OK);
    expect(lines.slice(1)).toEqual([['error', 'nfs.fault', { error: expect.stringMatching(/^RangeError: a bug of ours\n +at /) }]]);
  });

  test('a call repeated on a new connection is done once', async () => {
    const { connect } = await serve(new MemoryTree());
    const first = await connect();
    const { handle: root } = await first.client.mount('/');
    const messages: Buffer[] = [];
    const recording = new Nfs3Client((message) => {
      messages.push(Buffer.from(message));
      return first.exchange(message);
    });
    expect((await recording.mkdir(root!, 'd')).status).toBe(nfs.OK);
    const second = await connect();
    const reply = decodeReply(await second.exchange(messages[0]!));
    expect(reply.results.u32()).toBe(nfs.OK);
    expect((await second.client.mkdir(root!, 'd')).status).toBe(nfs.EXIST);
  });
});
